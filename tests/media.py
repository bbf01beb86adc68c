"""Clips for tests, made by the shipped ffmpeg, and its verdict on what was made of them."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg

CORPUS_VARIABLE = "RAVEN_TEST_MEDIA"
_BESIDE = Path(__file__).parents[2] / "shared" / "media"
_SECONDS = 120  # no clip of these tests takes longer


@cache
def ffmpeg() -> str:
    """The path of the ffmpeg that Raven ships with."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def corpus() -> Path | None:
    """The folder of real media files with its MANIFEST.tsv, None where there is none."""
    folder = Path(os.environ.get(CORPUS_VARIABLE) or _BESIDE)
    return folder if (folder / "MANIFEST.tsv").is_file() else None


def generate_clip(
    target: Path,
    frames: int,
    *,
    rate: str = "25",
    size: str = "320x180",
    gop: int = 50,
    audio: bool = True,
    options: Sequence[str] = (),
) -> Path:
    """Write exactly `frames` frames of a moving test picture, with a tone of the same length, as the suffix says.

    `options` are more output options of ffmpeg, such as metadata.
    """
    seconds = f"{float(frames / Fraction(rate)):.6f}"
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", seconds] if audio else []
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}",
            *sound,
            "-frames:v", str(frames),
            "-c:v", "libx264", "-preset", "ultrafast", "-g", str(gop), "-pix_fmt", "yuv420p",
            *options, str(target),
        ]
    )  # fmt: skip
    return target


def count_frames(program: str, manifest: Path, rungs: int) -> list[int]:
    """Decode the rungs of a manifest, its first video streams, in order; the number of frames of each.

    An MPD has the trick play rendition behind them, which ffmpeg's DASH demuxer reads in part twice.

    Any complaint of the decoder is an error: a seam between chunks must not even cause a warning.
    """
    maps = [word for number in range(rungs) for word in ("-map", f"0:v:{number}")]
    text = run_ffmpeg(["-i", str(manifest), *maps, "-fps_mode", "passthrough", "-f", "framecrc", "-"], program)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    counted = Counter(int(line.split(",", 1)[0]) for line in lines)
    return [counted[stream] for stream in sorted(counted)]


def run_ffmpeg(arguments: Sequence[str], program: str | None = None) -> str:
    """Run ffmpeg, which has to end well and without a word; what it wrote to stdout."""
    command = [program or ffmpeg(), "-hide_banner", "-nostdin", "-y", "-loglevel", "warning", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def with_text(clip: Path, text: Path, target: Path) -> Path:
    """A film and a transport stream of text as one transport stream, which both keep their times in."""
    run_ffmpeg(
        [
            *("-loglevel", "error"),  # of a few packets it warns that they may be no transport stream
            *("-copyts", "-i", str(clip), "-copyts", "-fix_teletext_pts", "0", "-f", "mpegts", "-i", str(text)),
            *("-map", "0", "-map", "1", "-c", "copy", "-mpegts_copyts", "1", str(target)),
        ]
    )
    return target
