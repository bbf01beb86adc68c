"""What the manifests tell: tracks with their segments, in exact times. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

from raven.errors import OutputWrong
from raven.media.codecs import codec_string, colour
from raven.media.grid import AudioGrid, Grid, in_ticks, round_nearest
from raven.media.sprites import Sheets
from raven.model import Rendition, TrackSegments, VideoRange, video_range


def printable(text: str) -> str:
    """Text as manifests can hold it: control characters are legal in neither XML nor a playlist."""
    return "".join(c for c in text if c.isprintable())


@dataclass(frozen=True)
class TimedSegment:
    """A segment of `ticks` of its track, `duration` seconds and `bytes`."""

    ticks: int
    duration: Fraction
    bytes: int


@dataclass(frozen=True)
class IFrame:
    """An I-frame of the trick play rendition: the byte range of its fragment in a segment, and how long it lasts."""

    segment: int
    """Number of the segment, from 1."""
    offset: int
    bytes: int
    duration: Fraction


def peak_rate(parts: Sequence[TimedSegment | IFrame]) -> int:
    """Bit/s of the densest run of 0.5 to 1.5 target durations, which are whole seconds (RFC 8216 4.3.4.2, 4.3.3.1)."""
    scale, lengths = in_ticks([s.duration for s in parts])
    sizes = [s.bytes for s in parts]
    target = scale * max(1, round_nearest(Fraction(max(lengths), scale)))
    peak, over = 0, 1
    for first in range(len(parts)):
        size = length = 0
        for place in range(first, len(parts)):
            size, length = size + sizes[place], length + lengths[place]
            if 2 * length > 3 * target:
                break
            if 2 * length >= target and size * over > peak * length:
                peak, over = size, length
    if not peak:  # a film of less than half a second has no such run
        peak, over = sum(sizes), sum(lengths)
    return math.ceil(Fraction(8 * peak * scale, over))


@dataclass(frozen=True)
class Track:
    """What audio and video tracks have in common. All start at presentation time 0."""

    name: str
    codec: str
    timescale: int
    segments: tuple[TimedSegment, ...]

    @cached_property
    def peak_bandwidth(self) -> int:
        """Bit/s of the densest run of 0.5 to 1.5 target durations (RFC 8216 4.3.4.2; Apple 1.27, 9.13).

        So a last segment of some frames, nearly all of it an IDR, is no peak by itself.
        """
        return peak_rate(self.segments)

    @cached_property
    def average_bandwidth(self) -> int:
        """Bit/s over all segments (Apple 1.26, 9.14)."""
        scale, lengths = in_ticks([s.duration for s in self.segments])
        return math.ceil(Fraction(8 * self.bytes * scale, sum(lengths)))

    @cached_property
    def bytes(self) -> int:
        return sum(s.bytes for s in self.segments)


@dataclass(frozen=True)
class VideoTrack(Track):
    width: int
    height: int
    rate: Fraction
    """Pictures a second."""
    audio: str | None = field(default=None, kw_only=True)
    """The only group of sound that HLS offers with it; None for all that no other has for itself."""
    colour: tuple[int, int, int] | None = field(default=None, kw_only=True)
    """Primaries, transfer and matrix (ITU-T H.273), None where the stream states none."""

    @property
    def video_range(self) -> VideoRange:
        return video_range(self.colour[1]) if self.colour else "SDR"

    @property
    def family(self) -> str:
        """The codec alone, such as `avc1`: what a player cannot switch between."""
        return self.codec.split(".", 1)[0]

    @property
    def carries_captions(self) -> bool:
        """Whether its encoder keeps captions in the pictures."""
        return self.family in ("avc1", "hvc1")


@dataclass(frozen=True)
class IframeTrack(VideoTrack):
    """The trick play rendition."""

    frames: tuple[IFrame, ...]

    @cached_property
    def peak_bandwidth(self) -> int:
        """Bit/s: I-frames are the segments of an I-frame playlist; a DASH segment has a few bytes more than its own."""
        return max(peak_rate(self.frames), peak_rate(self.segments))


@dataclass(frozen=True)
class AudioTrack(Track):
    source: str
    """The track of the source, which is the same in all groups."""
    group: str
    """The rendition of the profile; the first one has all tracks."""
    language: str
    """BCP 47."""
    label: str
    channels: int
    sample_rate: int
    default: bool
    describes: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class TextTrack(Track):
    """Subtitles: WebVTT in segments of their own, and whole in one file of `whole` bytes."""

    language: str
    """BCP 47."""
    label: str
    forced: bool
    hearing_impaired: bool
    whole: int
    cues: int


@dataclass(frozen=True)
class Presentation:
    """A whole task's output."""

    duration: Fraction
    rate: Fraction | None
    video: tuple[VideoTrack, ...]
    audio: tuple[AudioTrack, ...]
    iframes: IframeTrack | None = None
    text: tuple[TextTrack, ...] = ()
    sheets: Sheets | None = None
    captions: tuple[str, ...] = ()
    """Channels of closed captions in the pictures."""

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All of it, the trick play rendition too."""
        return (*self.video, *self.audio, *([self.iframes] if self.iframes else []), *self.text)


def groups(audio: Sequence[AudioTrack]) -> dict[str, tuple[AudioTrack, ...]]:
    """The groups of sound, each with every track of the source (RFC 8216 4.3.4.2.1): one that a rendition does not
    suit stands in its group as it is in the first."""
    first = {track.source: track for track in audio if track.group == audio[0].group}
    found: dict[str, dict[str, AudioTrack]] = {}
    for track in audio:
        found.setdefault(track.group, dict(first))[track.source] = track
    return {name: tuple(tracks.values()) for name, tracks in found.items()}


def groups_of(video: VideoTrack, presentation: Presentation) -> Sequence[str]:
    """The groups that are offered with a rendition; none where there is no sound."""
    known = groups(presentation.audio)
    if video.audio in known:
        return [video.audio]
    taken = {other.audio for other in presentation.video}
    return [name for name in known if name not in taken] or list(known)


def joined(parts: Iterable[TrackSegments], per_unit: int, what: str) -> TrackSegments:
    """One row of the segments of all chunks of a rendition; a unit (frame) lasts `per_unit` ticks.

    Raises OutputWrong where a segment is missing or doubled, a decode time leaves the row, or an init segment differs.
    """
    ordered = sorted(parts, key=lambda part: part.first)
    if not ordered:
        raise OutputWrong(f"{what}: there are no segments")
    number, time = 1, ordered[0].start
    for part in ordered:
        if part.first != number or part.start != time:
            raise OutputWrong(f"{what}: segment {part.first} at {part.start} follows where {number} at {time} belongs")
        if part.init_sha256 != ordered[0].init_sha256:
            raise OutputWrong(f"{what}: segment {part.first} belongs to another init segment: encoder builds differ")
        number += len(part.segments)
        time += per_unit * sum(s.length for s in part.segments)
    segments = tuple(s for part in ordered for s in part.segments)
    return ordered[0].model_copy(update={"segments": segments})


def timed(track: TrackSegments, unit: int, timescale: int) -> tuple[TimedSegment, ...]:
    """The segments in ticks and seconds; a unit of length lasts `unit` ticks."""
    return tuple(TimedSegment(s.length * unit, Fraction(s.length * unit, timescale), s.bytes) for s in track.segments)


def video_track(
    rendition: Rendition, parts: Sequence[TrackSegments], grid: Grid, frames: int, init: bytes
) -> VideoTrack:
    """A rendition, checked: its segments last `frames` of the grid, whether it has all of them or not.

    Raises OutputWrong.
    """
    row = joined(parts, grid.frame_ticks, rendition.name)
    total = sum(s.length for s in row.segments)
    if total != frames:
        raise OutputWrong(f"{rendition.name}: its segments last {total} frames, the source {frames}")
    return VideoTrack(
        name=rendition.name,
        codec=codec_string(init),
        timescale=grid.timescale,
        segments=timed(row, grid.frame_ticks, grid.timescale),
        width=rendition.width,
        height=rendition.height,
        rate=grid.rate / rendition.every,
        audio=rendition.audio,
        colour=colour(init),
    )


def check_audio(track: TrackSegments, grid: AudioGrid, what: str) -> None:
    """Raises OutputWrong unless the segments hold exactly the track's packets."""
    total = sum(s.length for s in track.segments)
    if total != grid.packets * grid.packet:
        raise OutputWrong(f"{what}: its segments have {total} samples, wanted {grid.packets * grid.packet}")
