"""Probing with PyAV: opens a source and says what is in it, in one pass that a cut can go on from.

Runs on untrusted bytes: in a child process only (see `master.cutter`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.format import Flags

from raven.errors import NoDecoder, SourceUnreadable
from raven.intake import Bring, OnlySource, check_container, check_packets, codec_names, demuxer_options, open_door
from raven.limits import Limits
from raven.media.packets import Continuity, join_fields
from raven.media.pictures import by_fields, video_facts
from raven.media.programs import program_of, programs
from raven.media.streams import audio_facts, audio_streams, language_of, main_video, tick_of
from raven.media.subtitles import (
    Broadcast,
    broadcast_streams,
    chapters,
    page_facts,
    text_facts,
    text_streams,
    unconverted,
)
from raven.model import SourceFacts, TextFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

DEFAULT_LIMITS = Limits()
SAMPLE_PACKETS = 300  # video packets looked at to tell the frame rate: 5 s at 60 frames/s
SAMPLE_SECONDS = 5
FIRST_FRAMES = 8  # decoded frames looked at to tell whether they are woven of fields
SAMPLE_BYTES = 64 << 20  # and never more memory than this
OPEN_OPTIONS = {
    "fflags": "+genpts",  # AVI and friends carry decode times only
    # a transport stream's text keeps its own times, right where ffmpeg has muxed it; BroadcastCopy mends wild ones
    "fix_teletext_pts": "0",
}


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
    container, complaints = open_door(door, {**OPEN_OPTIONS, **demuxer_options(limits)})
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
    flow = _packets(container, streams, video, wanted.clock)
    head = _sample(flow, video)
    check_packets(head)
    facts = SourceFacts(
        container=container.format.name,
        duration=container.duration / 1_000_000 if container.duration and container.duration > 0 else None,
        bytes=container.size if container.size > 0 else None,
        origin=Fraction(0),
        video=None,
        audio=tuple(audio_facts(name, stream) for name, stream in audio.items()),
        text=_all_text(text, broadcast),
        ignored=tuple(ignored + mute + unconverted(container, texts, codecs)),
    )
    if video is not None:
        timed = not Flags(container.format.flags) & Flags.no_timestamps
        frames = _first_frames(video, head, timed)
        seconds = Fraction(container.duration, 1_000_000) if container.duration and container.duration > 0 else None
        made = video_facts(video, frames, head, timed, seconds)
        first = frames[0].dts if made.decode_timed else frames[0].pts
        origin = (first or 0) * tick_of(video) if timed else Fraction(0)
        facts = facts.model_copy(update={"video": by_fields(made) if wanted.fields else made, "origin": origin})
    else:
        facts = facts.model_copy(update={"origin": _first_time(head, audio.values())})
    facts = facts.model_copy(update={"chapters": chapters(container, facts.origin)})
    return Opened(container, facts, video, audio, text, broadcast, head, flow, door, wanted.clock)


def _all_text(text: dict[str, SubtitleStream], broadcast: tuple[Broadcast, ...]) -> tuple[TextFacts, ...]:
    """The text tracks; of broadcasts those that are described, though not all may have something to say."""
    plain = [text_facts(name, stream, language_of(stream)) for name, stream in text.items()]
    pages = [(b, page) for b in broadcast for page in b.pages]
    described = (page_facts(b.stream.index, b.sort.codec, page, n) for n, (b, page) in enumerate(pages, len(plain) + 1))
    return (*plain, *described)


def _sample(flow: Iterator[Packet], video: VideoStream | None) -> list[Packet]:
    """The first packets, enough to tell the frame rate."""
    head: list[Packet] = []
    count = size = 0
    first: Fraction | None = None
    for packet in flow:
        head.append(packet)
        size += packet.size
        if packet.stream_index == video.index if video else packet.stream.type == "audio":
            count += 1
            time = packet.pts * packet.time_base if packet.pts is not None else None
            first = time if first is None else first
            far = time is not None and first is not None and time - first > SAMPLE_SECONDS
            if count >= SAMPLE_PACKETS or (far and count >= 12):
                break
        if size > SAMPLE_BYTES:
            break
    if not head:
        raise SourceUnreadable(
            "the source has no packets of audio or video; of a film in pieces, hand in its playlist or all of them"
        )
    return head


def _first_time(head: list[Packet], audio: Iterable[AudioStream]) -> Fraction:
    indices = {stream.index for stream in audio}
    times = [p.pts * p.time_base for p in head if p.pts is not None and p.stream_index in indices]
    if not times:
        raise SourceUnreadable("the source carries no time stamps")
    first = min(times)
    return Fraction(0) if -1 < first < 0 else first  # a little below zero is the encoder's priming, not sound


def _first_frames(video: VideoStream, head: list[Packet], timed: bool) -> list[VideoFrame]:
    """The first decodable frames. The very first: the origin of the grid, and the truth about size and orientation."""
    video.codec_context.thread_count = 1  # few frames are wanted soon, not many later
    fault = "no frame comes out of its decoder"
    found: list[VideoFrame] = []
    for packet in [p for p in head if p.stream_index == video.index]:
        try:
            found += [f for f in video.decode(packet) if f.pts is not None or not timed]
        except av.error.FFmpegError as error:
            fault = error.strerror or str(error)
        if len(found) >= FIRST_FRAMES:
            return found
    found += [f for f in _flush(video) if f.pts is not None or not timed]
    if not found:
        raise SourceUnreadable(f"the video ({video.codec_context.name}) cannot be decoded: {fault}")
    return found


def _flush(video: VideoStream) -> list[VideoFrame]:
    try:
        return video.decode(None)
    except av.error.FFmpegError:
        return []  # nothing is left in the decoder: the caller says that no frame came
