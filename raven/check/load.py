"""Gathers a tree through a Reader: manifests first, then init segments, then what is needed of each segment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from raven import names
from raven.check import images, m3u8, mpd, vtt
from raven.check.addressing import Reference
from raven.check.codecs import Codec
from raven.check.isobmff import Init, parse_init
from raven.check.m3u8 import Playlist
from raven.check.mpd import Mpd, MpdError, Representation
from raven.check.paths import OutsideTree, Resource, resolve
from raven.check.readers import MAX_TEXT, Reader, ReadError, Redirected
from raven.check.segments import Segment, parse_segment
from raven.check.sidx import parse_index
from raven.check.source import MAX_BOX
from raven.check.tree import Problem, Tree, map_resource, segment_resource
from raven.errors import UsageError
from raven.media.boxes import BoxError

T = TypeVar("T")
Known = MutableMapping[Resource, Segment]
_Place = tuple[str, Resource | None, Resource | None]
"""Where it is named, the init segment, the segment."""
_Places = dict[Resource, tuple[str, Resource | None]]
"""Where each is named, and its init segment."""


def find_manifests(reader: Reader) -> tuple[str, ...]:
    """The entry points at the root of a tree: by Raven's names, else whatever playlist and MPD there is.

    Raises UsageError where there is none: this is no tree.
    """
    files = reader.names()
    if names.MULTIVARIANT in files or names.MPD in files:
        return tuple(name for name in (names.MULTIVARIANT, names.MPD) if name in files)
    playlists = [name for name in files if name.endswith((".m3u8", ".m3u"))]
    many = [name for name in playlists if m3u8.parse(name, _text(reader, name)).multivariant]
    found = (many or playlists)[:1] + [name for name in files if name.endswith(".mpd")][:1]
    if not found:
        raise UsageError("no streaming output is here: neither an HLS playlist (.m3u8) nor an MPD (.mpd)")
    return tuple(found)


def _text(reader: Reader, path: str) -> str:
    """A text file. Raises ReadError."""
    data = reader.read(path, 0, MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise ReadError(f"more than {MAX_TEXT >> 20} MiB of text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ReadError("not UTF-8") from error


def load(reader: Reader, manifests: Iterable[str], name: str, known: Known | None = None) -> Tree:
    """The tree of these entry points. Raises UsageError where not one of them is a manifest.

    `known`: segments that need not be read again, and that those read now are added to.
    """
    loader = _Loader(reader, {} if known is None else known)
    for path in manifests:
        loader.manifest(path)
    if not loader.playlists and loader.mpd is None and loader.multivariant is None:
        raise UsageError("; ".join(f"{p.where}: {p.reason}" for p in loader.problems) or "there is no manifest")
    loader.media()
    return Tree(
        name=name,
        multivariant=loader.multivariant,
        playlists=loader.playlists,
        mpd=loader.mpd,
        inits=loader.inits,
        segments=loader.segments,
        indexed=loader.indexed,
        texts=loader.texts,
        problems=tuple(loader.problems),
        served=reader.served(),
        origin=reader.origin,
    )


def read_ahead(reader: Reader, wanted: Iterable[tuple[Resource, Resource]], known: Known) -> None:
    """Reads segments that no manifest names yet, each with its init segment, into `known`, for a `load` to come."""
    new = [(str(segment), init, segment) for init, segment in wanted if segment not in known]
    loader = _Loader(reader, known)
    loader.read_inits(new)
    loader.read_segments(new)


@dataclass
class _Loader:
    reader: Reader
    known: Known
    multivariant: Playlist | None = None
    playlists: dict[str, Playlist] = field(default_factory=dict)
    mpd: Mpd | None = None
    inits: dict[Resource, Init] = field(default_factory=dict)
    segments: dict[Resource, Segment] = field(default_factory=dict)
    indexed: dict[str, tuple[Reference, ...]] = field(default_factory=dict)
    texts: dict[str, vtt.Vtt] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    ciphered: set[Resource] = field(default_factory=set)
    """Segments that are ciphertext as a whole (RFC 8216 4.3.2.4)."""
    pictures: set[Resource] = field(default_factory=set)
    """Segments of I-frame playlists (RFC 8216 4.3.3.6)."""

    def manifest(self, path: str) -> None:
        """An entry point with the playlists that it names."""
        text = self._read_text(path, path)
        if text is None:
            return
        if path.partition("?")[0].endswith(".mpd") or text.lstrip("\ufeff \n").startswith("<"):
            try:
                self.mpd = mpd.parse(path, text, self.reader.origin)
            except MpdError as error:
                self.problems.append(Problem("damaged", path, f"no MPD: {error}"))
            return
        playlist = m3u8.parse(path, text)
        if not playlist.headed and not playlist.tags:
            self.problems.append(Problem("damaged", path, "no playlist: it has not one tag of HLS"))
        elif playlist.multivariant:
            self.multivariant = playlist
            for line, uri in _named(playlist):
                self._playlist(f"{path} line {line}", path, uri)
        else:
            self.playlists[path] = playlist

    def _playlist(self, where: str, base: str, uri: str) -> None:
        path = self._resolve(where, base, uri)
        if path is None or path in self.playlists:
            return
        text = self._read_text(where, path)
        if text is not None:
            self.playlists[path] = m3u8.parse(path, text)

    def _resolve(self, where: str, base: str, uri: str) -> str | None:
        try:
            return resolve(base, uri, self.reader.origin)
        except OutsideTree as error:
            self.problems.append(Problem("outside", where, str(error)))
            return None

    def _read_text(self, where: str, path: str) -> str | None:
        try:
            return _text(self.reader, path)
        except ReadError as error:
            self.problems.append(Problem(_kind(error), where, f"{path}: {error}"))
            return None

    def media(self) -> None:
        """All that the manifests name."""
        wanted = list(self._wanted())
        self.read_inits(wanted)
        self.read_segments([*wanted, *self._index()])

    def read_inits(self, wanted: Sequence[_Place]) -> None:
        """Side by side, as far as the reader likes."""
        first = {init: where for where, init, _ in reversed(wanted) if init}
        with ThreadPoolExecutor(self.reader.parallel) as pool:
            found = pool.map(lambda one: self._guard(one[1], lambda: self._init(one[0])), first.items())
            self.inits |= {resource: init for resource, init in zip(first, found, strict=True) if init}

    def read_segments(self, wanted: Iterable[_Place]) -> None:
        """The same, once their init segments are read."""
        files: dict[str, _Places] = {}
        for where, init, resource in wanted:
            if resource and (known := self.known.get(resource)):
                self.segments[resource] = known
            elif resource:
                files.setdefault(resource.path, {}).setdefault(resource, (where, init))
        self.reader.expect(files)
        with ThreadPoolExecutor(self.reader.parallel) as pool:
            for new in pool.map(self._file, files.values()):
                self.segments |= new
                self.known.update(
                    {resource: segment for resource, segment in new.items() if segment.container == "mp4"}
                )

    def _file(self, places: _Places) -> dict[Resource, Segment]:
        """All of one file in a row: a file of I-frames has many pieces, and a reader keeps small files for a while."""
        read = {r: self._guard(where, lambda: self._segment(r, init)) for r, (where, init) in places.items()}  # noqa: B023
        return {resource: segment for resource, segment in read.items() if segment}

    def _wanted(self) -> Iterator[_Place]:
        for playlist in self.playlists.values():
            for found in playlist.segments:
                where = f"{playlist.path} line {found.line}"
                resource = segment_resource(playlist, found, self.reader.origin)
                if resource is None:
                    self._resolve(where, playlist.path, found.uri)
                elif found.key and found.key.text("METHOD") == "AES-128":
                    self.ciphered.add(resource)
                elif playlist.iframes_only:
                    self.pictures.add(resource)
                yield where, map_resource(playlist.path, found.map, self.reader.origin), resource
        for representation in self.mpd.representations if self.mpd else ():
            how = representation.addressing
            yield representation.where, how.init, None
            for number, reference in enumerate(how.references, 1):
                yield f"{representation.where} segment {number}", how.init, reference.resource

    def _guard(self, where: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ReadError as error:
            self.problems.append(Problem(_kind(error), where, str(error)))
        except BoxError as error:
            self.problems.append(Problem("damaged", where, str(error)))
        return None

    def _span(self, resource: Resource) -> int:
        """Bytes of a resource. Raises ReadError where the file is shorter."""
        total = self.reader.size(resource.path)
        length = total - resource.start if resource.length is None else resource.length
        if length <= 0 or resource.start + length > total:
            raise ReadError(f"{resource}: the file has {total} bytes")
        return length

    def _init(self, resource: Resource) -> Init:
        if resource.length is None:
            return parse_init(self._header(resource.path))
        length = self._span(resource)
        if length > MAX_BOX:
            raise BoxError(f"{resource}: an init segment of {length} bytes")
        return parse_init(self.reader.read(resource.path, resource.start, length))

    def _header(self, path: str) -> bytes:
        """The boxes of a file up to its moov; what follows may be the media itself."""
        total = self.reader.size(path)
        at, data = 0, b""
        while at < total and at < MAX_BOX:
            head = self.reader.read(path, at, 16)
            size = int.from_bytes(head[:4], "big")
            if len(head) < 8 or size < 8 or size > MAX_BOX or at + size > total:
                raise BoxError(f"{path}: no init segment: a box of {size} bytes at {at}, {total - at} are there")
            data += self.reader.read(path, at, size)
            at += size
            if head[4:8] == b"moov":
                return data
        raise BoxError(f"{path}: no moov in {total} bytes")

    def _segment(self, resource: Resource, init: Resource | None) -> Segment:
        length = self._span(resource)
        if resource.path.partition("?")[0].endswith(images.SUFFIXES):
            head = self.reader.read(resource.path, resource.start, min(length, images.HEAD))
            return Segment("image" if images.is_picture(head) else "damaged", length, size=images.size_of(head))
        if resource in self.ciphered:
            return Segment("encrypted", length)
        known = self.inits.get(init) if init else None
        codec, defaults = (known.codec, known.defaults) if known else (Codec(""), None)

        def read(start: int, count: int) -> bytes:
            return self.reader.read(resource.path, resource.start + start, min(count, length - start))

        segment = parse_segment(read, length, codec, defaults, picture=resource in self.pictures)
        if segment.container == "text":
            self.texts[resource.path] = vtt.parse(_text(self.reader, resource.path))
        return segment

    def _index(self) -> Iterator[_Place]:
        """The subsegments that a sidx names (ISO/IEC 23009-1 5.3.9.2)."""
        for representation in self.mpd.representations if self.mpd else ():
            how = representation.addressing
            if how.kind == "SegmentBase" and how.index is not None:
                found = self._guard(representation.where, lambda: tuple(self._subsegments(representation)))  # noqa: B023
                self.indexed[representation.where] = found or ()
                yield from ((representation.where, how.init, reference.resource) for reference in found or ())

    def _subsegments(self, representation: Representation) -> Iterator[Reference]:
        where = representation.addressing.index
        if where is None or where.length is None:
            raise BoxError("no @indexRange")
        index = parse_index(self.reader.read(where.path, where.start, min(where.length, MAX_BOX)))
        at, time = where.start + where.length + index.offset, index.earliest
        for size, ticks in index.entries:
            yield Reference(Resource(where.path, at, size), time, ticks)
            at, time = at + size, time + ticks


def _kind(error: ReadError) -> str:
    return "moved" if isinstance(error, Redirected) else "missing"


def _named(playlist: Playlist) -> Iterator[tuple[int, str]]:
    """The playlists that a multivariant playlist names, with their lines."""
    yield from ((tag.line, uri) for tag, uri in playlist.variants if uri)
    for tag in playlist.tags:
        if tag.name in ("EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF") and tag.text("URI"):
            yield tag.line, tag.text("URI") or ""
