"""Which renditions a source gets: the profile's rungs fitted to its size, never enlarged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from raven.media.grid import Grid, Span, round_nearest
from raven.media.hdr import metadata_options
from raven.model import Rendition, VideoFacts
from raven.profile import Ladder, Rung, Thumbs


def _even(size: Fraction, limit: int) -> int:
    """The even number nearest to `size`, at least 2 and not above `limit` (4:2:0 needs even sides)."""
    return max(2, min(2 * round_nearest(size / 2), limit - limit % 2))


def fit(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """Even size of a `width` x `height` picture inside the box, aspect kept; the box turns with the picture."""
    if height > width:
        box_width, box_height = box_height, box_width
    scale = min(Fraction(box_width, width), Fraction(box_height, height), Fraction(1))
    return _even(width * scale, width), _even(height * scale, height)


def _contains(rung: Rung, facts: VideoFacts) -> bool:
    return max(facts.width, facts.height) <= rung.width and min(facts.width, facts.height) <= rung.height


def choose_renditions(ladders: Iterable[Ladder], facts: VideoFacts, grid: Grid) -> tuple[Rendition, ...]:
    """The rungs that a source gets, ladder by ladder. The order is that of the files, the smallest rung first."""
    return tuple(_rendition(ladder, rung, facts, grid) for ladder in ladders for rung in _rungs(ladder, facts))


def _rungs(ladder: Ladder, facts: VideoFacts) -> list[Rung]:
    """Those up to the first box that holds the source, which then keeps the source's own size."""
    top = max(_area(rung) for rung in ladder.rungs)
    top = min((_area(rung) for rung in ladder.rungs if _contains(rung, facts)), default=top)
    chosen = [r for r in ladder.rungs if _area(r) == top or (_area(r) < top and not r.top_only)]
    return sorted(chosen, key=lambda r: (_area(r), r.maxrate or 0))


def _area(rung: Rung) -> int:
    return rung.width * rung.height


def _bit_depth(ladder: Ladder, facts: VideoFacts) -> int:
    """H.264 players decode 8 bits only; HEVC and AV1 keep 10 where the source has more than 8."""
    return 10 if ladder.codec != "libx264" and (facts.bit_depth > 8 or facts.video_range != "SDR") else 8


def _rendition(ladder: Ladder, rung: Rung, facts: VideoFacts, grid: Grid) -> Rendition:
    width, height = fit(facts.width, facts.height, rung.width, rung.height)
    return Rendition(
        name=rung.name,
        width=width,
        height=height,
        codec=ladder.codec,
        preset=ladder.preset,
        crf=rung.crf,
        maxrate=rung.maxrate,
        bufsize=rung.bufsize,
        threads=ladder.threads,
        encoder_profile=ladder.encoder_profile,
        pixel_format="yuv420p" if _bit_depth(ladder, facts) == 8 else "yuv420p10le",
        video_range="SDR" if ladder.codec == "libx264" else facts.video_range,
        every=grid.step_for(rung.max_rate),
        audio=rung.audio,
        options=metadata_options(ladder.codec, facts) | ladder.options,
    )


def thumb_size(thumbs: Thumbs, facts: VideoFacts) -> tuple[int, int]:
    """Even size of the thumbnails: `height` lines, or the source's own if it has fewer."""
    height = min(thumbs.height, facts.height)
    return _even(Fraction(facts.width * height, facts.height), facts.width), _even(Fraction(height), facts.height)


def thumb_step(grid: Grid, thumbs: Thumbs) -> int:
    """Frames from thumbnail to thumbnail: whole ones, so that each stands for an exact time, and at least one."""
    return max(1, round_nearest(thumbs.every_seconds * grid.rate))


def thumbs_in(grid: Grid, thumbs: Thumbs | None, span: Span) -> dict[int, int]:
    """Number of each thumbnail in `span`, by its frame: number k shows the frame `k * thumb_step`."""
    if thumbs is None:
        return {}
    step = thumb_step(grid, thumbs)
    return {number * step: number for number in range(-(-span.first // step), -(-span.last // step))}
