"""A segment as a manifest names it, beside what it is. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from raven.check.isobmff import Init
from raven.check.numbers import fraction
from raven.check.paths import Resource
from raven.check.segments import Segment


class Timed(NamedTuple):
    """A segment as a manifest names it; declared times in seconds."""

    where: str
    resource: Resource
    start: Fraction
    duration: Fraction
    fresh: bool
    """Whether the manifest says that time starts anew here (a discontinuity)."""
    init: Init | None
    segment: Segment | None

    @property
    def bytes(self) -> int:
        return self.segment.bytes if self.segment else 0

    @property
    def seconds(self) -> Fraction | None:
        """Duration by its samples."""
        if self.segment is None or not self.segment.fragments or self.init is None or not self.init.timescale:
            return None
        return fraction(self.segment.duration, self.init.timescale)

    @property
    def played(self) -> Fraction | None:
        """The same without what the edit list of sound takes off at its beginning, if that is what the manifest says:
        packagers count their priming or leave it out."""
        if self.seconds is None or self.init is None or self.init.handler != "soun" or not self.init.skipped:
            return self.seconds
        shorter = self.seconds - fraction(self.edited, self.init.timescale)
        return min(self.seconds, shorter, key=lambda lasts: abs(lasts - self.duration))

    @property
    def edited(self) -> int:
        """Ticks of the segment that the edit list takes off."""
        start = self.segment.decode_time if self.segment else None
        return max(0, self.init.skipped - start) if self.init and start is not None else 0
