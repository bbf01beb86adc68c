"""Still pictures: whether they are any, and their size (ITU-T T.81 B.2.2, PNG 11.2.2). Pure: bytes to values."""

from __future__ import annotations

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
HEAD = 4096
"""Bytes that have the size of a picture without much of other data in front."""
_JPEG, _PNG, _WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame."""


def is_picture(head: bytes) -> bool:
    """By the first bytes of a file."""
    return head.startswith((_JPEG, _PNG, _WEBP))


def size_of(head: bytes) -> tuple[int, int] | None:
    """Width and height, None where they do not stand in these bytes."""
    if head.startswith(_PNG):
        return (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) if len(head) > 23 else None
    at = 2 if head.startswith(_JPEG) else len(head)
    while at + 9 <= len(head) and head[at] == 0xFF:
        if head[at + 1] in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
