"""The figures of the comparison with peers for a person."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from benchmarks.peer_runs import Comparison, Figures, Rung

WIDTH = 160


def table(comparison: Comparison) -> Table:
    """A row a tool; seconds also as a multiple of ffmpeg's."""
    base = comparison.tools[0]
    title = f"{comparison.name}: {comparison.frames} frames at {comparison.rate}/s, {comparison.size}"
    shown = Table("", "wall s", "CPU s", "MB", *(f"{r.name}: kB, VMAF" for r in base.rungs), title=title)
    for figures in comparison.tools:
        shown.add_row(
            figures.tool,
            f"{figures.wall:.1f} ({figures.wall / base.wall:.2f})",
            f"{figures.cpu:.1f} ({figures.cpu / base.cpu:.2f})",
            f"{figures.bytes / 1e6:.2f}",
            *(_cell(rung, comparison.frames) for rung in figures.rungs),
        )
    return shown


def _cell(rung: Rung, frames: int) -> str:
    judged = f"{rung.vmaf:.2f}" if rung.vmaf is not None else f"{rung.frames} of {frames} frames"
    return f"{rung.bytes / 1000:.0f}, {judged}"


def lines(comparison: Comparison) -> Iterator[str]:
    """What each tool is and was told, and which were not measured."""
    for figures in comparison.tools:
        yield from _told(figures)
    for name, packages in comparison.skipped.items():
        yield f"{name}: skipped, not installed: {'; '.join(packages)}"
    for name, why in comparison.failed.items():
        yield f"{name}: failed: {why}"
    yield ""


def _told(figures: Figures) -> Iterator[str]:
    yield f"{figures.tool} {figures.version}: {figures.about}"
    yield f"    {figures.command}"
    for name, text in figures.files.items():
        yield f"    {name}: {' | '.join(text.split(chr(10)))}"
