"""Which packets a decoder can start at cleanly: NAL unit types of H.264 and HEVC, groups of MPEG-2. Pure."""

from __future__ import annotations

from collections.abc import Iterator

IDR = {"h264": {5}, "hevc": {16, 17, 18, 19, 20}}  # H.264 7.4.1; H.265 7.4.2.2: BLA and IDR
GROUP_START, CLOSED_GOP = b"\x00\x00\x01\xb8", 0x40  # ISO/IEC 13818-2 6.2.2.6
PICTURES = {"h264": range(1, 6), "hevc": range(32)}


def _units_annexb(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        following = data.find(b"\x00\x00\x01", at + 3)
        yield data[at + 3 : following if following >= 0 else len(data)]
        at = following


def _units_prefixed(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        yield data[at + size : at + size + length]
        at += size + length


def units(codec: str, extradata: bytes | None, packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The NAL units of an H.264 or HEVC packet: first byte, and what follows the header (1 byte, in HEVC 2)."""
    size = length_size(codec, extradata)
    header = 1 if codec == "h264" else 2
    for unit in _units_annexb(packet) if size is None else _units_prefixed(packet, size):
        if unit:
            yield unit[0], unit[header:]


def length_size(codec: str, extradata: bytes | None) -> int | None:
    """Bytes of the length before each NAL unit, None for Annex B (start codes)."""
    if not extradata or extradata[0] != 1:
        return None
    at = {"h264": 4, "hevc": 21}[codec]
    return (extradata[at] & 3) + 1 if len(extradata) > at else None


def parameter_sets(extradata: bytes | None) -> Iterator[tuple[int, bytes]]:
    """The SPS and PPS of H.264 extradata, as `units` gives them (avcC: ISO/IEC 14496-15 5.3.3.1)."""
    if not extradata:
        return
    if extradata[0] != 1:
        yield from units("h264", None, extradata)
        return
    at = 5
    for mask in (0x1F, 0xFF):
        if at >= len(extradata):
            return
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            unit, at = extradata[at + 2 : at + 2 + size], at + 2 + size
            if unit:
                yield unit[0], unit[1:]


def starts_clean(codec: str, extradata: bytes | None, packet: bytes) -> bool:
    """Whether all that follows a keyframe `packet` in display order decodes from it alone.

    In H.264 and HEVC only from an IDR (or BLA), as a recovery point may recover late; in MPEG-2 from a closed GOP, as
    libavcodec gives the captions of leading pictures that it skips to the next picture. From any of other codecs.
    """
    if codec in ("mpeg1video", "mpeg2video"):
        group = packet.partition(GROUP_START)[2]
        return len(group) > 3 and bool(group[3] & CLOSED_GOP)
    return codec not in IDR or first_picture(codec, extradata, packet) in IDR[codec]


def first_picture(codec: str, extradata: bytes | None, packet: bytes) -> int | None:
    """The NAL unit type of the first slice in a packet of H.264 or HEVC, None where there is none."""
    heads = (head for head, _ in units(codec, extradata, packet))
    kinds = (head & 0x1F if codec == "h264" else head >> 1 & 0x3F for head in heads)
    return next((kind for kind in kinds if kind in PICTURES[codec]), None)
