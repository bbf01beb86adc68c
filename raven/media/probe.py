"""Probing with PyAV: opens a source and says what is in it, in one pass that a cut can go on from.

Runs on untrusted bytes: in a child process only (see `master.cutter`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.format import Flags

from raven.errors import NoDecoder, SourceUnreadable
from raven.intake import (
    Bring,
    OnlySource,
    check_colours,
    check_container,
    check_packets,
    codec_names,
    demuxer_options,
    hidden_edges,
    open_door,
)
from raven.limits import Limits
from raven.media.head import LATEST_KEY, SAMPLE_BYTES, first_frames, first_time, sample, seen_only
from raven.media.packets import Continuity, join_fields, without_leftovers
from raven.media.pictures import by_fields, video_facts
from raven.media.programs import moved, program_of, programs
from raven.media.streams import audio_facts, audio_streams, language_of, main_video, tick_of, unseen_video
from raven.media.subtitles import (
    Broadcast,
    broadcast_streams,
    chapters,
    page_facts,
    text_facts,
    text_streams,
    unconverted,
)
from raven.model import MOST_SECONDS, SourceFacts, TextFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

DEFAULT_LIMITS = Limits()
OPEN_OPTIONS = {
    "fflags": "+genpts",  # AVI and friends carry decode times only
    # a transport stream's text keeps its own times, right where ffmpeg has muxed it; BroadcastCopy mends wild ones
    "fix_teletext_pts": "0",
}
FAR_OPTIONS = {"analyzeduration": str(LATEST_KEY * 1_000_000), "probesize": str(SAMPLE_BYTES)}
"""Where pictures may begin late; else libavformat looks at 5 MB or 7 s."""

MOVED_OPTIONS = {"merge_pmt_versions": "1"}
"""Where streams of MPEG-TS move to other PIDs in the middle: else each ends there, and another begins. Not wherever
tables change, as libavformat goes by their order: of two sounds where there was one it may take both for the one."""


class SourceBroken(SourceUnreadable):
    """Reading ended before the source did."""


@dataclass
class Opened:
    """An open source: its facts, and the packets that the probe has read already."""

    container: InputContainer
    facts: SourceFacts
    video: VideoStream | None
    audio: dict[str, AudioStream]
    text: dict[str, SubtitleStream]
    broadcast: tuple[Broadcast, ...]
    head: list[Packet]
    flow: Iterator[Packet]
    """The packets after those."""
    door: OnlySource
    clock: Continuity
    """What has been mended of its time line so far."""

    def packets(self) -> Iterator[Packet]:
        """All packets of the streams in use, from the first on."""
        yield from self.head
        self.head = []
        yield from self.flow

    def conformed(self) -> Opened:
        """The same, to be decoded onto the grid rather than cut by its packets."""
        if self.facts.video is not None:
            video = self.facts.video.model_copy(update={"way": "conform"})
            self.facts = self.facts.model_copy(update={"video": video})
        return self

    def close(self) -> None:
        self.container.close()
        self.door.close()


def _packets(
    container: InputContainer, streams: list[Stream], video: VideoStream | None, clock: Continuity
) -> Iterator[Packet]:
    """The packets of the streams in use: one frame each, on one time line."""
    flow = join_fields((p for p in _demux(container, streams) if p.size), video)
    if MOVED_OPTIONS.items() <= container.options.items():
        flow = without_leftovers(flow)
    if Flags(container.format.flags) & Flags.ts_discont:
        flow = map(clock.mend, flow)
    return flow


def _demux(container: InputContainer, streams: list[Stream]) -> Iterator[Packet]:
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        raise SourceBroken(f"the source breaks off while it is read: {error.strerror}") from error


@dataclass(frozen=True)
class Wanted:
    """What of a source is wanted, and whether each field as a frame. `clock` knows of the breaks that it may have."""

    video: bool = True
    sound: bool = True
    fields: bool = False
    clock: Continuity = field(default_factory=Continuity)


def open_source(
    path: str, limits: Limits = DEFAULT_LIMITS, wanted: Wanted | None = None, bring: Bring | None = None
) -> Opened:
    """Opens and probes `path`, all of it unless told what is wanted; one with holes where `bring` fills them.

    Raises SourceUnreadable, SourceRefused or LimitExceeded with the reason.
    """
    try:
        door = OnlySource(path, limits, bring)
    except OSError as error:
        raise SourceUnreadable(f"the source cannot be read: {error.strerror}") from error
    try:
        return _open(door, limits, wanted or Wanted())
    except BaseException as error:
        door.close()
        if isinstance(error, SourceUnreadable | NoDecoder):
            raise door.explain(error) from error
        raise


def _open(door: OnlySource, limits: Limits, wanted: Wanted) -> Opened:
    options = {**OPEN_OPTIONS, **demuxer_options(limits)}
    # a pipe is read once: as far as could be needed
    container, complaints = open_door(door, options if door.seekable() else options | FAR_OPTIONS)
    if wanted.video and door.seekable() and unseen_video(container):
        container.close()
        door.seek(0)
        container, complaints = open_door(door, options | FAR_OPTIONS)
    if container.format.name == "mpegts" and door.seekable() and moved(door.head, door.tail()):
        container.close()
        door.seek(0)
        container, complaints = open_door(door, options | FAR_OPTIONS | MOVED_OPTIONS)
    try:
        check_container(container, limits, complaints, with_video=wanted.video)
        return _probe(container, door, wanted)
    except BaseException:
        container.close()
        raise


def _probe(container: InputContainer, door: OnlySource, wanted: Wanted) -> Opened:
    video, ignored = main_video(container, wanted.video)
    told = programs(door.head) if container.format.name == "mpegts" else {}
    program = program_of(video.id, told) if video is not None else None
    audio, mute = audio_streams(container, program) if wanted.sound else ({}, [])
    if video is None and not audio:
        if not wanted.video:
            raise SourceUnreadable("the source has no audio track that can be decoded; this profile makes sound alone")
        fault = "the source has neither a video nor an audio track that can be decoded"
        raise NoDecoder(fault) if container.streams.video else SourceUnreadable(fault)
    codecs = codec_names(container)
    text, broadcast = text_streams(container, language_of), broadcast_streams(container, codecs, told, program)
    texts: list[Stream] = [*text.values(), *(b.stream for b in broadcast)]
    streams: list[Stream] = [*([video] if video else []), *audio.values(), *texts]
    unseen = unseen_video(container) if wanted.video else []
    flow = seen_only(_packets(container, streams + unseen, video, wanted.clock), unseen)
    head = sample(flow, video)
    check_packets(head)
    if video is not None:
        check_colours(container, video)
    facts = SourceFacts(
        container=container.format.name,
        duration=_claimed(container),
        bytes=container.size if container.size > 0 else None,
        origin=Fraction(0),
        video=None,
        audio=tuple(audio_facts(name, stream) for name, stream in audio.items()),
        text=_all_text(text, broadcast),
        ignored=tuple(ignored + mute + unconverted(container, texts, codecs)),
    )
    if video is not None:
        timed = not Flags(container.format.flags) & Flags.no_timestamps
        frames = first_frames(video, head, timed)
        seconds = Fraction(container.duration, 1_000_000) if container.duration and container.duration > 0 else None
        made = video_facts(video, frames, head, timed, seconds, hidden_edges(container, video))
        first = frames[0].dts if made.decode_timed else frames[0].pts
        origin = (first or 0) * tick_of(video) if timed else Fraction(0)
        facts = facts.model_copy(update={"video": by_fields(made) if wanted.fields else made, "origin": origin})
    else:
        facts = facts.model_copy(update={"origin": first_time(head, audio.values())})
    facts = facts.model_copy(update={"chapters": chapters(container, facts.origin)})
    return Opened(container, facts, video, audio, text, broadcast, head, flow, door, wanted.clock)


def _claimed(container: InputContainer) -> float | None:
    """Seconds that the container says; a broken one may say anything."""
    seconds = (container.duration or 0) / 1_000_000
    return seconds if 0 < seconds <= MOST_SECONDS else None


def _all_text(text: dict[str, SubtitleStream], broadcast: tuple[Broadcast, ...]) -> tuple[TextFacts, ...]:
    """The text tracks; of broadcasts those that are described, though not all may have something to say."""
    plain = [text_facts(name, stream, language_of(stream)) for name, stream in text.items()]
    pages = [(b, page) for b in broadcast for page in b.pages]
    described = (page_facts(b.stream.index, b.sort.codec, page, n) for n, (b, page) in enumerate(pages, len(plain) + 1))
    return (*plain, *described)
