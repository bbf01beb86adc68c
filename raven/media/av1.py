"""AV1: open bitstream units and the sequence header (AV1 specification 5.3, 5.5). Pure: bytes to values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raven.media.boxes import BoxError

SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6
KEY_FRAME = 0
SRGB = (1, 13, 0)
"""Primaries, transfer and matrix that mean RGB."""


@dataclass(frozen=True)
class Unit:
    """An OBU: its type, where it starts, where its payload starts and where it ends."""

    kind: int
    start: int
    payload: int
    end: int


def units(data: bytes) -> Iterator[Unit]:
    """The OBUs of a sample. Raises BoxError where one does not fit."""
    at = 0
    while at < len(data):
        header = data[at]
        payload = at + (2 if header & 0x04 else 1)
        size = len(data) - payload
        if header & 0x02:
            size, payload = _leb128(data, payload)
        if size < 0 or payload + size > len(data):
            raise BoxError(f"an OBU at {at} does not fit into its sample")
        yield Unit(header >> 3 & 0x0F, at, payload, payload + size)
        at = payload + size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, at + index + 1
    raise BoxError(f"a number at {at} does not end")


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits. Raises BoxError where there are no more."""
        self._left -= count
        if self._left < 0:
            raise BoxError("a sequence header breaks off")
        return self._value >> self._left & ((1 << count) - 1)


@dataclass(frozen=True)
class SequenceHeader:
    """What codec strings and configuration boxes tell of a stream."""

    profile: int
    level: int
    tier: int
    bit_depth: int
    monochrome: bool
    subsampling: tuple[int, int]
    sample_position: int
    colour: tuple[int, int, int] | None
    """Primaries, transfer and matrix of ITU-T H.273, None where the stream states none."""
    full_range: bool


def sequence_header(payload: bytes) -> SequenceHeader:
    """Reads a sequence header OBU's payload (5.5.1). Raises BoxError where it breaks off or has timing information."""
    bits = _Bits(payload)
    profile, _, reduced = bits.read(3), bits.read(1), bits.read(1)
    level, tier = (bits.read(5), 0) if reduced else _operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width_bits + height_bits)
    _tools(bits, bool(reduced))
    return _colour_config(bits, profile, level, tier)


def _operating_points(bits: _Bits) -> tuple[int, int]:
    """Level and tier of the first operating point."""
    if bits.read(1):
        raise BoxError("a sequence header with timing information is not one of Raven's encoders")
    delays, count = bits.read(1), bits.read(5) + 1
    found = []
    for _ in range(count):
        bits.read(12)
        level = bits.read(5)
        found.append((level, bits.read(1) if level > 7 else 0))
        if delays and bits.read(1):
            bits.read(4)
    return found[0]


def _tools(bits: _Bits, reduced: bool) -> None:
    """Skips the coding tools that are switched on."""
    if not reduced and bits.read(1):
        bits.read(4 + 3)  # lengths of frame numbers
    bits.read(3)  # 128x128 superblocks, filter intra, intra edge filter
    if not reduced:
        bits.read(4)  # compound prediction, warped motion, dual filter
        order_hint = bits.read(1)
        bits.read(2 * order_hint)
        screen_content = bits.read(1) or bits.read(1)
        if screen_content and not bits.read(1):
            bits.read(1)
        bits.read(3 * order_hint)
    bits.read(3)  # superres, cdef, restoration


def _colour_config(bits: _Bits, profile: int, level: int, tier: int) -> SequenceHeader:
    """5.5.2."""
    high = bits.read(1)
    depth = 8 + 2 * high + (2 * bits.read(1) if profile == 2 and high else 0)
    mono = bool(bits.read(1)) if profile != 1 else False
    colour = (bits.read(8), bits.read(8), bits.read(8)) if bits.read(1) else None
    subsampling, position, full = (1, 1), 0, True
    if mono:
        full = bool(bits.read(1))
    elif colour == SRGB:
        subsampling = (0, 0)
    else:
        full = bool(bits.read(1))
        subsampling = _subsampling(bits, profile, depth)
        position = bits.read(2) if subsampling == (1, 1) else 0
    return SequenceHeader(profile, level, tier, depth, mono, subsampling, position, colour, full)


def _subsampling(bits: _Bits, profile: int, depth: int) -> tuple[int, int]:
    if profile < 2:
        return (1, 1) if profile == 0 else (0, 0)
    if depth < 12:
        return (1, 0)
    across = bits.read(1)
    return (across, bits.read(1) if across else 0)


def header_of(sample: bytes) -> bytes:
    """The sequence header OBU of a sample, header and all. Raises BoxError where there is none."""
    for unit in units(sample):
        if unit.kind == SEQUENCE_HEADER:
            return sample[unit.start : unit.end]
    raise BoxError("no sequence header")


def shows_key_frame(sample: bytes) -> bool:
    """Whether the first frame of a sample is a key frame that is shown: a decoder can start there, and all that
    follows needs nothing before it (7.6.3)."""
    for unit in units(sample):
        if unit.kind in (FRAME_HEADER, FRAME) and unit.end > unit.payload:
            first = sample[unit.payload]  # show_existing_frame, two bits of frame_type, show_frame
            return not first & 0x80 and first >> 5 & 3 == KEY_FRAME and bool(first & 0x10)
    return False


def configuration(header: bytes) -> bytes:
    """The content of an av1C box for a sequence header OBU (AV1 in ISOBMFF 2.3.3)."""
    (unit,) = units(header)
    seq = sequence_header(header[unit.payload : unit.end])
    across, down = seq.subsampling
    flags = (
        seq.tier << 7
        | (seq.bit_depth > 8) << 6
        | (seq.bit_depth == 12) << 5
        | seq.monochrome << 4
        | across << 3
        | down << 2
        | seq.sample_position
    )
    return bytes([0x81, seq.profile << 5 | seq.level, flags, 0]) + header


def codec_string(config: bytes) -> str:
    """The RFC 6381 value from the content of an av1C box; what is as its default is left out (AV1 in ISOBMFF 5)."""
    header = header_of(config[4:])
    (unit,) = units(header)
    seq = sequence_header(header[unit.payload : unit.end])
    across, down = seq.subsampling
    colour = ".".join(f"{number:02d}" for number in seq.colour or (1, 1, 1))
    rest = f".{seq.monochrome:d}.{across}{down}{seq.sample_position}.{colour}.{seq.full_range:d}"
    short = f"av01.{seq.profile}.{seq.level:02d}{'H' if seq.tier else 'M'}.{seq.bit_depth:02d}"
    return short if rest == ".0.110.01.01.01.0" else short + rest
