"""Does cutting a film into chunks cost quality or bytes? Raven's own encode in chunks against the same in one piece.

    python -m benchmarks.quality [FILM ...] [--chunk-seconds 30] [--profile hevc] [--rungs NAME,NAME] [--json]

Each film is encoded three times by `raven encode`, with the same rungs and encoder settings: in chunks, as one chunk,
and lossless for reference. Then libvmaf compares every frame of the first two with the third, at the size of the
rung. Reported are the bytes that chunks add, and what they change in VMAF and in the PSNR of luma: over the whole
film, in the frames before and after each seam and in all others, the largest step over a seam beside the largest over
those borders of GOPs where no chunk ends, and what is seen at that seam in each encode, the film's own change
included. A difference is chunks less one piece: below 0 the chunks are worse.

Aims stand beside the figures and change nothing: the exit code is 0 when all was measured, 1 when something failed,
2 on wrong use. Without a FILM one of 66 s is made, of noise and fractals, which the caps of most rungs bind.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from benchmarks.bench import Bench, sdr_video, tell
from benchmarks.figures import AIMS, Film
from benchmarks.measure import measure
from benchmarks.quality_table import describe, overall_table, seams_table
from benchmarks.variants import WHOLE_SEGMENTS, chunk_segments, fitting_rungs, variant
from benchmarks.vmaf import MODEL
from master.prepare import probe
from raven.config import ffmpeg_path
from raven.environment import load_settings
from raven.errors import RavenError, UsageError
from raven.process import StopSignal
from raven.profile import Profile, load_profiles

MADE_SECONDS = 66
"""Length of the film that is made: two chunks of 30 s, the last with a segment more."""
WIDTH = 160
"""Columns of the tables, wherever they go."""


def made_film(ffmpeg: str, folder: Path) -> Path:
    """A film that is hard to encode: five seconds of noise over a test picture and five of a fractal in turn."""
    size = "size=640x360:rate=25"
    graph = (
        f"mandelbrot={size}:maxiter=400,format=yuv420p[a];testsrc2={size},noise=alls=24:allf=t:all_seed=1[b];"
        "[a][b]overlay=enable='lt(mod(t,10),5)',format=yuv420p"
    )
    command = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-filter_complex", graph]
    # lossless, so that nothing but the encodes that are compared takes from it
    command += ["-t", str(MADE_SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "made.mkv"]
    tell("making a film")
    measure(command, folder)
    return folder / "made.mkv"


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(filter(None, value.split(",")))


@click.command(help=__doc__)
@click.argument("films", metavar="[FILM]...", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1)
@click.option(
    "--profile",
    "profile_names",
    multiple=True,
    default=("default",),
    show_default=True,
    help="Profile whose rungs are encoded; again for more: `--profile default --profile hevc --profile av1`.",
)
@click.option(
    "--rungs",
    callback=_names,
    default="",
    help="Names of rungs, by commas; see `raven profiles`. "
    "[default: the smallest, the middle and the largest that the film gets of a profile's first ladder]",
)
@click.option(
    "--chunk-seconds",
    type=click.FloatRange(0.1, 600),
    default=30,
    show_default=True,
    help="Length of a chunk, to the nearest whole segment.",
)
@click.option(
    "--around",
    type=click.IntRange(1, 100),
    default=12,
    show_default=True,
    help="Frames on each side of a seam that are near it.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Encodes side by side.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of the tables.")
def main(
    films: tuple[Path, ...],
    profile_names: tuple[str, ...],
    rungs: tuple[str, ...],
    chunk_seconds: float,
    around: int,
    workers: int,
    as_json: bool,
) -> None:
    try:
        settings = load_settings(os.environ)
        profiles = chosen_profiles(load_profiles(settings.profiles), profile_names, rungs)
        bench = Bench(ffmpeg_path(settings), workers, around)
        with tempfile.TemporaryDirectory(prefix="raven-quality-") as folder:
            sources = films or (made_film(bench.ffmpeg, Path(folder)),)
            found = []
            for source, profile in itertools.product(sources, profiles):
                found.append(measured(bench, source.absolute(), profile, rungs, chunk_seconds))
                if not as_json:
                    show(found[-1])
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    except (RavenError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        about = {"model": MODEL, "ffmpeg": bench.ffmpeg, "aims": AIMS}
        click.echo(json.dumps({**about, "films": [asdict(film) for film in found]}))


def chosen_profiles(known: Mapping[str, Profile], wanted: Sequence[str], rungs: Sequence[str]) -> list[Profile]:
    """Raises UsageError for a profile that is not there, and a rung that none of them has."""
    if unknown := sorted(set(wanted) - set(known)):
        raise UsageError(f"there is no profile {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    profiles = [known[name] for name in wanted]
    has = [rung.name for profile in profiles for ladder in profile.video for rung in ladder.rungs]
    if strange := [name for name in rungs if name not in has]:
        raise UsageError(f"there is no rung {', '.join(strange)}; known are {', '.join(has)}")
    return profiles


def measured(bench: Bench, source: Path, profile: Profile, rungs: Sequence[str], chunk_seconds: float) -> Film:
    """The figures of one film with one profile. Raises UsageError where they cannot be taken."""
    facts = probe(str(source), StopSignal())
    video = sdr_video(source, facts)
    names = fitting_rungs(profile, rungs, video)
    segments = chunk_segments(profile, chunk_seconds)
    chunked = variant(profile, profile.name, names, segments)
    return bench.film(source, facts, chunked, variant(profile, f"{profile.name}-whole", names, WHOLE_SEGMENTS))


def show(film: Film) -> None:
    """The figures for a person."""
    console = Console(width=WIDTH)
    console.print(*describe(film), overall_table(film), seams_table(film), sep="\n", highlight=False)


if __name__ == "__main__":
    main()
