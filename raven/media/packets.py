"""Packets as the cutter wants them: one frame each, on one time line. Between a demuxer and all that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from raven.media.fields import FieldPairs

if TYPE_CHECKING:
    from av.stream import Stream

    Packet = av.Packet[Any]

BACK = Fraction(1, 2)
"""Seconds that decode times may step back before it counts as a break: B-frames without decode times do so."""
AHEAD = Fraction(10)
"""Seconds of silence on a stream that count as a break, as in ffmpeg; less is loss, whose time is kept."""
TOGETHER = Fraction(1)
"""Seconds within which two streams that break must agree to share one step, so that they stay in step."""


def join_fields(packets: Iterable[Packet], video: Stream | None) -> Iterator[Packet]:
    """Gives the two fields of a field-coded H.264 frame as one packet; all others as they are."""
    if video is None or video.codec_context.codec.canonical_name != "h264":
        yield from packets
        return
    pairs = FieldPairs(video.codec_context.extradata)
    held: Packet | None = None
    for packet in packets:
        if packet.stream_index != video.index:
            yield packet
        elif pairs.completes(bytes(packet)) and held is not None and not held.is_discard:  # that mark cannot be set
            yield _joined(held, packet)
            held = None
        else:
            if held is not None:
                yield held
            held = packet
    if held is not None:
        yield held


def _joined(first: Packet, second: Packet) -> Packet:
    whole: Packet = av.Packet(bytes(first) + bytes(second))
    whole.stream = first.stream
    whole.time_base = first.time_base
    whole.pts, whole.dts = first.pts, first.dts
    whole.duration = (first.duration or 0) + (second.duration or 0)
    whole.is_keyframe = first.is_keyframe
    return whole


def without_leftovers(packets: Iterable[Packet]) -> Iterator[Packet]:
    """The packets but for single ones that are far behind those around them.

    libavformat holds a picture until its PID has the next one. Where streams have moved to other PIDs that is at the
    end of the file, when it is too late for it.
    """
    latest: dict[int, Fraction] = {}
    doubtful: dict[int, Packet] = {}
    for packet in packets:
        stream, time = packet.stream_index, packet.dts if packet.dts is not None else packet.pts
        if time is None or packet.stream.type not in ("video", "audio"):
            yield packet
            continue
        now = time * Fraction(packet.time_base or 1)
        behind, held = latest.get(stream, now) - now > BACK, doubtful.pop(stream, None)
        if behind and held is None:
            doubtful[stream] = packet
            continue
        if behind and held is not None:  # two in a row: the clock has begun anew
            yield held
        latest[stream] = now
        yield packet


class Continuity:
    """Takes the breaks out of a time line that begins anew in its middle (MPEG-TS: ISO/IEC 13818-1 2.4.3.5).

    Each stream goes on where it was. A step that one stream has taken serves the others that break at the same place,
    also those of another file.
    """

    def __init__(self, steps: Iterable[Fraction] = ()) -> None:
        """`steps` were taken in a file that has the same breaks."""
        self.steps = [*steps]
        """All that were taken, seconds that times were moved by."""
        self._expected: dict[int, Fraction] = {}
        self._offsets: dict[int, Fraction] = {}
        self._latest = Fraction(0)
        self.breaks = 0

    def mend(self, packet: Packet) -> Packet:
        """Moves the packet's times onto the one time line, in place."""
        tick, time = Fraction(packet.time_base or 1), packet.dts if packet.dts is not None else packet.pts
        if time is None:
            return packet
        if packet.stream.type in ("video", "audio"):
            self._latest = self._offset(packet.stream_index, time * tick)
            step = packet.duration * tick if packet.duration else Fraction(0)
            self._expected[packet.stream_index] = time * tick + self._latest + step
        ticks = round(self._latest / tick)  # what speaks now and then, as subtitles do, goes with the others
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return packet

    def _offset(self, stream: int, time: Fraction) -> Fraction:
        offset, expected = self._offsets.get(stream, self._latest), self._expected.get(stream)
        if expected is not None and not -BACK <= time + offset - expected <= AHEAD:
            offset = self._over(stream, time, offset, expected)
        self._offsets[stream] = offset
        return offset

    def _over(self, stream: int, time: Fraction, offset: Fraction, expected: Fraction) -> Fraction:
        """The offset from now on of a stream that does not go on where it was."""
        others = [end for index, end in self._expected.items() if index != stream]
        if time + offset > expected and any(abs(time + offset - end) <= AHEAD for end in others):
            return offset  # it alone was silent, and the clock runs on
        # the step that leads to where it was; or, of one that was silent over a break, to where the others are
        near = _leading(self.steps, time, [expected]) or _leading(self.steps, time, others)
        if near:
            return near[0]
        self.breaks += 1
        self.steps.append(expected - time)
        return expected - time


def _leading(steps: Iterable[Fraction], time: Fraction, ends: list[Fraction]) -> list[Fraction]:
    """The steps by which `time` comes to one of `ends`, the closest first."""
    off = {step: min((abs(time + step - end) for end in ends), default=TOGETHER + 1) for step in steps}
    return sorted((step for step in off if off[step] <= TOGETHER), key=off.__getitem__)
