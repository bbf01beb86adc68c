"""Cutting: one streaming pass over the packets of a source into chunk objects (NUT), by the frame grid.

A chunk object holds the packets from the last clean keyframe at or before the chunk's first frame up to the
first packets whose decode time is past its end and past the frames after it that its encoder looks at. Chunks
overlap in packets, never in frames, so open GOPs, leading pictures and sparse keyframes need no special case. Memory
is flat: what the next chunk needs of the packets before its border is read back from the open chunk's own file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from raven import names
from raven.errors import SourceUnreadable
from raven.media.filters import SHIFT, lead
from raven.media.grid import Grid
from raven.media.nal import starts_clean
from raven.model import VideoFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.stream import Stream
    from av.video.stream import VideoStream

    Packet = av.Packet[Any]

LEAD_OUT = 2
"""Packets kept past the last frame: the one that tells the decoder to give it, and its second field."""
LONGEST = Fraction(60)
"""Seconds that one frame may claim to last, unless others did last as long: a last frame of 20 hours is a fault."""
COUNTER_STEP = Fraction(1, 4000)
"""Seconds between two counted decode times: less than any packet lasts, more than a sample at 8 kHz."""
EARLY_AUDIO = 5
"""Seconds of sound before the first picture that are carried; the encoder trims to the origin exactly."""
RARE = 4
"""Chunks that one may have to decode before it begins: what is stored and decoded grows with the square of that."""
FAR = Fraction(30)
"""Seconds of them that are borne however short the chunks are."""


class Uncuttable(SourceUnreadable):
    """This source must be conformed: a packet has no time, or keyframes are too far apart."""


@dataclass(frozen=True)
class _Cut:
    """A video packet with what the cutter must know of it."""

    packet: Packet
    pts: int
    """Ticks of the stream, shift included."""
    frame: int
    decode_frame: int
    """The frame of the grid at its decode time."""
    key: bool
    clean: bool


class NutFile:
    """One object in the making: the packets of one stream, times shifted so that none is below zero."""

    def __init__(self, path: Path, template: Stream, origin: Fraction) -> None:
        self.path = path
        self.packets = 0
        self._container = av.open(
            str(path),
            "w",
            format="nut",
            # libavformat must not shift silently; write what is given
            options={"avoid_negative_ts": "disabled", "fflags": "+bitexact", "write_index": "0"},
        )
        self._stream = self._container.add_stream_from_template(template, opaque=True)
        self._tick = Fraction(template.time_base or 1)
        self._stream.time_base = self._tick
        self._shift = round((SHIFT - origin) / self._tick)
        # NUT counts audio in samples: the counter must still advance when it is rounded to them
        self._step = math.ceil(COUNTER_STEP / self._tick)

    def shifted(self, packet: Packet) -> int:
        """Time of a source packet in the object. Raises Uncuttable when it has none."""
        if packet.pts is None:
            raise Uncuttable("the source has packets without time stamps, which cannot be cut exactly")
        return int(packet.pts) + self._shift

    def write(self, packet: Packet, pts: int) -> None:
        """Writes a packet at `pts`, ticks of the stream, shift included. The packet is changed."""
        packet.stream = self._stream
        packet.time_base = self._tick
        packet.pts = pts
        # NUT stores presentation times only. A counter keeps libavformat from refusing sources whose decode
        # times repeat or go back.
        packet.dts = self.packets * self._step
        self._container.mux_one(packet)
        self.packets += 1

    def close(self) -> None:
        self._container.close()


def nut_holds(stream: Stream) -> bool:
    """Whether NUT has a tag for the stream's codec; ProRes, DNxHD, ALAC and some hundred others have none."""
    container = av.open(io.BytesIO(), "w", format="nut")
    try:
        container.add_stream_from_template(stream, opaque=True)
    except ValueError:
        return False
    return True


def lasting(packet: Packet, tick: Fraction, gap: Fraction) -> Fraction:
    """Seconds that a packet says its frame lasts, as far as that can be believed after a longest `gap` so far."""
    return min((packet.duration or 0) * tick, max(LONGEST, 2 * gap))


def read_back(path: Path, start: int, count: int | None, tick: Fraction) -> Iterator[tuple[Packet, int]]:
    """Packets of a closed object from ordinal `start` on, with their shifted times in `tick`."""
    with av.open(str(path), format="nut") as container:
        packets = (p for p in container.demux(container.streams[0]) if p.size)
        for packet in islice(packets, start, None if count is None else start + count):
            yield packet, round((packet.pts or 0) * Fraction(packet.time_base) / tick)


@dataclass(frozen=True)
class VideoSource:
    """The video of a source, its grid, and where its chunks go: what each way in begins with."""

    stream: VideoStream
    facts: VideoFacts
    origin: Fraction
    grid: Grid
    folder: Path
    ready: Callable[[int, Path], None]
    """Takes each chunk when it is whole."""
    again: bool = False
    """Whether it can be read again, and so conformed instead."""

    @property
    def tick(self) -> Fraction:
        """Seconds in a unit of the stream's times."""
        return Fraction(self.stream.time_base or 1)

    def frame_at(self, time: Fraction) -> int:
        """The frame of the grid at a time of the source, seconds."""
        return self.grid.frame_at(time - self.origin)

    def chunk_file(self, index: int) -> Path:
        return self.folder / names.chunk_name(index, self.facts.way)


class VideoCutter:
    """Cuts the video packets, fed in decode order, into chunk files and hands each one over when it is whole."""

    def __init__(self, source: VideoSource) -> None:
        self._source, self._grid, self._tick = source, source.grid, source.tick
        self._lead = lead(source.facts)
        self._step = source.facts.step or 1 / source.grid.rate
        codec = source.stream.codec_context
        self._codec, self._extradata = codec.codec.canonical_name, codec.extradata
        self._index = 0
        self._file = self._open()
        self._pending: list[_Cut] = []
        self._starts: list[tuple[int, int]] = []  # ordinals and frames of the keyframes the next chunk may begin at
        self._last_frame = 0
        self._shown = 0
        """When the last packet is shown, ticks."""
        self._gap = Fraction(0)
        """The longest time between two frames so far, seconds."""
        self.frames = 0
        """N, as far as it has been read."""

    captions = True
    """Closed captions stay with their pictures."""

    @property
    def tail(self) -> int:
        """Frames of the grid that the last source frame is held."""
        return max(1, self.frames - self._last_frame)

    @property
    def whole(self) -> int:
        """Chunks whose range can never change any more."""
        return self._grid.whole_chunks(self.frames)

    def feed(self, packet: Packet) -> None:
        """Takes the next video packet. Raises Uncuttable when it has no time."""
        cut = self._look(packet)
        if not packet.is_discard:
            self._gap = max(self._gap, self._grid.time_of(cut.frame - self._last_frame))
            self._last_frame = max(self._last_frame, cut.frame)
            lasts = max(self._step, lasting(packet, self._tick, self._gap))
            self.frames = max(self.frames, 1, self._frame(packet.pts or 0, lasts))
        self._place(cut)
        while self._more_chunks() and len(self._pending) > self._lead_out():
            self._next_chunk()

    def finish(self) -> int:
        """Hands over what is left; the number of chunks. Raises SourceUnreadable when there was no frame."""
        if self.frames < 1:
            raise SourceUnreadable("the source has no video frame")
        while self._more_chunks():
            self._next_chunk()
        for cut in self._pending:
            self._file.write(cut.packet, cut.pts)
        self._file.close()
        self._source.ready(self._index, self._file.path)
        return self._index + 1

    def _open(self) -> NutFile:
        return NutFile(self._source.chunk_file(self._index), self._source.stream, self._source.origin)

    def _more_chunks(self) -> bool:
        return self.whole > self._index

    @property
    def _end(self) -> int:
        return (self._index + 1) * self._grid.chunk

    def _lead_out(self) -> int:
        """How many of the pending packets the open chunk takes, as far as they are known."""
        seen = self._end + self._grid.look_ahead
        return LEAD_OUT + next(
            (n for n, cut in enumerate(self._pending) if cut.decode_frame >= seen), len(self._pending)
        )

    def _look(self, packet: Packet) -> _Cut:
        pts = self._file.shifted(packet)
        clean = packet.is_keyframe and starts_clean(self._codec, self._extradata, bytes(packet))
        shown = packet.pts or 0
        # Matroska's first packets have no decode times: what is shown far ahead is decoded no later than what precedes
        decode_time = packet.dts if packet.dts is not None else min(shown, self._shown)
        self._shown = shown
        return _Cut(packet, pts, self._frame(packet.pts or 0), self._frame(decode_time), packet.is_keyframe, clean)

    def _frame(self, ticks: int, later: Fraction = Fraction(0)) -> int:
        return self._source.frame_at(ticks * self._tick + later)

    def _place(self, cut: _Cut) -> None:
        """Puts a packet into the open chunk, or aside once the chunk's end is reached."""
        if cut.key and cut.frame <= self._end - self._lead:
            # the next chunk begins at an IDR, or one keyframe before what only recovers, maybe late
            start = (self._file.packets + len(self._pending), cut.frame)
            self._starts = [start] if cut.clean else [*self._starts[-1:], start]
        if self._pending or cut.decode_frame >= self._end:
            self._pending.append(cut)
        else:
            self._file.write(cut.packet, cut.pts)

    def _next_chunk(self) -> None:
        """Closes the open chunk and begins the next one with what that needs of the packets before its border."""
        done, held, taken = self._file, self._pending, self._lead_out()
        kept, (start, key) = done.packets, self._starts[0] if self._starts else (0, 0)
        if self._source.again and self._end - key > max(RARE * self._grid.chunk, self._grid.frame_at(FAR)):
            raise Uncuttable("the source has too few keyframes to be cut into chunks")
        for cut in held[:taken]:
            done.write(cut.packet, cut.pts)
        done.close()
        self._index += 1
        self._file, self._pending = self._open(), []
        for packet, pts in read_back(done.path, start, kept - start, self._tick):
            self._file.write(packet, pts)
        self._starts = [(ordinal - start, frame) for ordinal, frame in self._starts if ordinal < kept]
        for cut in held[max(0, start - kept) :]:
            self._place(cut)
        self._source.ready(self._index - 1, done.path)


class AudioCopy:
    """The packets of one audio track, whole, in one object."""

    def __init__(self, stream: AudioStream, origin: Fraction, path: Path) -> None:
        self.path = path
        self._file = NutFile(path, stream, origin)
        self._tick = Fraction(stream.time_base or 1)
        self._origin = origin
        self.length = Fraction(0)
        """Seconds from the origin to the end of the last packet."""

    @property
    def packets(self) -> int:
        return self._file.packets

    def feed(self, packet: Packet) -> None:
        """Takes the next packet of the track; what ends long before the origin is left out."""
        pts = self._file.shifted(packet)
        end = ((packet.pts or 0) + (packet.duration or 0)) * self._tick - self._origin
        if end > -EARLY_AUDIO and pts >= 0:  # NUT has no times below zero, whatever a packet says of its length
            self._file.write(packet, pts)
            self.length = max(self.length, end)

    def close(self) -> None:
        self._file.close()
