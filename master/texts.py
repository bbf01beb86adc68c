"""The text tracks of a source while it is cut: which packets are theirs, and what comes of them at the end."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from master.broadcast import BroadcastCopy, hand_over_broadcast
from master.playlist import About
from master.replay import Beside, Side
from master.text import MAX_BYTES, TextCopy, hand_over_texts
from raven import names
from raven.media import webvtt
from raven.media.probe import Opened
from raven.media.vtt_reader import read
from raven.model import Cue, PrepareResult, TextFacts

if TYPE_CHECKING:
    import av

    Packet = av.Packet[Any]

MOST_TEXT = 64 << 20
"""Bytes of a text that lies apart: a film has 0.2 MB, in pieces that say it twice 0.4 MB."""


class Texts:
    """All of them, on their way into objects."""

    def __init__(self, opened: Opened, beside: Beside, folder: Path, ffmpeg: str) -> None:
        origin = opened.facts.origin
        self._opened, self._beside, self._folder, self._ffmpeg = opened, beside, folder, ffmpeg
        self._plain = {
            stream.index: TextCopy(stream, origin, folder / names.text_source_name(name))
            for name, stream in opened.text.items()
        }
        self._broadcast = {
            b.stream.index: BroadcastCopy(b.stream, b.sort, b.pages, origin, folder / f"text-{b.stream.index}.ts")
            for b in opened.broadcast
        }

    def feed(self, packet: Packet, now: Fraction | None) -> bool:
        """Takes the packet if it is text, and says so; `now` is the time of picture and sound beside it, seconds."""
        if packet.stream_index in self._plain:
            self._plain[packet.stream_index].feed(packet)
        elif packet.stream_index in self._broadcast:
            self._broadcast[packet.stream_index].feed(packet, now)
        else:
            return False
        return True

    def hand_over(self, end: PrepareResult, hand_over: Callable[[Path], None]) -> PrepareResult:
        """Hands over the tracks that say something; the result of cutting, with those tracks and no others."""
        end = hand_over_broadcast(end, self._broadcast, self._ffmpeg, hand_over)
        end = hand_over_texts(end, self._plain, hand_over)
        return self._hand_over_apart(end, hand_over)

    def _hand_over_apart(self, end: PrepareResult, hand_over: Callable[[Path], None]) -> PrepareResult:
        """Hands over the texts that lie apart and say something; the result of cutting, with those, too."""
        kept: list[TextFacts] = []
        ignored: list[str] = []
        number = max((int(track.name.rpartition("-")[2]) for track in end.facts.text), default=0)
        for side in (s for s in self._beside.sides if s.kind == "text"):
            number += 1
            track = _text_facts(side.about, number)
            file = self._folder / names.text_source_name(track.name)
            reason = _write(side, self._opened, self._beside.ahead, file)
            if reason is None:
                kept.append(track)
                hand_over(file)
            else:
                ignored.append(f"subtitles {track.title!r} ({track.language}): {reason}")
        text, told = (*end.facts.text, *kept), (*end.facts.ignored, *self._beside.ignored, *ignored)
        return end.model_copy(update={"facts": end.facts.model_copy(update={"text": text, "ignored": told})})


def _text_facts(about: About, number: int) -> TextFacts:
    return TextFacts(
        stream=-number,  # none of the film's file
        name=f"{about.language}-{number}",
        codec="webvtt",
        language=about.language,
        title=about.title,
        forced=about.forced,
        hearing_impaired=about.hearing_impaired,
    )


def _write(side: Side, opened: Opened, ahead: int, target: Path) -> str | None:
    """Writes the cues by the film's clock; the reason why there are none, if so."""
    source = Path(side.path)
    if opened.clock.breaks:
        return "not converted, the playlist's clock jumps"
    if source.stat().st_size > MOST_TEXT:
        return f"not converted, it has more than {MOST_TEXT} bytes"
    shift = webvtt.milliseconds(ahead - opened.facts.origin)
    cues = dict.fromkeys(_moved(cue, shift) for cue in read(source.read_text("utf-8", "replace")))
    body = webvtt.write_cues(cues)
    if not body:
        return "it has no text"
    if len(body) > MAX_BYTES:
        return f"not converted, its cues have more than {MAX_BYTES} bytes"
    target.write_bytes(body)
    return None


def _moved(cue: Cue, shift: int) -> Cue:
    return cue.model_copy(update={"start": cue.start + shift, "end": cue.end + shift})
