"""The figures of the quality benchmark as tables for a person, each with its aim beside it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rich.table import Table

from benchmarks.figures import AIMS, Compared, Film

PLACES = ("before", "after", "away")
STEP = "largest step: seams / other GOPs"
SEEN = "seen there: chunks / one piece"


def describe(film: Film) -> Iterator[str]:
    """What was encoded, and how."""
    rate = Fraction(film.rate)
    seams = ", ".join(f"{float(n / rate):.2f}" for n in film.seams)
    yield f"{film.name}, profile {film.profile}: {film.frames} frames at {film.rate}/s"
    yield f"  chunks of {float(film.chunk_frames / rate):.2f} s ({film.chunk_frames} frames), seams at {seams} s"
    yield f"  CPU {film.cpu_chunked:.1f} s in chunks, {film.cpu_whole:.1f} s in one piece"
    for rung in film.rungs:
        yield f"  {rung.name} {rung.size}: {rung.settings}"


def overall_table(film: Film) -> Table:
    """Bytes and scores of the whole film."""
    columns = ("rung", "kB in one piece", "in chunks", _aim("bytes", AIMS["overhead_percent"], " %"))
    table = Table(*columns, title="The whole film, in chunks against in one piece")
    for name in ("VMAF", "PSNR"):
        table.add_column(f"{name} in one piece")
        table.add_column(_aim("VMAF", AIMS["vmaf_difference"], "") if name == "VMAF" else "PSNR, dB")
    for rung in film.rungs:
        table.add_row(
            rung.name,
            f"{rung.bytes_whole / 1000:.0f}",
            f"{rung.bytes_chunked / 1000:.0f}",
            f"{rung.overhead_percent:+.2f} %",
            *(f for c in (rung.vmaf, rung.psnr) for f in (f"{c.whole:.2f}", f"{c.difference:+.3f}")),
        )
    return table


def seams_table(film: Film) -> Table:
    """Differences frame by frame: near the seams, and in all other frames."""
    title = f"Frame by frame, {film.around} frames before and after each seam, and all others: mean (worst)"
    table = Table("rung", "", *PLACES, STEP, SEEN, title=title)
    for rung in film.rungs:
        table.add_row(rung.name, _aim("VMAF", AIMS["vmaf_step"], ""), *_places(rung.vmaf))
        table.add_row("", "PSNR, dB", *_places(rung.psnr))
    return table


def _places(score: Compared) -> Iterator[str]:
    for place in (score.before, score.after, score.away):
        yield f"{place.mean:+.3f} ({place.worst:+.2f})"
    yield f"{score.step:+.2f} / {score.usual_step:+.2f}"
    yield f"{score.seen_chunked:+.2f} / {score.seen_whole:+.2f}"


def _aim(name: str, aim: float, unit: str) -> str:
    return f"{name} (aim < {aim:g}{unit})"
