"""How an MPD names its segments (ISO/IEC 23009-1 5.3.9): templates, lists, single files. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple
from xml.etree.ElementTree import Element

from raven.check.paths import OutsideTree, Resource, resolve

MAX_SEGMENTS = 200_000
"""Of one Representation, over a week of 4 s segments: an S@r that asks for more is a mistake or an attack."""
_MILLISECONDS = 1000
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_IDENTIFIER = re.compile(r"\$(RepresentationID|Number|Time|Bandwidth|)(?:%0([0-9]{1,3})d)?\$")


@dataclass(frozen=True)
class Entry:
    """One S of a SegmentTimeline: start (None: follows), duration in ticks, repeats."""

    t: int | None
    d: int
    r: int
    attributes: Mapping[str, str]


class Reference(NamedTuple):
    """A segment that the MPD names: where it lies, from when to when, in ticks."""

    resource: Resource
    start: int
    duration: int


@dataclass(frozen=True)
class Addressing:
    """The segments of a Representation as declared."""

    kind: str
    """`SegmentTemplate`, `SegmentList`, `SegmentBase`, or "" for a bare BaseURL."""
    attributes: Mapping[str, str]
    timescale: int
    offset: int
    """presentationTimeOffset, ticks."""
    init: Resource | None
    index: Resource | None
    """Where the sidx is, for SegmentBase."""
    timeline: tuple[Entry, ...] | None
    references: tuple[Reference, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Level:
    """What a level of the MPD hands down: the base of references and the segment elements above."""

    path: str
    origin: str | None
    base: str = ""
    elements: tuple[Element, ...] = ()

    def within(self, base: str) -> Level:
        """Below a BaseURL, which may itself be relative."""
        return replace(self, base=self._joined(base)) if base else self

    def _joined(self, uri: str) -> str:
        if not uri or not self.base:
            return uri or self.base
        if "://" in uri or uri.startswith("/") or "/" not in self.base:
            return uri
        return self.base.rpartition("/")[0] + "/" + uri

    def over(self, elements: Sequence[Element]) -> Level:
        return replace(self, elements=(*self.elements, *elements))

    def resource(self, uri: str, span: str | None = None) -> Resource:
        """Raises OutsideTree."""
        path = resolve(self.path, self._joined(uri), self.origin)
        found = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", span or "")
        return Resource(path, int(found[1]), int(found[2]) - int(found[1]) + 1) if found else Resource(path)


def whole_file(level: Level, period: Fraction | None) -> Addressing:
    """A Representation that is one file without any index: subtitles beside the media (DASH-IF IOP 6.4.5)."""
    try:
        references = (Reference(level.resource(""), 0, round((period or Fraction(0)) * _MILLISECONDS)),)
    except OutsideTree as error:
        return Addressing("", {}, _MILLISECONDS, 0, None, None, None, (), (str(error),))
    return Addressing("", {}, _MILLISECONDS, 0, None, None, None, references, ())


def addressing(level: Level, name: str, bandwidth: str, period: Fraction | None) -> Addressing:
    """What the segment elements of all levels say together; nearer ones win, attribute by attribute."""
    kind = level.elements[-1].tag.rpartition("}")[2] if level.elements else ""
    layers = [e for e in level.elements if e.tag.rpartition("}")[2] == kind]
    attributes: dict[str, str] = {}
    children: dict[str, list[Element]] = {}
    for layer in layers:
        attributes |= layer.attrib
        below: dict[str, list[Element]] = {}
        for child in layer:
            below.setdefault(str(child.tag).rpartition("}")[2], []).append(child)
        children |= below
    return _Reader(level, kind, attributes, children, {"RepresentationID": name, "Bandwidth": bandwidth}, period).read()


@dataclass
class _Reader:
    level: Level
    kind: str
    attributes: Mapping[str, str]
    children: Mapping[str, list[Element]]
    words: Mapping[str, str]
    period: Fraction | None

    def read(self) -> Addressing:
        self.faults: list[str] = []
        self.timescale = max(1, self._number("timescale", 1))
        timeline = self._timeline()
        references = tuple(self._references(timeline))
        return Addressing(
            kind=self.kind,
            attributes=self.attributes,
            timescale=self.timescale,
            offset=self._number("presentationTimeOffset", 0),
            init=self._init(),
            index=self._resource("", self.attributes["indexRange"]) if "indexRange" in self.attributes else None,
            timeline=timeline,
            references=references,
            faults=tuple(self.faults),
        )

    def _number(self, name: str, default: int) -> int:
        text = self.attributes.get(name)
        if text is None:
            return default
        if not re.fullmatch("[0-9]{1,18}", text):
            self.faults.append(f"@{name} is {text[:40]!r}, no number")
            return default
        return int(text)

    def _resource(self, uri: str, span: str | None = None) -> Resource | None:
        try:
            return self.level.resource(uri, span)
        except OutsideTree as error:
            self.faults.append(str(error))
            return None

    def _init(self) -> Resource | None:
        for element in self.children.get("Initialization", []):
            return self._resource(element.get("sourceURL", ""), element.get("range"))
        if "initialization" in self.attributes:
            return self._resource(self._fill(self.attributes["initialization"]))
        if self.kind in ("SegmentBase", ""):
            return self._resource("")
        return None

    def _fill(self, template: str, **more: int) -> str:
        """ISO/IEC 23009-1 5.3.9.4.4."""

        def value(found: re.Match[str]) -> str:
            name, width = found[1], int(found[2] or 1)
            if not name:
                return "$"
            if name in more:
                return f"{more[name]:0{min(width, 64)}d}"
            return self.words.get(name, "")

        return _IDENTIFIER.sub(value, template)

    def _timeline(self) -> tuple[Entry, ...] | None:
        found = self.children.get("SegmentTimeline")
        if not found:
            return None
        entries = []
        for element in found[0]:
            t, d, r = (element.get(key, default) for key, default in (("t", ""), ("d", ""), ("r", "0")))
            if _WHOLE.fullmatch(t or "0") and _WHOLE.fullmatch(d) and _WHOLE.fullmatch(r):
                entries.append(Entry(int(t) if t else None, int(d), int(r), element.attrib))
            else:
                self.faults.append(f"an S is not of numbers: {dict(element.attrib)}"[:120])
        return tuple(entries)

    def _references(self, timeline: tuple[Entry, ...] | None) -> Iterator[Reference]:
        number = self._number("startNumber", 1)
        for index, (start, duration) in enumerate(self._times(timeline)):
            resource = self._segment(index, number + index, start)
            if resource is not None:
                yield Reference(resource, start, duration)

    def _segment(self, index: int, number: int, start: int) -> Resource | None:
        if self.kind == "SegmentTemplate":
            return self._resource(self._fill(self.attributes.get("media", ""), Number=number, Time=start))
        urls = self.children.get("SegmentURL", [])
        if index >= len(urls):
            self.faults.append(f"segment {index + 1} of the timeline has no SegmentURL")
            return None
        return self._resource(urls[index].get("media", ""), urls[index].get("mediaRange"))

    def _times(self, timeline: tuple[Entry, ...] | None) -> Iterator[tuple[int, int]]:
        """Start and duration of each segment, ticks."""
        if self.kind not in ("SegmentTemplate", "SegmentList"):
            return
        times = self._timed(timeline) if timeline is not None else self._equal()
        for count, time in enumerate(times):
            if count >= MAX_SEGMENTS:
                self.faults.append(f"more than {MAX_SEGMENTS} segments")
                return
            yield time

    def _timed(self, timeline: tuple[Entry, ...]) -> Iterator[tuple[int, int]]:
        time = 0
        for index, entry in enumerate(timeline):
            time = entry.t if entry.t is not None else time
            repeats = entry.r
            if repeats < 0:  # until the next S, or the end of the Period
                end = timeline[index + 1].t if index + 1 < len(timeline) else self._end()
                repeats = math.ceil(Fraction((end or time) - time, max(1, entry.d))) - 1
            for _ in range(min(repeats, MAX_SEGMENTS) + 1):
                yield time, entry.d
                time += entry.d

    def _end(self) -> int | None:
        offset = self._number("presentationTimeOffset", 0)
        return math.ceil(self.period * self.timescale) + offset if self.period is not None else None

    def _equal(self) -> Iterator[tuple[int, int]]:
        """Segments of one nominal duration, the last one cut at the end of the Period."""
        duration = self._number("duration", 0)
        urls = len(self.children.get("SegmentURL", []))
        if self.kind == "SegmentList" and not duration:
            yield from ((0, 0) for _ in range(urls))
        elif duration and self.period is not None:
            total = math.ceil(self.period * self.timescale)
            count = urls if self.kind == "SegmentList" else math.ceil(Fraction(total, duration))
            for index in range(min(count, MAX_SEGMENTS + 1)):
                yield index * duration, min(duration, max(0, total - index * duration))
        else:
            self.faults.append("neither a SegmentTimeline nor @duration says which segments there are")
