"""MPDs (ISO/IEC 23009-1) as values. Pure: text to values; raises MpdError for what is no MPD at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from xml.etree import ElementTree as ET  # `_root` lets no DTD through to it, so no entities

from raven.check.addressing import Addressing, Level, addressing, whole_file

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
_DURATION = re.compile(
    r"P(?:([0-9]{1,4})Y)?(?:([0-9]{1,4})M)?(?:([0-9]{1,6})D)?"
    r"(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,8})M)?(?:([0-9]{1,12}(?:\.[0-9]{1,12})?)S)?)?"
)
_RATE = re.compile(r"[0-9]{1,9}(/0*[1-9][0-9]{0,8})?")
_DESCRIPTORS = (
    "Role", "Accessibility", "Rating", "Viewpoint", "EssentialProperty", "SupplementalProperty", "FramePacking",
    "AudioChannelConfiguration", "ContentProtection",
)  # fmt: skip
_SEGMENTS = ("SegmentBase", "SegmentList", "SegmentTemplate")
MAX_BYTES = 16 << 20


class MpdError(ValueError):
    """The text is no MPD."""


@dataclass(frozen=True)
class Descriptor:
    """Role, EssentialProperty, AudioChannelConfiguration ...: which kind, its scheme and its value."""

    kind: str
    scheme: str
    value: str


@dataclass(frozen=True, eq=False)
class Representation:
    """A Representation; `attributes` hold those of its AdaptationSet too where it has none of its own."""

    where: str
    id: str
    attributes: Mapping[str, str]
    descriptors: tuple[Descriptor, ...]
    addressing: Addressing

    def integer(self, name: str) -> int | None:
        value = self.attributes.get(name, "")
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else None

    def rate(self, name: str = "frameRate") -> Fraction | None:
        return rate(self.attributes.get(name))

    @property
    def codecs(self) -> tuple[str, ...]:
        return tuple(c.strip() for c in self.attributes.get("codecs", "").split(",") if c.strip())


@dataclass(frozen=True)
class AdaptationSet:
    where: str
    attributes: Mapping[str, str]
    descriptors: tuple[Descriptor, ...]
    representations: tuple[Representation, ...]

    @property
    def media(self) -> str:
        """`video`, `audio`, `text` or `image`, as declared; `` where nothing says it."""
        kinds = [self.attributes.get("contentType", ""), self.attributes.get("mimeType", "")]
        kinds += [r.attributes.get("mimeType", "") for r in self.representations]
        return next((kind.partition("/")[0] for kind in kinds if kind), "")

    def values(self, kind: str, scheme: str) -> tuple[str, ...]:
        return tuple(d.value for d in self.descriptors if (d.kind, d.scheme) == (kind, scheme))


@dataclass(frozen=True)
class Period:
    where: str
    attributes: Mapping[str, str]
    start: Fraction
    duration: Fraction | None
    sets: tuple[AdaptationSet, ...]


@dataclass(frozen=True)
class Mpd:
    path: str
    namespace: str
    attributes: Mapping[str, str]
    periods: tuple[Period, ...]

    def seconds(self, name: str) -> Fraction | None:
        return seconds(self.attributes.get(name))

    @property
    def sets(self) -> Iterator[AdaptationSet]:
        return (s for period in self.periods for s in period.sets)

    @property
    def representations(self) -> Iterator[Representation]:
        return (r for s in self.sets for r in s.representations)


def seconds(text: str | None) -> Fraction | None:
    """An xs:duration without years and months, None for anything else."""
    found = _DURATION.fullmatch(text or "")
    if found is None or found[1] or found[2] or not any(found.groups()):
        return None
    days, hours, minutes, rest = (Fraction(found[n] or 0) for n in range(3, 7))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def rate(text: str | None) -> Fraction | None:
    """A frame rate such as `25` or `24000/1001`."""
    return Fraction(text) if text and _RATE.fullmatch(text) else None


def ratio(text: str | None) -> Fraction | None:
    """A ratio such as `16:9`."""
    return rate(text.replace(":", "/")) if text and re.fullmatch("[0-9]{1,9}:[0-9]{1,9}", text) else None


def parse(path: str, text: str, origin: str | None = None) -> Mpd:
    """An MPD with all references made paths of the tree; `path` is its own. Raises MpdError."""
    root = _root(text)
    namespace, _, name = root.tag.rpartition("}")
    if name != "MPD":
        raise MpdError(f"its root element is {name[:40]}, not MPD")
    top = Level(path, origin).within(_base(root))
    total = seconds(root.get("mediaPresentationDuration"))
    return Mpd(path, namespace.lstrip("{"), dict(root.attrib), tuple(_periods(root, top, total)))


def _root(text: str) -> ET.Element:
    if len(text) > MAX_BYTES:
        raise MpdError(f"it has more than {MAX_BYTES} characters")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise MpdError("it has a DTD, which no MPD needs and which can be made to harm a reader")
    try:
        return ET.fromstring(text)  # noqa: S314 - no DTD, so no entities
    except (ET.ParseError, ValueError) as error:
        raise MpdError(f"not well-formed XML: {error}") from error


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == name]


def _base(element: ET.Element) -> str:
    return next(((child.text or "").strip() for child in _children(element, "BaseURL")), "")


def _periods(root: ET.Element, top: Level, total: Fraction | None) -> Iterator[Period]:
    elements = _children(root, "Period")
    start = Fraction(0)
    for index, element in enumerate(elements):
        start = seconds(element.get("start")) or start
        length = seconds(element.get("duration"))
        if length is None:
            after = seconds(elements[index + 1].get("start")) if index + 1 < len(elements) else total
            length = after - start if after is not None else None
        where = f"{top.path} Period {element.get('id') or index + 1}"
        level = top.within(_base(element)).over(_segments(element))
        sets = tuple(
            _set(child, f"{where} AdaptationSet {child.get('id') or n}", level, length)
            for n, child in enumerate(_children(element, "AdaptationSet"), 1)
        )
        yield Period(where, dict(element.attrib), start, length, sets)
        start += length or 0


def _set(element: ET.Element, where: str, level: Level, period: Fraction | None) -> AdaptationSet:
    level = level.within(_base(element)).over(_segments(element))
    descriptors = tuple(_descriptors(element))
    representations = tuple(
        _representation(child, where, dict(element.attrib), descriptors, level, period)
        for child in _children(element, "Representation")
    )
    return AdaptationSet(where, dict(element.attrib), descriptors, representations)


def _representation(
    element: ET.Element,
    where: str,
    inherited: Mapping[str, str],
    descriptors: tuple[Descriptor, ...],
    level: Level,
    period: Fraction | None,
) -> Representation:
    level = level.within(_base(element)).over(_segments(element))
    own = {**{k: v for k, v in inherited.items() if k != "id"}, **element.attrib}
    name = element.get("id", "")
    text = own.get("mimeType", "").startswith(("text/", "application/ttml")) and not level.elements
    found = whole_file(level, period) if text else addressing(level, name, own.get("bandwidth", ""), period)
    return Representation(f"{where} {name}", name, own, (*descriptors, *_descriptors(element)), found)


def _segments(element: ET.Element) -> list[ET.Element]:
    return [child for name in _SEGMENTS for child in _children(element, name)]


def _descriptors(element: ET.Element) -> Iterator[Descriptor]:
    for child in element:
        name = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else ""
        if name in _DESCRIPTORS or (name and "schemeIdUri" in child.attrib):
            yield Descriptor(name, child.get("schemeIdUri", ""), child.get("value", ""))
