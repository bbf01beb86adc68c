"""The way in for video that survives no copying of packets: decoded once onto the grid, stored as lossless chunks.

For streams without time stamps (raw H.264, HEVC, MPEG video), uncompressed pictures, which NUT does not describe, and
sources in which a packet without a time turns up. Slower, always right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.filter

from master.cut import EARLY_AUDIO, AudioCopy, nut_holds, read_back
from raven.errors import SourceUnreadable
from raven.media.filters import SHIFT, deinterlace_filter
from raven.media.grid import Grid
from raven.model import VideoFacts

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from master.cut import Packet

FORMATS = {
    *("yuv420p", "yuv422p", "yuv444p", "yuva420p", "gray", "bgr0", "bgra"),
    *(f"yuv{chroma}p{bits}le" for chroma in (420, 422, 444) for bits in (10, 12)),
    *("gbrp10le", "gbrp12le", "gbrp16le", "gray16le"),
}
"""What FFV1 holds as it is; the rest is converted to the nearest of these."""
FULL_RANGE = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}


class _Chunk:
    """A chunk object in the making: FFV1 in NUT, every frame a keyframe at its exact time."""

    def __init__(self, path: Path, grid: Grid, frame: VideoFrame, pixels: str) -> None:
        self.path, self.frames = path, 0
        self._grid = grid
        self._container = av.open(
            str(path), "w", format="nut", options={"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
        )
        # level 3 in four slices: coded and decoded in parallel, each with its own checksum
        self._stream = self._container.add_stream("ffv1", rate=grid.rate, options={"level": "3", "slices": "4"})
        self._stream.width, self._stream.height, self._stream.pix_fmt = frame.width, frame.height, pixels
        self._stream.codec_context.time_base = Fraction(1, grid.timescale)

    def write(self, frame: VideoFrame, place: int) -> None:
        frame.pts = SHIFT * self._grid.timescale + place * self._grid.frame_ticks
        frame.time_base = Fraction(1, self._grid.timescale)
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def append(self, other: Path) -> None:
        """Takes over the packets of a chunk that is too short for itself."""
        tick = Fraction(1, self._grid.timescale)
        self._container.mux(self._stream.encode(None))
        for packet, time in read_back(other, 0, None, tick):
            packet.stream, packet.time_base = self._stream, tick
            packet.pts = packet.dts = time
            self._container.mux_one(packet)
        self._container.close()

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class Conformer:
    """Decodes the packets, fed in decode order, and hands over each chunk when it is whole. As `VideoCutter`."""

    def __init__(
        self,
        stream: VideoStream,
        facts: VideoFacts,
        origin: Fraction,
        grid: Grid,
        folder: Path,
        ready: Callable[[int, Path], None],
    ) -> None:
        self._decoder, self._facts, self._origin, self._grid = stream.codec_context, facts, origin, grid
        self._decoder.flush_buffers()  # the probe has decoded a little already
        self._tick = Fraction(stream.time_base or 1)
        self._folder, self._ready = folder, ready
        self._filter = _deinterlacer(stream, facts) if facts.interlaced != "no" else None
        self._decoded = 0
        self._held: VideoFrame | None = None
        self._place = 0
        """Of the held frame."""
        self._end = 0
        """Where the last frame ends that has a time."""
        self._open: list[_Chunk] = []
        self._handed = 0
        self.frames = 0
        self.tail = 1

    @property
    def whole(self) -> int:
        """Chunks whose range can never change any more."""
        return self._grid.whole_chunks(self.frames)

    def feed(self, packet: Packet) -> None:
        """Takes the next video packet; what is damaged is left out, its time is held."""
        if self._facts.timed and packet.pts is not None:
            held = max((packet.duration or 0) * self._tick, self._facts.step or 1 / self._grid.rate)
            self._end = max(self._end, self._grid.frame_at(packet.pts * self._tick - self._origin + held))
        try:
            frames = self._decoder.decode(packet)
        except av.error.InvalidDataError:
            return
        self._take(frames)

    def finish(self) -> int:
        """Hands over what is left; the number of chunks. Raises SourceUnreadable when there was no frame."""
        self._take(self._decoder.decode(None))
        if self._filter is not None:
            self._filter.push(None)
            self._lay(_filtered(self._filter))
        if self._held is None:
            raise SourceUnreadable("the source has no video frame that can be decoded")
        for place in range(self._place, max(self._place + 1, self._end)):
            self._write(self._held, place)
        if len(self._open) > 1 and self._grid.chunk_count(self.frames) == self._handed + 1:
            long, short = self._open
            short.close()
            long.append(short.path)
            short.path.unlink()
            self._open = [long]
            self._hand_over()
        else:
            for chunk in list(self._open):
                chunk.close()
                self._hand_over()
        return self._handed

    def _take(self, frames: Iterable[VideoFrame]) -> None:
        if self._filter is None:
            self._lay(frames)
            return
        for frame in frames:
            self._filter.push(frame)
            self._lay(_filtered(self._filter))

    def _lay(self, frames: Iterable[VideoFrame]) -> None:
        """Puts each frame at its place; the one before is held until there, and of two at one place the later stays."""
        for frame in frames:
            place = self._decoded
            if self._facts.timed:
                time = frame.pts
                tick = Fraction(frame.time_base or self._tick)
                place = self._place + 1 if time is None else self._grid.frame_at(time * tick - self._origin)
            self._decoded += 1
            if place < 0 or (self._held is not None and place < self._place):
                continue
            if self._held is not None:
                for between in range(self._place, place):
                    self._write(self._held, between)
            self._held, self._place = frame, place

    def _write(self, frame: VideoFrame, place: int) -> None:
        if not self._open or place >= (self._handed + len(self._open)) * self._grid.chunk:
            number = self._handed + len(self._open)
            self._open.append(_Chunk(self._folder / f"chunk-{number:06d}.nut", self._grid, frame, self._pixels(frame)))
        size = (self._facts.coded_width, self._facts.coded_height)
        self._open[-1].write(frame.reformat(*size, format=self._pixels(frame)), place)
        self.frames = place + 1
        while self.whole > self._handed and len(self._open) > 1:
            self._open[0].close()
            self._hand_over()

    def _pixels(self, frame: VideoFrame) -> str:
        name = FULL_RANGE.get(frame.format.name, frame.format.name)
        if name in FORMATS:
            return name
        deep = max(c.bits for c in frame.format.components) > 8
        return "gbrp16le" if deep and frame.format.is_rgb else "yuv444p12le" if deep else "bgra"

    def _hand_over(self) -> None:
        chunk = self._open.pop(0)
        self._handed += 1
        self._ready(self._handed - 1, chunk.path)


JITTER = Fraction(1, 50)
"""Seconds that a frame of sound may be off its place: time stamps in milliseconds are, and a frame may be shorter."""


class SoundConformer:
    """The sound of a track whose packets NUT cannot hold, decoded, in one object. As `AudioCopy`."""

    def __init__(self, stream: AudioStream, origin: Fraction, path: Path) -> None:
        self.path, self.packets, self.length = path, 0, Fraction(0)
        context = stream.codec_context
        self._decoder, self._origin = context, origin
        self._container = av.open(str(path), "w", format="nut", options={"fflags": "+bitexact", "write_index": "0"})
        self._rate = context.sample_rate
        # floats hold what any decoder gives; one layout, whatever the source changes to in its middle
        self._samples = av.AudioResampler(format="flt", layout=context.layout, rate=self._rate)
        self._stream = self._container.add_stream("pcm_f32le", rate=self._rate, layout=context.layout.name)
        self._next: Fraction | None = None
        """Where the next frame should begin, seconds from the origin."""

    def feed(self, packet: Packet) -> None:
        """Takes the next packet of the track; what is damaged is left out, its time is silence."""
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            self._write(frame)

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _write(self, frame: AudioFrame) -> None:
        start = self._next
        if frame.pts is not None and frame.time_base is not None:
            told = frame.pts * Fraction(frame.time_base) - self._origin
            if self._next is None or abs(told - self._next) > JITTER:
                start = told
        if start is None or (self._next is not None and start < self._next):
            return  # heard already, or of no time
        self._next = start + Fraction(frame.samples, frame.sample_rate)
        if self._next <= -EARLY_AUDIO:
            return
        for piece in self._samples.resample(frame):
            piece.pts = round((start + SHIFT) * self._rate)
            piece.time_base = Fraction(1, self._rate)
            start += Fraction(piece.samples, self._rate)
            self._container.mux(self._stream.encode(piece))
            self.packets += 1
        self.length = max(self.length, self._next)


def audio_copy(stream: AudioStream, origin: Fraction, path: Path) -> AudioCopy | SoundConformer:
    """The way in for a track: its packets, or where NUT cannot hold them its samples."""
    return AudioCopy(stream, origin, path) if nut_holds(stream) else SoundConformer(stream, origin, path)


def _deinterlacer(stream: VideoStream, facts: VideoFacts) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(template=stream)
    name, _, options = deinterlace_filter(facts).partition("=")
    bwdif = graph.add(name, options)
    source.link_to(bwdif)
    bwdif.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _filtered(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    """The frames that a filter has ready."""
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame
