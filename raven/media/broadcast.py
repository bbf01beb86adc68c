"""Text of broadcasts that PyAV's libavcodec has no decoder for, and the shipped ffmpeg has. Pure.

Each sort of it (`raven.media.teletext`, `raven.media.arib`) says how its packets are kept and how ffmpeg decodes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_PAGES = 16
"""Of one stream; a broadcaster has up to six. Each is one run of the decoder."""


@dataclass(frozen=True)
class Page:
    """One text of a stream. `number` is that of a page of teletext, in hexadecimal: 888 is 0x888; 0 for all others."""

    number: int = 0
    language: str = "und"
    hearing_impaired: bool = False

    def __str__(self) -> str:
        return f"{self.language}, page {self.number:03x}" if self.number else self.language


@dataclass(frozen=True)
class Sort:
    """A sort of text. Data is that of a PES packet."""

    codec: str
    """As libavformat calls it."""
    descriptors: bytes
    """In the tables of a transport stream, so that ffmpeg knows it."""
    described: Callable[[bytes], tuple[Page, ...]]
    """The texts that the descriptors of a source's stream name."""
    kept: Callable[[bytes], bytes]
    """What of data the decoder gets; empty for nothing."""
    found: Callable[[bytes], tuple[Page, ...]]
    """The texts that show themselves in data."""
    cleared: Callable[[Page], bytes]
    """Data that ends what is shown: the decoder gives a text only once it knows how long that lasts."""
    options: Callable[[Page], tuple[str, ...]]
    """Of the decoder."""
    tidied: Callable[[str, str], tuple[str, str]]
    """Text and settings of a cue without what they only have because of the decoder."""


def language(code: bytes) -> str:
    """A language of three letters (ISO 639-2), und where it is none."""
    text = code.decode("latin-1").lower()
    return text if len(text) == 3 and text.isascii() and text.isalpha() else "und"


def decode_command(ffmpeg: str, source: str, sort: Sort, page: Page, target: str) -> list[str]:
    """The ffmpeg command that makes an ASS track in Matroska of one text of a transport stream."""
    return [
        ffmpeg, "-hide_banner", "-nostdin", "-y", "-loglevel", "error", "-progress", "pipe:1",
        "-protocol_whitelist", "file,pipe", "-f", "mpegts",
        "-fix_teletext_pts", "0",  # there is no clock reference that they could be mended by
        "-copyts",  # times count from the film's origin
        "-fix_sub_duration",  # a text is shown until the next one, which may be empty
        *sort.options(page),
        "-threads", "1", "-i", source, "-map", "0:s:0",
        "-c:s", "ass", "-f", "matroska", target,  # the file format ass has hundredths of a second only
    ]  # fmt: skip
