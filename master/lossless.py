"""Lossless chunk objects of decoded pictures, in NUT: H.264 of sources that may carry closed captions, else FFV1."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.filter
from av.video.frame import PictureType
from av.video.stream import VideoStream

from master.cut import read_back
from raven.media.filters import SHIFT
from raven.media.grid import Grid
from raven.media.side_data import side_data
from raven.model import VideoFacts

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Coding:
    """How pictures are stored."""

    encoder: str
    options: dict[str, str]
    formats: frozenset[str]
    """Pixel formats that it holds as they are."""
    captions: bool
    """Whether the closed captions of a frame are stored with it."""

    def pixels(self, frame: VideoFrame) -> str:
        """The pixel format in which a frame is stored: its own, or the nearest."""
        name = frame.format.name
        if name in self.formats:
            return name
        if _LIMITED.get(name) in self.formats:
            return _LIMITED[name]
        deep = max(c.bits for c in frame.format.components) > 8
        wanted = "gbrp16le" if deep and frame.format.is_rgb else "yuv444p12le" if deep else "bgra"
        return wanted if wanted in self.formats else "yuv444p10le"


_LIMITED = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
"""Names of full range; the samples stay as they are, the job says what they mean."""
_FORMATS = {
    *("yuv420p", "yuv422p", "yuv444p", "yuva420p", "gray", "bgr0", "bgra"),
    *(f"yuv{chroma}p{bits}le" for chroma in (420, 422, 444) for bits in (10, 12)),
    *("gbrp10le", "gbrp12le", "gbrp16le", "gray16le"),
}
# level 3 in four slices: coded and decoded in parallel, each with its own checksum
FFV1 = Coding("ffv1", {"level": "3", "slices": "4"}, frozenset(_FORMATS), captions=False)
# the cheapest tools: others take more time than they save bytes; no B-frames, so pictures are stored as they come
_H264 = {"preset": "ultrafast", "qp": "0", "bf": "0", "a53cc": "1"}
_H264_FORMATS = {*_LIMITED, *(f"yuv{c}p{deep}" for c in (420, 422, 444) for deep in ("", "10le"))}
H264 = Coding("libx264", _H264, frozenset(_H264_FORMATS), captions=True)
CAPTIONED = frozenset({"h264", "hevc", "mpeg2video"})
"""Codecs of sources whose pictures may carry closed captions."""
THREADS = 4
"""Each codes a slice: pictures in parallel would each need memory, with as many threads as a large machine has."""


def coding_of(facts: VideoFacts) -> Coding:
    """How the pictures of a source are stored."""
    return H264 if facts.codec in CAPTIONED and facts.pixel_format in H264.formats else FFV1


class Chunk:
    """A chunk object in the making: it begins with a keyframe, every frame is at its exact time."""

    def __init__(self, path: Path, grid: Grid, coding: Coding, size: tuple[int, int], pixels: str) -> None:
        self.path, self.frames = path, 0
        self._grid, self._size, self._pixels = grid, size, pixels
        self._tick = Fraction(1, grid.timescale)
        self._container = av.open(
            str(path), "w", format="nut", options={"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
        )
        stream = self._container.add_stream(coding.encoder, rate=grid.rate, options=coding.options)
        assert isinstance(stream, VideoStream)  # noqa: S101 - its encoder is one of pictures
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = self._tick
        stream.codec_context.thread_count = THREADS
        self._stream = stream

    def write(self, frame: VideoFrame, place: int) -> None:
        picture = frame.reformat(*self._size, format=self._pixels)
        picture.pts = SHIFT * self._grid.timescale + place * self._grid.frame_ticks
        picture.time_base = self._tick
        picture.pict_type = PictureType.NONE  # what it was in the source is no order to this encoder
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def append(self, other: Path) -> None:
        """Takes over the packets of a chunk that is too short for itself."""
        self._container.mux(self._stream.encode(None))
        for packet, time in read_back(other, 0, None, self._tick):
            packet.stream, packet.time_base = self._stream, self._tick
            packet.pts = packet.dts = time
            self._container.mux_one(packet)
        self._container.close()

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


def silent(frame: VideoFrame) -> VideoFrame:
    """The same picture without closed captions, which must be said once."""
    if not side_data(frame, "A53_CC"):
        return frame
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    graph.link_nodes(source, graph.add("sidedata", "mode=delete:type=A53_CC"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
