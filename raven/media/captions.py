"""Closed captions inside of the pictures: which channels of CEA-608 and CEA-708 there are. Pure.

They come as ATSC A/53 user data (part 4, 6.2.3): in H.264, HEVC and AV1 as registered user data (ITU-T T.35), in
MPEG-2 as user data of the picture, and so before the first slice.
"""

from __future__ import annotations

from collections.abc import Iterator

HEAD = 4096
"""Bytes of a picture that are looked at: what stands before its slices."""
_MARKER = b"GA94\x03"
_MOST = 2 + 31 * 3  # bytes of user data after the marker
_FIELD_1, _FIELD_2, _PACKET_START = 0, 1, 3
_BEGINNINGS = frozenset({0x20, 0x25, 0x26, 0x27, 0x29})
"""Control codes that begin a caption: pop-on, roll-up of 2, 3, 4 rows, paint-on (CEA-608 B.5)."""


def channels(picture: bytes) -> set[str]:
    """The caption channels that a coded picture begins or carries: CC1 to CC4, SERVICE1 to SERVICE6."""
    head = picture[:HEAD]
    return set(_named(_pairs(head))) if _MARKER in head else set()


def _pairs(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, first and second byte of each valid pair of all user data."""
    at = head.find(_MARKER)
    while at >= 0:
        # no byte of it is ever escaped in a NAL unit: each pair begins with five marker bits
        data = head[at + len(_MARKER) : at + len(_MARKER) + _MOST]
        count = data[0] & 0x1F if data and data[0] & 0x40 else 0
        for i in range(2, min(2 + 3 * count, len(data) - 2), 3):
            if data[i] & 4:
                yield data[i] & 3, data[i + 1], data[i + 2]
        at = head.find(_MARKER, at + 1)


def _named(pairs: Iterator[tuple[int, int, int]]) -> Iterator[str]:
    for kind, first, second in pairs:
        if kind in (_FIELD_1, _FIELD_2):
            if _odd(first) and _odd(second) and first & 0x76 == 0x14 and second & 0x7F in _BEGINNINGS:
                yield f"CC{1 + 2 * kind + (first >> 3 & 1)}"
        elif kind == _PACKET_START:
            service, size = second >> 5, second & 0x1F
            if 1 <= service <= 6 and size:  # 7 begins an extended header, whose number is elsewhere
                yield f"SERVICE{service}"


def _odd(byte: int) -> bool:
    """Each byte of CEA-608 has odd parity; what has not is damaged or padding."""
    return byte.bit_count() % 2 == 1
