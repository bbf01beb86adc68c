"""Teletext subtitles, made by hand (EN 300 706, EN 300 472): ffmpeg can carry and decode them, but has no encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raven.media.transport import CLOCK, PrivateStream

_HAMMING = (0x15, 0x02, 0x49, 0x5E, 0x64, 0x73, 0x38, 0x2F, 0xD0, 0xC7, 0x8C, 0x9B, 0xA1, 0xB6, 0xFD, 0xEA)
_DOUBLE_HEIGHT, _BOX, _END_BOX = "\x0d", "\x0b\x0b", "\x0a\x0a"
SUBTITLES, FOR_DEAF = 2, 5  # types of pages (EN 300 468 6.2.43)

Row = tuple[int, str]
"""Number of a row, 1 to 24, and its text."""


@dataclass(frozen=True)
class Screen:
    """What is sent of a page at a time, seconds: its rows, none to clear it."""

    time: float
    page: int
    rows: tuple[Row, ...] = ()
    national: int = 0
    """Option of the character set, C12 to C14: 0 English, 1 German."""


def centred(text: str) -> str:
    """A row's text in the middle of the forty columns, of which control codes take five."""
    return " " * max(0, 17 - (len(text) + 1) // 2) + text


def descriptor(*pages: tuple[str, int, int]) -> bytes:
    """A teletext descriptor: language, type and number of each page."""
    entries = b"".join(lang.encode() + bytes([kind << 3 | page >> 8 & 7, page & 0xFF]) for lang, kind, page in pages)
    return bytes([0x56, len(entries)]) + entries


def screen_lines(screen: Screen, *, subtitle: bool = True) -> list[bytes]:
    """A page as lines of 42 bytes, ended by the header of a page that nobody wants."""
    rows = [_row(screen.page, number, f"{_DOUBLE_HEIGHT}{_BOX}{text}{_END_BOX}") for number, text in screen.rows]
    end = _header(screen.page & 0xF00 | 0xFF, erase=False, subtitle=False, national=0)
    return [_header(screen.page, erase=True, subtitle=subtitle, national=screen.national), *rows, end]


def _header(page: int, *, erase: bool, subtitle: bool, national: int) -> bytes:
    """Row 0 (9.3.1): page number, no subcode, erase, subtitle, suppressed header, serial transmission."""
    last = 1 | int(f"{national:03b}"[::-1], 2) << 1
    nibbles = (page & 15, page >> 4 & 15, 0, 8 * erase, 0, 8 * subtitle, 1 * subtitle, last)
    return _line(page, 0, bytes(_HAMMING[n] for n in nibbles) + _odd(" " * 32))


def _row(page: int, number: int, text: str) -> bytes:
    assert len(text) <= 40
    return _line(page, number, _odd(text.ljust(40)))


def _line(page: int, row: int, content: bytes) -> bytes:
    address = page >> 8 & 7 | row << 3
    return bytes((_HAMMING[address & 15], _HAMMING[address >> 4])) + content


def _odd(text: str) -> bytes:
    return bytes(ord(c) | (0 if ord(c).bit_count() % 2 else 0x80) for c in text)


def pes_data(lines: Sequence[bytes], unit: int = 0x03) -> bytes:
    """Data of a PES packet: a data unit for each line, filled up to whole transport packets."""
    units = [
        bytes([unit, 44, 0xE0 | 7 + n % 16, 0xE4]) + bytes(int(f"{byte:08b}"[::-1], 2) for byte in line)
        for n, line in enumerate(lines)
    ]
    units += [b"\xff\x2c" + b"\xff" * 44] * (-(len(units) + 1) % 4)
    return b"\x10" + b"".join(units)


def write_teletext(target: Path, about: bytes, screens: Iterable[Screen], *, subtitle: bool = True) -> Path:
    """A transport stream of teletext alone; `about` is its descriptor."""
    stream = PrivateStream()
    data = [(screen.time, pes_data(screen_lines(screen, subtitle=subtitle))) for screen in screens]
    packets = [stream.packet(content, round(time * CLOCK)) for time, content in data]
    target.write_bytes(stream.tables(about) + b"".join(packets))
    return target
