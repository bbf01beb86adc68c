"""What stands in front of a coded picture: its NAL unit type, and what messages say (H.264, HEVC, AV1). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raven.check.codecs import Codec
from raven.check.messages import messages, metadata, plain
from raven.check.source import Source

_MAX_UNITS = 64
_MAX_MESSAGE = 1024
"""Bytes of a NAL unit or OBU that are read for its messages; HDR10 and closed captions take less."""
_PICTURES = {"avc": range(1, 6), "hvc": range(32), "hev": range(32)}  # H.264 7.4.1, H.265 7.4.2.2: the VCL types
_IDR = {"avc": {5}, "hvc": {19, 20}, "hev": {19, 20}}
_SEI = {"avc": 6, "hvc": 39, "hev": 39}
_FRAME, _METADATA = (3, 6), 5  # AV1 6.2.2: frame header and frame; metadata


@dataclass(frozen=True)
class Front:
    """The NAL unit type of a picture, None where the codec has none or none was found; what the messages before it
    carry, by the names of `raven.check.messages`."""

    picture: int | None = None
    told: frozenset[str] = frozenset()


def is_idr(codec: str, picture: int | None) -> bool:
    """Whether a NAL unit type is an IDR picture (Apple 7.4); True for codecs that have no such type."""
    return picture in _IDR[codec[:3]] if codec[:3] in _IDR else True


def front_of(source: Source, at: int, size: int, codec: Codec) -> Front:
    """Of the sample of `size` bytes that begins at `at`."""
    family = codec.text[:3]
    end = min(at + size, source.size)
    if family == "av0":
        return Front(told=frozenset(_of_units(source, at, end)))
    return _of_nal_units(source, at, codec, family) if family in _PICTURES else Front()


def _of_nal_units(source: Source, at: int, codec: Codec, family: str) -> Front:
    told: set[str] = set()
    header = 1 if family == "avc" else 2
    for _ in range(_MAX_UNITS):
        start = at + codec.nal_length
        if start + 1 > source.size:
            break
        unit = source.get(at, codec.nal_length + 1)
        size = int.from_bytes(unit[:-1], "big")
        kind = unit[-1] & 0x1F if family == "avc" else unit[-1] >> 1 & 0x3F
        if kind in _PICTURES[family]:
            return Front(kind, frozenset(told))
        if kind == _SEI[family]:
            length = min(size, _MAX_MESSAGE, source.size - start)
            told.update(messages(plain(source.get(start, length)[header:])))
        at = start + size
    return Front(None, frozenset(told))


def _of_units(source: Source, at: int, end: int) -> Iterator[str]:
    """The metadata OBUs before the first frame (AV1 5.3)."""
    for _ in range(_MAX_UNITS):
        if at + 2 > end:
            return
        head = source.get(at, min(16, end - at))
        kind, extended, sized = head[0] >> 3 & 15, head[0] >> 2 & 1, head[0] >> 1 & 1
        if kind in _FRAME or not sized:
            return
        size, used = _leb128(head[1 + extended :])
        start = at + 1 + extended + used
        if start > end:
            return
        if kind == _METADATA:
            yield from metadata(source.get(start, min(size, _MAX_MESSAGE, end - start)))
        at = start + size


def _leb128(data: bytes) -> tuple[int, int]:
    """A number (AV1 4.10.5) and its bytes."""
    value = 0
    for n, byte in enumerate(data[:8]):
        value |= (byte & 0x7F) << 7 * n
        if not byte & 0x80:
            return value, n + 1
    return value, min(8, len(data))
