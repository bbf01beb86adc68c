"""The way in for video that survives no copying of packets: decoded once onto the grid, stored as lossless chunks.

For streams without time stamps (raw H.264, HEVC, MPEG video) or with those of decoding alone (H.264 in AVI),
uncompressed pictures, which NUT does not describe, sources in which a packet without a time turns up, and those whose
chunks do not decode. Slower, always right.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.filter

from master.cut import lasting
from master.lossless import Chunk, coding_of, silent
from raven.errors import SourceUnreadable
from raven.media.filters import deinterlace_filter
from raven.model import VideoFacts

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from master.cut import Packet, VideoSource


class Conformer:
    """Decodes the packets, fed in decode order, and hands over each chunk when it is whole. As `VideoCutter`."""

    def __init__(self, source: VideoSource) -> None:
        self._source, self._facts, self._grid, self._tick = source, source.facts, source.grid, source.tick
        self._coding = coding_of(source.facts)
        self._decoder = source.stream.codec_context
        self._decoder.flush_buffers()  # the probe has decoded a little already
        self._filter = _deinterlacer(source.stream, self._facts) if self._facts.interlaced != "no" else None
        self._lasts: deque[Fraction] = deque()
        """How many places each of the decoded frames takes that have no time, those first that are laid next."""
        self._next = Fraction(0)
        """Where the next frame without a time belongs."""
        self._held: VideoFrame | None = None
        self._place = 0
        """Of the held frame."""
        self._end = 0
        """Where the last frame ends that has a time."""
        self._latest = 0
        """The last place that a packet was for."""
        self._gap = Fraction(0)
        """The longest time between two packets so far, seconds."""
        self._open: list[Chunk] = []
        self._handed = 0
        self.frames = 0
        self.tail = 1
        self.damaged = 0
        """Pictures that are lost, or that the decoder has made up in part."""

    @property
    def captions(self) -> bool:
        """Whether closed captions stay with their pictures."""
        return self._coding.captions

    @property
    def whole(self) -> int:
        """Chunks whose range can never change any more."""
        return self._grid.whole_chunks(self.frames)

    def feed(self, packet: Packet) -> None:
        """Takes the next video packet; what is damaged is left out, its time is held."""
        if self._facts.timed and packet.pts is not None:
            time = packet.pts * self._tick
            self._gap = max(self._gap, self._grid.time_of(self._source.frame_at(time) - self._latest))
            self._latest = max(self._latest, self._source.frame_at(time))
            lasts = max(lasting(packet, self._tick, self._gap), self._facts.step or 1 / self._grid.rate)
            self._end = max(self._end, self._source.frame_at(time + lasts))
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:  # not all decoders say that data is invalid: Theora's that it is not permitted
            self.damaged += 1
            return
        self.damaged += sum(frame.is_corrupt for frame in frames)
        self._take(frames)

    def finish(self) -> int:
        """Hands over what is left; the number of chunks. Raises SourceUnreadable when there was no frame."""
        self._take(self._decoder.decode(None))
        if self._filter is not None:
            self._filter.push(None)
            self._lay(_filtered(self._filter))
        if self._held is None:
            raise SourceUnreadable("the source has no video frame that can be decoded")
        self._show(max(self._place + 1, self._end, 0 if self._facts.timed else _nearest(self._next)))
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
        frames = [_retimed(frame) for frame in frames] if self._facts.decode_timed else list(frames)
        for frame in frames:
            self._lasts.extend([self._fields(frame)] * (2 if self._facts.fields else 1))
        if self._filter is None:
            self._lay(frames)
            return
        for frame in frames:
            self._filter.push(frame)
            self._lay(_filtered(self._filter))

    def _fields(self, frame: VideoFrame) -> Fraction:
        """How many places a frame is shown for: by pulldown one and a half, or two or three (ISO/IEC 13818-2, 6.3.10,
        repeat_first_field). Of streams without times only the parser of MPEG video tells it."""
        if self._facts.codec != "mpeg2video" or not frame.duration or frame.time_base is None:
            return Fraction(1)
        rate = self._grid.rate / (2 if self._facts.fields else 1)
        halves = round(2 * frame.duration * frame.time_base * rate)
        return Fraction(halves, 2) if 2 <= halves <= MOST_HALVES else Fraction(1)

    def _lay(self, frames: Iterable[VideoFrame]) -> None:
        """Puts each frame at its place; the one before is held until there, and of two at one place the later stays."""
        for frame in frames:
            place = _nearest(self._next)
            if self._facts.timed:
                time = frame.pts
                tick = Fraction(frame.time_base or self._tick)
                place = self._place + 1 if time is None else self._source.frame_at(time * tick)
            self._next += self._lasts.popleft() if self._lasts else 1
            if place < 0 or (self._held is not None and place < self._place):
                continue
            self._show(place)
            self._held, self._place = frame, place

    def _show(self, until: int) -> None:
        """Writes the held frame at its place and at all that follow before `until`."""
        held = self._held
        if held is None:
            return
        for place in range(self._place, until):
            self._write(held, place)
            held = silent(held)

    def _write(self, frame: VideoFrame, place: int) -> None:
        if not self._open or place >= (self._handed + len(self._open)) * self._grid.chunk:
            file = self._source.chunk_file(self._handed + len(self._open))
            size = (self._facts.coded_width, self._facts.coded_height)
            self._open.append(Chunk(file, self._grid, self._coding, size, self._coding.pixels(frame)))
        self._open[-1].write(frame, place)
        self.frames = place + 1
        while self.whole > self._handed and len(self._open) > 1:
            self._open[0].close()
            self._hand_over()

    def _hand_over(self) -> None:
        chunk = self._open.pop(0)
        self._handed += 1
        self._source.ready(self._handed - 1, chunk.path)


MOST_HALVES = 6
"""Fields for which a frame can be shown: three frames, in a progressive sequence."""


def _nearest(place: Fraction) -> int:
    return math.floor(place + Fraction(1, 2))


def _retimed(frame: VideoFrame) -> VideoFrame:
    """A frame that is shown when the packet was due that brought it out."""
    frame.pts = frame.dts
    return frame


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
