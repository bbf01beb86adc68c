"""A whole tree as a value: what its manifests say and what its bytes are. Pure; the rules are functions of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from raven.check.addressing import Reference
from raven.check.isobmff import Init
from raven.check.m3u8 import MediaSegment, Playlist, Tag, byte_range
from raven.check.mpd import AdaptationSet, Mpd, Period, Representation
from raven.check.paths import OutsideTree, Resource, resolve
from raven.check.segments import Segment
from raven.check.vtt import Vtt


@dataclass(frozen=True)
class Problem:
    """A reference that could not be read: `kind` is `missing`, `damaged` or `outside`."""

    kind: str
    where: str
    reason: str


@dataclass(frozen=True)
class Served:
    """How a web server delivers a file."""

    mime: str
    gzip: bool


@dataclass(frozen=True)
class Timed:
    """A segment as a manifest names it; declared times in seconds."""

    where: str
    resource: Resource
    start: Fraction
    duration: Fraction
    fresh: bool
    """Whether the manifest says that time starts anew here (a discontinuity)."""
    init: Init | None
    segment: Segment | None

    @property
    def bytes(self) -> int:
        return self.segment.bytes if self.segment else 0

    @property
    def seconds(self) -> Fraction | None:
        """Duration by its samples."""
        if self.segment is None or not self.segment.fragments or self.init is None or not self.init.timescale:
            return None
        return Fraction(self.segment.duration, self.init.timescale)


@dataclass(frozen=True, eq=False)
class Track:
    """One row of segments: a media playlist or a Representation. Equal only to itself."""

    where: str
    media: str
    """`video`, `audio`, `text`, `image`, `iframes`."""
    segments: tuple[Timed, ...]
    playlist: Playlist | None = None
    representation: Representation | None = None

    @property
    def init(self) -> Init | None:
        return next((s.init for s in self.segments if s.init), None)

    @property
    def duration(self) -> Fraction:
        """As declared."""
        return sum((s.duration for s in self.segments), Fraction(0))

    @property
    def pairs(self) -> Iterator[tuple[Init, Timed, Segment]]:
        """The segments that could be read as CMAF, with their init segments."""
        for timed in self.segments:
            if timed.init and timed.init.timescale and timed.segment and timed.segment.fragments:
                yield timed.init, timed, timed.segment

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames/s over all samples."""
        init = self.init
        samples = sum(f.samples for _, _, s in self.pairs for f in s.fragments)
        ticks = sum(s.duration for _, _, s in self.pairs)
        return Fraction(samples * init.timescale, ticks) if init and ticks else None

    @cached_property
    def peak(self) -> Fraction:
        """Bit/s of the densest run of 0.5 to 1.5 target durations (RFC 8216 4.3.4.2), Apple's measured peak."""
        target = (self.playlist and self.playlist.target) or max((s.duration for s in self.segments), default=0)
        peak = Fraction(0)
        for first in range(len(self.segments)):
            size, duration = 0, Fraction(0)
            for timed in self.segments[first:]:
                size, duration = size + timed.bytes, duration + timed.duration
                if duration * 2 > target * 3:
                    break
                if duration * 2 >= target and duration:
                    peak = max(peak, 8 * size / duration)
        return peak or self.average

    @cached_property
    def average(self) -> Fraction:
        """Bit/s over all segments."""
        return 8 * sum(s.bytes for s in self.segments) / self.duration if self.duration else Fraction(0)


@dataclass(frozen=True)
class Tree:
    """Everything that was read, by its path in the tree."""

    name: str
    multivariant: Playlist | None = None
    playlists: Mapping[str, Playlist] = field(default_factory=dict)
    """The media playlists."""
    mpd: Mpd | None = None
    inits: Mapping[Resource, Init] = field(default_factory=dict)
    segments: Mapping[Resource, Segment] = field(default_factory=dict)
    indexed: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)
    """Of Representations with a sidx, by `where`: the subsegments."""
    texts: Mapping[str, Vtt] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    served: Mapping[str, Served] = field(default_factory=dict)
    origin: str | None = None

    def path(self, base: str, uri: str) -> str | None:
        """The path that a reference leads to, None where it leads out."""
        try:
            return resolve(base, uri, self.origin)
        except OutsideTree:
            return None

    def playlist_of(self, uri: str | None) -> Playlist | None:
        """The media playlist that the multivariant playlist names so."""
        if self.multivariant is None or not uri:
            return None
        return self.playlists.get(self.path(self.multivariant.path, uri) or "")

    def track_of(self, uri: str | None) -> Track | None:
        found = self.playlist_of(uri)
        return self._by_path.get(found.path) if found else None

    @property
    def renditions(self) -> tuple[Tag, ...]:
        """The EXT-X-MEDIA tags."""
        return self.multivariant.all("EXT-X-MEDIA") if self.multivariant else ()

    def group(self, kind: str, name: str | None) -> tuple[Tag, ...]:
        return tuple(t for t in self.renditions if t.text("TYPE") == kind and t.text("GROUP-ID") == name)

    @property
    def iframe_tags(self) -> tuple[Tag, ...]:
        return self.multivariant.all("EXT-X-I-FRAME-STREAM-INF") if self.multivariant else ()

    @property
    def variants(self) -> tuple[tuple[Tag, Track | None], ...]:
        """The EXT-X-STREAM-INF tags with their own playlist's track."""
        found = self.multivariant.variants if self.multivariant else ()
        return tuple((tag, self.track_of(uri)) for tag, uri in found)

    @cached_property
    def _by_path(self) -> Mapping[str, Track]:
        return {track.where: track for track in self.hls}

    @cached_property
    def hls(self) -> tuple[Track, ...]:
        """The media playlists as tracks."""
        kinds = (
            {self.path(self.multivariant.path, t.text("URI") or ""): t for t in self.renditions}
            if self.multivariant
            else {}
        )
        return tuple(self._hls_track(playlist, kinds.get(path)) for path, playlist in self.playlists.items())

    def _hls_track(self, playlist: Playlist, tag: Tag | None) -> Track:
        segments = tuple(self._hls_segments(playlist))
        kind = {"AUDIO": "audio", "VIDEO": "video", "SUBTITLES": "text"}.get((tag and tag.text("TYPE")) or "", "")
        if playlist.iframes_only:
            kind = "iframes"
        handler = next((s.init.handler for s in segments if s.init), "vide")
        return Track(
            playlist.path,
            kind or {"soun": "audio", "text": "text", "subt": "text"}.get(handler, "video"),
            segments,
            playlist,
        )

    def _hls_segments(self, playlist: Playlist) -> Iterator[Timed]:
        start = Fraction(0)
        for found in playlist.segments:
            resource, init = (
                segment_resource(playlist, found, self.origin),
                map_resource(playlist, found.map, self.origin),
            )
            duration = found.duration or Fraction(0)
            if resource is not None:
                where = f"{playlist.path} line {found.line}"
                yield Timed(
                    where, resource, start, duration, found.discontinuity,
                    self.inits.get(init) if init else None, self.segments.get(resource),
                )  # fmt: skip
            start += duration

    @cached_property
    def dash(self) -> tuple[Track, ...]:
        """The Representations as tracks."""
        found = ((p, s, r) for p in (self.mpd.periods if self.mpd else ()) for s in p.sets for r in s.representations)
        return tuple(self.dash_track(*one) for one in found)

    def dash_track(self, period: Period, group: AdaptationSet, representation: Representation) -> Track:
        how = representation.addressing
        references = how.references or self.indexed.get(representation.where, ())
        init = self.inits.get(how.init) if how.init else None
        scale = how.timescale if how.references or init is None else max(1, init.timescale)
        segments = tuple(
            Timed(
                f"{representation.where} segment {n}",
                ref.resource,
                period.start + Fraction(ref.start - how.offset, scale),
                Fraction(ref.duration, scale),
                n == 1,
                init,
                self.segments.get(ref.resource),
            )
            for n, ref in enumerate(references, 1)
        )
        trick = group.values("EssentialProperty", "http://dashif.org/guidelines/trickmode")
        return Track(representation.where, "iframes" if trick else group.media, segments, representation=representation)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """Each row of CMAF segments once, whether HLS, DASH or both name it; no trick play."""
        seen: dict[tuple[Resource, ...], Track] = {}
        for track in (*self.hls, *self.dash):
            if track.media in ("video", "audio", "text") and any(
                s.segment and s.segment.container == "mp4" for s in track.segments
            ):
                seen.setdefault(tuple(s.resource for s in track.segments), track)
        return tuple(seen.values())


def segment_resource(playlist: Playlist, segment: MediaSegment, origin: str | None) -> Resource | None:
    """Where a segment lies, None outside of the tree."""
    try:
        return Resource(resolve(playlist.path, segment.uri, origin), segment.start, segment.length)
    except OutsideTree:
        return None


def map_resource(playlist: Playlist, tag: Tag | None, origin: str | None) -> Resource | None:
    """Where the init segment of an EXT-X-MAP lies; None without one, or outside of the tree."""
    if tag is None or not tag.text("URI"):
        return None
    span = byte_range(tag.text("BYTERANGE") or "")
    try:
        path = resolve(playlist.path, tag.text("URI") or "", origin)
    except OutsideTree:
        return None
    return Resource(path, span[1] or 0, span[0]) if span else Resource(path)
