"""What chunks do to a film's rungs: bytes, and scores frame by frame, near the seams and away from them. Pure.

A difference is the figure of the encode in chunks less that of the one in one piece: below 0 the chunks are worse.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean

from raven.errors import UsageError
from raven.media.grid import Grid

Score = Sequence[float]
"""One figure for each frame."""
AIMS = {"overhead_percent": 1.0, "vmaf_difference": 0.1, "vmaf_step": 6.0}
"""What chunks may change at most, up or down. 6 points of VMAF are one just noticeable difference."""


@dataclass(frozen=True)
class Difference:
    """Over the frames of a place: their number, the mean difference, and the worst one."""

    frames: int
    mean: float
    worst: float


@dataclass(frozen=True)
class Compared:
    """One score of a rung: its means over the film, the difference of these, and the differences by place."""

    whole: float
    chunked: float
    difference: float
    before: Difference
    after: Difference
    away: Difference
    step: float
    """The largest change from before a seam to after it, up or down, that is not in the encode in one piece."""
    usual_step: float
    """The same over those borders of GOPs where no chunk ends."""
    seen_chunked: float
    """The change over that seam as a viewer of the chunks sees it, the film's own included ..."""
    seen_whole: float
    """... and as one of the encode in one piece does at the same place."""


@dataclass(frozen=True)
class Rung:
    """What was measured of one rung: bytes of all its segments, VMAF, and the PSNR of luma (dB)."""

    name: str
    size: str
    settings: str
    """The encoder's arguments, the same in both encodes."""
    bytes_whole: int
    bytes_chunked: int
    overhead_percent: float
    vmaf: Compared
    psnr: Compared


@dataclass(frozen=True)
class Film:
    """What was measured of one film with one profile. CPU seconds are of all processes of an encode."""

    name: str
    profile: str
    frames: int
    rate: str
    chunk_frames: int
    seams: tuple[int, ...]
    around: int
    """Frames on each side of a seam that are counted as near it."""
    cpu_whole: float
    cpu_chunked: float
    rungs: tuple[Rung, ...]


def seams_of(grid: Grid, one: Grid, frames: int) -> tuple[int, ...]:
    """First frames of all chunks of `grid` but the first; at least a segment lies on each side of each.

    Raises UsageError if there is none, or if the film has several chunks on the grid `one`, too.
    """
    seams = tuple(span.first for span in grid.chunks(frames))[1:]
    if not seams:
        raise UsageError(f"the film has {frames} frames and no seam; it takes {grid.chunk + grid.segment} or more")
    if one.chunk_count(frames) > 1:
        raise UsageError(f"the film has {frames} frames; one piece holds {one.chunk + one.segment - 1} at most")
    return seams


def compare(chunked: Score, whole: Score, seams: Sequence[int], around: int, gop: int) -> Compared:
    """Compares two scores of the same frames, of which there are at least `around` on each side of every seam."""
    changed = [c - w for c, w in zip(chunked, whole, strict=True)]
    before = {n for seam in seams for n in range(seam - around, seam)}
    after = {n for seam in seams for n in range(seam, seam + around)}
    seam = max(seams, key=lambda border: abs(_step(changed, border, around)))
    usual = [n for n in range(gop, len(changed) - around + 1, gop) if n not in seams and n >= around]
    return Compared(
        whole=fmean(whole),
        chunked=fmean(chunked),
        difference=fmean(changed),
        before=_difference(changed, before),
        after=_difference(changed, after),
        away=_difference(changed, set(range(len(changed))) - before - after),
        step=_step(changed, seam, around),
        usual_step=max((_step(changed, border, around) for border in usual), key=abs, default=0.0),
        seen_chunked=_step(chunked, seam, around),
        seen_whole=_step(whole, seam, around),
    )


def _difference(changed: Score, frames: Collection[int]) -> Difference:
    values = [changed[n] for n in frames]
    return Difference(len(values), fmean(values), min(values))


def _step(score: Score, border: int, around: int) -> float:
    return fmean(score[border : border + around]) - fmean(score[border - around : border])
