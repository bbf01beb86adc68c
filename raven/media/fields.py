"""Field-coded H.264 (PAFF): which pictures are fields, and which two make a frame (ITU-T H.264 7.3). Pure.

libavformat hands over the two fields of a transport stream's frame as two packets, the second without a time.
Joined they are what a decoder, and every other container, calls one frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from raven.media.nal import parameter_sets, units

HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Of these the SPS tells the chroma format and scaling lists (7.3.2.1.1)."""
NON_IDR, IDR, SPS, PPS = 1, 5, 7, 8
SEQUENCE_EXTENSION, PROGRESSIVE_SEQUENCE = b"\x00\x00\x01\xb5", 0x08  # ISO/IEC 13818-2 6.2.2.3
MAX_ZEROS = 31


class _Bits:
    """Exp-Golomb and plain bits of a NAL unit's payload, emulation prevention undone (7.3.1, 9.1)."""

    def __init__(self, payload: bytes) -> None:
        self._data = payload.replace(b"\x00\x00\x03", b"\x00\x00")
        self._at = 0

    def u(self, count: int) -> int:
        """The next `count` bits. Raises ValueError at the end."""
        end = self._at + count
        if end > 8 * len(self._data):
            raise ValueError("the NAL unit ends early")
        first, last = self._at // 8, -(-end // 8)
        value = int.from_bytes(self._data[first:last], "big") >> (8 * last - end)
        self._at = end
        return value & ((1 << count) - 1)

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > MAX_ZEROS:
                raise ValueError("not an Exp-Golomb number")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)

    def skip(self, *kinds: Literal["u", "ue"]) -> None:
        """Steps over flags and numbers; a signed number is as long as an unsigned one."""
        for kind in kinds:
            if kind == "u":
                self.u(1)
            else:
                self.ue()


@dataclass(frozen=True)
class _Sequence:
    """What a slice header needs of its SPS."""

    frame_num_bits: int
    frames_only: bool
    separate_planes: bool


@dataclass(frozen=True)
class Field:
    """A field picture: of which frame, and which half."""

    frame_num: int
    bottom: bool


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _sequence(payload: bytes) -> tuple[int, _Sequence]:
    """Number and content of an SPS (7.3.2.1.1)."""
    bits = _Bits(payload)
    profile = bits.u(8)
    bits.u(16)
    number, separate = bits.ue(), False
    if profile in HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bool(bits.u(1))
        bits.skip("ue", "ue", "u")
        if bits.u(1):
            _skip_scaling_lists(bits, 12 if chroma == 3 else 8)
    frame_num_bits = bits.ue() + 4
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.skip("u", "ue", "ue")
        for _ in range(min(bits.ue(), 255)):
            bits.skip("ue")
    bits.skip("ue", "u", "ue", "ue")
    return number, _Sequence(frame_num_bits, bool(bits.u(1)), separate)


class FieldPairs:
    """Tells second fields from all other pictures of an H.264 stream, packet by packet in decode order."""

    def __init__(self, extradata: bytes | None) -> None:
        self._extradata = extradata
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, int] = {}
        self._first: Field | None = None
        self._read(parameter_sets(extradata))

    def completes(self, packet: bytes) -> bool:
        """Whether the packet holds nothing but the second field of the frame that the packet before began."""
        fields = self._fields(packet)
        field, first = fields.pop() if len(fields) == 1 else None, self._first
        if field is None:  # a frame, or both fields at once
            self._first = None
            return False
        if first is not None and field.bottom != first.bottom and field.frame_num == first.frame_num:
            self._first = None
            return True
        self._first = field
        return False

    def may_weave(self, packets: Iterable[bytes]) -> bool:
        """Whether the sequences that are known allow fields, those in `packets` included (frame_mbs_only_flag)."""
        for packet in packets:
            self._fields(packet)
        return any(not sequence.frames_only for sequence in self._sequences.values())

    def _fields(self, packet: bytes) -> set[Field | None]:
        """The pictures of a packet: fields, and None for a frame or what cannot be read."""
        return self._read(units("h264", self._extradata, packet))

    def _read(self, found: Iterable[tuple[int, bytes]]) -> set[Field | None]:
        seen: set[Field | None] = set()
        for head, payload in found:
            kind = head & 0x1F
            try:
                if kind == SPS:
                    number, sequence = _sequence(payload)
                    self._sequences[number] = sequence
                elif kind == PPS:
                    bits = _Bits(payload[:16])
                    self._pictures[bits.ue()] = bits.ue()
                elif kind in (NON_IDR, IDR):
                    seen.add(self._picture(_Bits(payload[:32])))
            except ValueError:  # damaged: the decoder will say what is left of it
                seen.add(None)
        return seen

    def _picture(self, bits: _Bits) -> Field | None:
        """The head of a slice (7.3.3)."""
        bits.skip("ue", "ue")
        sequence = self._sequences.get(self._pictures.get(bits.ue(), -1))
        if sequence is None or sequence.frames_only:
            return None
        if sequence.separate_planes:
            bits.u(2)
        frame_num = bits.u(sequence.frame_num_bits)
        return Field(frame_num, bool(bits.u(1))) if bits.u(1) else None


def may_weave(codec: str, extradata: bytes | None, packets: Iterable[bytes]) -> bool:
    """Whether pictures of fields may come, though none has yet. Only H.264 and MPEG-2 can say so."""
    if codec == "h264":
        return FieldPairs(extradata).may_weave(packets)
    if codec == "mpeg2video":
        return any(_interlaced_sequence(data) for data in (extradata or b"", *packets))
    return False


def _interlaced_sequence(data: bytes) -> bool:
    at = data.find(SEQUENCE_EXTENSION) + len(SEQUENCE_EXTENSION)
    if at < len(SEQUENCE_EXTENSION) or at + 1 >= len(data) or data[at] >> 4 != 1:
        return False
    return not data[at + 1] & PROGRESSIVE_SEQUENCE
