"""What an HLS playlist that has ended joins: its best variant, the renditions beside that, and their pieces. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Literal
from urllib.parse import unquote, urljoin

from raven.check.m3u8 import MediaSegment, Playlist, Tag, byte_range
from raven.errors import SourceRefused
from raven.media.hls import DESCRIBES
from raven.values import Value

MAX_TITLE = 200  # characters
_FOR_DEAF = "public.accessibility.transcribes-spoken-dialog"


@dataclass(frozen=True)
class Piece:
    """Bytes of a file or URL: `length` from `start` on, or all where it is None."""

    place: str
    start: int = 0
    length: int | None = None


@dataclass(frozen=True)
class Section:
    """Pieces on one clock: fragments of MP4 behind their one init segment, or others without any."""

    init: Piece | None
    pieces: tuple[Piece, ...]


class About(Value):
    """What a playlist says of a rendition."""

    language: str = "und"
    title: str = ""
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    describes: bool = False


@dataclass(frozen=True)
class Rendition:
    """Sound or text with a playlist of its own."""

    kind: Literal["audio", "text"]
    place: str
    about: About


@dataclass(frozen=True)
class Variant:
    """A variant and all that is shown with it."""

    place: str
    own_sound: bool = True
    """Whether the sound in its pieces counts."""
    about: About | None = None
    """What is said of that sound."""
    renditions: tuple[Rendition, ...] = ()

    def sound_alone(self) -> Variant:
        """The same without its picture: the first sound that lies apart takes its place."""
        first = next((r for r in self.renditions if r.kind == "audio"), None)
        if self.own_sound or first is None:
            return self
        rest = tuple(r for r in self.renditions if r is not first)
        return Variant(first.place, about=first.about, renditions=rest)


def joined(place: str, uri: str) -> str:
    """Where a URI in the playlist at `place`, a path or URL, leads (RFC 3986 5)."""
    if "://" in place:
        return urljoin(place, uri)
    if "://" in uri:
        return uri
    return uri if uri.startswith("/") else f"{place.rpartition('/')[0]}/{unquote(uri)}"


def best_variant(place: str, playlist: Playlist) -> Variant:
    """The largest picture, of the highest rate among equals. Raises SourceRefused."""

    def rank(variant: tuple[Tag, str]) -> tuple[int, int]:
        width, height = variant[0].size() or (0, 0)
        return width * height, variant[0].integer("BANDWIDTH") or 0

    named = [variant for variant in playlist.variants if variant[1]]
    if not named:
        raise SourceRefused("the playlist names no variant")
    tag, uri = max(named, key=rank)
    main = joined(place, uri)
    sounds, texts = _group(playlist, tag, "AUDIO"), _group(playlist, tag, "SUBTITLES")
    within = [m for m in sounds if joined(place, m.text("URI") or uri) == main]  # sound alone may name itself twice
    return Variant(
        place=main,
        own_sound=bool(within) or not sounds,
        about=_about(within[0]) if within else None,
        renditions=tuple(
            Rendition("audio" if m.text("TYPE") == "AUDIO" else "text", joined(place, m.text("URI") or ""), _about(m))
            for m in (*sounds, *texts)
            if m.text("URI") and m not in within
        ),
    )


def _group(playlist: Playlist, variant: Tag, kind: str) -> list[Tag]:
    """The renditions of a kind that go with a variant."""
    group = variant.text(kind)
    return [m for m in playlist.all("EXT-X-MEDIA") if group and (m.text("TYPE"), m.text("GROUP-ID")) == (kind, group)]


def _about(tag: Tag) -> About:
    return About(
        language=_language(tag.text("LANGUAGE") or ""),
        title=(tag.text("NAME") or "")[:MAX_TITLE],
        default=tag.text("DEFAULT") == "YES",
        forced=tag.text("FORCED") == "YES",
        hearing_impaired=_FOR_DEAF in (tag.text("CHARACTERISTICS") or ""),
        describes=DESCRIBES in (tag.text("CHARACTERISTICS") or ""),
    )


def _language(tag: str) -> str:
    """The ISO 639 code of a language tag (BCP 47), und where it has none."""
    from langcodes import Language  # noqa: PLC0415 - its tables take long, and few sources are playlists
    from langcodes.tag_parser import LanguageTagError  # noqa: PLC0415

    try:
        code = Language.get(tag).to_alpha3()
    except (LookupError, LanguageTagError):
        return "und"
    return code if re.fullmatch("[a-z]{3}", code) else "und"


def sections(place: str, playlist: Playlist) -> tuple[Section, ...]:
    """What a media playlist joins. Raises SourceRefused with the reason."""
    if playlist.faults or not playlist.headed or not playlist.segments:
        fault = playlist.faults[0].found if playlist.faults else "it names no piece"
        raise SourceRefused(f"the playlist cannot be read: {fault}")
    if playlist.first("EXT-X-ENDLIST") is None:
        raise SourceRefused("the playlist is live: it has no EXT-X-ENDLIST; give it when the programme has ended")
    keys = [s.key.text("METHOD") for s in playlist.segments if s.key is not None]
    if keys:
        raise SourceRefused(f"the playlist's pieces are encrypted (EXT-X-KEY, {keys[0]}); decrypt them first")
    there = [segment for segment in playlist.segments if not segment.gap]
    if not there:
        raise SourceRefused("none of the playlist's pieces is there (EXT-X-GAP)")
    return tuple(
        Section(init, tuple(Piece(joined(place, s.uri), s.start, s.length) for s in group))
        for init, group in _same_clock(place, there)
    )


def _same_clock(place: str, segments: list[MediaSegment]) -> Iterator[tuple[Piece | None, list[MediaSegment]]]:
    """Runs of segments. MPEG-TS needs no borders where its clock jumps, as it says so itself."""
    clock, numbered = 0, []
    for segment in segments:
        clock += segment.discontinuity and segment.map is not None
        numbered.append((clock, _init(place, segment.map), segment))
    for (_, init), group in groupby(numbered, key=lambda entry: entry[:2]):
        yield init, [segment for _, _, segment in group]


def _init(place: str, tag: Tag | None) -> Piece | None:
    if tag is None:
        return None
    span = byte_range(tag.text("BYTERANGE") or "")
    return Piece(joined(place, tag.text("URI") or ""), span[1] or 0 if span else 0, span[0] if span else None)


def missing(playlist: Playlist) -> int:
    """Pieces that the playlist says were lost (EXT-X-GAP)."""
    return sum(segment.gap for segment in playlist.segments)
