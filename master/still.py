"""A film of a single picture with sound: a song under its cover, a lecture under its slide."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    Packet = av.Packet[Any]

STEP = 10
"""Seconds from one copy of the picture to the next: far less than keyframes may be apart, and hardly any bytes."""


class Still:
    """Looks whether a film has but one picture, and if so shows it as long as there is sound."""

    def __init__(self) -> None:
        self._first: Packet | None = None
        self._count = 0

    def give(self, packet: Packet, feed: Callable[[Packet], None]) -> None:
        """Passes the next packet of the film's video on, which may be changed there."""
        self._count += 1
        self._first = self._first or _copy(packet)
        feed(packet)

    def hold(self, feed: Callable[[Packet], None], until: Fraction) -> None:
        """Gives more packets of the picture, up to a time of the source in seconds; none where there are others."""
        first = self._first
        if self._count != 1 or first is None or first.pts is None or not first.is_keyframe:
            return
        tick = Fraction(first.time_base)
        begin, end, step = first.pts + (first.duration or 0), round(until / tick), round(STEP / tick)
        for time in range(begin, end, step):
            packet = _copy(first)
            packet.pts = packet.dts = time
            packet.duration = min(step, end - time)
            feed(packet)


def _copy(packet: Packet) -> Packet:
    copy: Packet = av.Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration, copy.is_keyframe = packet.pts, packet.dts, packet.duration, packet.is_keyframe
    return copy
