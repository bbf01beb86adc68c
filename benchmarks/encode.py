"""Raven embedded against one plain ffmpeg run of the same ladder on the same clip, in turn, several pairs.

    python -m benchmarks.encode [CLIP] [--rounds 3] [--workers 2] [--profile default]

All make the same rungs with the same encoder settings, the same sound and the thumbnails. Raven makes the rest of its
output as well: segments, manifests, trick play, sheets of thumbnails, checks. Plain ffmpeg runs twice: as a person
types it, x264 with as many threads as it likes, and with one thread for each rung, as Raven has found to cost the
least. Ratios are Raven's figure over ffmpeg's: below 1 Raven is the better one. Without a clip it makes one of 60 s.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
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
    ffmpeg: str, clip: Path, facts: SourceFacts, profile: Profile, *, own_threads: bool = False
) -> list[str]:
    """The same rungs and encoder settings, the audio and the thumbnails, by one ffmpeg as a person would run it.

    It decodes once and with as many threads as ffmpeg likes. Trick play, sheets, manifests and checks are Raven's own.
    `own_threads`: each rung of x264 has as many as it likes, which is its default; else as many as Raven's have.
    """
    video = like_for_like(facts)
    grid, thumbs = profile.cutting.grid(video.rate), profile.thumbs
    rungs = choose_renditions(profile.video, video, grid)
    if own_threads:
        rungs = tuple(r.model_copy(update={"threads": 0}) if r.codec == "libx264" else r for r in rungs)
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


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Median, least and most of the rounds' ratios."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


RAVEN, PLAIN, ONE_THREAD = "raven", "ffmpeg", "ffmpeg, 1 thread a rung"


@dataclass(frozen=True)
class Run:
    """One run of one of them; `checker` in seconds, 0 where there is none."""

    measured: Measured
    bytes: int
    checker: float = 0


Round = dict[str, Run]


def run_round(plain: dict[str, list[str]], clip: Path, profile: Profile, workers: int, first: int) -> Round:
    """One run of each in a fresh folder, beginning with the `first` of them."""
    who = [RAVEN, *plain]
    first %= len(who)
    return {name: _run(name, plain, clip, profile, workers) for name in who[first:] + who[:first]}


def _run(name: str, plain: dict[str, list[str]], clip: Path, profile: Profile, workers: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="raven-bench-") as temporary:
        folder = Path(temporary)
        if name != RAVEN:
            return Run(measure(plain[name], folder), media_bytes(folder))
        measured = raven_encode(clip, folder / "out", profile.name, workers)
        return Run(measured, media_bytes(folder), checker_seconds(folder / "out"))


def report(title: str, rounds: list[Round]) -> None:
    """The figures with their aims, which hold for the default profile on two cores."""
    measures: list[tuple[str, Callable[[Run], float], str]] = [
        ("wall s", lambda run: run.measured.wall, "<= 1.00"),
        ("CPU s", lambda run: run.measured.cpu, "<= 1.08"),
        ("MB out", lambda run: run.bytes / 1e6, ""),
    ]
    table = Table("", *rounds[0], f"{RAVEN} : {PLAIN}", "aim", f"{RAVEN} : 1 thread", title=title)
    for name, of, aim in measures:
        figures = {who: [of(one[who]) for one in rounds] for who in (RAVEN, PLAIN, ONE_THREAD)}
        medians = [f"{statistics.median(taken):.2f}" for taken in figures.values()]
        ratios = [ratio(figures[RAVEN], figures[other]) for other in (PLAIN, ONE_THREAD)]
        table.add_row(name, *medians, ratios[0], aim, ratios[1])
    console = Console(width=130)
    console.print(table)
    share = statistics.median(100 * one[RAVEN].checker / one[RAVEN].measured.cpu for one in rounds)
    console.print(f"checker: {share:.2f} % of Raven's CPU (aim < 2 %)")
    for who, run in rounds[-1].items():
        text = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in sorted(run.measured.peaks.items()))
        console.print(f"peak memory of each process, {who}: {text}")


@click.command(help=__doc__)
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each, in turn.")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Raven's encodes side by side."
)
@click.option("--profile", "profile_name", default="default", show_default=True, help="What all make.")
def main(clip: Path | None, rounds: int, workers: int, profile_name: str) -> None:
    try:
        settings = load_settings(os.environ)
        profile, ffmpeg = known_profile(settings.profiles, profile_name), ffmpeg_path(settings)
        with tempfile.TemporaryDirectory(prefix="raven-clip-") as made:
            clip = clip.absolute() if clip else test_picture(Path(made))
            facts = probe(str(clip), StopSignal())
            plain = {
                PLAIN: plain_command(ffmpeg, clip, facts, profile, own_threads=True),
                ONE_THREAD: plain_command(ffmpeg, clip, facts, profile),
            }
            # each goes first in turn, so that none always finds the clip in memory
            runs = [run_round(plain, clip, profile, workers, first) for first in range(rounds)]
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except (RavenError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    report(f"{clip.name}, profile {profile.name}, {rounds} rounds, {workers} workers, {os.cpu_count()} cores", runs)


def test_picture(folder: Path) -> Path:
    """A minute of the test picture."""
    clip = folder / "clip.mkv"
    measure([sys.executable, "-m", "raven", "testpicture", str(clip), "--seconds", "60"], folder)
    return clip


if __name__ == "__main__":
    main()
