"""Trick play: a small rendition of I-frames alone, about one a second, on the grid of the rungs. Pure.

Every GOP has the same number of I-frames, as evenly spread as whole frames allow, the first at the GOP's own start. So
the segments have the borders of the rungs' (DASH-IF IOP: time-aligned), and every place follows from the grid alone.
Each I-frame is a fragment of its own (moof and mdat), which a byte range of an I-frame playlist names whole (Apple HLS
authoring 6.10), and lasts until the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from raven import names
from raven.media.grid import Grid, Span, round_nearest
from raven.media.ladder import fit
from raven.model import Rendition, VideoFacts
from raven.profile import Iframes


@dataclass(frozen=True)
class IframeOrder:
    """The trick play rendition of a task, and the frames of each GOP that it shows."""

    rendition: Rendition
    places: tuple[int, ...]


def iframe_order(iframes: Iframes | None, grid: Grid, facts: VideoFacts) -> IframeOrder | None:
    """The trick play rendition that a profile asks for, fitted to the source."""
    if iframes is None:
        return None
    box_width = max(16, round_nearest(Fraction(iframes.height * 16, 9)))
    width, height = fit(facts.width, facts.height, box_width, iframes.height)
    rendition = Rendition(
        name=names.IFRAMES,
        width=width,
        height=height,
        codec="libx264",  # Apple HLS authoring 6.14: some trick play in H.264
        preset=iframes.preset,
        crf=iframes.crf,
        maxrate=None,
        bufsize=None,
        threads=1,
        encoder_profile="main",
        options={"keyint": "1", "bframes": "0"},  # IDR pictures alone: decoded in order, so without an edit list
    )
    return IframeOrder(rendition, places_in_gop(grid, iframes.every_seconds))


def places_in_gop(grid: Grid, every_seconds: Fraction) -> tuple[int, ...]:
    """Which frames of a GOP are shown: as many as are nearest to one in `every_seconds`, the GOP's first among them."""
    count = max(1, min(grid.gop, round_nearest(grid.time_of(grid.gop) / every_seconds)))
    return tuple(i * grid.gop // count for i in range(count))


def frames_in(grid: Grid, places: Sequence[int], span: Span) -> list[int]:
    """The I-frames of a range that starts at a GOP, as frames of the grid."""
    gops = range(span.first, span.last, grid.gop)
    return [gop + place for gop in gops for place in places if gop + place < span.last]


def select_filter(grid: Grid, places: Sequence[int]) -> str:
    """Lets the I-frames alone through, of a chunk, whose first frame is a GOP's."""
    wanted = "+".join(f"eq(mod(n\\,{grid.gop})\\,{place})" for place in places)
    return f"select={wanted}"
