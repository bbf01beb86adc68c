"""Playlists (RFC 8216) as values. Pure: text to values; what is damaged becomes a fault, never an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

INTEGER = re.compile(r"[0-9]{1,20}")  # RFC 8216 4.2: up to 2^64 - 1
DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{0,20})?")
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",\s][^,]*|)(?:,|$)')
_CONTROLS = re.compile(r"[\x00-\x0c\x0e-\x1f\x7f-\x9f]")  # RFC 8216 4.1
_RANGE = re.compile(r"([0-9]{1,18})(?:@([0-9]{1,18}))?")
SEGMENT_TAGS = frozenset({
    "EXTINF", "EXT-X-BYTERANGE", "EXT-X-DISCONTINUITY", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME",
    "EXT-X-GAP", "EXT-X-BITRATE", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-ENDLIST", "EXT-X-PLAYLIST-TYPE", "EXT-X-I-FRAMES-ONLY", "EXT-X-DATERANGE",
})  # fmt: skip
VARIANT_TAGS = frozenset({
    "EXT-X-MEDIA", "EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-DATA", "EXT-X-SESSION-KEY",
})  # fmt: skip
_LISTS = VARIANT_TAGS | {"EXT-X-KEY", "EXT-X-MAP", "EXT-X-DATERANGE", "EXT-X-START"}


_NONE: Mapping[str, str] = MappingProxyType({})


class Tag(NamedTuple):
    """A tag: its name without `#`, its value, its line from 1, and its attribute list where it has one."""

    name: str
    value: str
    line: int
    attributes: Mapping[str, str] = _NONE

    def text(self, name: str) -> str | None:
        """An attribute, quotes taken off."""
        value = self.attributes.get(name)
        return value[1:-1] if value is not None and value.startswith('"') else value

    def integer(self, name: str) -> int | None:
        value = self.attributes.get(name, "")
        return int(value) if INTEGER.fullmatch(value) else None

    def number(self, name: str) -> Fraction | None:
        value = self.attributes.get(name, "")
        return Fraction(value) if DECIMAL.fullmatch(value) else None

    def size(self, name: str = "RESOLUTION") -> tuple[int, int] | None:
        found = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", self.attributes.get(name, ""))
        return (int(found[1]), int(found[2])) if found else None

    @property
    def codecs(self) -> tuple[str, ...]:
        return tuple(c.strip() for c in (self.text("CODECS") or "").split(",") if c.strip())


class MediaSegment(NamedTuple):
    """A segment of a media playlist; `start` and `length` are its byte range, `duration` is in seconds."""

    uri: str
    line: int
    duration: Fraction | None
    start: int
    length: int | None
    map: Tag | None
    key: Tag | None
    discontinuity: bool
    gap: bool = False
    """Whether it is known to be absent (RFC 8216bis 4.4.4.7)."""


@dataclass(frozen=True)
class Fault:
    """What is wrong in the text itself: the line and a sentence."""

    line: int
    found: str


@dataclass(frozen=True)
class Playlist:
    """A playlist of either kind."""

    path: str
    tags: tuple[Tag, ...]
    segments: tuple[MediaSegment, ...]
    variants: tuple[tuple[Tag, str], ...]
    """The EXT-X-STREAM-INF tags, each with the URI of the next line, "" where there is none."""
    faults: tuple[Fault, ...]
    headed: bool
    """Whether the first line is #EXTM3U."""

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Tag, ...]]:
        """The tags of each name, in order."""
        found: dict[str, list[Tag]] = {}
        for tag in self.tags:
            found.setdefault(tag.name, []).append(tag)
        return {name: tuple(tags) for name, tags in found.items()}

    def all(self, name: str) -> tuple[Tag, ...]:
        return self.by_name.get(name, ())

    def first(self, name: str) -> Tag | None:
        return next(iter(self.all(name)), None)

    def integer(self, name: str) -> int | None:
        """The value of a tag that is one decimal integer."""
        tag = self.first(name)
        return int(tag.value) if tag and INTEGER.fullmatch(tag.value) else None

    @property
    def multivariant(self) -> bool:
        return not VARIANT_TAGS.isdisjoint(self.by_name)

    @cached_property
    def target(self) -> int | None:
        return self.integer("EXT-X-TARGETDURATION")

    @property
    def iframes_only(self) -> bool:
        return self.first("EXT-X-I-FRAMES-ONLY") is not None

    @property
    def duration(self) -> Fraction:
        return sum((s.duration or Fraction(0) for s in self.segments), Fraction(0))


def attributes(text: str) -> tuple[dict[str, str], str | None]:
    """An attribute list (RFC 8216 4.2), and what is wrong with it."""
    found: dict[str, str] = {}
    at, wrong = 0, None
    while at < len(text):
        match = _ATTRIBUTE.match(text, at)
        if match is None or not match[2]:
            return found, f"not an attribute list from {text[at : at + 40]!r} on"
        if match[1] in found:
            wrong = f"attribute {match[1]} stands twice"
        found.setdefault(match[1], match[2].rstrip())
        at = match.end()
    return found, wrong


def byte_range(text: str) -> tuple[int, int | None] | None:
    """Length and start of `n[@o]`."""
    found = _RANGE.fullmatch(text)
    return (int(found[1]), int(found[2]) if found[2] is not None else None) if found else None


def parse(path: str, text: str) -> Playlist:
    """A playlist of either kind; `path` names it in findings."""
    lines = re.split("\r?\n", text)  # RFC 8216 4.1; other line breaks of Unicode may stand in a NAME
    tags, faults = _tags(lines)
    reader = _Segments(lines, {tag.line: tag for tag in tags})
    segments = tuple(reader)
    return Playlist(
        path=path,
        tags=tags,
        segments=segments,
        variants=tuple(reader.variants),
        faults=(*faults, *reader.faults),
        headed=bool(lines) and lines[0].rstrip() == "#EXTM3U",
    )


def _tags(lines: list[str]) -> tuple[tuple[Tag, ...], list[Fault]]:
    tags, faults = [], []
    for number, line in enumerate(lines, 1):
        if line.startswith("#EXT"):
            name, _, value = line[1:].rstrip().partition(":")
            found, wrong = attributes(value) if name in _LISTS else (_NONE, None)
            if wrong:
                faults.append(Fault(number, f"#{name}: {wrong}"))
            if name == "EXTINF" and "," not in value:
                faults.append(Fault(number, f"#EXTINF:{value[:40]} without a comma"))
            tags.append(Tag(name, value, number, found))
        elif not line.startswith("#") and line != "".join(line.split()):
            faults.append(Fault(number, f"{line[:60]!r}: blanks in a URI"))
        if _CONTROLS.search(line):
            faults.append(Fault(number, f"{line[:60]!r}: control characters"))
    return tuple(tags), faults


class _Segments:
    """Walks the lines once; what a tag says holds for the next URI or from there on."""

    def __init__(self, lines: list[str], tags: Mapping[int, Tag]) -> None:
        self._lines = lines
        self._tags = tags
        self._ends: dict[str, int] = {}
        self.variants: list[tuple[Tag, str]] = []
        self.faults: list[Fault] = []

    def __iter__(self) -> Iterator[MediaSegment]:
        held: dict[str, Tag] = {}
        lasting: dict[str, Tag] = {}
        for number, raw in enumerate(self._lines, 1):
            line, tag = raw.strip(), self._tags.get(number)
            if tag is not None:
                if tag.name == "EXT-X-STREAM-INF" and "EXT-X-STREAM-INF" in held:
                    self.variants.append((held["EXT-X-STREAM-INF"], ""))
                (lasting if tag.name in ("EXT-X-MAP", "EXT-X-KEY") else held)[tag.name] = tag
            elif line and not line.startswith("#"):
                if "EXT-X-STREAM-INF" in held:
                    self.variants.append((held["EXT-X-STREAM-INF"], line))
                else:
                    yield self._segment(line, number, held, lasting)
                held = {}
        if "EXT-X-STREAM-INF" in held:
            self.variants.append((held["EXT-X-STREAM-INF"], ""))

    def _segment(self, uri: str, number: int, held: Mapping[str, Tag], lasting: Mapping[str, Tag]) -> MediaSegment:
        start, length = self._range(uri, number, held.get("EXT-X-BYTERANGE"))
        if length is not None:
            self._ends[uri] = start + length
        key = lasting.get("EXT-X-KEY")
        return MediaSegment(
            uri=uri,
            line=number,
            duration=self._duration(held.get("EXTINF")),
            start=start,
            length=length,
            map=lasting.get("EXT-X-MAP"),
            key=key if key and key.text("METHOD") != "NONE" else None,
            discontinuity="EXT-X-DISCONTINUITY" in held,
            gap="EXT-X-GAP" in held,
        )

    def _range(self, uri: str, number: int, tag: Tag | None) -> tuple[int, int | None]:
        if tag is None:
            return 0, None
        found = byte_range(tag.value)
        if found is None:
            self.faults.append(Fault(tag.line, f"#EXT-X-BYTERANGE:{tag.value[:40]} is not n[@o]"))
            return 0, None
        length, start = found
        if start is None and uri not in self._ends:
            self.faults.append(
                Fault(tag.line, "#EXT-X-BYTERANGE has no offset, and no range of this file is before it")
            )
        return (self._ends.get(uri, 0) if start is None else start), length

    def _duration(self, tag: Tag | None) -> Fraction | None:
        text = tag.value.partition(",")[0].strip() if tag else ""
        seconds = _decimal(text)
        if tag and seconds is None:
            self.faults.append(Fault(tag.line, f"#EXTINF:{text[:40]} is no number"))
        return seconds


@lru_cache(maxsize=1 << 12)  # of the thousands of segments of a film few have a length of their own
def _decimal(text: str) -> Fraction | None:
    return Fraction(text) if DECIMAL.fullmatch(text) else None
