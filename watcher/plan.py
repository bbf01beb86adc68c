"""The plan: what a task needs next, from its rows alone. Pure and level-triggered.

After any event or restart the watcher asks again; no step lives in memory. A task's state is a function of its jobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raven.model import PrepareResult, PublishResult
from watcher.ledger import CHUNK, CONFORM, Ledger
from watcher.rows import ENDED, HELD, OPEN, JobRow, JobState, TaskRow, TaskState

PURGE_TEMPORARY, PURGE_ALL = 0, 1
"""Positions of the two purge jobs: chunk objects once a task is done; everything once it failed or was deleted."""

GROWTH = 16
"""A film is announced anew when its beginning has grown by this part of it."""


@dataclass(frozen=True)
class NewJob:
    """A job that must exist; adding it twice is one job. `delay`: ms for which a purge is put off."""

    kind: str
    position: int
    delay: int = 0


@dataclass(frozen=True)
class Ending:
    """How a task ends: what the watcher writes into its row. One that is done has outputs, or metadata alone."""

    status: TaskState
    message: str | None = None
    published: PublishResult | None = None


@dataclass(frozen=True)
class Plan:
    """What to do now.

    `cancel`: jobs that nobody has are not wanted any more. `stop`: jobs that nodes have must stop. `overtaken`: the
    same of these jobs alone. `anew`: all is done again from the source, which is conformed; this much is known of it.
    `hasten`: a purge that was put off is due. `prune`, `forget`: rows of work, or all, can go.
    """

    status: TaskState | None = None
    new_jobs: tuple[NewJob, ...] = ()
    ending: Ending | None = None
    cancel: bool = False
    stop: bool = False
    overtaken: tuple[JobRow, ...] = ()
    anew: PrepareResult | None = None
    hasten: bool = False
    prune: bool = False
    forget: bool = False


def prepared(row: JobRow | None) -> PrepareResult | None:
    """What a prepare job has found and cut so far."""
    if row is None or row.result is None:
        return None
    return PrepareResult.model_validate_json(row.result)


def plan(task: TaskRow, ledger: Ledger, early: int = 0, keep_failed: int = 0) -> Plan:
    """What a task whose row exists needs next.

    `early`: from so many chunks at its beginning on it is announced before it is done; 0 for never. `keep_failed`:
    ms that the objects of a failed task stay, so that it can be tried again from there.
    """
    if task.status in ENDED:
        return _after_end(task, ledger, keep_failed)
    prepare, fault = ledger.prepare, ledger.fault
    state = prepared(prepare)
    if fault is not None and fault.state == JobState.UNUSABLE and state is not None:
        return _begin_anew(ledger, fault, state)
    if fault is not None:
        return Plan(ending=Ending(TaskState.FAILED, fault.message or f"the {fault.kind} job was cancelled"))
    if prepare is None or state is None:
        return Plan(status=TaskState.PREPARING, new_jobs=_missing(ledger, [NewJob("prepare", 0)]))
    if state.metadata_only and prepare.state == JobState.DONE:
        return Plan(ending=Ending(TaskState.DONE, "; ".join(state.warnings) or None))
    return _work(ledger, state, early, cut=prepare.state == JobState.DONE and state.complete)


def _begin_anew(ledger: Ledger, fault: JobRow, state: PrepareResult) -> Plan:
    """Conforms a source whose chunks cannot be used, once nobody works any more on what was cut of its packets.

    Its chunks stay as long as they were. So what has been announced stays too: the playlists name segments that are
    replaced one by one, and give way to others once more than they name is there. A film that plays goes on playing.
    """
    if ledger.get("prepare", CONFORM) is not None:
        told = f"{fault.message}, although the source was decoded before it was cut"
        return Plan(ending=Ending(TaskState.FAILED, told))
    if _unfinished(ledger):
        return Plan(cancel=bool(ledger.idle), stop=bool(ledger.held))
    video = state.facts.video and state.facts.video.model_copy(update={"way": "conform"})
    facts = state.facts.model_copy(update={"video": video})
    known = PrepareResult(facts=facts, chunk_segments=state.chunk_segments, mark=state.mark)
    return Plan(status=TaskState.PREPARING, anew=known)


def _work(ledger: Ledger, state: PrepareResult, early: int, *, cut: bool) -> Plan:
    """What is next of a task whose source is known, and maybe `cut` to its end."""
    wanted = state.chunks if state.facts.video else 0
    chunks = tuple(NewJob(CHUNK, index) for index in ledger.chunks.missing(wanted))
    if not cut:
        return Plan(status=TaskState.ENCODING if wanted else TaskState.PREPARING, new_jobs=chunks)
    tracks = [NewJob("audio", index) for index in range(len(state.facts.audio))]
    tracks += [NewJob("text", index) for index in range(len(state.facts.text))]
    if not wanted and not tracks:
        return Plan(ending=Ending(TaskState.FAILED, "the source has neither a video frame nor a sound"))
    if ledger.chunks.done >= wanted and _all_done(ledger, tracks):
        return _finish(ledger, state)
    announcement = _announcement(ledger, tracks, early, wanted)
    return Plan(status=TaskState.ENCODING, new_jobs=(*chunks, *_missing(ledger, tracks), *announcement))


def _missing(ledger: Ledger, wanted: Iterable[NewJob]) -> tuple[NewJob, ...]:
    return tuple(job for job in wanted if ledger.get(job.kind, job.position) is None)


def _all_done(ledger: Ledger, wanted: Iterable[NewJob]) -> bool:
    rows = (ledger.get(job.kind, job.position) for job in wanted)
    return all(row is not None and row.state == JobState.DONE for row in rows)


def _announcement(ledger: Ledger, tracks: list[NewJob], early: int, chunks: int) -> tuple[NewJob, ...]:
    """One at a time, each for more chunks than the one before: its position is their number, at most `chunks`.

    In a long film for so many more that all announcements together cost no more than a few of the whole, and towards
    its end for half of what was left: publishing has little to do that was not done ahead.
    """
    ready, announced = ledger.chunks.ready, ledger.of("announce")
    before = max((row.position for row in announced), default=0)
    step = min(before // GROWTH, (chunks - before) // 2)
    grown = ready >= max(early, before + max(1, step))
    if not early or not grown or _open(announced) or not _all_done(ledger, tracks):
        return ()
    return (NewJob("announce", ready),)


def _finish(ledger: Ledger, state: PrepareResult) -> Plan:
    """What is next once all pieces are in. Publishing says all that an announcement would, so that gives way."""
    announcements = tuple(_open(ledger.of("announce")))
    if any(row.state in HELD for row in announcements):
        # while a node has it, it could put an older playlist in place of a newer one
        return Plan(status=TaskState.ENCODING, overtaken=announcements)
    publish = ledger.get("publish")
    if publish is None or publish.state != JobState.DONE or publish.result is None:
        new = _missing(ledger, [NewJob("publish", 0)])
        return Plan(status=TaskState.PUBLISHING, new_jobs=new, overtaken=announcements)
    published = PublishResult.model_validate_json(publish.result)
    return Plan(ending=Ending(TaskState.DONE, "; ".join(published.warnings or state.warnings) or None, published))


def _after_end(task: TaskRow, ledger: Ledger, keep_failed: int) -> Plan:
    """Stops what still runs, then cleans: the temporary objects of a done task, in time everything of a failed one."""
    failed = task.status == TaskState.FAILED
    position = PURGE_ALL if failed else PURGE_TEMPORARY
    purge = ledger.get("purge", position)
    if purge is not None and purge.state == JobState.DONE and not _unfinished(ledger):
        return Plan(prune=ledger.work)
    return _wind_down(ledger, NewJob("purge", position, keep_failed if failed else 0))


def plan_deleted(ledger: Ledger, now: int) -> Plan:
    """What is left to do for a task whose row is gone: stop, clean, forget."""
    purge = ledger.get("purge", PURGE_ALL)
    if purge is not None and purge.state == JobState.DONE and not _unfinished(ledger):
        return Plan(forget=True)
    if purge is not None and purge.state == JobState.WAITING and purge.not_before > now and not purge.failures:
        return Plan(hasten=True)
    return _wind_down(ledger, NewJob("purge", PURGE_ALL))


def unclean(task: TaskRow | None, kind: str | None) -> int | None:
    """The purge that has to run once more after a late report of a job's end: its node may have stored something since.

    `task` None: its row is gone. `kind`: of the job, None when its row is gone too.
    """
    if kind == "purge" or (task is not None and task.status not in ENDED):
        return None
    return PURGE_TEMPORARY if task is not None and task.status == TaskState.DONE else PURGE_ALL


def _open(rows: Iterable[JobRow]) -> list[JobRow]:
    return [row for row in rows if row.state in OPEN]


def _unfinished(ledger: Ledger) -> bool:
    return bool(ledger.held or ledger.idle)


def _wind_down(ledger: Ledger, purge: NewJob) -> Plan:
    """A purge begins only when nobody can store anything any more: jobs that nodes have, or may take, have ended.

    A queued job is one that a node may take, then it is stopped. One that nobody takes, as no node is there, does not
    hold up the purge for ever: whoever takes it later is called off at its first report.
    """
    if _unfinished(ledger):
        return Plan(cancel=bool(ledger.idle), stop=bool(ledger.held))
    return Plan(new_jobs=_missing(ledger, [purge]))
