"""Probing with PyAV: opens a source and says what is in it, in one pass that a cut can go on from.

Runs on untrusted bytes: in a child process only (see `master.cutter`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.stream import Disposition

from raven.errors import SourceUnreadable
from raven.media.grid import choose_rate
from raven.media.orient import orientation
from raven.media.subtitles import chapters, text_facts, text_streams, unconverted
from raven.model import AudioFacts, SourceFacts, VideoFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

SAMPLE_PACKETS = 300  # video packets looked at to tell the frame rate: 5 s at 60 frames/s
SAMPLE_SECONDS = 5
SAMPLE_BYTES = 64 << 20  # and never more memory than this
OPEN_OPTIONS = {
    "fflags": "+genpts",  # AVI and friends carry decode times only
    "protocol_whitelist": "file",  # a playlist or reference inside the file reaches nothing else
    "enable_drefs": "0",  # nor does a QuickTime reference movie
}


@dataclass
class Opened:
    """An open source: its facts, and the packets that the probe has read already."""

    container: InputContainer
    facts: SourceFacts
    video: VideoStream | None
    audio: dict[str, AudioStream]
    text: dict[str, SubtitleStream]
    head: list[Packet]

    def packets(self) -> Iterator[Packet]:
        """All packets of the streams in use, from the first on."""
        yield from self.head
        self.head = []
        streams: list[Stream] = [*([self.video] if self.video else []), *self.audio.values(), *self.text.values()]
        yield from (p for p in _demux(self.container, streams) if p.size)

    def close(self) -> None:
        self.container.close()


def _demux(container: InputContainer, streams: list[Stream]) -> Iterator[Packet]:
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        raise SourceUnreadable(f"the source breaks off while it is read: {error.strerror}") from error


def open_source(path: str, *, with_video: bool = True) -> Opened:
    """Opens and probes `path`, for its sound alone if so wished. Raises SourceUnreadable with the reason."""
    try:
        container = av.open(path, options=dict(OPEN_OPTIONS), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceUnreadable(f"the source cannot be read as audio or video: {reason}") from error
    try:
        return _probe(container, with_video)
    except BaseException:
        container.close()
        raise


def _probe(container: InputContainer, with_video: bool) -> Opened:
    video, ignored = _main_video(container, with_video)
    audio, mute = _audio_streams(container)
    if video is None and not audio:
        if not with_video:
            raise SourceUnreadable("the source has no audio track that can be decoded; this profile makes sound alone")
        raise SourceUnreadable("the source has neither a video nor an audio track that can be decoded")
    text = text_streams(container, _language)
    streams: list[Stream] = [*([video] if video else []), *audio.values(), *text.values()]
    head = _sample(container, streams, video)
    facts = SourceFacts(
        container=container.format.name,
        duration=container.duration / 1_000_000 if container.duration and container.duration > 0 else None,
        bytes=container.size if container.size > 0 else None,
        origin=Fraction(0),
        video=None,
        audio=tuple(_audio_facts(name, stream) for name, stream in audio.items()),
        text=tuple(text_facts(name, stream, _language(stream)) for name, stream in text.items()),
        ignored=tuple(ignored + mute + unconverted(container, text.values())),
    )
    if video is not None:
        frame = _first_frame(video, head)
        facts = facts.model_copy(
            update={"video": _video_facts(video, frame, head), "origin": (frame.pts or 0) * _tick(video)}
        )
    else:
        facts = facts.model_copy(update={"origin": _first_time(head, audio.values())})
    facts = facts.model_copy(update={"chapters": chapters(container, facts.origin)})
    return Opened(container, facts, video, audio, text, head)


def _tick(stream: Stream) -> Fraction:
    if not stream.time_base:
        raise SourceUnreadable(f"stream {stream.index} has no time base")
    return Fraction(stream.time_base)


def _decodable(stream: Stream) -> bool:
    return getattr(stream, "codec_context", None) is not None


def _main_video(container: InputContainer, with_video: bool) -> tuple[VideoStream | None, list[str]]:
    """The largest video that is not cover art, the default one among equals; the others as texts."""
    films = [s for s in container.streams.video if _decodable(s) and not s.disposition & Disposition.attached_pic]
    films = [s for s in films if s.codec_context.width and s.codec_context.height]
    films.sort(key=lambda s: (-_pixels(s), not s.disposition & Disposition.default, s.index))
    main = films[0] if films and with_video else None
    return main, [f"video stream {s.index}" for s in container.streams.video if s is not main]


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def _audio_streams(container: InputContainer) -> tuple[dict[str, AudioStream], list[str]]:
    """The audio tracks by their names in the outputs, and those that cannot be decoded as texts."""
    named: dict[str, AudioStream] = {}
    mute: list[str] = []
    for stream in container.streams.audio:
        if _decodable(stream) and stream.codec_context.sample_rate:
            named[f"{_language(stream)}-{len(named) + 1}"] = stream
        else:
            mute.append(f"audio stream {stream.index}: no decoder")
    return named, mute


def _language(stream: Stream) -> str:
    """ISO 639 code of a stream; und where there is none. Safe as part of a path."""
    language = (stream.language or "und").lower()
    return language if re.fullmatch(r"[a-z]{2,3}", language) else "und"


def _sample(container: InputContainer, streams: list[Stream], video: VideoStream | None) -> list[Packet]:
    """The first packets, enough to tell the frame rate."""
    head: list[Packet] = []
    count = size = 0
    first: Fraction | None = None
    for packet in _demux(container, streams):
        if not packet.size:
            continue
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
        raise SourceUnreadable("the source has no packets of audio or video")
    return head


def _first_time(head: list[Packet], audio: Iterable[AudioStream]) -> Fraction:
    indices = {stream.index for stream in audio}
    times = [p.pts * p.time_base for p in head if p.pts is not None and p.stream_index in indices]
    if not times:
        raise SourceUnreadable("the source carries no time stamps")
    first = min(times)
    return Fraction(0) if -1 < first < 0 else first  # a little below zero is the encoder's priming, not sound


def _first_frame(video: VideoStream, head: list[Packet]) -> VideoFrame:
    """The first decodable frame: the origin of the grid, and the truth about size, colour and orientation."""
    video.codec_context.thread_count = 1  # one frame is wanted soon, not many later
    fault = "no frame comes out of its decoder"
    for packet in [p for p in head if p.stream_index == video.index]:
        try:
            frames = video.decode(packet)
        except av.error.FFmpegError as error:
            fault = error.strerror or str(error)
            continue
        usable = [f for f in frames if f.pts is not None]
        if usable:
            return usable[0]
    flushed = [f for f in _flush(video) if f.pts is not None]
    if flushed:
        return flushed[0]
    raise SourceUnreadable(f"the video ({video.codec_context.name}) cannot be decoded: {fault}")


def _flush(video: VideoStream) -> list[VideoFrame]:
    try:
        return video.decode(None)
    except av.error.FFmpegError:
        return []  # nothing is left in the decoder: the caller says that no frame came


def _video_facts(video: VideoStream, frame: VideoFrame, head: list[Packet]) -> VideoFacts:
    tick = _tick(video)
    times = [p.pts * tick for p in head if p.stream_index == video.index and p.pts is not None and not p.is_discard]
    declared = [Fraction(r) for r in (video.average_rate, video.guessed_rate) if r]
    rate = choose_rate(times, declared, tick)
    aspect = Fraction(video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1) or Fraction(1)
    shown_width = max(1, round(frame.width * aspect))
    orient, turned = orientation(_display_matrix(frame))
    width, height = (frame.height, shown_width) if turned else (shown_width, frame.height)
    return VideoFacts(
        stream=video.index,
        codec=video.codec_context.name,
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        sample_aspect=aspect,
        rate=rate,
        constant_rate=rate in declared,
        orient=orient,
        pixel_format=frame.format.name,
        bit_depth=max((c.bits for c in frame.format.components), default=8),
        colour=_colour(frame),
    )


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return None
    raw = bytes(side)
    return tuple(int.from_bytes(raw[i : i + 4], "little", signed=True) for i in range(0, 36, 4))


def _colour(frame: VideoFrame) -> dict[str, str]:
    """What the source states, as numbers of ITU-T H.273; 2 (0 for the range) means unspecified."""
    stated = {
        "color_primaries": int(frame.color_primaries),
        "color_trc": int(frame.color_trc),
        "colorspace": int(frame.colorspace),
    }
    tags = {key: str(value) for key, value in stated.items() if value not in (0, 2)}
    if int(frame.color_range):
        tags["range"] = str(int(frame.color_range))
    return tags


def _audio_facts(name: str, stream: AudioStream) -> AudioFacts:
    return AudioFacts(
        stream=stream.index,
        name=name,
        codec=stream.codec_context.name,
        channels=stream.codec_context.layout.nb_channels,
        sample_rate=stream.codec_context.sample_rate,
        language=_language(stream),
        title=str(stream.metadata.get("title", ""))[:200],
        default=bool(stream.disposition & Disposition.default),
    )
