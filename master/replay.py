"""Replays: an HLS playlist that has ended, or a list of recorded pieces, as one source.

MPEG-TS pieces are joined by their bytes, and the cutter mends the clock where it jumps; fMP4 pieces follow their one
init segment. Where init segments or clocks change, each part becomes MPEG-TS first. Sound and text with playlists of
their own become files of their own, on the same clock.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Literal

from master.playlist import About, Piece, Rendition, Section, Variant, best_variant, missing, sections
from raven.check.m3u8 import Playlist, parse
from raven.errors import SourceRefused, SourceUnreadable
from raven.limits import Limits
from raven.media.id3 import tag_size
from raven.values import Value, encodable, parse_json

PLAYLIST_BYTES = 16 << 20  # a week of six-second pieces
BLOCK = 1 << 20
AHEAD = 10
"""Seconds that what is made MPEG-TS is later than it was: that format has no times below zero."""

Bring = Callable[[str], Path]
"""Makes a path or URL a local file, under the same rules as any source."""
Remux = Callable[[Path, Path], None]
"""Makes MPEG-TS of fMP4."""


class Side(Value):
    """Sound or text of a film in a file of its own."""

    path: str
    kind: Literal["audio", "text"]
    about: About


class Beside(Value):
    """What goes with a film's file, and what is known of it that the file does not say."""

    own_sound: bool = True
    """Whether the sound in the file itself counts."""
    about: About | None = None
    """Of that sound."""
    sides: tuple[Side, ...] = ()
    ahead: int = 0
    """Seconds that the clock of all files is before that of the playlist."""
    warnings: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def is_replay(source: str) -> bool:
    return source.lstrip().startswith("[") or source.partition("?")[0].partition("#")[0].lower().endswith(".m3u8")


def listed(source: str) -> tuple[str, ...]:
    """The pieces of a source that is a JSON array of paths and URLs. Raises SourceRefused."""
    try:
        places = parse_json(source)
    except ValueError as error:
        raise SourceRefused(f"the source begins with [ but is no JSON array of pieces: {error}") from error
    if not isinstance(places, list) or not places or not all(map(_is_piece, places)):
        raise SourceRefused("the source is a JSON array, but not of paths and URLs of pieces")
    return tuple(places)


def _is_piece(place: object) -> bool:
    return isinstance(place, str) and place != "" and place == encodable(place) and not is_replay(place)


@dataclass(frozen=True)
class _Media:
    """A media playlist of the replay: what it joins, and into which file."""

    playlist: Playlist
    sections: tuple[Section, ...]
    target: Path
    rendition: Rendition | None = None
    """None for the film itself."""

    @property
    def is_text(self) -> bool:
        return self.rendition is not None and self.rendition.kind == "text"

    @property
    def changes(self) -> bool:
        """Whether its parts cannot be joined by their bytes."""
        return len(self.sections) > 1 and any(section.init for section in self.sections)

    @property
    def steady(self) -> bool:
        """Whether its clock runs through."""
        return not missing(self.playlist) and not any(s.discontinuity for s in self.playlist.segments[1:])


@dataclass
class Replay:
    """Joins the pieces of one source into files in `folder`."""

    folder: Path
    bring: Bring
    limits: Limits
    remux: Remux
    _bytes: int = field(default=0, init=False)
    """Of all files so far."""

    def assemble(self, source: str, *, with_video: bool = True) -> tuple[Path, Beside]:
        """The film's file, and what goes with it; without video its sound alone.

        Raises SourceRefused, SourceUnreadable, LimitExceeded, and what `bring` and `remux` raise.
        """
        target = self.folder / "replay"
        if source.lstrip().startswith("["):
            self._join([Section(None, tuple(Piece(place) for place in listed(source)))], target)
            return target, Beside()
        playlist = self._read(source)
        variant = best_variant(source, playlist) if playlist.multivariant else Variant(source)
        variant = variant if with_video else variant.sound_alone()
        self.limits.check_streams(1 + len(variant.renditions))
        film = self._media(variant.place, target)
        found = [
            self._media(rendition.place, self.folder / f"side-{number}", rendition)
            for number, rendition in enumerate(variant.renditions, 1)
        ]
        sides = [media for media in found if not (media.is_text and media.sections[0].init)]
        apart = any(media.changes for media in (film, *sides) if not media.is_text)
        for media in (film, *sides):
            if media.is_text:
                self._join_texts(media)
            else:
                self._join(media.sections, media.target, apart=apart, packed=media.steady)
        return target, Beside(
            own_sound=variant.own_sound,
            about=variant.about,
            sides=tuple(
                Side(path=str(m.target), kind=m.rendition.kind, about=m.rendition.about) for m in sides if m.rendition
            ),
            ahead=AHEAD if apart else 0,
            warnings=_lost([film, *sides]),
            ignored=tuple(_not_webvtt(media) for media in found if media not in sides),
        )

    def _media(self, place: str, target: Path, rendition: Rendition | None = None) -> _Media:
        playlist = self._read(place)
        return _Media(playlist, sections(place, playlist), target, rendition)

    def _read(self, place: str) -> Playlist:
        file = self._file(place)
        if file.stat().st_size > PLAYLIST_BYTES:
            raise SourceRefused(f"the playlist has more than {PLAYLIST_BYTES} bytes")
        return parse("the playlist", file.read_bytes().decode("utf-8", "replace"))

    def _file(self, place: str) -> Path:
        file = self.bring(place)
        if not file.is_file():
            raise SourceRefused(f"the piece {place} is not a file")
        return file

    def _join(self, parts: Sequence[Section], target: Path, *, apart: bool = False, packed: bool = False) -> None:
        """One file of all; with `apart` each part of fMP4 is made MPEG-TS by itself; `packed` audio is taken too."""
        with target.open("wb") as whole:
            for part in parts:
                if part.init is None:
                    for piece in part.pieces:
                        self._append(whole, piece, partial(_skipped, first=not whole.tell(), packed=packed))
                elif apart:
                    self._append_remuxed(whole, part)
                else:
                    self._append_fragments(whole, part)

    def _append_fragments(self, whole: IO[bytes], part: Section) -> None:
        for piece in (part.init, *part.pieces):
            if piece is not None:
                self._append(whole, piece)

    def _append_remuxed(self, whole: IO[bytes], part: Section) -> None:
        fragments, transport = self.folder / "part.mp4", self.folder / "part.ts"
        with fragments.open("wb") as file:
            self._append_fragments(file, part)
        self.remux(fragments, transport)
        with transport.open("rb") as made:
            shutil.copyfileobj(made, whole, BLOCK)
        fragments.unlink()
        transport.unlink()

    def _join_texts(self, media: _Media) -> None:
        """WebVTT files behind each other; the header of each begins a block of its own."""
        with media.target.open("wb") as whole:
            for piece in (piece for part in media.sections for piece in part.pieces):
                self._append(whole, piece)
                whole.write(b"\n\n")

    def _append(self, whole: IO[bytes], piece: Piece, skipped: Callable[[bytes, str], int] = lambda *_: 0) -> None:
        """Appends a piece without as many bytes as `skipped` says of its beginning."""
        file = self._file(piece.place)
        before = self._bytes
        with file.open("rb") as opened:
            opened.seek(piece.start)
            skip = skipped(opened.peek(), piece.place)
            opened.seek(piece.start + skip)
            left = (file.stat().st_size if piece.length is None else piece.length) - skip
            while left > 0 and (block := opened.read(min(left, BLOCK))):
                self._bytes += len(block)
                self.limits.check_bytes(self._bytes)
                whole.write(block)
                left -= len(block)
        if self._bytes == before or left > 0:
            raise SourceUnreadable(f"the piece {piece.place} is empty or shorter than the playlist says")


def _skipped(head: bytes, place: str, *, first: bool, packed: bool) -> int:
    """Bytes to leave out of a piece: of packed audio the tag, but for the first one, which tells the time."""
    if head[:1] == b"G":  # the sync byte of MPEG-TS
        return 0
    tag = tag_size(head)
    if not tag:
        raise SourceRefused(f"the piece {place} is not MPEG-TS, and only such pieces can be joined")
    if not packed:
        raise SourceRefused(f"the piece {place} is packed audio, which cannot be joined where its clock may change")
    return 0 if first else tag


def _lost(found: Sequence[_Media]) -> tuple[str, ...]:
    lost = sum(missing(media.playlist) for media in found)
    return (f"pieces that the playlist says are missing (EXT-X-GAP): {lost}",) if lost else ()


def _not_webvtt(media: _Media) -> str:
    about = media.rendition.about if media.rendition else About()
    return f"subtitles {about.title!r} ({about.language}): not converted, they are fMP4 and not WebVTT"
