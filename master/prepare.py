"""The prepare job: reach the source, cut it in one pass in a child, store each chunk as soon as it is whole."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from master.ahead import CutterAhead, start_cutter
from master.cutter import Event, Order
from master.mark import check, mark
from master.ranges import Ranges
from master.reach import Reach
from raven import names
from raven.context import Context
from raven.errors import NoDecoder, NoRoom, ObjectMissing, ProcessFailed, SourceUnreadable, TaskError
from raven.intake import Bring
from raven.limits import Limits
from raven.media.command import remake_command, trial_command
from raven.messages import PrepareJob
from raven.model import PrepareResult, SourceFacts
from raven.ports import Storage
from raven.process import Child, StopSignal, Watch, out_of_room, run
from raven.profile import Cutting
from raven.sandbox import Box
from raven.scratch import scratch

DEFAULT_LIMITS = Limits()
PROBE_SECONDS = 5.0
"""Decoded of a source to look at it that PyAV cannot decode."""


@dataclass(frozen=True)
class Tools:
    """What the jobs of a master need of the machine."""

    storage: Storage
    roots: str | None
    temporary: Path | None
    limits: Limits
    box: Box
    """Of the child that opens a source."""
    stall_seconds: float
    ffmpeg: str
    ahead: CutterAhead | None = None
    """A child that waits already."""


def prepare(job: PrepareJob, context: Context, tools: Tools) -> PrepareResult:
    """Cuts the source, from its start even where an earlier attempt has cut some.

    Raises SourceRefused, SourceUnreadable, or ProcessFailed when the child broke.
    """
    if not job.conform and _came_out_conformed(job.task, tools.storage):
        # the order is from before that: with copied chunks back, an encode as old would write over the film
        job = job.model_copy(update={"conform": True})
    profile = job.profile
    with scratch(job.task, job.job, tools.temporary) as folder:
        reach = Reach(tools.roots, folder, tools.limits, context.stop, tools.ffmpeg, tools.box, tools.stall_seconds)
        if job.metadata_only and (pieces := reach.pieces(job.source)) is not None:
            with suppress(NoDecoder):  # the ffmpeg that may have one reads the whole file
                return _looked_at(job, pieces, context, tools, folder)
            pieces.path.unlink()
        path, beside = reach.path(job.source, with_video=bool(profile.video))
        if job.strict and beside.warnings:
            raise SourceUnreadable(f"{'; '.join(beside.warnings)}; options.strict refuses such a source")
        if job.metadata_only:
            facts = probe(path, context.stop, tools.limits, tools.box, tools.stall_seconds, tools.ffmpeg, folder)
            context.notes.update(source=job.source)
            return PrepareResult(facts=facts, warnings=beside.warnings, complete=True, metadata_only=True)
        check(path, job.mark)
        known = job.mark or mark(path)
        if job.conform:  # a worker that still has one of these finds it gone and stores nothing
            tools.storage.delete_prefix(names.chunk_prefix(job.task, "copy"))
        order = Order(
            path=path,
            folder=str(folder),
            cutting=profile.cutting,
            slots=job.slots,
            sample_rate=profile.sample_rate,
            with_video=bool(profile.video),
            conform=job.conform,
            strict=job.strict,
            limits=tools.limits,
            ffmpeg=tools.ffmpeg,
            beside=beside,
        )
        try:
            state = _cut(order, known, job, context, tools)
        except NoDecoder as error:
            context.notes["remade"] = str(error)
            path = _remade(order, error, context.stop, tools.box, tools.stall_seconds)
            state = _cut(order.model_copy(update={"path": path}), known, job, context, tools)
    context.notes.update(chunks=state.chunks, frames=state.frames, source=job.source)
    return state


def _came_out_conformed(task: int, storage: Storage) -> bool:
    """Whether there is a film of this task already, made of conformed chunks (docs/protocol.pml)."""
    try:
        sheet = json.loads(storage.get(names.out_prefix(task) + names.TASK_JSON))
    except ObjectMissing:
        return False
    return ((sheet.get("source") or {}).get("video") or {}).get("way") == "conform"


def _looked_at(job: PrepareJob, pieces: Ranges, context: Context, tools: Tools, folder: Path) -> PrepareResult:
    """Of a source of which only that is fetched."""
    order = _look(str(pieces.path), str(folder), tools.limits, tools.ffmpeg).model_copy(update={"in_pieces": True})
    facts = _probed(order, context.stop, tools.box, tools.stall_seconds, pieces.bring)
    context.notes.update(source=job.source, pieces=len(pieces.here))
    return PrepareResult(facts=facts, complete=True, metadata_only=True)


def _cut(order: Order, known: str, job: PrepareJob, context: Context, tools: Tools) -> PrepareResult:
    """Lets a child cut, and stores what it hands over. `known`: the mark of the source."""
    state: PrepareResult | None = None
    waiting = tools.ahead.take() if tools.ahead else None
    with _child(order, context.stop, tools.box, tools.stall_seconds, waiting) as (child, events):
        for event in events:
            if event.file is not None and event.key is not None:
                with child.waiting():
                    tools.storage.put(names.tmp_prefix(job.task) + event.key, Path(event.file))
                Path(event.file).unlink()
                child.go_on()
            if event.state is not None:
                state = event.state.model_copy(update={"mark": known})
                context.prepared(state)
    if state is None or not state.complete:
        raise ProcessFailed("cutting ended without a result")
    return state


def _remade(order: Order, refusal: NoDecoder, stop: StopSignal, box: Box | None, stall_seconds: float | None) -> str:
    """The path of a lossless copy, by an ffmpeg that has more decoders than PyAV.

    Raises the refusal if it has no decoder either, ProcessFailed if this node may be to blame.
    """
    source, target = Path(order.path), Path(order.folder) / "remade.mkv"
    if not source.is_file():  # a pipe cannot be read again
        raise refusal
    seconds = PROBE_SECONDS if order.probe_only else None
    command = remake_command(order.ffmpeg, str(source), str(target), order.limits, seconds)
    try:
        run(command, stop, None, box, stall_seconds)
    except ProcessFailed as error:
        if error.status is None or error.status < 0:  # hung, or killed from outside
            raise
        run(trial_command(order.ffmpeg), stop, None, box, stall_seconds)
        raise refusal from error
    return str(target)


def probe(
    path: str,
    stop: StopSignal,
    limits: Limits = DEFAULT_LIMITS,
    box: Box | None = None,
    stall_seconds: float | None = None,
    ffmpeg: str = "ffmpeg",
    temporary: Path | None = None,
) -> SourceFacts:
    """What is in a source, found out in a child. Raises SourceUnreadable, SourceRefused, LimitExceeded.

    `ffmpeg` decodes the beginning of what PyAV cannot: then no length is known.
    """
    with tempfile.TemporaryDirectory(prefix="raven-probe-", dir=temporary) as folder:
        order = _look(path, folder, limits, ffmpeg)
        try:
            return _probed(order, stop, box, stall_seconds)
        except NoDecoder as error:
            remade = _remade(order, error, stop, box, stall_seconds)
            facts = _probed(order.model_copy(update={"path": remade}), stop, box, stall_seconds)
            return facts.model_copy(update={"duration": None, "bytes": Path(path).stat().st_size})


def _look(path: str, folder: str, limits: Limits, ffmpeg: str) -> Order:
    about = {"cutting": Cutting(), "sample_rate": 48000, "probe_only": True}
    return Order(path=path, folder=folder, limits=limits, ffmpeg=ffmpeg, **about)


def _probed(
    order: Order, stop: StopSignal, box: Box | None, stall_seconds: float | None, bring: Bring | None = None
) -> SourceFacts:
    facts = None
    with _child(order, stop, box, stall_seconds) as (child, events):
        for event in events:
            if event.piece is not None and bring is not None:
                with child.waiting():
                    bring(event.piece)
                child.go_on()
            facts = event.state.facts if event.state else facts
    if facts is None:
        raise ProcessFailed("probing ended without a result")
    return facts


@dataclass
class _Cutter:
    """The child at work, as the parent deals with it."""

    child: Child
    pauses: int = 0
    waits: bool = False

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While the child waits for us, it does not hang."""
        self.waits = True
        yield
        self.pauses, self.waits = self.pauses + 1, False

    def go_on(self) -> None:
        self.child.stdin.write(b"\n")
        self.child.stdin.flush()

    def sign(self) -> object:
        """Changes as long as there is progress: bytes are read, or the child waits for us."""
        return time.monotonic() if self.waits else (self.pauses, self.child.bytes_read())


@contextmanager
def _child(
    order: Order, stop: StopSignal, box: Box | None, stall_seconds: float | None, waiting: Child | None = None
) -> Iterator[tuple[_Cutter, Iterator[Event]]]:
    child = waiting or start_cutter(box)
    cutter = _Cutter(child)
    try:
        with Watch(child, "the cutter", stop, stall_seconds, cutter.sign) as watch:
            try:
                yield cutter, _events(child, order)
            except BrokenPipeError as error:
                watch.check(child.wait())
                raise ProcessFailed(f"the cutter broke off: {child.stderr_tail[-1000:]}") from error
            watch.check(child.wait())
    finally:
        child.stop()
        child.wait()


def _events(child: Child, order: Order) -> Iterator[Event]:
    child.stdin.write(order.model_dump_json().encode() + b"\n")
    child.stdin.flush()
    for line in child.stdout:
        event = Event.model_validate_json(line)
        if event.error is not None:
            if event.undecodable:
                raise NoDecoder(event.error)
            if event.permanent:
                raise TaskError(event.error)
            raise (NoRoom if out_of_room(event.error) else ProcessFailed)(event.error)
        yield event
