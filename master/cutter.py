"""The child process that opens a source: probes it, cuts it, hands over each object as soon as it is whole.

It runs on untrusted bytes, so a crash or a hang here ends one attempt and no daemon. One order as a JSON line on
stdin; events as JSON lines on stdout; after each event with a file it waits for a line on stdin, so that no more than
the open objects lie on the disk, and after each question for a piece of the source until that is there.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av

from master.health import Health, readable, within
from master.replay import Beside
from master.sounds import Sounds
from master.still import Still
from master.texts import Texts
from raven.errors import NoDecoder, RavenError, SourceUnreadable
from raven.limits import Limits
from raven.media.captions import HEAD, channels
from raven.media.probe import Opened, Wanted, open_source
from raven.model import PrepareResult
from raven.profile import Cutting
from raven.values import Value


class Order(Value):
    """What to cut, where to, and how."""

    path: str
    folder: str
    cutting: Cutting
    slots: int = 0
    """Slots for chunks in the farm, a hint for their length."""
    sample_rate: int
    """Of the audio renditions."""
    with_video: bool = True
    """False where the profile makes sound alone."""
    conform: bool = False
    """Whether cutting its packets has been tried in vain."""
    strict: bool = False
    """Whether a damaged or truncated source is refused."""
    probe_only: bool = False
    in_pieces: bool = False
    """Whether the file has holes, which are to be asked for; of one that is probed only."""
    limits: Limits = Limits()
    ffmpeg: str = "ffmpeg"
    """Decodes the text that PyAV cannot."""
    beside: Beside = Beside()
    """What goes with the file at `path`."""


class Event(Value):
    """`state` so far, with the object `key` whole in `file`; or the end: complete, or `error`.

    Or a question for a `piece` of a source that is not all there.
    """

    state: PrepareResult | None = None
    piece: int | None = None
    key: str | None = None
    file: str | None = None
    error: str | None = None
    permanent: bool = False
    undecodable: bool = False
    """Whether another libavcodec may do better."""


def cut(opened: Opened, order: Order, hand_over: Callable[[Event], None]) -> PrepareResult:
    """Cuts an open source to its end; the complete result."""
    from master.conform import Conformer  # noqa: PLC0415 - probing alone needs no muxer
    from master.cut import VideoCutter, VideoSource  # noqa: PLC0415

    folder = Path(order.folder)
    sounds = Sounds(opened, order.beside, folder, order.limits)
    facts = opened.facts.model_copy(update={"audio": sounds.tracks})
    cutting = order.cutting.model_copy(update={"chunk_segments": order.cutting.fitted(facts.duration, order.slots)})
    state = PrepareResult(facts=facts, chunk_segments=cutting.chunk_segments)
    hand_over(Event(state=state))

    def chunk_ready(index: int, file: Path) -> None:
        nonlocal state
        if cutter is not None and cutter.whole > index:  # the range of the last chunk is known at the end only
            state = state.model_copy(update={"chunks": index + 1, "frames": cutter.frames})
        object_ready(file)

    def object_ready(file: Path) -> None:
        hand_over(Event(state=state, key=file.name, file=str(file)))

    cutter: VideoCutter | Conformer | None = None
    if opened.video is not None and facts.video is not None:
        grid = cutting.grid(facts.video.rate)
        again = Path(order.path).is_file()
        way = VideoCutter if facts.video.way == "copy" else Conformer
        cutter = way(VideoSource(opened.video, facts.video, facts.origin, grid, folder, chunk_ready, again))
    texts = Texts(opened, order.beside, folder, order.ffmpeg)
    health, still = Health(facts), Still()
    captions: set[str] = set()
    for packet in readable(within(opened.packets(), facts.origin, order.limits), health):
        health.see(packet)
        if cutter is not None and packet.stream_index == facts.video.stream:  # type: ignore[union-attr]
            captions |= channels(bytes(memoryview(packet)[:HEAD])) if cutter.captions else set()
            still.give(packet, cutter.feed)
        elif not texts.feed(packet, health.now):
            sounds.feed(packet)
    warnings = (*order.beside.warnings, *sounds.finish(strict=order.strict))
    end = state
    if cutter is not None:  # not told before all is complete: until then the last chunk would be taken for a whole one
        still.hold(cutter.feed, facts.origin + sounds.length)
        end = state.model_copy(update={"chunks": cutter.finish(), "frames": cutter.frames, "tail": cutter.tail})
        if isinstance(cutter, Conformer):  # of a copy the workers tell, who decode it
            health.damaged = max(health.damaged, cutter.damaged)
    samples = sounds.hand_over(order.sample_rate, object_ready)
    warnings += health.warnings(_length(end, samples, order.sample_rate), strict=order.strict)
    audio = tuple(track for track in facts.audio if track.name in samples)
    facts = facts.model_copy(update={"audio": audio, "captions": tuple(sorted(captions))})
    end = end.model_copy(update={"facts": facts, "samples": samples, "warnings": warnings, "complete": True})
    return texts.hand_over(end, object_ready)


def _length(end: PrepareResult, samples: Mapping[str, int], sample_rate: int) -> Fraction:
    """Seconds of film: all frames, or without video the longest track."""
    if end.facts.video is not None:
        return end.frames / end.facts.video.rate
    return Fraction(max(samples.values(), default=0), sample_rate)


def _open(order: Order, say: Callable[[Event], None]) -> Opened:
    def bring(piece: int) -> None:
        say(Event(piece=piece))

    wanted = Wanted(video=order.with_video, sound=order.beside.own_sound, fields=order.cutting.fields)
    return open_source(order.path, order.limits, wanted, bring if order.in_pieces else None)


def obey(order: Order, say: Callable[[Event], None]) -> None:
    """Opens the source and probes or cuts it. One that cannot be cut by its packets is conformed, from its start."""
    from master.cut import Uncuttable, nut_holds  # noqa: PLC0415 - probing alone needs no muxer

    if order.conform and not Path(order.path).is_file():
        raise SourceUnreadable("chunks of the source cannot be decoded, and a pipe cannot be read again")
    handed = 0

    def cut_so_far(event: Event) -> None:
        nonlocal handed
        handed = event.state.chunks if event.state else handed
        say(event)

    try:
        with closing(_open(order, say)) as opened:
            if order.conform or (opened.video is not None and not nut_holds(opened.video)):
                opened.conformed()
            say(Event(state=PrepareResult(facts=opened.facts) if order.probe_only else cut(opened, order, cut_so_far)))
    except Uncuttable:
        if not Path(order.path).is_file():
            raise  # a pipe cannot be read again
        with closing(_open(order, say)) as opened:
            say(Event(state=cut(opened.conformed(), order, _silent_until(handed, say))))


def _silent_until(chunks: int, say: Callable[[Event], None]) -> Callable[[Event], None]:
    """Tells no state until there are so many chunks again: those that are told of already stay what they were, as jobs
    for them may still be handed out."""

    def tell(event: Event) -> None:
        early = event.state is not None and event.state.chunks < chunks
        say(event.model_copy(update={"state": None}) if early else event)

    return tell


def main() -> None:
    """Obeys one order."""
    order = Order.model_validate_json(sys.stdin.buffer.readline())

    def say(event: Event) -> None:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()
        if (event.file is not None or event.piece is not None) and not sys.stdin.buffer.readline():
            sys.exit("the master is gone")

    try:
        obey(order, say)
    except RavenError as error:
        say(Event(error=str(error), permanent=error.permanent, undecodable=isinstance(error, NoDecoder)))
    except av.error.FFmpegError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)  # that is this host's fault, not the source's
        say(Event(error=f"the source cannot be cut: {error.strerror or error}", permanent=not full))
