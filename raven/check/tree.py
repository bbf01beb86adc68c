"""A whole tree as a value: what its manifests say and what its bytes are. Pure; the rules are functions of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache

from raven.check.addressing import Reference
from raven.check.isobmff import Init
from raven.check.m3u8 import MediaSegment, Playlist, Tag, byte_range
from raven.check.mpd import AdaptationSet, Mpd, Period, Representation
from raven.check.numbers import fraction
from raven.check.paths import OutsideTree, Resource, resolve
from raven.check.segments import Fragment, Segment
from raven.check.timed import Timed
from raven.check.vtt import Vtt
from raven.media.grid import in_ticks


@dataclass(frozen=True)
class Problem:
    """A reference that could not be read: `kind` is `missing`, `moved`, `damaged` or `outside`."""

    kind: str
    where: str
    reason: str


@dataclass(frozen=True)
class Served:
    """How a web server delivers a file."""

    mime: str
    gzip: bool


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

    @cached_property
    def duration(self) -> Fraction:
        """As declared."""
        scale, lengths = in_ticks([s.duration for s in self.segments])
        return Fraction(sum(lengths), scale)

    @cached_property
    def pairs(self) -> tuple[tuple[Init, Timed, Segment], ...]:
        """The segments that could be read as CMAF, with their init segments."""
        return tuple(
            (timed.init, timed, timed.segment)
            for timed in self.segments
            if timed.init and timed.init.timescale and timed.segment and timed.segment.fragments
        )

    @cached_property
    def frame_rate(self) -> Fraction | None:
        """Frames/s over all samples but the last, which may end early: with the film."""
        fragments = [f for _, _, s in self.pairs for f in s.fragments]
        samples, ticks = sum(f.samples for f in fragments), sum(f.duration for f in fragments)
        if samples > 1 and ticks > fragments[-1].final:
            samples, ticks = samples - 1, ticks - fragments[-1].final
        return Fraction(samples * self.init.timescale, ticks) if self.init and ticks else None

    @cached_property
    def peak(self) -> Fraction:
        """Bit/s of the densest run of 0.5 to 1.5 target durations (RFC 8216 4.3.4.2), Apple's measured peak."""
        scale, lengths = in_ticks([s.duration for s in self.segments])
        target = scale * self.playlist.target if self.playlist and self.playlist.target else max(lengths, default=0)
        sizes = [s.bytes for s in self.segments]
        most, over = 0, 1
        for first in range(len(lengths)):
            size = duration = 0
            for place in range(first, len(lengths)):
                size, duration = size + sizes[place], duration + lengths[place]
                if duration * 2 > target * 3:
                    break
                if duration and duration * 2 >= target and size * over > most * duration:
                    most, over = size, duration
        return Fraction(8 * most * scale, over) or self.average

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
        scale, lengths = in_ticks([found.duration or Fraction(0) for found in playlist.segments])
        start = 0
        for found, length in zip(playlist.segments, lengths, strict=True):
            resource, init = (
                segment_resource(playlist, found, self.origin),
                map_resource(playlist.path, found.map, self.origin),
            )
            if resource is not None:
                where = f"{playlist.path} line {found.line}"
                yield Timed(
                    where, resource, fraction(start, scale), found.duration or Fraction(0), found.discontinuity,
                    self.inits.get(init) if init else None, self.segments.get(resource),
                )  # fmt: skip
            start += length

    @cached_property
    def dash_rows(self) -> tuple[tuple[Period, Track], ...]:
        """The Representations as tracks, each with its Period."""
        found = ((p, s, r) for p in (self.mpd.periods if self.mpd else ()) for s in p.sets for r in s.representations)
        return tuple((p, self._dash_track(p, s, r)) for p, s, r in found)

    @property
    def dash(self) -> tuple[Track, ...]:
        """The Representations as tracks."""
        return tuple(track for _, track in self.dash_rows)

    def in_set(self, group: AdaptationSet) -> tuple[Track, ...]:
        """The tracks of an AdaptationSet."""
        return tuple(track for track in self.dash if track.representation in group.representations)

    def _dash_track(self, period: Period, group: AdaptationSet, representation: Representation) -> Track:
        how = representation.addressing
        references = how.references or self.indexed.get(representation.where, ())
        init = self.inits.get(how.init) if how.init else None
        scale = how.timescale if how.references or init is None else max(1, init.timescale)
        segments = tuple(
            Timed(
                f"{representation.where} segment {n}",
                ref.resource,
                period.start + start if period.start else start,
                fraction(ref.duration, scale),
                n == 1,
                init,
                self.segments.get(ref.resource),
            )
            for n, ref in enumerate(references, 1)
            for start in (fraction(ref.start - how.offset, scale),)
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

    @cached_property
    def fragments(self) -> tuple[tuple[Track, Init, Timed, Fragment], ...]:
        """All of `tracks`; a dozen rules ask for each."""
        return tuple(
            (track, init, timed, fragment)
            for track in self.tracks
            for init, timed, segment in track.pairs
            for fragment in segment.fragments
        )


def segment_resource(playlist: Playlist, segment: MediaSegment, origin: str | None) -> Resource | None:
    """Where a segment lies, None outside of the tree."""
    try:
        return Resource(resolve(playlist.path, segment.uri, origin), segment.start, segment.length)
    except OutsideTree:
        return None


def map_resource(base: str, tag: Tag | None, origin: str | None) -> Resource | None:
    """Where the init segment of an EXT-X-MAP in the playlist `base` lies; None without one, or outside of the tree."""
    uri = tag.text("URI") if tag else None
    return _init_resource(base, uri, (tag and tag.text("BYTERANGE")) or "", origin) if uri else None


@lru_cache(maxsize=1 << 10)  # the same for all segments of a playlist
def _init_resource(base: str, uri: str, span: str, origin: str | None) -> Resource | None:
    found = byte_range(span)
    try:
        path = resolve(base, uri, origin)
    except OutsideTree:
        return None
    return Resource(path, found[1] or 0, found[0]) if found else Resource(path)
