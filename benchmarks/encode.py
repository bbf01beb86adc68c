"""Raven embedded against one plain ffmpeg run of the same ladder on the same clip, in turn, several pairs.

    python -m benchmarks.encode [CLIP] [--pairs 3] [--workers 2] [--plain-threads 1] [--profile default]

Both make the same rungs with the same encoder settings, the same sound and the thumbnails. Raven makes the rest of its
output as well: segments, manifests, trick play, sheets of thumbnails, checks. Ratios are Raven's figure over ffmpeg's:
below 1 Raven is the better one. Without a clip it makes one of 60 s.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, measure, media_bytes, raven_encode
from master.prepare import probe
from raven import names
from raven.config import ffmpeg_path
from raven.environment import load_settings
from raven.errors import RavenError, UsageError
from raven.media.encoders import encoder_arguments
from raven.media.ladder import choose_renditions, thumb_step
from raven.media.sound import renditions_of
from raven.model import SourceFacts, VideoFacts
from raven.process import StopSignal
from raven.profile import Profile, known_profile


def like_for_like(facts: SourceFacts) -> VideoFacts:
    """Raises UsageError for a clip of which the plain run would not make the same: Raven does more for it."""
    video = facts.video
    if video is None:
        raise UsageError("the clip has no video")
    if video.interlaced != "no" or video.video_range != "SDR" or video.way != "copy" or not video.constant_rate:
        raise UsageError("the clip is interlaced, HDR, untimed or of a variable rate: plain ffmpeg makes another film")
    return video


def plain_command(
    ffmpeg: str, clip: Path, facts: SourceFacts, profile: Profile, threads: int | None = None
) -> list[str]:
    """The same rungs and encoder settings, the audio and the thumbnails, by one ffmpeg as a person would run it.

    It decodes once and with as many threads as ffmpeg likes. Trick play, sheets, manifests and checks are Raven's own.
    `threads`: of each rung's encoder, if not as many as Raven's have.
    """
    video = like_for_like(facts)
    grid, thumbs = profile.cutting.grid(video.rate), profile.thumbs
    rungs = choose_renditions(profile.video, video, grid)
    rungs = tuple(r.model_copy(update={"threads": threads or r.threads}) for r in rungs)
    branches = [
        f"framestep={r.every},scale={r.width}:{r.height}:flags=bicubic,format={r.pixel_format}[v{i}]"
        for i, r in enumerate(rungs)
    ]
    if thumbs is not None:
        branches.append(f"framestep={thumb_step(grid, thumbs)},scale=-2:{thumbs.height}[thumbs]")
    graph = [f"[0:{video.stream}]split={len(branches)}" + "".join(f"[b{i}]" for i in range(len(branches)))]
    graph += [f"[b{i}]{branch}" for i, branch in enumerate(branches)]
    command = [ffmpeg, "-hide_banner", "-nostdin", "-y", "-i", str(clip)]
    command += ["-filter_complex_threads", "1", "-filter_complex", ";".join(graph)]  # by slices it takes longer
    for i, rendition in enumerate(rungs):
        command += ["-map", f"[v{i}]", *encoder_arguments(rendition, grid), f"{rendition.name}.mp4"]
    for track in facts.audio:
        for name, audio in renditions_of(profile.audio, track).items():
            shape = ["-b:a", f"{audio.bitrate}k", "-ac", str(audio.channels), "-ar", str(audio.sample_rate)]
            command += ["-map", f"0:{track.stream}", "-c:a", audio.codec, *shape, f"audio-{name}.mp4"]
    return command if thumbs is None else [*command, "-map", "[thumbs]", "-q:v", "4", "%06d.jpg"]


def checker_seconds(folder: Path) -> float:
    """What the checker took of the publish job, as task.json tells."""
    return float(json.loads((folder / names.TASK_JSON).read_text("utf-8"))["check"]["seconds"])


def ratio_line(name: str, raven: list[float], plain: list[float]) -> tuple[str, str, str, str]:
    """Median of each and of the pairwise ratios."""
    ratios = [a / b for a, b in zip(raven, plain, strict=True)]
    spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return name, f"{statistics.median(raven):.2f}", f"{statistics.median(plain):.2f}", spread


@dataclass(frozen=True)
class Pair:
    """One run of each on the same clip: seconds and bytes."""

    raven: Measured
    plain: Measured
    checker: float
    raven_bytes: int
    plain_bytes: int


def run_pair(plain: list[str], clip: Path, profile: Profile, workers: int, *, raven_first: bool) -> Pair:
    """One run of each, in fresh folders."""
    with tempfile.TemporaryDirectory(prefix="raven-bench-") as name:
        ours, theirs = Path(name) / "raven", Path(name) / "plain"
        theirs.mkdir()
        runs = {}
        for who in ("raven", "plain") if raven_first else ("plain", "raven"):
            if who == "raven":
                runs[who] = raven_encode(clip, ours / "out", profile.name, workers)
            else:
                runs[who] = measure(plain, theirs)
        return Pair(
            **runs,
            checker=checker_seconds(ours / "out"),
            raven_bytes=media_bytes(ours),
            plain_bytes=media_bytes(theirs),
        )


def report(title: str, pairs: list[Pair]) -> None:
    """The figures with their aims, which hold for the default profile on two cores."""
    table = Table("", "raven", "ffmpeg", "ratio: median (least to most)", "aim", title=title)
    table.add_row(*ratio_line("wall s", [p.raven.wall for p in pairs], [p.plain.wall for p in pairs]), "<= 1.00")
    table.add_row(*ratio_line("CPU s", [p.raven.cpu for p in pairs], [p.plain.cpu for p in pairs]), "<= 1.08")
    table.add_row(*ratio_line("MB out", [p.raven_bytes / 1e6 for p in pairs], [p.plain_bytes / 1e6 for p in pairs]), "")
    console = Console(width=110)
    console.print(table)
    share = statistics.median(100 * p.checker / p.raven.cpu for p in pairs)
    console.print(f"checker: {share:.2f} % of Raven's CPU (aim < 2 %)")
    for whose, peaks in (("raven", pairs[-1].raven.peaks), ("plain", pairs[-1].plain.peaks)):
        text = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in sorted(peaks.items()))
        console.print(f"peak memory of each process, {whose}: {text}")


@click.command(help=__doc__)
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--pairs", type=click.IntRange(1), default=3, show_default=True, help="Runs of each, in turn.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Raven's encodes side by side."
)
@click.option(
    "--plain-threads", type=click.IntRange(1), help="Threads of each encoder of plain ffmpeg. [default: as Raven's]"
)
@click.option("--profile", "profile_name", default="default", show_default=True, help="What both make.")
def main(clip: Path | None, pairs: int, workers: int, plain_threads: int | None, profile_name: str) -> None:
    try:
        settings = load_settings(os.environ)
        profile, ffmpeg = known_profile(settings.profiles, profile_name), ffmpeg_path(settings)
        with tempfile.TemporaryDirectory(prefix="raven-clip-") as made:
            clip = clip.absolute() if clip else test_picture(Path(made))
            plain = plain_command(ffmpeg, clip, probe(str(clip), StopSignal()), profile, plain_threads)
            # each goes first in turn, so that neither always finds the clip in memory
            runs = [run_pair(plain, clip, profile, workers, raven_first=bool(n % 2)) for n in range(pairs)]
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except (RavenError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    report(f"{clip.name}, profile {profile.name}, {pairs} pairs, {workers} workers, {os.cpu_count()} cores", runs)


def test_picture(folder: Path) -> Path:
    """A minute of the test picture."""
    clip = folder / "clip.mkv"
    measure([sys.executable, "-m", "raven", "testpicture", str(clip), "--seconds", "60"], folder)
    return clip


if __name__ == "__main__":
    main()
