"""Which packets a decoder can start at cleanly: NAL unit types of H.264 and HEVC. Pure."""

from __future__ import annotations

from collections.abc import Iterator

IDR = {"h264": {5}, "hevc": {16, 17, 18, 19, 20}}  # H.264 7.4.1; H.265 7.4.2.2: BLA and IDR
PICTURES = {"h264": range(1, 6), "hevc": range(32)}


def _units_annexb(data: bytes) -> Iterator[int]:
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        yield data[at + 3]
        at = data.find(b"\x00\x00\x01", at + 3)


def _units_prefixed(data: bytes, size: int) -> Iterator[int]:
    at = 0
    while at + size < len(data):
        yield data[at + size]
        at += size + int.from_bytes(data[at : at + size], "big")


def length_size(codec: str, extradata: bytes | None) -> int | None:
    """Bytes of the length before each NAL unit, None for Annex B (start codes)."""
    if not extradata or extradata[0] != 1:
        return None
    at = {"h264": 4, "hevc": 21}[codec]
    return (extradata[at] & 3) + 1 if len(extradata) > at else None


def starts_clean(codec: str, extradata: bytes | None, packet: bytes) -> bool:
    """Whether all that follows a keyframe `packet` in display order decodes from it alone.

    True for every codec but H.264 and HEVC; there only for an IDR (or BLA), as a recovery point may recover late.
    """
    return codec not in IDR or first_picture(codec, extradata, packet) in IDR[codec]


def first_picture(codec: str, extradata: bytes | None, packet: bytes) -> int | None:
    """The NAL unit type of the first slice in a packet of H.264 or HEVC, None where there is none."""
    size = length_size(codec, extradata)
    heads = _units_annexb(packet) if size is None else _units_prefixed(packet, size)
    kinds = (head & 0x1F if codec == "h264" else head >> 1 & 0x3F for head in heads)
    return next((kind for kind in kinds if kind in PICTURES[codec]), None)
