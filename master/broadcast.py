"""Text of broadcasts on its way to cues: kept while a source is cut, then decoded by ffmpeg, page by page.

libavcodec as PyAV has it cannot decode teletext and ARIB captions, the shipped ffmpeg can. It runs as a child of the
child that cuts, in the same box and one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from master.text import OPEN_MS, TextCopy
from raven import names
from raven.errors import LimitExceeded, ProcessFailed
from raven.media.broadcast import MAX_PAGES, Page, Sort, decode_command
from raven.media.filters import SHIFT
from raven.media.subtitles import page_facts
from raven.media.transport import CLOCK, MOST_DATA, WRAP, PrivateStream
from raven.model import PrepareResult, TextFacts
from raven.process import StopSignal, run
from raven.sandbox import Box

if TYPE_CHECKING:
    from av.stream import Stream

    Packet = av.Packet[Any]

ASTRAY = Fraction(10)
"""Seconds that a packet's time may be off the picture and sound around it; some broadcasters' are of another clock."""
BOX = Box(cpu_seconds=600, memory_bytes=1 << 30, file_bytes=64 << 20)
"""Of the decoder: measured 0.4 GiB of address space. A day of subtitles is 2 MB."""
STALL_SECONDS = 300.0
LONGEST = 30
"""Seconds that a text is shown which nothing clears: the capture has lost what did."""


class BroadcastCopy:
    """The text of one stream, whole, in a transport stream of its own."""

    def __init__(self, stream: Stream, sort: Sort, pages: tuple[Page, ...], origin: Fraction, path: Path) -> None:
        self.sort, self._described = sort, pages
        self._tick, self._origin = Fraction(stream.time_base or 1), origin
        self.path = path
        self._file = path.open("wb")
        self._transport = PrivateStream()
        self._file.write(self._transport.tables(sort.descriptors))
        self._found: dict[Page, None] = {}
        self._last = 0
        self.faults = 0
        """Packets without a time, past the clock's end, or too large."""

    def feed(self, packet: Packet, now: Fraction | None) -> None:
        """Takes the next packet; `now` is the time of the picture and sound beside it, seconds of the source."""
        data = self.sort.kept(bytes(packet))
        time = packet.pts * self._tick if packet.pts is not None else now
        if time is not None and now is not None and abs(time - now) > ASTRAY:
            time = now
        if not data or time is None:
            self.faults += time is None
            return
        if not self._described:
            self._found |= dict.fromkeys(self.sort.found(data))
        self._write(data, round((time - self._origin + SHIFT) * CLOCK))

    def _write(self, data: bytes, time: int) -> None:
        if time >= WRAP or len(data) > MOST_DATA:
            self.faults += 1
            return
        if time < 0:  # long before the film
            return
        self._last = max(self._last, time)
        self._file.write(self._transport.packet(data, time))

    @property
    def pages(self) -> tuple[Page, ...]:
        """The texts: those that the source describes, else those that show themselves."""
        return self._described or tuple(self._found)[:MAX_PAGES]

    def close(self) -> None:
        """Ends what is still shown."""
        end = self._last + OPEN_MS * CLOCK // 1000
        for page in self.pages:
            self._write(self.sort.cleared(page), end)
        self._file.close()

    def decode(self, ffmpeg: str, page: Page, target: Path) -> TextCopy | None:
        """The cues of a text; None where it has none. After `close`. Raises ProcessFailed or LimitExceeded."""
        decoded = self.path.with_suffix(".mkv")
        command = decode_command(ffmpeg, str(self.path), self.sort, page, str(decoded))
        run(command, StopSignal(), None, BOX, STALL_SECONDS)
        try:
            container = av.open(str(decoded), format="matroska")
        except av.error.EOFError:  # a track without a cue
            return None
        with container:
            stream = container.streams.subtitles[0]
            copy = TextCopy(stream, Fraction(SHIFT), target, self.sort.tidied, LONGEST)
            for packet in container.demux(stream):
                if packet.size:
                    copy.feed(packet)
        copy.close()
        return copy


def hand_over_broadcast(
    end: PrepareResult, copies: Mapping[int, BroadcastCopy], ffmpeg: str, hand_over: Callable[[Path], None]
) -> PrepareResult:
    """Decodes and hands over the pages that say something; the result of cutting, with those and the other texts."""
    others = [track for track in end.facts.text if track.stream not in copies]
    kept: list[TextFacts] = []
    ignored: list[str] = []
    warnings: list[str] = []
    number = len(others)
    for stream, copy in copies.items():
        codec = copy.sort.codec
        copy.close()
        if copy.faults:
            warnings.append(f"subtitle stream {stream}: pieces that could not be used: {copy.faults}")
        if not copy.pages:
            ignored.append(f"subtitle stream {stream} ({codec}): it has no subtitles")
        for page in copy.pages:
            number += 1
            track = page_facts(stream, codec, page, number)
            try:
                text = copy.decode(ffmpeg, page, copy.path.with_name(names.text_source_name(track.name)))
                reason = None if text and text.cues else "it has no text"
            except (ProcessFailed, LimitExceeded) as error:  # of which the film itself needs nothing
                text, reason = None, f"not converted, {error}"
            if text is None or reason:
                ignored.append(f"subtitle stream {stream} ({codec}, {page}): {reason}")
            else:
                kept.append(track)
                hand_over(text.path)
    facts = end.facts.model_copy(update={"text": (*others, *kept), "ignored": (*end.facts.ignored, *ignored)})
    return end.model_copy(update={"facts": facts, "warnings": (*end.warnings, *warnings)})
