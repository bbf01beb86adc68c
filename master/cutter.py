"""The child process that opens a source: probes it, cuts it, hands over each object as soon as it is whole.

It runs on untrusted bytes, so a crash or a hang here ends one attempt and no daemon. One order as a JSON line on
stdin; events as JSON lines on stdout; after each event with a file it waits for a line on stdin, so that no more than
the open objects lie on the disk.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from master.health import Health
from master.text import TextCopy, hand_over_texts
from raven import names
from raven.errors import RavenError
from raven.limits import Limits
from raven.media.captions import HEAD, channels
from raven.media.probe import Opened, SourceBroken, open_source
from raven.model import PrepareResult, Value
from raven.profile import Cutting

if TYPE_CHECKING:
    from master.cut import Packet


class Order(Value):
    """What to cut, where to, and how."""

    path: str
    folder: str
    cutting: Cutting
    sample_rate: int
    """Of the audio renditions."""
    with_video: bool = True
    """False where the profile makes sound alone."""
    strict: bool = False
    """Whether a damaged or truncated source is refused."""
    probe_only: bool = False
    limits: Limits = Limits()


class Event(Value):
    """`state` so far, with the object `key` whole in `file`; or the end: complete, or `error`."""

    state: PrepareResult | None = None
    key: str | None = None
    file: str | None = None
    error: str | None = None
    permanent: bool = False


def cut(opened: Opened, order: Order, hand_over: Callable[[Event], None]) -> PrepareResult:
    """Cuts an open source to its end; the complete result."""
    from master.conform import Conformer, audio_copy  # noqa: PLC0415 - probing alone needs no muxer
    from master.cut import VideoCutter  # noqa: PLC0415

    folder, facts = Path(order.folder), opened.facts
    state = PrepareResult(facts=facts)
    hand_over(Event(state=state))

    def chunk_ready(index: int, file: Path) -> None:
        nonlocal state
        if cutter is not None and cutter.whole > index:  # the range of the last chunk is known at the end only
            state = state.model_copy(update={"chunks": index + 1, "frames": cutter.frames})
        hand_over(Event(state=state, key=file.name, file=str(file)))

    cutter: VideoCutter | Conformer | None = None
    if opened.video is not None and facts.video is not None:
        grid = order.cutting.grid(facts.video.rate)
        way = VideoCutter if facts.video.way == "copy" else Conformer
        cutter = way(opened.video, facts.video, facts.origin, grid, folder, chunk_ready)
    copies = {s.index: audio_copy(s, facts.origin, folder / f"audio-{n}.nut") for n, s in opened.audio.items()}
    texts = {s.index: TextCopy(s, facts.origin, folder / names.text_source_name(n)) for n, s in opened.text.items()}
    health = Health(facts)
    captions: set[str] = set()
    for packet in readable(within(opened.packets(), facts.origin, order.limits), health):
        health.see(packet)
        if cutter is not None and packet.stream_index == facts.video.stream:  # type: ignore[union-attr]
            captions |= channels(bytes(memoryview(packet)[:HEAD])) if way is VideoCutter else set()
            cutter.feed(packet)
        elif packet.stream_index in texts:
            texts[packet.stream_index].feed(packet)
        else:
            copies[packet.stream_index].feed(packet)
    end = state
    if cutter is not None:  # not told before all is complete: until then the last chunk would be taken for a whole one
        end = state.model_copy(update={"chunks": cutter.finish(), "frames": cutter.frames, "tail": cutter.tail})
    samples: dict[str, int] = {}
    for track in facts.audio:
        copy = copies[track.stream]
        copy.close()
        if copy.packets:
            samples[track.name] = int(copy.length * order.sample_rate)
            hand_over(Event(state=state, key=copy.path.name, file=str(copy.path)))
    audio = tuple(track for track in facts.audio if track.name in samples)
    warnings = health.warnings(_length(end, samples, order.sample_rate), strict=order.strict)
    facts = facts.model_copy(update={"audio": audio, "captions": tuple(sorted(captions))})
    end = end.model_copy(update={"facts": facts, "samples": samples, "warnings": warnings, "complete": True})
    return hand_over_texts(end, texts, lambda file: hand_over(Event(state=state, key=file.name, file=str(file))))


def _length(end: PrepareResult, samples: Mapping[str, int], sample_rate: int) -> Fraction:
    """Seconds of film: all frames, or without video the longest track."""
    if end.facts.video is not None:
        return end.frames / end.facts.video.rate
    return Fraction(max(samples.values(), default=0), sample_rate)


def within(packets: Iterator[Packet], origin: Fraction, limits: Limits) -> Iterator[Packet]:
    """The packets. Raises LimitExceeded at the first whose time is past the longest allowed, before it makes chunks."""
    for packet in packets:
        if packet.pts is not None and packet.time_base is not None:
            limits.check_seconds(packet.pts * packet.time_base - origin)
        yield packet


def readable(packets: Iterator[Packet], health: Health) -> Iterator[Packet]:
    """The packets up to where the source breaks off, if it does."""
    try:
        yield from packets
    except SourceBroken as error:
        health.breaks = str(error)


def obey(order: Order, say: Callable[[Event], None]) -> None:
    """Opens the source and probes or cuts it. One that cannot be cut by its packets is conformed, from its start."""
    from master.cut import TimeMissing, nut_holds  # noqa: PLC0415 - probing alone needs no muxer

    try:
        with closing(open_source(order.path, order.limits, with_video=order.with_video)) as opened:
            if opened.video is not None and not nut_holds(opened.video):
                opened.conformed()
            say(Event(state=PrepareResult(facts=opened.facts) if order.probe_only else cut(opened, order, say)))
    except TimeMissing:
        if not Path(order.path).is_file():
            raise  # a pipe cannot be read again
        with closing(open_source(order.path, order.limits, with_video=order.with_video)) as opened:
            say(Event(state=cut(opened.conformed(), order, say)))


def main() -> None:
    """Obeys one order."""
    order = Order.model_validate_json(sys.stdin.buffer.readline())

    def say(event: Event) -> None:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()
        if event.file is not None and not sys.stdin.buffer.readline():
            sys.exit("the master is gone")

    try:
        obey(order, say)
    except RavenError as error:
        say(Event(error=str(error), permanent=error.permanent))
    except av.error.FFmpegError as error:
        say(Event(error=f"the source cannot be cut: {error.strerror or error}", permanent=True))
