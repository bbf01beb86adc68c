"""The sounds of a source while it is cut: those in its file, and those of a replay that lie in files of their own.

The latter come when the film has been read, as its breaks tell where theirs are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from master.health import Health, readable, within
from master.playlist import About
from master.replay import Beside, Side
from raven.limits import Limits
from raven.media.id3 import first_time
from raven.media.jitter import Jitter
from raven.media.packets import Continuity
from raven.media.probe import Opened, Wanted, open_source
from raven.media.transport import CLOCK, WRAP
from raven.model import AudioFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

    from master.conform_sound import SoundConformer
    from master.cut import AudioCopy, Packet

_TURN = Fraction(WRAP, CLOCK)
"""Seconds after which the clock of a transport stream begins anew."""


class _Sound:
    """One track on its way into its object, its packets without the jitter of their times."""

    def __init__(self, stream: AudioStream, origin: Fraction, path: Path) -> None:
        from master.conform_sound import audio_copy  # noqa: PLC0415 - probing alone needs no muxer

        self._copy: AudioCopy | SoundConformer = audio_copy(stream, origin, path)
        self._jitter = Jitter(Fraction(stream.time_base or 1))
        self._waiting: deque[Packet] = deque()
        """Their times are not settled yet."""

    @property
    def length(self) -> Fraction:
        """Seconds from the origin to the end of the last packet that is settled."""
        return self._copy.length

    def feed(self, packet: Packet) -> None:
        if packet.pts is None:
            self.finish()
            self._copy.feed(packet)
            return
        self._waiting.append(packet)
        self._pass_on(self._jitter.push(packet.pts, packet.duration or 0))

    def finish(self) -> None:
        """No packet comes any more."""
        self._pass_on(self._jitter.finish())

    def close(self) -> AudioCopy | SoundConformer:
        self.finish()
        self._copy.close()
        return self._copy

    def _pass_on(self, times: list[int]) -> None:
        for time in times:
            packet = self._waiting.popleft()
            if packet.pts != time:
                packet.pts = packet.dts = time
            self._copy.feed(packet)


class Sounds:
    """All of them, on their way into objects."""

    def __init__(self, opened: Opened, beside: Beside, folder: Path, limits: Limits) -> None:
        """Makes the film's facts name the sounds that lie apart, too, each of which is probed.

        Raises what opening them raises.
        """
        self._opened, self._folder, self._limits = opened, folder, limits
        self._apart: dict[int, Side] = {}
        tracks: list[AudioFacts] = []
        for track in opened.facts.audio:
            tracks.append(_named(track, beside.about or About(), 1) if not tracks else track)
        streams = len(opened.container.streams)
        for number, side in enumerate((s for s in beside.sides if s.kind == "audio"), streams):
            with closing(open_source(side.path, limits, Wanted(video=False))) as found:
                facts = found.facts.audio[0].model_copy(update={"stream": number, "default": side.about.default})
            tracks.append(_named(facts, side.about, len(tracks) + 1))
            self._apart[number] = side
        self.tracks = tuple(tracks)
        names = {track.stream: track.name for track in tracks}
        self._copies = {
            stream.index: _Sound(stream, opened.facts.origin, self._path(names[stream.index]))
            for stream in opened.audio.values()
        }

        self._done: Mapping[int, AudioCopy | SoundConformer] = {}

    def _path(self, name: str) -> Path:
        return self._folder / f"audio-{name}.nut"

    def feed(self, packet: Packet) -> None:
        """Takes the next packet of a sound in the film's file."""
        self._copies[packet.stream_index].feed(packet)

    def finish(self, *, strict: bool) -> tuple[str, ...]:
        """Reads the sounds that lie apart, the film having been read, and closes all; what they lack."""
        warnings: tuple[str, ...] = ()
        for track in self.tracks:
            if track.stream in self._apart:
                copy, lacks = self._copy(track, self._apart[track.stream], strict)
                self._copies[track.stream] = copy
                warnings += tuple(f"sound {track.name}: {lack}" for lack in lacks)
        self._done = {index: copy.close() for index, copy in self._copies.items()}
        return warnings

    @property
    def length(self) -> Fraction:
        """Seconds of the longest, from the film's origin on, once they are finished."""
        return max((copy.length for copy in self._done.values()), default=Fraction(0))

    def _copy(self, track: AudioFacts, side: Side, strict: bool) -> tuple[_Sound, tuple[str, ...]]:
        film = self._opened
        wanted = Wanted(video=False, clock=Continuity(film.clock.steps))
        with closing(open_source(side.path, self._limits, wanted)) as found:
            stream = next(iter(found.audio.values()))
            origin = film.facts.origin - _later(found, film.facts.origin)
            copy = _Sound(stream, origin, self._path(track.name))
            health = Health(found.facts)
            for packet in readable(within(found.packets(), origin, self._limits), health):
                health.see(packet)
                if packet.stream_index == stream.index:
                    copy.feed(packet)
            copy.finish()
        return copy, health.warnings(copy.length, strict=strict)

    def hand_over(self, sample_rate: int, hand_over: Callable[[Path], None]) -> dict[str, int]:
        """Hands over the tracks that have a packet; the length of each, samples of its rendition."""
        samples: dict[str, int] = {}
        for track in self.tracks:
            copy = self._done[track.stream]
            if copy.packets:
                samples[track.name] = int(copy.length * sample_rate)
                hand_over(copy.path)
        return samples


def _named(track: AudioFacts, about: About, number: int) -> AudioFacts:
    """The track as the playlist calls it, where that says anything."""
    language = track.language if about.language == "und" else about.language
    title = about.title or track.title
    described = {"language": language, "title": title, "describes": track.describes or about.describes}
    return track.model_copy(update={"name": f"{language}-{number}", **described})


def _later(found: Opened, origin: Fraction) -> Fraction:
    """Seconds by which the sound is later than its file says: packed audio counts from 0, a clock may have turned."""
    start = found.facts.origin
    told = first_time(found.door.head)
    later = Fraction(told, CLOCK) - start if told is not None else Fraction(0)
    return later + round((origin - start - later) / _TURN) * _TURN
