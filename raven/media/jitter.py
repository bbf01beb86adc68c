"""Times of sound without their jitter.

Recorders that stamp packets when they arrive are off by tens of milliseconds, now early, now late. Followed to the
letter, each packet would be a small hole or overlap, and heard as a crackle. A step is something else: what follows it
stays where it is. What the neighbours of a packet say tells one from the other.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from itertools import pairwise

HALF = 24
"""Neighbours on each side, half a second of AAC; fewer near both ends."""
RUN = 8
"""Packets that follow one another without a gap are where they should be."""
CALM = Fraction(1, 200)
"""Seconds of gap or overlap that are none: containers round to milliseconds."""
LARGEST = Fraction(1, 10)
"""Seconds of the largest jitter; more is something else, and stands as it is."""


class Jitter:
    """Takes it from the times of one track, packet by packet, in ticks of its stream."""

    def __init__(self, tick: Fraction) -> None:
        """`tick`: seconds of a unit of time."""
        self._calm, self._largest = int(CALM / tick), int(LARGEST / tick)
        self._told: deque[int] = deque()
        """Times of the packet that is settled next, and of its neighbours."""
        self._off: deque[int] = deque()
        """How far each of these is off the lengths before it."""
        self._next = 0
        self._lengths = 0
        self._blind = False
        self._run = 0
        """Packets that follow one another, up to the newest."""
        self._level = 0
        """How far off the sound was found to be where its times were last in doubt."""

    def push(self, told: int, length: int) -> list[int]:
        """Takes the next packet's time and length. The times of those that are settled now, in order.

        A track with a packet whose length is not known (0) is left as it is from there on.
        """
        self._blind = self._blind or length <= 0
        off = told - self._lengths
        self._run = self._run + 1 if self._off and abs(off - self._off[-1]) <= self._calm else 1
        self._lengths += length
        self._told.append(told)
        self._off.append(off)
        return [self._settle()] if len(self._off) - self._next > HALF else []

    def finish(self) -> list[int]:
        """The times of the packets that are not settled yet, in order."""
        return [self._settle() for _ in range(len(self._off) - self._next)]

    def _settle(self) -> int:
        told, off = self._told[self._next], self._off[self._next]
        late = 0
        if self._doubtful():
            self._level = self._agreed()
            late = off - self._level
        if self._next == HALF:
            self._told.popleft()
            self._off.popleft()
        else:
            self._next += 1
        return told - late if self._calm < abs(late) <= self._largest else told

    def _doubtful(self) -> bool:
        """Whether there are gaps and overlaps near the packet, and it follows no other ones and is followed by none."""
        if self._blind or self._run > 2 * HALF:
            return False
        gaps = [b - a for a, b in pairwise(self._off)]
        if max(gaps, default=0) <= self._calm or min(gaps) >= -self._calm:
            return False  # holes alone, or a rate that is not what lengths say
        around = (gaps[max(0, first) : first + RUN - 1] for first in (self._next - RUN + 1, self._next))
        return not any(len(run) == RUN - 1 and max(map(abs, run)) <= self._calm for run in around)

    def _agreed(self) -> int:
        """What half of the neighbours are above and half below. Where that is open, it stays what it was."""
        around = sorted(self._off)
        middle, open_by = len(around) // 2, len(around) // 20
        return max(around[middle - open_by], min(around[middle + open_by], self._level))
