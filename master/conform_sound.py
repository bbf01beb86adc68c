"""The way in for sound: its packets, or where NUT cannot hold them its samples."""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from master.cut import EARLY_AUDIO, AudioCopy, nut_holds
from raven.media.filters import SHIFT
from raven.media.jitter import Jitter

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

    from master.cut import Packet

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
