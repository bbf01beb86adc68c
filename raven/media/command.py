"""The ffmpeg argument lists. Pure: values in, `list[str]` out, a reason behind every flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raven import names
from raven.limits import Limits
from raven.media.encoders import encoder_arguments
from raven.media.filters import colour_filters, every_filter, grid_filters, picture_filters
from raven.media.formats import FORMATS
from raven.media.grid import Grid, Span
from raven.media.hdr import tone_map
from raven.media.iframes import IframeOrder, frames_in, select_filter
from raven.model import Rendition, VideoFacts

COMMON = [  # of every run of ffmpeg
    "-hide_banner",  # the build is in the report, not in every log
    "-nostdin",  # a child must never read the daemon's terminal
    "-loglevel", "warning",  # what is kept of stderr is for a failed job's message
    "-progress", "pipe:1",  # machine-readable progress; the human one is not parsed
    "-nostats",
    "-y",  # a repeated attempt may find the files of the one before
]  # fmt: skip

INPUT = [
    "-protocol_whitelist", "file,pipe",  # chunk objects are untrusted: no network, no other protocol
    "-copyts",  # the times in the chunk are the grid's; do not rebase them
    "-f", "nut",  # what the master wrote; never guessed from untrusted bytes
]  # fmt: skip

_PICTURES = [
    "-noautorotate",  # the graph turns pictures; a matrix in their own bitstream (H.264, HEVC) would turn them twice
    "-threads", "1",  # damaged streams decode differently with several: every attempt gives the same bytes
    "-reinit_filter", "0",  # a change of size in mid-stream must not restart the frame count; scale follows it
]  # fmt: skip

MP4 = [
    "-avoid_negative_ts", "disabled",  # times are right as they are; never shift
    "-write_btrt", "0",  # its bit rates come from the chunk, so init segments would differ between chunks
    "-map_metadata", "-1",  # nothing of the source's tags in the init segment
    "-fflags", "+bitexact",  # no version of libavformat in the init segment
    "-f", "mp4",
]  # fmt: skip


MAX_PIXELS = Limits().pixels
TOO_LARGE = "exceeds specified max pixel count"
"""What a decoder says of a picture beyond `-max_pixels` (libavutil, av_image_check_size2)."""


@dataclass(frozen=True)
class ChunkOrder:
    """What is made of one chunk."""

    grid: Grid
    span: Span
    tail: int
    """Frames that the last source frame may be held for at the very end; 0 for all chunks but the last."""
    video: VideoFacts
    renditions: tuple[Rendition, ...]
    thumbs: Mapping[int, int]
    """Number of each thumbnail, by its frame."""
    thumb_size: tuple[int, int]
    iframes: IframeOrder | None = None
    max_pixels: int = MAX_PIXELS
    """The largest picture that is decoded."""

    @property
    def encoded(self) -> Span:
        """The chunk's frames, and those after it that its encoder looks ahead to, as far as its object has them."""
        return self.span if self.tail else Span(self.span.first, self.span.last + self.grid.look_ahead)


@dataclass(frozen=True)
class _Branch:
    """One picture of the graph: its label, its size, what comes before it is scaled, and the outputs that have it."""

    label: str
    width: int
    height: int
    format: str
    outputs: tuple[str, ...]
    before: str = ""
    out_range: str = "tv"
    sdr: bool = True

    @property
    def after(self) -> str:
        fan = f",{_split(self.outputs)}" if len(self.outputs) > 1 else f"[{self.outputs[0]}]"
        return f"format={self.format}{fan}"


def _branches(order: ChunkOrder) -> list[_Branch]:
    found = _rung_branches(order)
    if order.iframes:
        r, wanted = order.iframes.rendition, select_filter(order.grid, order.iframes.places)
        found.append(_Branch("i", r.width, r.height, r.pixel_format, (names.IFRAMES,), f"{wanted},"))
    if order.thumbs:
        frames = "+".join(f"eq(n\\,{frame - order.span.first})" for frame in order.thumbs)
        # JPEG is full range (JFIF); select first, so that only the wanted frames are scaled
        found.append(_Branch("t", *order.thumb_size, "yuvj420p", ("thumbs",), f"select={frames},", "pc"))
    return found


def _rung_branches(order: ChunkOrder) -> list[_Branch]:
    """Rungs that differ in their encoding alone, as those of the same size mostly do, have their picture together."""
    pictures: dict[tuple[int, int, str, int, bool], list[int]] = {}
    for i, r in enumerate(order.renditions):
        key = (r.width, r.height, r.pixel_format, r.every, r.video_range == "SDR")
        pictures.setdefault(key, []).append(i)
    return [
        _Branch(
            f"v{rungs[0]}",
            width,
            height,
            pixel_format,
            tuple(f"out{i}" for i in rungs),
            every_filter(order.grid, every),
            sdr=sdr,
        )
        for (width, height, pixel_format, every, sdr), rungs in pictures.items()
    ]


def encode_graph(order: ChunkOrder) -> str:
    """The filter graph of a chunk: decode once, onto the grid, a branch for each rung, the I-frames, the thumbnails.

    Of an HDR source all SDR branches have one tone mapping, at the size of the largest of them, as it is slow.
    """
    video, branches = order.video, _branches(order)
    mapped = [b for b in branches if b.sdr] if video.video_range != "SDR" else []
    direct = [b for b in branches if b not in mapped]
    labels = [b.label for b in direct] + ["s"] * bool(mapped)
    grid = grid_filters(video, order.grid, order.span, order.tail)
    chains = ["[0:v:0]" + ",".join([grid, *colour_filters(video), _split(labels)])]
    for b in direct:
        picture = picture_filters(video, b.width, b.height, b.out_range)
        chains.append(f"[{b.label}]{b.before}{picture},{b.after}")
    if mapped:
        top = max(mapped, key=lambda b: b.width * b.height)
        picture = picture_filters(video, top.width, top.height)
        chains.append(f"[s]{picture},{tone_map(video)},{_split([b.label for b in mapped])}")
    for b in mapped:
        size = f"scale={b.width}:{b.height}:flags=bicubic:out_range={b.out_range},setsar=1"
        chains += [f"[{b.label}]{b.before}{size},{b.after}"]
    return ";".join(chains)


def _split(labels: Sequence[str]) -> str:
    return f"split={len(labels)}" + "".join(f"[{label}]" for label in labels)


def _video_output(rendition: Rendition, order: ChunkOrder, kept: int, frames: int) -> list[str]:
    """Of `frames` that are encoded the first `kept` are wanted."""
    grid = order.grid
    return [
        *encoder_arguments(rendition, grid, Span(kept, frames)),
        "-fps_mode", "passthrough",  # the graph has made exact frames; never duplicate or drop
        "-frames:v", str(frames),  # the law: exactly this many, and those that the encoder looks ahead
        "-video_track_timescale", str(grid.timescale),  # a frame is a whole number of ticks
        # one fragment a keyframe; absolute times (frag_discont) since the chunk is a middle piece of the whole. Decode
        # times then start at the chunk's own time, composition offsets are the B-frame delay and more, never negative
        "-movflags", "+frag_keyframe+empty_moov+default_base_moof+frag_discont+skip_trailer",
        "-fragment_index", str(order.span.first // grid.gop + 1),  # sequence numbers go on from chunk to chunk
        *MP4,
    ]  # fmt: skip


def _thumbs_output(thumbs: Mapping[int, int]) -> list[str]:
    return [
        "-fps_mode", "passthrough",  # one file for each selected frame
        "-c:v", "mjpeg", "-q:v", "4",  # about 90 in libjpeg's scale
        "-threads:v", "1",  # same bytes everywhere
        "-frames:v", str(len(thumbs)),
        "-fflags", "+bitexact", "-flags:v", "+bitexact",  # no version in the files
        "-start_number", str(min(thumbs.values())),  # files carry the numbers of the whole video
        "-f", "image2",
    ]  # fmt: skip


def decode_command(ffmpeg: str, source: str, order: ChunkOrder) -> list[str]:
    """Decodes a chunk onto the grid and makes nothing of it: how many frames it has stands in the progress."""
    return [
        *_read(ffmpeg, source, order),
        "-map", "0:v:0",
        "-vf", grid_filters(order.video, order.grid, order.span, order.tail),
        "-fps_mode", "passthrough",
        "-frames:v", str(order.span.frames),
        "-f", "null", "-",
    ]  # fmt: skip


def trial_command(ffmpeg: str) -> list[str]:
    """Makes one picture out of nothing: whether this ffmpeg works at all."""
    return [ffmpeg, *COMMON, "-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", "-f", "null", "-"]


def _read(ffmpeg: str, source: str, order: ChunkOrder) -> list[str]:
    build = order.video.x264_build
    return [
        ffmpeg, *COMMON, *_PICTURES, *INPUT,
        # 4:4:4 of x264 before build 151 is read by other rules, and the film says its build in the first packet alone
        *(["-x264_build", str(build)] if build else []),
        "-max_pixels", str(order.max_pixels),  # pictures may grow in mid-stream, and a decoder allocates as told
        "-i", source,
    ]  # fmt: skip


def encode_command(ffmpeg: str, source: str, folder: str, order: ChunkOrder) -> list[str]:
    """One ffmpeg for one chunk: `folder/NAME.mp4` per rendition and the I-frames, `folder/000000.jpg` per thumbnail."""
    command = [
        *_read(ffmpeg, source, order),
        # a picture in one piece: the encoders keep all cores busy, so slices gain nothing and cost wakes of threads
        "-filter_complex_threads", "1",
        "-filter_complex", encode_graph(order),
    ]  # fmt: skip
    # the largest rung first: ffmpeg's progress counts the frames of its first output, and this one is the slowest
    for i, rendition in reversed(list(enumerate(order.renditions))):
        kept, frames = (span.taken(rendition.every) for span in (order.span, order.encoded))
        output = _video_output(rendition, order, kept, frames)
        command += ["-map", f"[out{i}]", *output, f"{folder}/{rendition.name}.mp4"]
    if order.iframes:
        trick, count = order.iframes.rendition, len(frames_in(order.grid, order.iframes.places, order.span))
        command += ["-map", "[iframes]", *_video_output(trick, order, count, count), f"{folder}/{trick.name}.mp4"]
    if order.thumbs:
        command += ["-map", "[thumbs]", *_thumbs_output(order.thumbs), f"{folder.replace('%', '%%')}/%06d.jpg"]
    return command


def remake_command(ffmpeg: str, source: str, target: str, limits: Limits, seconds: float | None = None) -> list[str]:
    """Decodes the main video and all sound of an untrusted file, or `seconds` of it, into a lossless Matroska file."""
    return [
        ffmpeg, *COMMON,
        "-threads", "1",  # as in `_PICTURES`; but this one turns the pictures, and its file says no more of that
        "-protocol_whitelist", "file",  # the source itself; nothing that it names is reached
        "-format_whitelist", FORMATS,  # nothing that consists of references, no device, no generator
        "-max_streams", str(limits.streams),
        "-max_pixels", str(limits.pixels),
        "-i", source,
        "-map", "0:V:0?",  # no cover art
        "-map", "0:a?",
        "-t", str(seconds or limits.seconds + 1),  # a second more, so that the limit is told and not met
        "-fps_mode", "passthrough",  # each frame with its own time
        "-c:v", "ffv1", "-level", "3",  # lossless, in all pixel formats; each frame alone, so it can be cut anywhere
        "-c:a", "flac",
        "-f", "matroska", target,
    ]  # fmt: skip


def test_picture_command(ffmpeg: str, target: str, seconds: int) -> list[str]:
    """A film to try Raven with: moving test picture with running time code, a beep each second."""
    return [
        ffmpeg, *COMMON,
        "-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=25:duration={seconds}",  # shows time and frame number
        "-f", "lavfi", "-i", f"sine=frequency=330:beep_factor=4:sample_rate=48000:duration={seconds}",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p",
        "-c:a", "flac",
        target,
    ]  # fmt: skip
