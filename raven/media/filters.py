"""The filters that bring a source's pictures onto the grid and into the shape of a rendition. Pure."""

from __future__ import annotations

from fractions import Fraction

from raven.media.grid import Grid, Span
from raven.model import VideoFacts

SHIFT = 60
"""Seconds added to all times in the chunk objects (cutting adds, encoding takes off).

NUT cannot carry times below zero, which nearly every MP4 with B-frames has; libavformat would shift such a
chunk silently by the B-frame delay.
"""


def grid_filters(grid: Grid, span: Span, tail: int) -> str:
    """Source times to grid frames, by a rule that depends on absolute time alone and so is equal in all chunks."""
    rate = _ratio(grid.rate)
    chain = [
        f"setpts=PTS-round({SHIFT}/TB)",  # takes the constant of the chunk objects off, exactly
        f"settb=expr={grid.rate.denominator}/{grid.rate.numerator}",  # nearest frame, from absolute time
        # start_time: the range starts at its first frame, whatever the lead-in packets gave
        f"fps=fps={rate}:start_time={float(grid.time_of(span.first)):.9f}",
    ]
    if tail:
        chain.append(f"tpad=stop_mode=clone:stop={tail}")  # the last source frame lasts to the end of the grid
    return ",".join(chain)


def _ratio(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def picture_filters(video: VideoFacts, width: int, height: int) -> str:
    chain = [*video.orient, f"scale={width}:{height}:flags=bicubic", "setsar=1"]  # outputs have square pixels
    return ",".join(chain)


def colour_filters(video: VideoFacts) -> list[str]:
    """Tags of the container that the bitstream may lack, so that they reach the encoder's VUI."""
    if not video.colour:
        return []
    return ["setparams=" + ":".join(f"{key}={value}" for key, value in sorted(video.colour.items()))]
