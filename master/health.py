"""What a source lacks, told while it is read: an end before its time, damage, sound that the film cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from raven.errors import SourceUnreadable
from raven.limits import Limits
from raven.media.probe import SourceBroken
from raven.model import SourceFacts

if TYPE_CHECKING:
    from master.cut import Packet

EARLY = Fraction(1)
"""Seconds that may be missing of the length that a source claims: tracks of one file seldom end together."""
EARLY_SHARE = Fraction(1, 50)
LEAST = Fraction(1)
"""Seconds that must be there of a damaged source; less is not worth publishing."""
BESIDE = Fraction(1)
"""Seconds of sound before the first picture or after the last one that are left out without a word."""


@dataclass
class Health:
    """Watches the packets of a source go by."""

    facts: SourceFacts
    damaged: int = 0
    breaks: str | None = None
    """Why reading ended before the end."""
    now: Fraction | None = None
    """Time of the latest picture or sound."""
    _ends: dict[int, Fraction] = field(default_factory=dict)
    _starts: dict[int, Fraction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        video = [] if self.facts.video is None else [self.facts.video.stream]
        self._media = {*video, *(track.stream for track in self.facts.audio)}

    def see(self, packet: Packet) -> None:
        self.damaged += packet.is_corrupt
        if packet.pts is None or packet.is_discard:
            return
        tick, stream = Fraction(packet.time_base), packet.stream_index
        start = packet.pts * tick
        if stream in self._media:
            self.now = start
        self._starts[stream] = min(start, self._starts.get(stream, start))
        self._ends[stream] = max(start + (packet.duration or 0) * tick, self._ends.get(stream, start))

    def warnings(self, length: Fraction, *, strict: bool) -> tuple[str, ...]:
        """Sentences for the task's `message`; `length` is the film's, seconds.

        Raises SourceUnreadable when a faulty source has less than a second, or when `strict` asks for a whole one.
        """
        faults = self._faults()
        if faults and length < LEAST:
            raise SourceUnreadable(f"less than a second of the source can be decoded: {'; '.join(faults)}")
        if faults and strict:
            raise SourceUnreadable(f"{'; '.join(faults)}; options.strict refuses such a source")
        return (*faults, *self._left_out(length))

    def _faults(self) -> list[str]:
        faults = []
        if self.breaks:
            faults.append(self.breaks)
        claimed = Fraction(self.facts.duration) if self.facts.duration else Fraction(0)
        # a container counts from its first packet or from 0: the kinder of the two
        there = max((max(end, end - min(self._starts.values())) for end in self._ends.values()), default=Fraction(0))
        if claimed - there > max(EARLY, claimed * EARLY_SHARE):
            faults.append(f"the source ends after {float(there):.2f} s of the {float(claimed):.2f} s that it claims")
        if self.damaged:
            faults.append(f"damaged packets in the source: {self.damaged}")
        return faults

    def _left_out(self, length: Fraction) -> list[str]:
        """Sound that has no picture beside it."""
        if self.facts.video is None:
            return []
        told = []
        begin, end = self.facts.origin, self.facts.origin + length
        for track in self.facts.audio:
            before = begin - self._starts.get(track.stream, begin)
            after = self._ends.get(track.stream, end) - end
            if before > BESIDE:
                told.append(f"{float(before):.2f} s of sound {track.name} before the first picture are left out")
            if after > BESIDE:
                told.append(f"{float(after):.2f} s of sound {track.name} after the last picture are left out")
        return told


def within(packets: Iterator[Packet], origin: Fraction, limits: Limits) -> Iterator[Packet]:
    """The packets. Raises LimitExceeded at the first whose time is past the longest allowed, before it makes chunks.

    Text makes none, and its times may be of another clock.
    """
    for packet in packets:
        if packet.pts is not None and packet.time_base is not None and packet.stream.type != "subtitle":
            limits.check_seconds(packet.pts * packet.time_base - origin)
        yield packet


def readable(packets: Iterator[Packet], health: Health) -> Iterator[Packet]:
    """The packets up to where the source breaks off, if it does."""
    try:
        yield from packets
    except SourceBroken as error:
        health.breaks = str(error)
