"""The sequence parameter set of H.264 as far as its frame_mbs_only_flag (ITU-T H.264 7.3.2.1.1). Pure."""

from __future__ import annotations

from raven.check.messages import plain

_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""profile_idc of those that tell chroma format and bit depths."""
_4_4_4 = 3
_MOST_CYCLES = 255


class _Bits:
    """Bits of a NAL unit; raises IndexError at its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bit(self) -> int:
        value = self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
        self._at += 1
        return value

    def bits(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self.bit()
        return value

    def unsigned(self) -> int:
        """ue(v)."""
        zeros = 0
        while not self.bit():
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed(self) -> int:
        """se(v)."""
        value = self.unsigned()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def frames_alone(unit: bytes) -> bool:
    """Whether all pictures are whole frames, no pairs of fields. Raises IndexError where the unit is cut short."""
    data = plain(unit[1:])
    bits = _Bits(data[3:])
    bits.unsigned()  # seq_parameter_set_id
    if data[0] in _HIGH:
        _formats(bits)
    bits.unsigned()  # log2_max_frame_num
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.bit()
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), _MOST_CYCLES)):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.bit()
    bits.unsigned()  # width and height
    bits.unsigned()
    return bool(bits.bit())


def _formats(bits: _Bits) -> None:
    chroma = bits.unsigned()
    if chroma == _4_4_4:
        bits.bit()
    bits.unsigned()  # bit depths
    bits.unsigned()
    bits.bit()
    if bits.bit():
        for n in range(12 if chroma == _4_4_4 else 8):
            if bits.bit():
                _scaling_list(bits, 16 if n < 6 else 64)


def _scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
