"""Teletext subtitles (EN 300 472, EN 300 706): which pages a stream has, and the data that a decoder gets. Pure.

The decoder is libzvbi in the shipped ffmpeg; PyAV's libavcodec has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from raven.media.ass import squeezed
from raven.media.broadcast import MAX_PAGES, Page, Sort, language
from raven.media.programs import descriptors

_TELETEXT, _VBI_TELETEXT = 0x56, 0x46  # descriptors, EN 300 468 6.2.43 and 6.2.47
_SUBTITLES, _FOR_DEAF = 0x02, 0x05  # types of pages
_UNIT = 46
"""Bytes of a data unit: its number, its length (44), two bytes of place, 42 of a line."""
_IN_STEP = 4
"""Data units that fill a transport packet: a decoder refuses data that ends in the middle of one."""
_STUFFING = bytes([0xFF, 0x2C]).ljust(_UNIT, b"\xff")
_HAMMING = bytes.fromhex("1502495e6473382fd0c78c9ba1b6fdea")  # EN 300 706 8.2: four bits in eight
_NIBBLES = {code: value for value, code in enumerate(_HAMMING)}
_ERASE, _SUBTITLE, _HIDE_HEADER = 0x08, 0x08, 0x01  # control bits C4, C6, C7 (EN 300 706 9.3.1.3)
_REGIONS = {
    **dict.fromkeys(("pol", "cze", "ces", "slo", "slk"), 8),
    **dict.fromkeys(("hrv", "slv", "rum", "ron"), 24),
    **dict.fromkeys(("rus", "bul", "ukr", "srp", "mac", "mkd", "est", "lav", "lit"), 32),
    **dict.fromkeys(("gre", "ell"), 48),
    **dict.fromkeys(("ara", "heb"), 80),
}
"""Character sets by language (EN 300 706 table 32), for old pages that do not say which; else Western Europe."""


def described(about: bytes) -> tuple[Page, ...]:
    """The pages of subtitles that the descriptors of a stream name."""
    pages: dict[int, Page] = {}
    for tag, content in descriptors(about):
        if tag in (_TELETEXT, _VBI_TELETEXT):
            for entry in (content[at : at + 5] for at in range(0, len(content) - 4, 5)):
                kind, number = entry[3] >> 3, _number(entry[3] & 7, entry[4])
                if kind in (_SUBTITLES, _FOR_DEAF):
                    pages.setdefault(number, Page(number, language(entry[:3]), kind == _FOR_DEAF))
    return tuple(pages.values())[:MAX_PAGES]


def _number(magazine: int, page: int) -> int:
    return (magazine or 8) << 8 | page


def lines(data: bytes) -> bytes:
    """The lines of teletext in the data of a PES packet, in step as a decoder wants them; empty where there are none.

    What else may be there (programme delivery, wide screen signalling) is left out.
    """
    units = [unit for unit in _units(data) if unit[0] in (0x02, 0x03) and unit[1] == _UNIT - 2]
    return _filled(units) if units else b""


def _units(data: bytes) -> Iterator[bytes]:
    """The data units behind the data identifier (EN 300 472 4.3)."""
    at = 1
    while data[:1] and 0x10 <= data[0] <= 0x1F and at + 2 <= len(data):
        unit = data[at : at + 2 + data[at + 1]]
        if len(unit) == 2 + data[at + 1]:
            yield unit
        at += 2 + data[at + 1]


def _filled(units: list[bytes]) -> bytes:
    return b"\x10" + b"".join(units) + _STUFFING * (-(len(units) + 1) % _IN_STEP)


def flagged(data: bytes) -> tuple[Page, ...]:
    """The pages that begin in the data of a PES packet and say that they are subtitles."""
    return tuple(Page(number) for unit in _units(data) if (number := _header(unit)) is not None)


def _header(unit: bytes) -> int | None:
    """The page whose header a unit is, if it is one of subtitles."""
    line = [_NIBBLES.get(_mirrored(byte)) for byte in unit[4:14]]
    if unit[0] not in (0x02, 0x03) or len(line) < 10 or None in line:
        return None
    magazine, row, units, tens, _, _, _, subtitle, *_ = (value or 0 for value in line)
    if magazine & 8 or row or not subtitle & _SUBTITLE or units > 9 or tens > 9:
        return None
    return _number(magazine & 7, tens << 4 | units)


def cleared(page: Page) -> bytes:
    """Data of a PES packet that empties a page, and ends it by the header of another: a page is shown once it ends."""
    empty = _page_header(page.number, erase=_ERASE, subtitle=_SUBTITLE, hide=_HIDE_HEADER)
    return _filled([empty, _page_header(page.number & 0xF00 | 0xFF)])


def _page_header(number: int, erase: int = 0, subtitle: int = 0, hide: int = 0) -> bytes:
    """A data unit with a page's first line: its number, no subcode, the control bits, an empty text."""
    values = (number >> 8 & 7, 0, number & 15, number >> 4 & 15, 0, erase, 0, subtitle, hide, 0)
    line = bytes(_HAMMING[value] for value in values).ljust(42, b"\x20")  # a space has its odd parity
    return bytes([0x03, _UNIT - 2, 0xE7, 0xE4]) + bytes(_mirrored(byte) for byte in line)


def _mirrored(byte: int) -> int:
    """A byte as it is sent, the lowest bit first."""
    return int(f"{byte:08b}"[::-1], 2)


def _options(page: Page) -> tuple[str, ...]:
    region = _REGIONS.get(page.language)
    chosen = ("-txt_default_region", str(region)) if region is not None else ()
    return "-txt_page", f"{page.number:03x}", "-txt_format", "ass", *chosen  # not text: it tells where the lines stand


def _tidied(text: str, settings: str) -> tuple[str, str]:
    """Spaces are only there to put the words into the cells of a grid."""
    return squeezed(text), settings


TELETEXT = Sort(
    codec="dvb_teletext",
    descriptors=b"\x56\x05und\x10\x00",  # that it is teletext, and no more
    described=described,
    kept=lines,
    found=flagged,
    cleared=cleared,
    options=_options,
    tidied=_tidied,
)
