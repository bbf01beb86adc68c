"""Raven embedded against one plain ffmpeg run of the same ladder on the same clip, in turn, several pairs.

    python -m benchmarks.encode [CLIP] [--pairs 3] [--workers 2]

Without a clip it makes one of 60 s. Ratios are Raven's figure over ffmpeg's: below 1 Raven is the better one.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, measure
from master.prepare import probe
from raven import names
from raven.config import ffmpeg_path, load_settings
from raven.media.encoders import encoder_arguments
from raven.media.ladder import choose_renditions
from raven.media.sound import renditions_of
from raven.model import SourceFacts
from raven.process import StopSignal
from raven.profile import Profile, load_profiles


def plain_command(ffmpeg: str, clip: Path, facts: SourceFacts, profile: Profile) -> list[str]:
    """The same rungs and encoder settings, the audio and the thumbnails, by one ffmpeg as a person would run it."""
    video = facts.video
    if video is None:
        raise click.UsageError("the clip has no video")
    rungs = choose_renditions(profile.video, video)
    outputs = "".join(f"[v{i}]" for i in range(len(rungs))) + "[t]"
    graph = [f"[0:v:0]split={len(rungs) + 1}{outputs}"]
    graph += [f"[v{i}]scale={r.width}:{r.height}:flags=bicubic,format=yuv420p[o{i}]" for i, r in enumerate(rungs)]
    thumbs = profile.thumbs
    if thumbs is not None:
        graph.append(f"[t]fps=1/{thumbs.every_seconds},scale=-2:{thumbs.height}[thumbs]")
    command = [ffmpeg, "-hide_banner", "-nostdin", "-y", "-i", str(clip), "-filter_complex", ";".join(graph)]
    grid = profile.cutting.grid(video.rate)
    for i, rendition in enumerate(rungs):
        command += ["-map", f"[o{i}]", *encoder_arguments(rendition, grid), f"{rendition.name}.mp4"]
    for i, track in enumerate(facts.audio):
        for name, audio in renditions_of(profile.audio, track).items():
            command += [
                "-map",
                f"0:a:{i}",
                "-c:a",
                audio.codec,
                "-b:a",
                f"{audio.bitrate}k",
                "-ac",
                str(audio.channels),
            ]
            command.append(f"audio-{name}.mp4")
    return [*command, "-map", "[thumbs]", "-q:v", "4", "%06d.jpg"]


def media_bytes(folder: Path) -> int:
    """Bytes of the encoded media below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.suffix in (".mp4", ".m4s"))


def checker_seconds(folder: Path) -> float:
    """What the checker took of the publish job, as task.json tells."""
    return float(json.loads((folder / names.TASK_JSON).read_text("utf-8"))["check"]["seconds"])


def ratio_line(name: str, raven: list[float], plain: list[float]) -> tuple[str, str, str, str]:
    """Median of each and of the pairwise ratios."""
    ratios = [a / b for a, b in zip(raven, plain, strict=True)]
    spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return name, f"{statistics.median(raven):.2f}", f"{statistics.median(plain):.2f}", spread


def run_pair(
    ffmpeg: str, clip: Path, facts: SourceFacts, profile: Profile, workers: int
) -> tuple[Measured, Measured, float, int, int]:
    """One run of each, in fresh folders."""
    with tempfile.TemporaryDirectory(prefix="raven-bench-") as name:
        root = Path(name)
        (root / "plain").mkdir()
        plain = measure(plain_command(ffmpeg, clip, facts, profile), root / "plain")
        command = [sys.executable, "-m", "raven", "encode", str(clip), "--output", str(root / "raven" / "out")]
        (root / "raven").mkdir()
        raven = measure([*command, "--profile", profile.name, "--workers", str(workers)], root / "raven")
        return (
            raven,
            plain,
            checker_seconds(root / "raven" / "out"),
            media_bytes(root / "raven"),
            media_bytes(root / "plain"),
        )


@click.command(help=__doc__)
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--pairs", default=3, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--profile", "profile_name", default="default", show_default=True)
def main(clip: Path | None, pairs: int, workers: int, profile_name: str) -> None:
    settings = load_settings(os.environ)
    ffmpeg = ffmpeg_path(settings)
    profile = load_profiles(settings.profiles)[profile_name]
    made = Path(tempfile.mkdtemp(prefix="raven-clip-"))
    if clip is None:
        clip = made / "clip.mkv"
        measure([sys.executable, "-m", "raven", "testpicture", str(clip), "--seconds", "60"], made)
    clip = clip.absolute()
    facts = probe(str(clip), StopSignal())
    runs = [run_pair(ffmpeg, clip, facts, profile, workers) for _ in range(pairs)]
    shutil.rmtree(made)
    table = Table(
        "",
        "raven",
        "ffmpeg",
        "ratio: median (least to most)",
        title=f"{clip.name}, {pairs} pairs, {os.cpu_count()} cores",
    )
    table.add_row(*ratio_line("wall s", [r.wall for r, *_ in runs], [p.wall for _, p, *_ in runs]))
    table.add_row(*ratio_line("CPU s", [r.cpu for r, *_ in runs], [p.cpu for _, p, *_ in runs]))
    table.add_row(*ratio_line("MB out", [b / 1e6 for *_, b, _ in runs], [b / 1e6 for *_, b in runs]))
    console = Console(width=110)
    console.print(table)
    shares = [100 * checked / raven.cpu for raven, _, checked, *_ in runs]
    console.print(f"checker: {statistics.median(shares):.2f} % of Raven's CPU")
    for whose, peaks in (("raven", runs[-1][0].peaks), ("plain", runs[-1][1].peaks)):
        text = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in sorted(peaks.items()))
        console.print(f"peak memory of each process, {whose}: {text}")


if __name__ == "__main__":
    main()
