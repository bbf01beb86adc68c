"""WebVTT segments (W3C WebVTT, RFC 8216 3.5). Pure: text to values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_MAP = re.compile(r"X-TIMESTAMP-MAP=(?:LOCAL:[0-9:.]{9,16},MPEGTS:[0-9]{1,12}|MPEGTS:[0-9]{1,12},LOCAL:[0-9:.]{9,16})")
_TIME = r"(?:[0-9]{2,}:)?[0-5][0-9]:[0-5][0-9]\.[0-9]{3}"
_CUE = re.compile(rf"({_TIME})[ \t]+-->[ \t]+({_TIME})([ \t].*)?")
_LOCAL, _MPEG = re.compile(r"LOCAL:([0-9:.]+)"), re.compile(r"MPEGTS:([0-9]+)")
_TAGS = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Cue:
    """A cue: seconds of the presentation, and its words in lower case with single blanks, without tags."""

    start: Fraction
    end: Fraction
    words: str


@dataclass(frozen=True)
class Vtt:
    headed: bool
    mapped: bool
    """Whether an X-TIMESTAMP-MAP stands in the header."""
    faults: tuple[str, ...]
    cues: tuple[Cue, ...] = ()


def parse(text: str) -> Vtt:
    lines = text.removeprefix("\ufeff").splitlines()
    headed = bool(lines) and re.fullmatch(r"WEBVTT([ \t].*)?", lines[0]) is not None
    end = lines.index("") if "" in lines else len(lines)
    mapped = any(_MAP.fullmatch(line.strip()) for line in lines[1:end])
    faults = tuple(
        f"line {number}: {line[:60]!r} is no cue time"
        for number, line in enumerate(lines, 1)
        if "-->" in line and not _CUE.fullmatch(line.rstrip())
    )
    cues = tuple(_cues(lines, _offset(lines[:end])))
    faults += tuple(f"a cue from {float(c.start):.3f} to {float(c.end):.3f} s" for c in cues if c.end <= c.start)
    return Vtt(headed, mapped, faults, cues)


def _seconds(text: str) -> Fraction:
    value = Fraction(0)
    for part in text.split(":"):
        value = value * 60 + Fraction(part)
    return value


def _offset(head: list[str]) -> Fraction:
    """Seconds from the times of cues to those of the media, by the X-TIMESTAMP-MAP (RFC 8216 3.5)."""
    line = next((text.strip() for text in head if _MAP.fullmatch(text.strip())), "")
    local, mpeg = _LOCAL.search(line), _MPEG.search(line)
    if local is None or mpeg is None or not re.fullmatch(_TIME, local[1]):
        return Fraction(0)
    return Fraction(int(mpeg[1]), 90_000) - _seconds(local[1])


def _cues(lines: list[str], offset: Fraction) -> Iterator[Cue]:
    for at, line in enumerate(lines):
        found = _CUE.fullmatch(line.rstrip()) if "-->" in line else None
        if found:
            end = next((n for n in range(at + 1, len(lines)) if not lines[n].strip()), len(lines))
            words = " ".join(_TAGS.sub("", " ".join(lines[at + 1 : end])).lower().split())
            yield Cue(_seconds(found[1]) + offset, _seconds(found[2]) + offset, words)
