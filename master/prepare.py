"""The prepare job: reach the source, cut it in one pass in a child, store each chunk as soon as it is whole."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import master.cutter
from master.cutter import Event, Order
from master.sources import resolve
from raven import names
from raven.agent import Context
from raven.errors import ProcessFailed, SourceUnreadable
from raven.messages import PrepareJob
from raven.model import PrepareResult, SourceFacts
from raven.ports import Storage
from raven.process import Child, StopSignal
from raven.profile import Cutting


@dataclass(frozen=True)
class Tools:
    """What the jobs of a master need of the machine."""

    storage: Storage
    roots: str | None
    temporary: Path | None


def cutter_command() -> list[str]:
    """The child, with this very code and nothing of the working directory on its path."""
    root = str(Path(master.cutter.__file__).resolve().parent.parent)
    return [sys.executable, "-P", "-c", f"import sys; sys.path.append({root!r}); import master.cutter as c; c.main()"]


def prepare(job: PrepareJob, context: Context, tools: Tools) -> PrepareResult:
    """Cuts the source. Raises SourceRefused, SourceUnreadable, or ProcessFailed when the child broke."""
    path = resolve(job.source, tools.roots)
    profile = job.profile
    with tempfile.TemporaryDirectory(prefix=f"raven-{job.task}-{job.job}-", dir=tools.temporary) as folder:
        order = Order(
            path=path,
            folder=folder,
            cutting=profile.cutting,
            sample_rate=profile.sample_rate,
            with_video=bool(profile.video),
            strict=job.strict,
        )
        state: PrepareResult | None = None
        with _child(order, context.stop) as (child, events):
            for event in events:
                if event.file is not None and event.key is not None:
                    tools.storage.put(names.tmp_prefix(job.task) + event.key, Path(event.file))
                    Path(event.file).unlink()
                    child.stdin.write(b"\n")
                    child.stdin.flush()
                if event.state is not None:
                    state = event.state
                    context.prepared(state)
        if state is None or not state.complete:
            raise ProcessFailed("cutting ended without a result")
    context.notes.update(chunks=state.chunks, frames=state.frames, source=job.source)
    return state


def probe(path: str, stop: StopSignal) -> SourceFacts:
    """What is in a source, found out in a child. Raises SourceUnreadable."""
    order = Order(path=path, folder="", cutting=Cutting(), sample_rate=48000, probe_only=True)
    facts = None
    with _child(order, stop) as (_, events):
        for event in events:
            facts = event.state.facts if event.state else facts
    if facts is None:
        raise ProcessFailed("probing ended without a result")
    return facts


@contextmanager
def _child(order: Order, stop: StopSignal) -> Iterator[tuple[Child, Iterator[Event]]]:
    child = Child(cutter_command(), stdin=subprocess.PIPE)
    over = threading.Event()
    threading.Thread(target=_stop_when_told, args=(child, stop, over), daemon=True, name="stop").start()
    try:
        yield child, _events(child, order)
        status = child.wait()
        stop.check()
        if status != 0:
            raise ProcessFailed(f"the cutter ended with status {status}: {child.stderr_tail[-1000:]}")
    except BrokenPipeError as error:
        stop.check()
        raise ProcessFailed(f"the cutter broke off: {child.stderr_tail[-1000:]}") from error
    finally:
        over.set()
        child.stop()
        child.wait()


def _events(child: Child, order: Order) -> Iterator[Event]:
    child.stdin.write(order.model_dump_json().encode() + b"\n")
    child.stdin.flush()
    for line in child.stdout:
        event = Event.model_validate_json(line)
        if event.error is not None:
            raise SourceUnreadable(event.error) if event.permanent else ProcessFailed(event.error)
        yield event


def _stop_when_told(child: Child, stop: StopSignal, over: threading.Event) -> None:
    while not over.is_set():
        if stop.wait(0.1):
            child.stop()
            return
