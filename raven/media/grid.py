"""The frame grid: all video time is counted in output frames, so that every boundary is an exact integer.

`R` is the output rate (frames/s), `N` the number of frames, a GOP is `G = round(2 s * R)` frames, a segment
`S = 3 G`, a chunk `K * S`. The law that everything checks: the frames of the chunks, of the segments of
each rendition and of the manifests sum to `N`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

STANDARD_RATES: tuple[Fraction, ...] = tuple(
    Fraction(n, d)
    for n, d in (
        (1, 1), (2, 1), (5, 1), (6, 1), (15, 2), (8, 1), (10, 1), (12000, 1001), (12, 1), (25, 2), (15000, 1001),
        (15, 1), (18, 1), (20, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48000, 1001), (48, 1),
        (50, 1), (60000, 1001), (60, 1),
    )
)  # fmt: skip
MAX_RATE = Fraction(60)  # Apple HLS authoring 1.19: not above 60 frames/s
HARDLY_MORE = Fraction(612, 10)  # consoles have 60.0988, not to be halved
SMOOTH = Fraction(24000, 1001)  # frames/s that a source with a varying rate has at least
LEAST_RATE = Fraction(1)  # below it a segment of 6 s could not hold its GOPs of 2 s
SLOW = Fraction(5)  # below it a rate is not believed that the first seconds alone tell
MUCH = Fraction(3, 2)  # times shorter than the median is more than the jitter of a telephone
MOST_PARTS = 10_000  # of a declared rate that is one of ticks
MIN_TIMESCALE = 10_000  # ticks/s: fine enough for players that round to milliseconds


def round_nearest(x: Fraction) -> int:
    """The nearest integer, halves away from zero: what ffmpeg does when it rescales time stamps."""
    magnitude = (2 * abs(x.numerator) + x.denominator) // (2 * x.denominator)
    return magnitude if x >= 0 else -magnitude


def in_ticks(seconds: Sequence[Fraction]) -> tuple[int, list[int]]:
    """Seconds as multiples of a tick that fits all, with the ticks in a second: whole numbers add up much faster."""
    scale = math.lcm(*{s.denominator for s in seconds})
    return scale, [s.numerator * (scale // s.denominator) for s in seconds]


@dataclass(frozen=True)
class Span:
    """A half-open range of frames `[first, last)` of the output grid."""

    first: int
    last: int

    @property
    def frames(self) -> int:
        return self.last - self.first

    def taken(self, every: int) -> int:
        """Frames of it in a rung that takes every n-th, the first among them."""
        return -(-self.frames // every)


@dataclass(frozen=True)
class Grid:
    """The grid of one task: rate, GOP in frames, GOPs per segment, segments per chunk."""

    rate: Fraction
    gop: int
    segment: int
    chunk: int

    @classmethod
    def of(cls, rate: Fraction, gop_seconds: Fraction, gops_per_segment: int, chunk_segments: int) -> Grid:
        """The grid of a profile at `rate`. Above 30 frames/s G is even, so that a half-rate rung stays on it."""
        if not 0 < rate <= MAX_RATE:
            raise ValueError(f"rate {rate} is not in (0, {MAX_RATE}] frames/s")
        gop = max(1, round_nearest(gop_seconds * rate))
        if rate > 30:
            gop += gop % 2
        segment = gop * gops_per_segment
        return cls(rate, gop, segment, segment * chunk_segments)

    @property
    def look_ahead(self) -> int:
        """Frames after a chunk that its encoder sees too, so that its rate control knows of the keyframe to come.

        Measured: about 14 of them are enough; a fiftieth of a chunk is as many at 30 s, and costs short ones little.
        """
        return min(self.chunk // 50, self.segment)

    @property
    def timescale(self) -> int:
        """Ticks per second of the video tracks: a multiple of R's numerator, so a frame is a whole number."""
        numerator = self.rate.numerator
        return numerator if numerator >= MIN_TIMESCALE else numerator * 1000

    @property
    def frame_ticks(self) -> int:
        """Duration of one frame in ticks of `timescale`, exact."""
        return self.timescale * self.rate.denominator // self.rate.numerator

    def step_for(self, max_rate: Fraction | None) -> int:
        """The n of a rung of `max_rate` frames/s at most, give or take a hundredth, that takes every n-th frame.

        It divides G, so that GOPs, segments and chunks begin at the same frames in all rungs.
        """
        if max_rate is None:
            return 1
        steps = (step for step in range(1, self.gop) if self.gop % step == 0)
        return next((step for step in steps if self.rate / step <= max_rate * Fraction(101, 100)), self.gop)

    def frame_at(self, seconds: Fraction) -> int:
        """Index of the frame whose time is nearest to `seconds` after the origin."""
        return round_nearest(seconds * self.rate)

    def time_of(self, frame: int) -> Fraction:
        """Seconds from the origin to the start of `frame`."""
        return frame / self.rate

    def chunk_count(self, frames: int) -> int:
        """Chunks of a source of `frames`; a rest shorter than a segment joins the chunk before it.

        So no chunk but an only one is shorter than a segment, and the encoder's reordering delay is the same
        in all of them.
        """
        if frames < 1:
            raise ValueError("a video has at least one frame")
        return max(1, -((self.segment - 1 - frames) // self.chunk))

    def whole_chunks(self, frames_seen: int) -> int:
        """Chunks whose range is already certain when at least `frames_seen` frames are known to come."""
        return max(0, (frames_seen - self.segment) // self.chunk)

    def chunk_span(self, index: int, frames: int | None) -> Span:
        """Range of chunk `index`; `frames` is N, or None while the source is still being read."""
        first = index * self.chunk
        if frames is not None and index == self.chunk_count(frames) - 1:
            return Span(first, frames)
        return Span(first, first + self.chunk)

    def chunks(self, frames: int) -> Iterator[Span]:
        """All chunks in order."""
        return (self.chunk_span(i, frames) for i in range(self.chunk_count(frames)))

    def segments(self, span: Span) -> Iterator[Span]:
        """The segments of a chunk in order; only the last of the whole video can be shorter."""
        for first in range(span.first, span.last, self.segment):
            yield Span(first, min(first + self.segment, span.last))

    def segment_number(self, frame: int) -> int:
        """Number of the segment that starts at `frame`, counted from 1 as in the file names."""
        return frame // self.segment + 1


def standard_rate(rate: Fraction) -> Fraction:
    """The standard rate nearest to `rate`, by ratio."""
    return min(STANDARD_RATES, key=lambda r: max(r / rate, rate / r))


def snap_rate(rate: Fraction, seconds: Fraction | None = None) -> Fraction:
    """`rate`, or the standard rate that it means: within 1 in 10,000 (rounded time bases), or so near that in all
    `seconds` of the film they are not half a frame apart."""
    near = standard_rate(rate)
    same = abs(near / rate - 1) < Fraction(1, 10_000) or (seconds and abs(near - rate) * seconds < Fraction(1, 2))
    return near if same else rate


def lies_on_grid(times: list[Fraction], rate: Fraction, tick: Fraction) -> bool:
    """Whether all presentation `times` (s) stand on a grid of `rate`, give or take the rounding of `tick` (s)."""
    if len(times) < 2:
        return True
    tolerance = min(Fraction(2, 5), Fraction(1, 20) + tick * rate)
    positions = [(t - times[0]) * rate for t in times]
    on_grid = all(abs(p - round_nearest(p)) <= tolerance for p in positions)
    return on_grid and len({round_nearest(p) for p in positions}) == len(positions)


def choose_rate(
    times: list[Fraction], declared: list[Fraction], tick: Fraction, seconds: Fraction | None = None
) -> Fraction:
    """The rate of a source from a sample of its presentation times, the rates that it declares and its length.

    The first declared rate whose grid the times stand on, else one that loses nothing of a rate that varies.
    """
    ordered = sorted(set(times))
    steps = sorted(b - a for a, b in itertools.pairwise(ordered))
    middle = steps[len(steps) // 2] if steps else None
    snapped = [snap_rate(r, seconds) for r in declared if r > 0]
    for rate in snapped:
        shown = _shown_rate(rate, middle) if middle else rate
        if lies_on_grid(ordered, shown, tick):
            return shown
    return _varying_rate(steps, snapped) if middle else Fraction(25)


def _shown_rate(declared: Fraction, middle: Fraction) -> Fraction:
    """The part of a declared rate (of fields, of ticks) at which frames are shown that are `middle` seconds apart.

    A beginning that stands still is not believed: the least part that is smooth, or the largest there is.
    """
    parts = max(1, round_nearest(middle * declared))
    if declared / parts >= SMOOTH:
        return declared / parts
    divisors = (n for n in range(1, min(parts, MOST_PARTS) + 1) if parts % n == 0)
    rates = sorted(declared / n for n in divisors if declared / n <= MAX_RATE)
    return next((r for r in rates if r >= SMOOTH), max(rates, default=declared / parts))


def _varying_rate(steps: list[Fraction], declared: list[Fraction]) -> Fraction:
    """Of the median step, a declared rate and the short steps, if these are much shorter, the highest standard rate.

    And not less than is smooth: a beginning that stands still says little of the rest, and a frame shown twice costs
    nearly nothing, while one that has no place is lost.
    """
    median, short = 1 / steps[len(steps) // 2], 1 / steps[len(steps) // 10]
    slowest = min(declared, default=median)  # the average, where a guess stands beside it
    found = [median, *([slowest] if slowest <= MAX_RATE else []), *([short] if short > MUCH * median else [])]
    return raised_rate(max(map(standard_rate, found)), SMOOTH)


def raised_rate(rate: Fraction, least: Fraction) -> Fraction:
    """The least multiple of a rate that is not below `least`; each frame keeps its place."""
    return rate * math.ceil(least / rate) if rate < least else rate


def capped_rate(rate: Fraction) -> Fraction:
    """The output rate: above 60 frames/s every second (third, ...) frame is taken; of hardly more every fiftieth or
    less is left out."""
    if MAX_RATE < rate < HARDLY_MORE:
        return MAX_RATE
    divisor = -(-rate // MAX_RATE)
    return rate / divisor


@dataclass(frozen=True)
class AudioGrid:
    """Where one audio track is cut: `samples` in all, packets of `packet` samples, borders next to the video's."""

    sample_rate: int
    samples: int
    packet: int = 1024

    @property
    def packets(self) -> int:
        """Packets in all, without the one of priming, which is not stored."""
        return -(-self.samples // self.packet)

    def segments(self, segment_seconds: Fraction) -> list[int]:
        """Packets of each segment; no border strays over half a packet from the video's."""
        step = segment_seconds * self.sample_rate / self.packet
        # less one: a length that was rounded up to a whole sample opens no segment that the video has not
        count = max(1, math.ceil(Fraction(self.samples - 1, self.packet) / step))
        borders = [0] + [round_nearest(i * step) for i in range(1, count)] + [self.packets]
        return [b - a for a, b in itertools.pairwise(borders) if b > a]
