"""What the first decoded frames say of a video: size, shape, rate, colours, fields. Of PyAV's frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from raven.media.fields import may_weave
from raven.media.grid import LEAST_RATE, MAX_RATE, SLOW, SMOOTH, capped_rate, choose_rate, raised_rate
from raven.media.hdr import content_light, mastering_display
from raven.media.orient import orientation
from raven.media.side_data import side_data
from raven.media.streams import tick_of
from raven.model import VideoFacts

if TYPE_CHECKING:
    import av
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

UNCOMPRESSED = {"rawvideo", "wrapped_avframe", "v210", "v308", "v408", "v410", "yuv4", "r210"}  # not described by NUT
SAYS_FIELDS = {"h264", "hevc", "mpeg1video", "mpeg2video", "vc1", "dvvideo"}  # codecs that tell it frame by frame
Edges = tuple[int, int, int, int]
"""Pixels at the left, right, top and bottom."""
_X264 = re.compile(rb"x264 - core ([0-9]{1,4})\b")
FIELD_ORDERS: dict[int, Literal["tff", "bff"]] = {2: "tff", 3: "bff", 4: "bff", 5: "tff"}
"""libavcodec's AVFieldOrder: which field is shown first."""


def video_facts(
    video: VideoStream,
    frames: list[VideoFrame],
    head: list[Packet],
    timed: bool,
    seconds: Fraction | None,
    hidden: Edges | None = None,
) -> VideoFacts:
    """`hidden`: what the container says is not shown of each picture; `seconds`: the length that it claims."""
    tick, frame = tick_of(video), frames[0]
    times = [p.pts * tick for p in head if p.stream_index == video.index and p.pts is not None and not p.is_discard]
    # without times the average is the demuxer's own guess; the other one is what the stream says
    stated = (video.average_rate, video.guessed_rate) if timed else (video.guessed_rate, video.average_rate)
    declared = [Fraction(r) for r in stated if r]
    rate = choose_rate(times if timed else [], declared, tick, seconds)
    # a container that counts its frames knows of all of them; else a slow beginning is no promise
    even = raised_rate(rate, LEAST_RATE if video.frames or rate >= SLOW else SMOOTH)
    misplaced = timed and decode_timed(frames, times)
    aspect = Fraction(video.sample_aspect_ratio or video.codec_context.sample_aspect_ratio or 1) or Fraction(1)
    crop = _crop(frame, hidden)
    left, right, top, bottom = crop or (0, 0, 0, 0)
    seen = max(1, round((frame.width - left - right) * aspect)), frame.height - top - bottom
    orient, turned = orientation(_display_matrix(frame))
    width, height = (seen[1], seen[0]) if turned else seen
    return VideoFacts(
        stream=video.index,
        codec=video.codec_context.name,
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        sample_aspect=aspect,
        rate=capped_rate(even),
        constant_rate=rate in declared,
        step=1 / rate,
        way="conform" if not timed or misplaced or video.codec_context.name in UNCOMPRESSED else "copy",
        timed=timed,
        decode_timed=misplaced,
        x264_build=_x264_build(video, head),
        interlaced=_interlaced(video, frames, head),
        crop=crop,
        orient=orient,
        pixel_format=frame.format.name,
        bit_depth=max((c.bits for c in frame.format.components), default=8),
        rgb=frame.format.is_rgb or frame.format.has_palette,
        alpha=any(c.is_alpha for c in frame.format.components) or frame.format.has_palette,
        colour=_colour(frame),
        mastering=mastering_display(side_data(frame, "MASTERING_DISPLAY_METADATA")),
        light=content_light(side_data(frame, "CONTENT_LIGHT_LEVEL")),
    )


def decode_timed(frames: list[VideoFrame], times: list[Fraction]) -> bool:
    """Whether pictures come out of the decoder out of the order of their times, which are in the order of the packets.

    `times`: of the first packets, as they come. The decode times that the frames have are in order then.
    """
    shown, decoded = [f.pts for f in frames if f.pts is not None], [f.dts for f in frames if f.dts is not None]
    return not _rising(shown) and _rising(times) and len(decoded) == len(frames) and _rising(decoded)


def _rising(values: Sequence[Fraction | int]) -> bool:
    return all(a < b for a, b in pairwise(values))


def by_fields(video: VideoFacts) -> VideoFacts:
    """Each field of an interlaced video as a frame of its own, unless it has no times, or these were too many."""
    rate = 2 * video.rate
    if video.interlaced == "no" or not video.timed or rate > MAX_RATE:
        return video
    return video.model_copy(update={"fields": True, "rate": rate, "step": video.step or 1 / video.rate})


def _x264_build(video: VideoStream, head: list[Packet]) -> int | None:
    """As libavcodec finds it in a SEI message (user_data_unregistered, H.264 D.1.7)."""
    if video.codec_context.name != "h264":
        return None
    packets = (bytes(packet) for packet in head if packet.stream_index == video.index)
    found = next(filter(None, map(_X264.search, packets)), None)
    return int(found[1]) or None if found else None


def _interlaced(
    video: VideoStream, frames: list[VideoFrame], head: list[Packet]
) -> Literal["no", "flagged", "tff", "bff"]:
    """What the decoder says of frames, or the container of all frames of a codec that does not say.

    Fields that may come later count too: a progressive trailer before a broadcast. Frames that are none pass untouched.
    """
    context, order = video.codec_context, int(video.codec_context.field_order)
    if any(frame.interlaced_frame for frame in frames) or (order > 1 and context.name in SAYS_FIELDS):
        return "flagged"
    keys = (bytes(packet) for packet in head if packet.stream_index == video.index and packet.is_keyframe)
    if may_weave(context.codec.canonical_name, context.extradata, keys):
        return "flagged"
    return FIELD_ORDERS.get(order, "no")


def _crop(frame: VideoFrame, hidden: Edges | None) -> Edges | None:
    """What is hidden, if it is anything and leaves something to be seen."""
    if hidden is None or not any(hidden):
        return None
    left, right, top, bottom = hidden
    return hidden if top + bottom < frame.height and left + right < frame.width else None


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    raw = side_data(frame, "DISPLAYMATRIX")
    if not raw:
        return None
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
