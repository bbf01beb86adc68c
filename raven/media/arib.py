"""Captions of Japanese and South American broadcasts (ARIB STD-B24, volume 1 part 3). Pure.

The decoder is libaribcaption in the shipped ffmpeg; it reads the first language of a stream.
"""

from __future__ import annotations

from raven.media.broadcast import Page, Sort, language

_IDENTIFIERS = (0x80, 0x81)  # of the data of a PES packet: with a time, and without
_MANAGEMENT = (0x00, 0x20)  # data groups that say what there is, of two sets in turn
_STATEMENT = 0x01  # the data group with the first language's text
_BODY = 0x20  # kind of data unit: text and its control codes
_CLEAR_SCREEN = 0x0C


def described(about: bytes) -> tuple[Page, ...]:
    """None: the descriptors do not name a language."""
    del about
    return ()


def kept(data: bytes) -> bytes:
    """All of it, if it is captions."""
    return data if data[:1] and data[0] in _IDENTIFIERS else b""


def found(data: bytes) -> tuple[Page, ...]:
    """The first language that a management group names (9.3.1)."""
    group = data[3 + (data[2] & 0x0F) :] if len(data) > 3 and data[0] in _IDENTIFIERS else b""
    if len(group) < 7 or group[0] >> 2 not in _MANAGEMENT:
        return ()
    at = 5 + (6 if group[5] >> 6 == 2 else 1)  # the time control mode, with an offset time if it is 2
    entry = group[at + 1 : at + 6]
    code = entry[2:5] if entry[:1] and entry[0] & 0x0F in (0x0C, 0x0D, 0x0E) else entry[1:4]
    return (Page(language=language(code)),) if group[at : at + 1] > b"\0" else ()


def cleared(page: Page) -> bytes:
    """A text that clears the screen and says nothing."""
    del page
    body = bytes([_CLEAR_SCREEN])
    unit = bytes([0x1F, _BODY]) + len(body).to_bytes(3, "big") + body
    content = b"\x3f" + len(unit).to_bytes(3, "big") + unit
    group = bytes([_STATEMENT << 2, 0, 0]) + len(content).to_bytes(2, "big") + content
    return b"\x80\xff\xf0" + group + _crc(group).to_bytes(2, "big")


def _crc(data: bytes) -> int:
    """CRC-16 of the polynomial x16 + x12 + x5 + 1, from 0 (ARIB STD-B24 9.2)."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 & 0xFFFF) ^ (0x1021 if value & 0x8000 else 0)
    return value


def _options(page: Page) -> tuple[str, ...]:
    del page
    return "-sub_type", "ass", "-ass_single_rect", "1"  # lines that belong together are one text


def _tidied(text: str, settings: str) -> tuple[str, str]:
    """Each line begins at a point of its own, so all would stand at the left."""
    return text, " ".join(word for word in settings.split() if not word.startswith("align:"))


ARIB = Sort(
    codec="arib_caption",
    descriptors=b"\x52\x01\x30\xfd\x03\x00\x08\x3d",  # component 0x30: captions; data component 8: ARIB captions
    described=described,
    kept=kept,
    found=found,
    cleared=cleared,
    options=_options,
    tidied=_tidied,
)
