"""The plan: what a task needs next, from its rows alone. Pure and level-triggered.

After any event or restart the watcher asks again; no step lives in memory. A task's state is a function of its jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from raven.model import PrepareResult, PublishResult
from watcher.rows import ENDED, OPEN, JobRow, JobState, TaskRow, TaskState, Transition
from watcher.transitions import cancelled

PURGE_TEMPORARY, PURGE_ALL = 0, 1
"""Positions of the two purge jobs: chunk objects once a task is done; everything once it failed or was deleted."""

UNTAKEN_MS = 10_000
"""A queued job of an ended task that no node has taken for so long is given up."""


@dataclass(frozen=True)
class NewJob:
    """A job that must exist; adding it twice is one job."""

    kind: str
    position: int


@dataclass(frozen=True)
class Ending:
    """How a task ends: what the watcher writes into its row."""

    status: TaskState
    message: str | None = None
    published: PublishResult | None = None


@dataclass(frozen=True)
class Plan:
    """What to do now. `stop`: jobs that nodes have must stop. `prune`, `forget`: rows of work, or all, can go."""

    status: TaskState | None = None
    new_jobs: tuple[NewJob, ...] = ()
    transitions: tuple[Transition, ...] = ()
    ending: Ending | None = None
    stop: bool = False
    prune: bool = False
    forget: bool = False


@dataclass(frozen=True)
class _Jobs:
    """A task's jobs by kind and position."""

    rows: Mapping[tuple[str, int], JobRow] = field(default_factory=dict)

    def get(self, kind: str, position: int = 0) -> JobRow | None:
        return self.rows.get((kind, position))

    def of(self, kind: str) -> list[JobRow]:
        return [row for row in self.rows.values() if row.kind == kind]

    def work(self) -> list[JobRow]:
        """All but the cleaning up."""
        return [row for row in self.rows.values() if row.kind != "purge"]

    def missing(self, wanted: Iterable[NewJob]) -> tuple[NewJob, ...]:
        return tuple(job for job in wanted if (job.kind, job.position) not in self.rows)

    def all_done(self, wanted: Iterable[NewJob]) -> bool:
        rows = (self.rows.get((job.kind, job.position)) for job in wanted)
        return all(row is not None and row.state == JobState.DONE for row in rows)


def prepared(row: JobRow | None) -> PrepareResult | None:
    """What a prepare job has found and cut so far."""
    if row is None or row.result is None:
        return None
    return PrepareResult.model_validate_json(row.result)


def plan(task: TaskRow, rows: Iterable[JobRow], now: int, early: int = 0) -> Plan:
    """What a task whose row exists needs next.

    `early`: from so many chunks at its beginning on it is announced before it is done; 0 for never.
    """
    jobs = _Jobs({(row.kind, row.position): row for row in rows})
    if task.status in ENDED:
        return _after_end(task, jobs, now)
    failed = next((row for row in jobs.work() if row.state in (JobState.FAILED, JobState.CANCELLED)), None)
    if failed is not None:
        return Plan(ending=Ending(TaskState.FAILED, failed.message or f"the {failed.kind} job was cancelled"))
    prepare = jobs.get("prepare")
    state = prepared(prepare)
    if prepare is None or state is None:
        return Plan(status=TaskState.PREPARING, new_jobs=jobs.missing([NewJob("prepare", 0)]))
    chunks = [NewJob("encode", index) for index in range(state.chunks)] if state.facts.video else []
    if prepare.state != JobState.DONE or not state.complete:
        status = TaskState.ENCODING if chunks else TaskState.PREPARING
        return Plan(status=status, new_jobs=jobs.missing(chunks))
    tracks = [NewJob("audio", index) for index in range(len(state.facts.audio))]
    tracks += [NewJob("text", index) for index in range(len(state.facts.text))]
    if early and not jobs.all_done([*chunks, *tracks]):
        announcement = _announcement(jobs, chunks, tracks, early)
        return Plan(status=TaskState.ENCODING, new_jobs=(*jobs.missing([*chunks, *tracks]), *announcement))
    return _finish(jobs, state, [*chunks, *tracks])


def _announcement(jobs: _Jobs, chunks: list[NewJob], tracks: list[NewJob], early: int) -> tuple[NewJob, ...]:
    """One at a time, each for more chunks than the one before: its position is their number."""
    ready = next((n for n, chunk in enumerate(chunks) if not jobs.all_done([chunk])), len(chunks))
    announced = jobs.of("announce")
    before = max((row.position for row in announced), default=0)
    if ready < early or ready <= before or _open(announced) or not jobs.all_done(tracks):
        return ()
    return (NewJob("announce", ready),)


def _finish(jobs: _Jobs, state: PrepareResult, wanted: list[NewJob]) -> Plan:
    """What is next once the source is cut and all work is known."""
    if not wanted:
        return Plan(ending=Ending(TaskState.FAILED, "the source has neither a video frame nor a sound"))
    if not jobs.all_done(wanted):
        return Plan(status=TaskState.ENCODING, new_jobs=jobs.missing(wanted))
    if _open(jobs.of("announce")):
        return Plan(status=TaskState.ENCODING)  # afterwards it would put an older playlist in place of a newer one
    publish = jobs.get("publish")
    if publish is None or publish.state != JobState.DONE or publish.result is None:
        return Plan(status=TaskState.PUBLISHING, new_jobs=jobs.missing([NewJob("publish", 0)]))
    published = PublishResult.model_validate_json(publish.result)
    return Plan(ending=Ending(TaskState.DONE, "; ".join(state.warnings) or None, published))


def _after_end(task: TaskRow, jobs: _Jobs, now: int) -> Plan:
    """Stops what still runs, then cleans: the temporary objects of a done task, everything of a failed one."""
    position = PURGE_TEMPORARY if task.status == TaskState.DONE else PURGE_ALL
    purge = jobs.get("purge", position)
    if purge is not None and purge.state == JobState.DONE and not _open(jobs.work()):
        return Plan(prune=bool(jobs.work()))
    return _wind_down(jobs, position, now)


def plan_deleted(rows: Iterable[JobRow], now: int) -> Plan:
    """What is left to do for a task whose row is gone: stop, clean, forget."""
    jobs = _Jobs({(row.kind, row.position): row for row in rows})
    purge = jobs.get("purge", PURGE_ALL)
    if purge is not None and purge.state == JobState.DONE and not _open(jobs.work()):
        return Plan(forget=True)
    return _wind_down(jobs, PURGE_ALL, now)


def _open(rows: Iterable[JobRow]) -> list[JobRow]:
    return [row for row in rows if row.state in OPEN]


def _wind_down(jobs: _Jobs, position: int, now: int) -> Plan:
    """A purge begins only when nobody can store anything any more: jobs that nodes have, or may take, have ended.

    A queued job is one that a node may take, then it is stopped. One that nobody takes, as no node is there, does not
    hold up the purge for ever: whoever takes it later is called off at its first report.
    """
    still = _open(jobs.work())
    held = [row for row in still if row.state != JobState.WAITING and not _untaken(row, now)]
    idle = tuple(cancelled(row, now) for row in still if row not in held)
    if held or idle:
        return Plan(transitions=idle, stop=bool(held))
    return Plan(new_jobs=jobs.missing([NewJob("purge", position)]))


def _untaken(row: JobRow, now: int) -> bool:
    return row.state == JobState.QUEUED and now - row.changed_at > UNTAKEN_MS
