"""Progress for people: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raven.snapshot import DONE, LOST, QUEUED, RUNNING, WAITING, RunningJob, Snapshot, shortened
from raven.terminal import cell, plain

LINE_SECONDS = 5.0  # between plain lines
STRIP = 60  # characters
_STYLES = {DONE: "green", RUNNING: "bold cyan", QUEUED: "cyan", WAITING: "dim", LOST: "red"}


class Display(Protocol):
    """Shows snapshots while it is open."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None: ...


def clock(seconds: float | None) -> str:
    """Seconds as people read them."""
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _speed(speed: float | None) -> str:
    return f"{speed:.2f}x" if speed else "-"


def summary_line(snapshot: Snapshot) -> str:
    """One line that stands alone in a log."""
    jobs = f"{snapshot.jobs_done}/{snapshot.jobs_known} jobs"
    rest = f"{_speed(snapshot.speed)} real time, {clock(snapshot.left)} left"
    return f"{100 * snapshot.progress:5.1f} %  {snapshot.status}, {jobs}, {rest}"


class LiveDisplay:
    """A bar for the whole film, a strip of its chunks, and a line for each job that runs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._live = Live(console=Console(stderr=True), refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        head = Table.grid(padding=(0, 1))
        head.add_row(
            cell(self._title, "bold"),
            ProgressBar(total=1.0, completed=snapshot.progress, width=40),
            f"{100 * snapshot.progress:5.1f} %",
            _speed(snapshot.speed),
            f"{clock(snapshot.left)} left",
        )
        work = Table.grid(padding=(0, 2))
        for job in snapshot.running:
            work.add_row(*_job_cells(job, snapshot))
        trouble = [Text(f"  trying again: {_short(snapshot.trouble)}", style="yellow")] if snapshot.trouble else []
        strip = [_strip(snapshot.chunks)] if len(snapshot.chunks) > 1 else []
        self._live.update(Group(head, *strip, work, *trouble))


def _short(trouble: str) -> str:
    return plain(trouble.strip().splitlines()[0][:200])


def _strip(chunks: str) -> Text:
    return Text("  ").append(Text.assemble(*((mark, _STYLES[mark]) for mark in shortened(chunks, STRIP))))


def _job_cells(job: RunningJob, snapshot: Snapshot) -> tuple[str, Text, str, str]:
    """On which node where there may be several."""
    what = f"{job.kind} {job.position + 1}" if job.kind in ("encode", "audio") else job.kind
    unit = "frames" if job.kind == "encode" else "samples"
    node = cell(job.node if snapshot.elapsed is None else "")
    return f"  {what}", node, f"{job.done} {unit}" if job.done else "", _speed(job.speed) if job.speed else ""


class PlainDisplay:
    """A line every few seconds and at each change of state."""

    def __init__(self, title: str) -> None:
        self._title = plain(title)
        self._next = 0.0
        self._status = ""
        self._trouble: str | None = None

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        sys.stderr.flush()

    def show(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        if now >= self._next or snapshot.status != self._status:
            self._next, self._status = now + LINE_SECONDS, snapshot.status
            sys.stderr.write(f"{self._title}: {summary_line(snapshot)}{_where(snapshot)}\n")
        if snapshot.trouble and snapshot.trouble != self._trouble:
            self._trouble = snapshot.trouble
            sys.stderr.write(f"{self._title}: trying again: {_short(snapshot.trouble)}\n")
        sys.stderr.flush()


def _where(snapshot: Snapshot) -> str:
    """Of a farm's task its chunks, and the nodes that are at it."""
    if snapshot.elapsed is not None or snapshot.ended:
        return ""
    nodes = sorted({plain(job.node) for job in snapshot.running if job.node})
    strip = f", {shortened(snapshot.chunks, STRIP)}" if snapshot.chunks else ""
    return f"{strip}{', on ' + ', '.join(nodes) if nodes else ''}"


class JsonLines:
    """For programs: a JSON object on stdout whenever something has changed."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        sys.stdout.flush()

    def show(self, snapshot: Snapshot) -> None:
        state = snapshot.as_json()
        if state != self._said:
            self._said = state
            sys.stdout.write(json.dumps(state) + "\n")
            sys.stdout.flush()


def choose_display(title: str) -> Display:
    """Live on a terminal, plain elsewhere."""
    return LiveDisplay(title) if sys.stderr.isatty() else PlainDisplay(title)
