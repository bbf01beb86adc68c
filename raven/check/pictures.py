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
_SETS = {"avc": {7, 8}, "hvc": {32, 33, 34}, "hev": {32, 33, 34}}
_RANDOM = {"avc": {5}, "hvc": set(range(16, 24)), "hev": set(range(16, 24))}
_FRAME, _METADATA = (3, 6), 5  # AV1 6.2.2: frame header and frame; metadata


@dataclass(frozen=True)
class Front:
    """The NAL unit type of a picture, None where the codec has none or none was found; what the messages before it
    carry, by the names of `raven.check.messages`."""

    picture: int | None = None
    told: frozenset[str] = frozenset()
    unsound: str = ""
    """Why the NAL units of the sample cannot be decoded, as far as that is seen without reading all of it."""
    sets: bool = False
    """Whether there are parameter sets in it."""


def is_idr(codec: str, picture: int | None) -> bool:
    """Whether a NAL unit type is an IDR picture (Apple 7.4); True for codecs that have no such type."""
    return picture in _IDR[codec[:3]] if codec[:3] in _IDR else True


def is_random(codec: str, picture: int | None) -> bool:
    """Whether a decoder can begin at a picture (IDR, in HEVC also CRA, BLA); True for codecs without such types."""
    return picture in _RANDOM[codec[:3]] if codec[:3] in _RANDOM else True


def front_of(source: Source, at: int, size: int, codec: Codec) -> Front:
    """Of the sample of `size` bytes that begins at `at`."""
    family = codec.text[:3]
    end = min(at + size, source.size)
    if family == "av0":
        return Front(told=frozenset(_of_units(source, at, end)))
    return _NalUnits(source, at, at + size, codec).front() if family in _PICTURES else Front()


class _NalUnits:
    """Of a sample, up to its end; what is behind the first picture is stepped over."""

    def __init__(self, source: Source, start: int, end: int, codec: Codec) -> None:
        self._source, self._at, self._end, self._length = source, start, end, codec.nal_length
        self._family = codec.text[:3]
        self._told: set[str] = set()
        self._picture: int | None = None
        self._sets, self._unsound = False, ""

    def front(self) -> Front:
        for _ in range(_MAX_UNITS):
            if self._at + self._length + 1 > min(self._end, self._source.size) or self._unsound:
                break
            self._unit()
        else:
            self._at = self._end  # many slices: no verdict
        if not self._unsound and self._at != self._end <= self._source.size:
            self._unsound = f"{abs(self._end - self._at)} bytes that are in no NAL unit"
        return Front(self._picture, frozenset(self._told), self._unsound, self._sets)

    def _unit(self) -> None:
        start = self._at + self._length
        head = self._source.get(self._at, self._length + 1)
        size = int.from_bytes(head[:-1], "big")
        kind = head[-1] & 0x1F if self._family == "avc" else head[-1] >> 1 & 0x3F
        if kind in _PICTURES[self._family] and self._picture is None:
            self._picture = kind
            if b"\0\0\0" in self._source.held(start, size):  # what three zeros would be is never written so
                self._unsound = "zeros within the picture"
        elif kind == _SEI[self._family] and self._picture is None:
            length = min(size, _MAX_MESSAGE, self._source.size - start)
            data = self._source.get(start, length)
            self._told.update(messages(plain(data[1 if self._family == "avc" else 2 :])))
        self._sets |= kind in _SETS[self._family]
        self._at = start + size
        if not size or self._at > self._end:
            self._unsound = f"a NAL unit of {size} bytes, {self._end - start} are there"


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
