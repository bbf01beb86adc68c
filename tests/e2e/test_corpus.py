"""Every real file that is at hand, against what plain ffmpeg says of it: frames, sizes, tracks, lengths, hashes."""

from __future__ import annotations

import os
import re
import subprocess
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tools import PACKET, SAMPLE_RATE, Film, Frames, Raven, count_samples, parse_frames, picture_size
from tests.media import corpus, ffmpeg

LONGEST = 1e9 if os.environ.get("RAVEN_TEST_LONG") else 3
"""Minutes of a film that is encoded here."""
NO_MEDIA = {".tsv", ".md", ".txt", ".json"}


def files() -> list[str]:
    folder = corpus()
    if folder is None:
        return []
    return sorted(f.name for f in folder.iterdir() if f.is_file() and f.suffix not in NO_MEDIA)


@cache
def described(source: Path) -> str:
    """What ffmpeg says of a file."""
    command = [ffmpeg(), "-hide_banner", "-nostdin", "-i", str(source)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=60).stderr


def minutes(source: Path) -> float | None:
    """The length that a file claims."""
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", described(source))
    return int(found[1]) * 60 + int(found[2]) + float(found[3]) / 60 if found else None


def decoded(source: Path, stream: int, chain: str, *options: str) -> list[Frames]:
    """One stream through filters, whatever the decoder has to say of it."""
    command = [
        *(ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "fatal", "-threads", "1", "-copyts", "-i", str(source)),
        *("-map", f"0:{stream}", "-vf", chain, *options, "-fps_mode", "passthrough"),
        *("-f", "framehash", "-hash", "md5", "-"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return parse_frames(done.stdout)


def on_the_grid(source: Path, film: Film, size: tuple[int, int]) -> list[str]:
    """Hashes of all frames that plain ffmpeg makes of a source on a grid of the film's rate, as long as it goes."""
    video = film.task["source"]["video"]
    rate = film.rate
    chain = ["bwdif=mode=send_frame:deint=interlaced"] if video["interlaced"] != "no" else []
    if video["timed"]:
        first = decoded(source, video["stream"], "null", "-frames:v", "1")[0].times[0]
        chain.append(f"setpts=PTS-round(({first})/TB)")
    else:
        chain += [f"settb=expr=1/({rate})", "setpts=N"]
    chain += [f"fps={rate}:start_time=0", f"scale={size[0]}:{size[1]}:flags=bicubic", "format=yuv420p"]
    return decoded(source, video["stream"], ",".join(chain))[0].hashes


def check_sound(film: Film) -> None:
    """Each track is as long as the film, give or take a packet."""
    length = Fraction(film.task["duration"])
    for track in film.task["audio"]:
        samples = count_samples(film.playlist("audio", track["name"]), "0:a:0")
        assert abs(Fraction(samples, SAMPLE_RATE) - length) <= Fraction(PACKET, SAMPLE_RATE) + Fraction(1, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("name", files() or [pytest.param("", marks=pytest.mark.skip("no corpus of media files"))])
def test_a_real_file_comes_out_as_plain_ffmpeg_reads_it_or_is_refused_with_a_reason(
    raven: Raven, tmp_path: Path, name: str
) -> None:
    folder = corpus()
    assert folder is not None
    source = folder / name
    if (minutes(source) or 0) > LONGEST:
        pytest.skip("a film of minutes takes minutes; RAVEN_TEST_LONG=1 includes it")
    ran = raven.run(source, tmp_path / "out", "--profile", "corpus")
    if ran.status != 0:
        check_refusal(source, ran.status, ran.stderr)
        return
    film = Film(tmp_path / "out")
    facts = film.task["source"]
    tracks = len(re.findall(r"^ *Stream #\d+:\d+.*: Audio: (?!none)", described(source), re.MULTILINE))
    assert len(film.task["audio"]) == (tracks if not film.task["frames"] else min(tracks, len(facts["audio"])))
    check_sound(film)
    if not film.task["frames"]:
        return
    (rung,) = film.sizes().items()
    check_shape(source, rung[1], facts["video"]["stream"])
    hashes = [stream.hashes for streams in film.check_frames(film.task["frames"]) for stream in streams]
    assert hashes[0] == hashes[1]
    wanted = on_the_grid(source, film, rung[1])
    short, long = sorted((hashes[0], wanted), key=len)
    # how long the last frame lasts, few files say
    assert len(long) - len(short) <= 1 or len(set(long[len(short) - 1 :])) == 1
    # a damaged stream decodes differently from each keyframe
    if not film.task["warnings"] and not recoloured(facts["video"]):
        both = min(len(wanted), len(hashes[0]))
        assert hashes[0][:both] == wanted[:both]


def recoloured(video: dict[str, Any]) -> bool:
    """Whether the colours are converted, which plain ffmpeg does not do: of HDR, full range, RGB, transparency."""
    hdr = video["colour"].get("color_trc") in ("16", "18")
    return hdr or video["colour"].get("range") == "2" or not video["pixel_format"].startswith("yuv4")


def check_shape(source: Path, size: tuple[int, int], stream: int) -> None:
    """The picture has the shape that the source is shown in: turned, and with square pixels."""
    width, height = picture_size(source, stream)
    aspect = re.search(rf"Stream #0:{stream}.*DAR (\d+):(\d+)", described(source))
    turned = (width > height) != (size[0] > size[1]) and width != height
    assert not turned or aspect, "the picture lies on its side"
    shown = Fraction(width, height)
    if aspect and width > height:
        shown = Fraction(int(aspect[1]), int(aspect[2]))
    assert float(Fraction(*size)) == pytest.approx(float(shown), rel=0.04)  # even sides of a small picture


def check_refusal(source: Path, status: int, said: str) -> None:
    """A file is refused only where plain ffmpeg has nothing to show either, and without a traceback."""
    assert status == 1, said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()[-1]) > 20
    command = [ffmpeg(), "-hide_banner", "-nostdin", "-loglevel", "error", "-i", str(source), "-frames:v", "25"]
    shown = subprocess.run([*command, "-f", "framehash", "-"], capture_output=True, text=True, check=False, timeout=60)
    frames = [line for line in shown.stdout.splitlines() if not line.startswith("#")]
    assert shown.returncode != 0 or shown.stderr or not frames, f"plain ffmpeg reads it, but: {said}"
