"""What the headers of a movie and its track say (ISO/IEC 14496-12 8.2, 8.3, 8.7, 8.8.3). Pure: bytes to values."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from raven.media.boxes import Box, BoxError, boxes, find

_MEDIA_HEADERS = ("vmhd", "smhd", "nmhd", "sthd", "hmhd")
_UNITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@dataclass(frozen=True)
class Headers:
    """What mvhd, tkhd, trex and minf say besides."""

    odd: tuple[str, ...]
    """Fields that have another value than their default."""
    enabled: bool
    extends: int | None
    """The track that trex is about."""
    media: str
    """Kind of the media header: `vmhd`, `smhd` ...; "" without one."""
    inside: bool
    """Whether the media is where the file is, by its dref."""
    description: int
    """The sample entry of samples that tell none, by trex."""
    reference: int
    """The data reference of the sample entry."""
    lost: bool
    """Whether that is none of those in dref."""
    size: tuple[int, int]
    """Of the picture by tkhd, whole pixels."""


def headers_of(data: bytes, moov: Box, tkhd: Box, minf: Box, entry: Box) -> Headers:
    mvhd = find(data, "mvhd", moov.payload, moov.end)
    trex = find(data, "mvex/trex", moov.payload, moov.end) if has(data, "mvex/trex", moov) else None
    return Headers(
        odd=tuple(_odd(data, mvhd, tkhd)),
        enabled=bool(data[tkhd.payload + 3] & 1),
        extends=struct.unpack_from(">I", data, trex.payload + 4)[0] if trex else None,
        media=next((b.kind for b in boxes(data, minf.payload, minf.end) if b.kind in _MEDIA_HEADERS), ""),
        inside=_inside(data, minf),
        description=struct.unpack_from(">I", data, trex.payload + 8)[0] if trex else 1,
        reference=struct.unpack_from(">H", data, entry.payload + 6)[0],
        lost=not 1 <= struct.unpack_from(">H", data, entry.payload + 6)[0] <= _references(data, minf),
        size=_pixels(data, tkhd),
    )


def _references(data: bytes, minf: Box) -> int:
    """How many data references there are."""
    dref = find(data, "dinf/dref", minf.payload, minf.end) if has(data, "dinf/dref", minf) else None
    return sum(1 for _ in boxes(data, dref.payload + 8, dref.end)) if dref else 0


def _pixels(data: bytes, tkhd: Box) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, tkhd.payload + (88 if data[tkhd.payload] == 1 else 76))
    return width >> 16, height >> 16


def _odd(data: bytes, mvhd: Box, tkhd: Box) -> Iterator[str]:
    """Fields of mvhd and tkhd that CMAF wants at their defaults (ISO/IEC 23000-19 7.5.1, 7.5.4)."""
    rate = mvhd.payload + (28 if data[mvhd.payload] else 20)
    if struct.unpack_from(">iH", data, rate) != (0x10000, 0x100):
        yield "mvhd rate or volume"
    if data[rate + 16 : rate + 52] != _UNITY:
        yield "mvhd matrix"
    long_times = data[tkhd.payload] == 1
    if any(data[tkhd.payload + 20 + 4 * long_times :][: 8 if long_times else 4]):
        yield "tkhd duration"
    if data[tkhd.payload + 40 + 12 * long_times :][: len(_UNITY)] != _UNITY:
        yield "tkhd matrix"


def _inside(data: bytes, minf: Box) -> bool:
    """ISO/IEC 14496-12 8.7.2: the flag of a reference to the file itself."""
    if not has(data, "dinf/dref", minf):
        return False
    dref = find(data, "dinf/dref", minf.payload, minf.end)
    return all(data[entry.payload + 3] & 1 for entry in boxes(data, dref.payload + 8, dref.end))


def has(data: bytes, path: str, box: Box) -> bool:
    """Whether there is a box at `path` within another."""
    try:
        find(data, path, box.payload, box.end)
    except BoxError:
        return False
    return True
