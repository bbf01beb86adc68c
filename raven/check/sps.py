"""Sequence parameter sets of H.264 and HEVC up to the size of the picture (H.264 7.3.2.1.1, H.265 7.3.2.2). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from raven.check.messages import plain

_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""profile_idc of those that tell chroma format and bit depths."""
_4_4_4 = 3
_MOST_CYCLES = 255


@dataclass(frozen=True)
class Sps:
    """What a configuration record has to agree with."""

    profile: bytes
    """Profile, constraints and level: 3 bytes of H.264, 12 of HEVC."""
    width: int
    """Of the picture that is shown, in pixels."""
    height: int
    fields: bool = False
    """Whether pictures may be pairs of fields."""
    chroma: int = 1
    """chroma_format_idc."""
    bits: int = 8
    """Of a luma sample; of HEVC alone."""


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


def h264(unit: bytes) -> Sps:
    """Raises IndexError where the unit is cut short."""
    data = plain(unit[1:])
    bits = _Bits(data[3:])
    bits.unsigned()  # seq_parameter_set_id
    chroma = _formats(bits) if data[0] in _HIGH else 1
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
    width, height = 16 * (bits.unsigned() + 1), 16 * (bits.unsigned() + 1)
    fields = not bits.bit()
    if fields:
        height *= 2
        bits.bit()
    bits.bit()  # direct_8x8_inference_flag
    across, down = _cropped(bits, chroma)
    return Sps(data[:3], width - across, height - down * (1 + fields), fields, chroma)


def hevc(unit: bytes) -> Sps:
    """Raises IndexError where the unit is cut short."""
    data = plain(unit[2:])
    layers = data[0] >> 1 & 7
    bits = _Bits(data[13:])
    told = [(bits.bit(), bits.bit()) for _ in range(8 if layers else 0)][:layers]
    for profile, level in told:
        bits.bits(88 * profile + 8 * level)
    bits.unsigned()  # sps_seq_parameter_set_id
    chroma = bits.unsigned()
    if chroma == _4_4_4:
        bits.bit()
    width, height = bits.unsigned(), bits.unsigned()
    across, down = _cropped(bits, chroma)
    return Sps(data[1:13], width - across, height - down, chroma=chroma, bits=8 + bits.unsigned())


def _cropped(bits: _Bits, chroma: int) -> tuple[int, int]:
    """Pixels that are not shown, across and down."""
    if not bits.bit():
        return 0, 0
    left, right, top, bottom = (bits.unsigned() for _ in range(4))
    return (left + right) * (2 if chroma in (1, 2) else 1), (top + bottom) * (2 if chroma == 1 else 1)


def _formats(bits: _Bits) -> int:
    """chroma_format_idc."""
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
    return chroma


def _scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last
