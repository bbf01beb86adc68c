"""What SEI messages (H.264 annex D, H.265 annex D) and metadata OBUs (AV1 5.8) carry, by name. Pure: bytes to values.

`mdcv`: mastering display colour volume; `clli`: content light levels; `captions`: closed captions that show something.
"""

from __future__ import annotations

from collections.abc import Iterator

_STATIC = {137: "mdcv", 144: "clli"}
_USER_DATA = 4
_OBU_STATIC = {1: "clli", 2: "mdcv"}
_OBU_T35 = 4
_ATSC = b"\xb5\x00\x31GA94\x03"  # country, provider, identifier and type of closed captions (ATSC A/53-4 6.2.3)
_MODES = frozenset({0x20, 0x25, 0x26, 0x27, 0x29})
"""Control codes that begin a caption (CEA-608 B.5)."""


def plain(unit: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes."""
    return unit.replace(b"\0\0\3", b"\0\0")


def messages(data: bytes) -> Iterator[str]:
    """Of the SEI messages of a NAL unit, its header taken off."""
    at = 0
    while at + 2 <= len(data) and data[at:] != b"\x80":
        numbers = []
        for _ in range(2):  # payload type, payload size
            number = 0
            while at < len(data) and data[at] == 0xFF:
                number, at = number + 255, at + 1
            numbers.append(number + (data[at] if at < len(data) else 0))
            at += 1
        kind, size = numbers
        if kind in _STATIC:
            yield _STATIC[kind]
        elif kind == _USER_DATA and _has_captions(data[at : at + size]):
            yield "captions"
        at += size


def metadata(data: bytes) -> Iterator[str]:
    """Of a metadata OBU, its header taken off; its type is one byte for all that are known."""
    kind = data[0] if data else 0
    if kind in _OBU_STATIC:
        yield _OBU_STATIC[kind]
    elif kind == _OBU_T35 and _has_captions(data[1:]):
        yield "captions"


def _has_captions(data: bytes) -> bool:
    """Whether it is closed captions, and begins or carries one: there may be channels of nothing but padding."""
    if not data.startswith(_ATSC) or len(data) < len(_ATSC) + 2:
        return False
    at = len(_ATSC)
    count = data[at] & 0x1F if data[at] & 0x40 else 0
    rows = (data[n : n + 3] for n in range(at + 2, at + 2 + 3 * count, 3))
    return any(_shows(row[0] & 3, row[1], row[2]) for row in rows if len(row) == 3 and row[0] & 4)


def _shows(kind: int, first: int, second: int) -> bool:
    if kind == 3:  # the start of a packet of CEA-708
        return 1 <= second >> 5 <= 6 and second & 0x1F > 0
    odd = first.bit_count() % 2 == 1 and second.bit_count() % 2 == 1
    return kind < 2 and odd and first & 0x76 == 0x14 and second & 0x7F in _MODES
