"""Collecting text tracks while a source is cut: packets to cues, decoded here, as the packets are at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from raven.media import ass, webvtt
from raven.model import Cue, PrepareResult, TextFacts

if TYPE_CHECKING:
    from av.subtitles.stream import SubtitleStream

    Packet = av.Packet[Any]

MAX_BYTES = 8 << 20
"""Cues of a track, as an object: a film has 0.2 MB."""
OPEN_MS = 10_000
"""How long a text is shown that has no end and no next one."""


class TextCopy:
    """The cues of one text track, whole, in one object. Its memory is that of a few cues."""

    def __init__(
        self,
        stream: SubtitleStream,
        origin: Fraction,
        path: Path,
        tidied: Callable[[str, str], tuple[str, str]] = lambda *both: both,
        longest: int | None = None,
    ) -> None:
        """`tidied` has the last word on text and settings of a cue; `longest` is the most that one lasts, seconds."""
        self.path = path
        self._tidied, self._longest = tidied, None if longest is None else 1000 * longest
        self._decoder = stream.codec_context
        self._tick, self._origin = Fraction(stream.time_base or 1), origin
        self._comments = self._decoder.codec.canonical_name == "ass"
        self._script = ass.parse_header((self._decoder.extradata or b"").decode("utf-8", "replace"))
        self._file = path.open("wb")
        self._open: list[Cue] = []  # said, but nobody has told yet until when
        self._size = 0
        self.cues = 0
        self.faults = 0
        """Packets that could not be decoded, or were too many."""

    def feed(self, packet: Packet) -> None:
        """Takes the next packet of the track."""
        if packet.pts is None:
            self.faults += 1
            return
        start = webvtt.milliseconds(packet.pts * self._tick - self._origin)
        try:
            decoded = self._decoder.decode2(packet)
        except av.error.FFmpegError:
            self.faults += 1
            return
        self._close_open(start)
        if decoded is None:
            return
        length = webvtt.milliseconds((packet.duration or 0) * self._tick)
        length = length if self._longest is None else min(length, self._longest)
        for rect in decoded:
            event = bytes(getattr(rect, "ass", b"")).decode("utf-8", "replace")
            text, settings = ass.cue_text(event, self._script, comments=self._comments)
            text, settings = self._tidied(text, settings)
            if text:
                self._take(Cue(start=start, end=start + length, text=text, settings=settings))

    def _take(self, cue: Cue) -> None:
        if cue.end > cue.start:
            self._write(cue)
        else:
            self._open.append(cue)

    def _close_open(self, now: int) -> None:
        """A text without a length lasts until the next packet of the track, which may be an empty one."""
        for cue in [c for c in self._open if c.start < now]:
            self._write(cue.model_copy(update={"end": min(now, cue.start + OPEN_MS)}))
            self._open.remove(cue)

    def _write(self, cue: Cue) -> None:
        line = webvtt.write_cues([cue])
        if self._size + len(line) > MAX_BYTES:
            self.faults += 1
            return
        self._file.write(line)
        self._size += len(line)
        self.cues += 1

    def close(self) -> None:
        for cue in self._open:
            self._write(cue.model_copy(update={"end": cue.start + OPEN_MS}))
        self._file.close()


def hand_over_texts(
    end: PrepareResult, copies: Mapping[int, TextCopy], hand_over: Callable[[Path], None]
) -> PrepareResult:
    """Closes and hands over the tracks that say something; the result of cutting, with those tracks and no others."""
    kept: list[TextFacts] = []
    silent: list[str] = []
    warnings: list[str] = []
    for track in end.facts.text:
        if track.stream not in copies:
            kept.append(track)
            continue
        copy = copies[track.stream]
        copy.close()
        if copy.faults:
            warnings.append(f"subtitle stream {track.stream}: pieces that could not be used: {copy.faults}")
        if copy.cues:
            kept.append(track)
            hand_over(copy.path)
        else:
            silent.append(f"subtitle stream {track.stream} ({track.codec}, {track.language}): it has no text")
    facts = end.facts.model_copy(update={"text": tuple(kept), "ignored": (*end.facts.ignored, *silent)})
    return end.model_copy(update={"facts": facts, "warnings": (*end.warnings, *warnings)})
