"""The way in for video that survives no copying of packets: decoded once onto the grid, stored as lossless chunks.

For streams without time stamps (raw H.264, HEVC, MPEG video) or with those of decoding alone (H.264 in AVI),
uncompressed pictures, which NUT does not describe, sources in which a packet without a time turns up, and those whose
chunks do not decode. Slower, always right.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.filter

from master.cut import EARLY_AUDIO, AudioCopy, lasting, nut_holds
from master.lossless import Chunk, coding_of, silent
from raven.errors import SourceUnreadable
from raven.media.filters import SHIFT, deinterlace_filter
from raven.media.jitter import Jitter
from raven.model import VideoFacts

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
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
        self._decoded = 0
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
        self._show(max(self._place + 1, self._end))
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
        frames = [_retimed(frame) for frame in frames] if self._facts.decode_timed else frames
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
                place = self._place + 1 if time is None else self._source.frame_at(time * tick)
            self._decoded += 1
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


def _retimed(frame: VideoFrame) -> VideoFrame:
    """A frame that is shown when the packet was due that brought it out."""
    frame.pts = frame.dts
    return frame


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
        self._jitter = Jitter(Fraction(1, self._rate))
        self._waiting: deque[AudioFrame] = deque()
        """Their times are not settled yet."""
        self._next: Fraction | None = None
        """Where the next frame should begin, seconds from the origin."""

    def feed(self, packet: Packet) -> None:
        """Takes the next packet of the track; what is damaged is left out, its time is silence."""
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            self._take(frame)

    def close(self) -> None:
        self._settled(self._jitter.finish())
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _take(self, frame: AudioFrame) -> None:
        if frame.pts is None or frame.time_base is None:
            self._settled(self._jitter.finish())
            self._write(frame, None)
            return
        told = frame.pts * Fraction(frame.time_base) - self._origin
        self._waiting.append(frame)
        length = round(Fraction(frame.samples * self._rate, frame.sample_rate))
        self._settled(self._jitter.push(round(told * self._rate), length))

    def _settled(self, times: list[int]) -> None:
        for time in times:
            self._write(self._waiting.popleft(), Fraction(time, self._rate))

    def _write(self, frame: AudioFrame, told: Fraction | None) -> None:
        start = self._next
        if told is not None and (self._next is None or abs(told - self._next) > JITTER):
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


PLAIN_SOUND = {"aac", "aac_latm", "ac3", "amr_nb", "amr_wb", "eac3", "flac", "mp1", "mp2", "mp3", "opus", "vorbis"}
"""Codecs whose decoders want nothing of the container but what NUT carries. Windows Media, ADPCM and others want more,
such as the size of their blocks."""


def audio_copy(stream: AudioStream, origin: Fraction, path: Path) -> AudioCopy | SoundConformer:
    """The way in for a track: its packets, or where NUT cannot hold them its samples."""
    name = stream.codec_context.codec.canonical_name
    plain = name in PLAIN_SOUND or name.startswith("pcm_")
    if not plain or not nut_holds(stream):
        return SoundConformer(stream, origin, path)
    return AudioCopy(_without_blocks(stream) if name in MPEG_SOUND else stream, origin, path)


MPEG_SOUND = {"mp1", "mp2", "mp3"}


def _without_blocks(stream: AudioStream) -> AudioStream:
    """The same stream as NUT tells of it, which is without the size of its blocks.

    AVI, WAV and others state one. By it the muxer foretells the headers of MPEG audio, and wherever packets are of two
    sizes (44.1 kHz) nobody can read what it writes. PyAV cannot take it off a stream, NUT does.
    """
    told, tick = io.BytesIO(), Fraction(stream.time_base or 1)
    with av.open(told, "w", format="nut") as container:
        packet = av.Packet(bytes(16))  # of a file without a packet libavformat makes nothing
        packet.stream = container.add_stream_from_template(stream, opaque=True)
        packet.pts = packet.dts = 0
        packet.time_base = tick
        container.mux_one(packet)
    told.seek(0)
    bare = av.open(told, format="nut").streams.audio[0]
    bare.time_base = tick
    return bare


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
