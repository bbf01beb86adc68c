"""ARIB captions, made by hand (ARIB STD-B24): ffmpeg can carry and decode them, but has no encoder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from raven.media.transport import CLOCK, PrivateStream

CLEAR = b"\x0c"
DESCRIPTORS = b"\x52\x01\x30\xfd\x03\x00\x08\x3d"
"""Stream identifier 0x30, data component 8: captions."""
# writing across in 960x540 (SWF), a caption plane of 620x480 (SDF) at 170,30 (SDP), letters of 36x36 with gaps
_LAYOUT = b"\x9b7 S\x9b170;30 _\x9b620;480 V\x9b36;36 W\x9b4 X\x9b24 Y"


def management(language: str, *, mode: int = 0x3F) -> bytes:
    """What there is: one language, in eight-bit code, shown as it comes; `mode` is the time control mode's byte."""
    offset = b"\0" * 5 if mode >> 6 == 2 else b""
    return _group(0x00, bytes([mode]) + offset + b"\x01\x10" + language.encode() + b"\x80\0\0\0")


def caption(*rows: tuple[int, str]) -> bytes:
    """Rows of kanji and kana, from 0 at the top to 7; none clears the screen."""
    body = CLEAR + (_LAYOUT if rows else b"")
    for row, text in rows:
        body += bytes([0x1C, 0x40 + row, 0x40]) + text.encode("iso2022_jp")[3:-3]
    unit = b"\x1f\x20" + len(body).to_bytes(3, "big") + body
    return _group(0x01, b"\x3f" + len(unit).to_bytes(3, "big") + unit)


def _group(number: int, content: bytes) -> bytes:
    """Data of a PES packet that holds one data group."""
    group = bytes([number << 2, 0, 0]) + len(content).to_bytes(2, "big") + content
    check = 0
    for byte in group:
        check ^= byte << 8
        for _ in range(8):
            check = (check << 1) & 0xFFFF ^ (0x1021 if check & 0x8000 else 0)
    return b"\x80\xff\xf0" + group + check.to_bytes(2, "big")


def write_captions(target: Path, packets: Iterable[tuple[float, bytes]]) -> Path:
    """A transport stream of captions alone; each packet with its time in seconds."""
    stream = PrivateStream()
    content = b"".join(stream.packet(data, round(time * CLOCK)) for time, data in packets)
    target.write_bytes(stream.tables(DESCRIPTORS) + content)
    return target
