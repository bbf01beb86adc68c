"""The head of a source: the first packets and frames, which tell what the rest is like. Of PyAV's streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from raven.errors import SourceUnreadable

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

SAMPLE_PACKETS = 300  # video packets looked at to tell the frame rate: 5 s at 60 frames/s
SAMPLE_SECONDS = 5
LEAST_PACKETS = 12  # from the first keyframe on, so that frames come out
LATEST_KEY = 30  # seconds: a capture begins anywhere in a group of pictures, and x264's last up to 250 frames
FIRST_FRAMES = 8  # decoded frames looked at to tell whether they are woven of fields
SAMPLE_BYTES = 64 << 20  # and never more memory than this


def sample(flow: Iterator[Packet], video: VideoStream | None) -> list[Packet]:
    """The first packets, enough to tell the frame rate, and to decode something."""
    head: list[Packet] = []
    count = after = size = 0
    first: Fraction | None = None
    for packet in flow:
        head.append(packet)
        size += packet.size
        if packet.stream_index == video.index if video else packet.stream.type == "audio":
            count += 1
            after += bool(after or packet.is_keyframe)
            time = packet.pts * packet.time_base if packet.pts is not None else None
            first = time if first is None else first
            passed = time - first if time is not None and first is not None else Fraction(0)
            seen = count >= SAMPLE_PACKETS or (passed > SAMPLE_SECONDS and count >= LEAST_PACKETS)
            if seen and (after >= LEAST_PACKETS or passed > LATEST_KEY):
                break
        if size > SAMPLE_BYTES:
            break
    if not head:
        raise SourceUnreadable(
            "the source has no packets of audio or video; of a film in pieces, hand in its playlist or all of them"
        )
    return head


def seen_only(flow: Iterator[Packet], unseen: Iterable[Stream]) -> Iterator[Packet]:
    """The packets, unless there is one of a video whose size nobody knows: the film would become sound alone."""
    indices = {stream.index for stream in unseen}
    for packet in flow:
        if packet.stream_index in indices:
            raise SourceUnreadable(
                f"the video (stream {packet.stream_index}) has pictures, but none that can be decoded in the first"
                f" {LATEST_KEY} s; cut the source where a picture is whole (a keyframe)"
            )
        yield packet


def first_time(head: list[Packet], audio: Iterable[AudioStream]) -> Fraction:
    """Of any sound."""
    indices = {stream.index for stream in audio}
    times = [p.pts * p.time_base for p in head if p.pts is not None and p.stream_index in indices]
    if not times:
        raise SourceUnreadable("the source carries no time stamps")
    first = min(times)
    return Fraction(0) if -1 < first < 0 else first  # a little below zero is the encoder's priming, not sound


def first_frames(video: VideoStream, head: list[Packet], timed: bool) -> list[VideoFrame]:
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
