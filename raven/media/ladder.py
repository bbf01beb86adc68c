"""Which renditions a source gets: the profile's rungs fitted to its size, never enlarged. Pure."""

from __future__ import annotations

from fractions import Fraction

from raven.media.grid import Grid, Span, round_nearest
from raven.model import Rendition, VideoFacts
from raven.profile import Rung, Thumbs, VideoProfile


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


def choose_renditions(profile: VideoProfile, facts: VideoFacts) -> tuple[Rendition, ...]:
    """The rungs up to the first whose box holds the source, which then keeps the source's own size."""
    chosen: list[Rung] = []
    for rung in sorted(profile.rungs, key=lambda r: (r.width * r.height, r.maxrate or 0)):
        chosen.append(rung)
        if _contains(rung, facts):
            break
    return tuple(_rendition(profile, rung, facts) for rung in chosen)


def _rendition(profile: VideoProfile, rung: Rung, facts: VideoFacts) -> Rendition:
    width, height = fit(facts.width, facts.height, rung.width, rung.height)
    return Rendition(
        name=rung.name,
        width=width,
        height=height,
        codec=profile.codec,
        preset=profile.preset,
        crf=rung.crf,
        maxrate=rung.maxrate,
        bufsize=rung.bufsize,
        threads=profile.threads,
        encoder_profile=profile.encoder_profile,
        options=profile.options,
    )


def thumb_size(thumbs: Thumbs, facts: VideoFacts) -> tuple[int, int]:
    """Even size of the thumbnails: `height` lines, or the source's own if it has fewer."""
    height = min(thumbs.height, facts.height)
    return _even(Fraction(facts.width * height, facts.height), facts.width), _even(Fraction(height), facts.height)


def thumbs_in(grid: Grid, thumbs: Thumbs | None, span: Span) -> dict[int, int]:
    """Number of each thumbnail in `span`, by its frame: number k shows the frame at `k * every_seconds`."""
    if thumbs is None:
        return {}
    step = max(Fraction(1), thumbs.every_seconds * grid.rate)  # no two show one frame, or numbers would be missing
    number = max(0, int(span.first / step) - 1)
    found: dict[int, int] = {}
    while (frame := round_nearest(number * step)) < span.last:
        if frame >= span.first:
            found.setdefault(frame, number)
        number += 1
    return found
