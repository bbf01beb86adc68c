"""Replays: an HLS playlist that has ended, or a list of recorded pieces, as one source.

MPEG-TS pieces are joined by their bytes, and the cutter mends the clock where it jumps; fMP4 pieces follow their one
init segment. What cannot be joined without a drift is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urljoin

from raven.check.m3u8 import MediaSegment, Playlist, Tag, byte_range, parse
from raven.errors import SourceRefused, SourceUnreadable

PLAYLIST_BYTES = 16 << 20  # a week of six-second pieces
BLOCK = 1 << 20


@dataclass(frozen=True)
class Piece:
    """Bytes of a file or URL: `length` from `start` on, or all where it is None."""

    place: str
    start: int = 0
    length: int | None = None


Bring = Callable[[str], Path]
"""Makes a path or URL a local file, under the same rules as any source."""


def is_replay(source: str) -> bool:
    return source.lstrip().startswith("[") or source.partition("?")[0].partition("#")[0].lower().endswith(".m3u8")


def listed(source: str) -> tuple[str, ...]:
    """The pieces of a source that is a JSON array of paths and URLs. Raises SourceRefused."""
    try:
        places = json.loads(source)
    except ValueError as error:
        raise SourceRefused(f"the source begins with [ but is no JSON array of pieces: {error}") from error
    if (
        not isinstance(places, list)
        or not places
        or not all(isinstance(place, str) and place and not is_replay(place) for place in places)
    ):
        raise SourceRefused("the source is a JSON array, but not of paths and URLs of pieces")
    return tuple(places)


def joined(place: str, uri: str) -> str:
    """Where a URI in the playlist at `place`, a path or URL, leads (RFC 3986 5)."""
    if "://" in place:
        return urljoin(place, uri)
    if "://" in uri:
        return uri
    return uri if uri.startswith("/") else f"{place.rpartition('/')[0]}/{unquote(uri)}"


def best_variant(playlist: Playlist) -> str:
    """The URI of the largest picture, of the highest rate among equals. Raises SourceRefused."""

    def rank(variant: tuple[Tag, str]) -> tuple[int, int]:
        width, height = variant[0].size() or (0, 0)
        return width * height, variant[0].integer("BANDWIDTH") or 0

    named = [variant for variant in playlist.variants if variant[1]]
    if not named:
        raise SourceRefused("the playlist names no variant")
    tag, uri = max(named, key=rank)
    group = tag.text("AUDIO")
    apart = [m for m in playlist.all("EXT-X-MEDIA") if m.text("GROUP-ID") == group and m.text("URI")]
    if group is not None and apart:
        raise SourceRefused("the playlist keeps its sound in playlists of their own; give a variant that holds both")
    return uri


def pieces(place: str, playlist: Playlist) -> tuple[Piece, ...]:
    """What a media playlist joins, its init segment first. Raises SourceRefused with the reason."""
    if playlist.faults or not playlist.headed or not playlist.segments:
        fault = playlist.faults[0].found if playlist.faults else "it names no piece"
        raise SourceRefused(f"the playlist cannot be read: {fault}")
    if playlist.first("EXT-X-ENDLIST") is None:
        raise SourceRefused("the playlist is live: it has no EXT-X-ENDLIST; give it when the programme has ended")
    if any(s.key is not None and s.key.text("METHOD") != "NONE" for s in playlist.segments):
        raise SourceRefused("the playlist's pieces are encrypted (EXT-X-KEY); decrypt them first")
    maps = {(s.map.text("URI"), s.map.text("BYTERANGE")) if s.map else None for s in playlist.segments}
    if len(maps) > 1 or (None not in maps and any(s.discontinuity for s in playlist.segments[1:])):
        raise SourceRefused("the playlist changes its init segment or clock between fMP4 pieces; give each part alone")
    first = playlist.segments[0].map
    init = [_init(place, first)] if first else []
    return (*init, *(_piece(place, segment) for segment in playlist.segments))


def _init(place: str, tag: Tag) -> Piece:
    span = byte_range(tag.text("BYTERANGE") or "")
    return Piece(joined(place, tag.text("URI") or ""), span[1] or 0 if span else 0, span[0] if span else None)


def _piece(place: str, segment: MediaSegment) -> Piece:
    return Piece(joined(place, segment.uri), segment.start, segment.length)


def assemble(source: str, target: Path, bring: Bring, check_bytes: Callable[[int], None]) -> Path:
    """The replay as one file. Raises SourceRefused, SourceUnreadable, and what `bring` and `check_bytes` raise."""
    if source.lstrip().startswith("["):
        parts, fragmented = tuple(Piece(place) for place in listed(source)), False
    else:
        place, playlist = source, _read(bring(source))
        if playlist.multivariant:
            place = joined(source, best_variant(playlist))
            playlist = _read(bring(place))
        parts = pieces(place, playlist)
        fragmented = playlist.segments[0].map is not None
    with target.open("wb") as whole:
        for part in parts:
            _append(whole, part, bring, check_bytes, fragmented=fragmented)
    return target


def _read(file: Path) -> Playlist:
    if file.stat().st_size > PLAYLIST_BYTES:
        raise SourceRefused(f"the playlist has more than {PLAYLIST_BYTES} bytes")
    return parse("the playlist", file.read_bytes().decode("utf-8", "replace"))


def _append(
    whole: IO[bytes], part: Piece, bring: Bring, check_bytes: Callable[[int], None], *, fragmented: bool
) -> None:
    file = bring(part.place)
    if not file.is_file():
        raise SourceRefused(f"the piece {part.place} is not a file")
    begun = whole.tell()
    with file.open("rb") as opened:
        opened.seek(part.start)
        if not fragmented and opened.peek(1)[:1] != b"G":  # the sync byte of MPEG-TS
            raise SourceRefused(f"the piece {part.place} is not MPEG-TS, and only such pieces can be joined")
        left = file.stat().st_size if part.length is None else part.length
        while left and (block := opened.read(min(left, BLOCK))):
            check_bytes(whole.tell() + len(block))
            whole.write(block)
            left -= len(block)
    if whole.tell() == begun or (part.length is not None and left):
        raise SourceUnreadable(f"the piece {part.place} is empty or shorter than the playlist says")
