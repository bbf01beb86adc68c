"""WebVTT segments (W3C WebVTT, RFC 8216 3.5). Pure: text to values."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAP = re.compile(r"X-TIMESTAMP-MAP=(?:LOCAL:[0-9:.]{9,16},MPEGTS:[0-9]{1,12}|MPEGTS:[0-9]{1,12},LOCAL:[0-9:.]{9,16})")
_TIME = r"(?:[0-9]{2,}:)?[0-5][0-9]:[0-5][0-9]\.[0-9]{3}"
_CUE = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}([ \t].*)?")


@dataclass(frozen=True)
class Vtt:
    headed: bool
    mapped: bool
    """Whether an X-TIMESTAMP-MAP stands in the header."""
    faults: tuple[str, ...]


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
    return Vtt(headed, mapped, faults)
