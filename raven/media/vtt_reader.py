"""Reading WebVTT (W3C WebVTT 4, RFC 8216 3.5): cues of one file, or of several behind each other. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby

from raven.media.webvtt import milliseconds
from raven.model import Cue

CLOCK = 90_000  # ticks of MPEGTS in a second
_TIME = r"((?:[0-9]{2,4}:)?[0-9]{2}:[0-9]{2}\.[0-9]{3})"
_TIMES = re.compile(rf"\s*{_TIME}[ \t]+-->[ \t]+{_TIME}(.*)")
_LOCAL = re.compile(rf"LOCAL:{_TIME}")
_MPEGTS = re.compile(r"MPEGTS:([0-9]{1,12})")
_LINE = re.compile(r"line:(-?[0-9]{1,6}(?:\.[0-9]{1,6})?)(%?)")
_ALIGN = re.compile(r"align:(start|left|end|right)")
_TAG = re.compile(r"(<[^<>]*>)")
_KEPT = re.compile(r"<(/?[biu])(?:\.[^<>]*)?>")
_BARE = re.compile(r"&(?!(?:[a-zA-Z]{2,8}|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)")
_TOP_LINES = 5  # a line counted from the top, of the 15 or so that there are


def read(text: str) -> Iterator[Cue]:
    """The cues, milliseconds on the clock of the media beside them; what is none is left out."""
    shift = Fraction(0)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for blank, block in groupby(lines, key=lambda line: not line.strip("\ufeff \t")):
        rows = [] if blank else list(block)
        if rows and rows[0].lstrip("\ufeff").startswith("WEBVTT"):
            shift = _shift("\n".join(rows))
        for at, times in ((n, _TIMES.match(row)) for n, row in enumerate(rows[:2])):
            if times is not None:
                yield from _cue(times, rows[at + 1 :], shift)
                break


def _shift(header: str) -> Fraction:
    """What X-TIMESTAMP-MAP says to add to the times of a file, seconds; none where it is absent."""
    local, ticks = _LOCAL.search(header), _MPEGTS.search(header)
    return Fraction(int(ticks[1]), CLOCK) - _seconds(local[1]) if local and ticks else Fraction(0)


def _seconds(time: str) -> Fraction:
    *larger, seconds = time.split(":")
    hours, minutes = ([0, *map(int, larger)])[-2:]
    return hours * 3600 + minutes * 60 + Fraction(seconds)


def _cue(times: re.Match[str], rows: list[str], shift: Fraction) -> Iterator[Cue]:
    start, end = (milliseconds(_seconds(time) + shift) for time in times.groups()[:2])
    text = "\n".join(line for line in map(_text, rows) if line)
    if text and end > start:
        yield Cue(start=start, end=end, text=text, settings=_settings(times[3]))


def _text(row: str) -> str:
    """A line with what Raven keeps of its tags: bold, italic, underline."""
    parts = (_tag(part) if _TAG.fullmatch(part) else _plain(part) for part in _TAG.split(row))
    return "".join(parts).strip()


def _tag(tag: str) -> str:
    kept = _KEPT.fullmatch(tag)
    return f"<{kept[1]}>" if kept else ""


def _plain(text: str) -> str:
    readable = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))
    return _BARE.sub("&amp;", readable).replace("<", "&lt;").replace(">", "&gt;")


def _settings(text: str) -> str:
    """Where the cue stands, as `raven.media.ass` says it: the thirds of the picture."""
    line, align = _LINE.search(text), _ALIGN.search(text)
    row = ""
    if line is not None:
        place = float(line[1])
        if line[2]:
            row = "line:0" if place < 100 / 3 else "line:45%" if place < 200 / 3 else ""
        else:
            row = "line:0" if 0 <= place < _TOP_LINES else ""
    column = {"start": "align:left", "left": "align:left", "end": "align:right", "right": "align:right"}
    return " ".join(part for part in (row, column[align[1]] if align else "") if part)
