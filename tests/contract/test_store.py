"""Every function of watcher.store.Store on both databases: the one place where SQL of ours could differ in meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raven.messages import Alive
from raven.model import EncodeResult, SegmentInfo, TrackSegments
from raven.ports import Database
from watcher.plan import NewJob
from watcher.rows import OPEN, JobRow, JobState, TaskRow, TaskState, Transition
from watcher.store import Store
from watcher.transitions import cancelled, queued

NOW = 1_800_000_000_000  # ms: beyond 32 bits, as real times are
LATER = NOW + 60_000
TRACK = TrackSegments(first=1, segments=(SegmentInfo(length=150, bytes=9),), start=0, init_sha256="ab")
RESULT = EncodeResult(renditions={"240p": TRACK}, frames=150, thumbs=1, bytes=9).model_dump_json()
CASES: dict[str, Callable[[Store, Database], None]] = {}
Case = Callable[[Store, Database], None]


def case(function: Case) -> Case:
    """Notes a case under the name of the function of the store that it is about."""
    CASES[function.__name__.removeprefix("_")] = function
    return function


@pytest.mark.parametrize("name", sorted(name for name in vars(Store) if not name.startswith("_")))
def test_every_function_of_the_store_means_the_same_on_both_databases(name: str, database: Database) -> None:
    """A statement that only SQLite has run is not tested: the farm runs on MariaDB."""
    assert name in CASES, f"write a case for Store.{name}"
    CASES[name](Store(database), database)


def submit(database: Database, source: str = "/srv/in/film.mkv", **columns: Any) -> int:
    """Inserts a task as a client would; its id."""
    columns["source"] = source
    marks = ", ".join("?" for _ in columns)
    database.execute(f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608
    return int(database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])


def add(store: Store, task: int, kind: str, position: int = 0, **columns: Any) -> JobRow:
    """Adds a job, with other values than the defaults if they are given."""
    store.add(task, NewJob(kind, position), NOW)
    row = next(row for row in store.jobs_of(task) if (row.kind, row.position) == (kind, position))
    if columns:
        state = frozenset({JobState(row.state)})
        assert store.apply(Transition(row.id, state, row.attempt, columns, "test"))
    found = store.job(row.id)
    assert found is not None
    return found


def column(database: Database, name: str, task: int) -> Any:
    """One column of a task."""
    return database.query(f"SELECT {name} AS value FROM tasks WHERE id = ?", (task,))[0]["value"]  # noqa: S608


@case
def _transaction(store: Store, database: Database) -> None:
    def breaks_off() -> None:
        with store.transaction():
            submit(database)
            raise KeyError

    with pytest.raises(KeyError):
        breaks_off()
    with store.transaction():
        task = submit(database)
        add(store, task, "prepare")
    assert store.live_tasks() == [task]


@case
def _task(store: Store, database: Database) -> None:
    task = submit(database, profile="news", priority=-3, options='{"thumbs": false}')
    assert store.task(task) == TaskRow(task, "/srv/in/film.mkv", "news", -3, '{"thumbs": false}', TaskState.NEW, 0.0)
    assert isinstance(store.task(task).progress, float)  # type: ignore[union-attr]
    assert store.task(task + 1) is None


@case
def _live_tasks(store: Store, database: Database) -> None:
    states = ["new", "preparing", "encoding", "publishing", "done", "failed", "nonsense"]
    tasks = {state: submit(database, status=state) for state in states}
    assert store.live_tasks() == [task for state, task in tasks.items() if state not in ("done", "failed")]


@case
def _unplanned_tasks(store: Store, database: Database) -> None:
    first, planned, ended, second = (submit(database) for _ in range(4))
    add(store, planned, "prepare")
    store.fail(ended, "no")
    assert store.unplanned_tasks() == [first, second]


@case
def _unfinished_business(store: Store, database: Database) -> None:
    live, deleted, ended, cleaned = (submit(database) for _ in range(4))
    for task in (live, deleted, ended, cleaned):
        add(store, task, "encode", 0)
        add(store, task, "encode", 1)
    store.fail(ended, "no")
    store.fail(cleaned, "no")
    for row in store.jobs_of(cleaned):
        store.apply(cancelled(row, NOW))
    database.execute("DELETE FROM tasks WHERE id = ?", (deleted,))
    assert sorted(store.unfinished_business()) == [deleted, ended], "each once, whatever the number of its jobs"


@case
def _set_status(store: Store, database: Database) -> None:
    task = submit(database)
    assert column(database, "started_at", task) is None
    assert store.set_status(task, TaskState.PREPARING)
    started = column(database, "started_at", task)
    assert started is not None
    assert not store.set_status(task, TaskState.PREPARING), "so already: no change, no line in the log"
    assert store.set_status(task, TaskState.ENCODING)
    assert column(database, "started_at", task) == started
    store.fail(task, "no")
    assert not store.set_status(task, TaskState.DONE), "an end is an end"
    assert not store.set_status(task + 1, TaskState.ENCODING)
    assert column(database, "status", task) == TaskState.FAILED


@case
def _set_facts(store: Store, database: Database) -> None:
    task = submit(database)
    store.set_facts(task, '{"title": "🎬"}')
    store.set_facts(task, "{}")
    assert column(database, "metadata", task) == '{"title": "🎬"}', "what was found first stays"


@case
def _set_progress(store: Store, database: Database) -> None:
    task = submit(database)
    for progress in (0.25, 0.2, 0.5):
        store.set_progress(task, progress)
    assert column(database, "progress", task) == 0.5
    store.set_progress(task, 0.4)
    assert column(database, "progress", task) == 0.5, "never backwards"
    store.finish(task, "u", 1.0, "{}", None)
    assert column(database, "progress", task) == 1


@case
def _finish(store: Store, database: Database) -> None:
    task = submit(database)
    assert store.finish(task, "s3://out/master.m3u8", 24.36, '{"a": 1}', "one warning")
    (row,) = database.query("SELECT status, progress, url, duration, metadata, message, finished_at FROM tasks")
    assert row["finished_at"] is not None
    assert [row[name] for name in ("status", "progress", "url", "duration", "metadata", "message")] == [
        "done", 1, "s3://out/master.m3u8", 24.36, '{"a": 1}', "one warning",
    ]  # fmt: skip
    assert not store.finish(task, "again", 0.0, "{}", None)
    assert column(database, "url", task) == "s3://out/master.m3u8"


@case
def _set_url(store: Store, database: Database) -> None:
    task, other, failed = (submit(database) for _ in range(3))
    store.set_url(task, "https://cdn/1")
    assert [column(database, "url", t) for t in (task, other)] == ["https://cdn/1", None]
    store.set_url(failed, "https://cdn/3")
    store.fail(failed, "no")
    assert column(database, "url", failed) is None, "what is removed is named no more"
    store.set_url(failed, "https://cdn/3")
    assert column(database, "url", failed) is None, "an end is an end"


@case
def _fail(store: Store, database: Database) -> None:
    task = submit(database)
    assert store.fail(task, "🎬" * 5000), "a message may be longer than the column"
    assert column(database, "status", task) == "failed"
    assert column(database, "message", task) == "🎬" * 4000
    assert column(database, "finished_at", task) is not None
    assert not store.fail(task, "another reason")
    assert not store.finish(task, "u", 1.0, "{}", None)


@case
def _job(store: Store, database: Database) -> None:
    task = submit(database)
    add(store, task, "encode", 7, state=JobState.RUNNING, lease_until=LATER, node="nöde", done=3, speed=1.5)
    (row,) = store.jobs_of(task)
    assert row == JobRow(
        id=row.id, task_id=task, kind="encode", position=7, state=JobState.RUNNING, changed_at=NOW,
        lease_until=LATER, node="nöde", done=3, speed=1.5,
    )  # fmt: skip
    assert store.job(row.id) == row
    assert store.job(row.id + 1) is None


@case
def _jobs_of(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for kind, position in (("prepare", 0), ("encode", 1), ("encode", 0), ("publish", 0)):
        add(store, task, kind, position, result=RESULT)
    add(store, other, "prepare")
    found = [(row.kind, row.position, row.result) for row in store.jobs_of(task)]
    assert found == [
        ("prepare", 0, RESULT), ("encode", 1, None), ("encode", 0, None), ("publish", 0, RESULT),
    ], "as they were added, without the results of chunks"  # fmt: skip


@case
def _results_of(store: Store, database: Database) -> None:
    task = submit(database)
    large = RESULT + " " * 100_000  # a chunk of many rungs: more than TEXT holds in MariaDB
    for kind, position in (("prepare", 0), ("encode", 10), ("encode", 9)):
        add(store, task, kind, position, result=large)
    found = [(row.kind, row.position, row.result) for row in store.results_of(task)]
    assert found == [("encode", 9, large), ("encode", 10, large), ("prepare", 0, large)]


@case
def _reference(store: Store, database: Database) -> None:
    task = submit(database)
    add(store, task, "encode", 0, state=JobState.RUNNING, result=RESULT)
    assert store.reference(task) is None
    add(store, task, "encode", 1, state=JobState.DONE, result=RESULT)
    assert store.reference(task) == EncodeResult.model_validate_json(RESULT)


@case
def _waiting(store: Store, database: Database) -> None:
    old, urgent, deleted = submit(database), submit(database, priority=5), submit(database)
    add(store, old, "encode", 1)
    add(store, old, "encode", 0)
    add(store, old, "audio", 0)
    add(store, old, "text", 0)
    add(store, old, "encode", 2, state=JobState.QUEUED)
    add(store, old, "encode", 3, not_before=LATER)
    add(store, old, "prepare")
    add(store, deleted, "encode", 0)
    add(store, urgent, "encode", 0)
    database.execute("DELETE FROM tasks WHERE id = ?", (deleted,))
    rows = store.waiting(("encode", "audio", "text"), NOW, 10)
    assert [(row.task_id, row.kind, row.position) for row in rows] == [
        (urgent, "encode", 0), (old, "text", 0), (old, "audio", 0), (old, "encode", 0), (old, "encode", 1),
        (deleted, "encode", 0),
    ]  # fmt: skip
    assert rows[2] == next(row for row in store.jobs_of(old) if row.kind == "audio")
    assert store.waiting(("encode", "audio", "text"), NOW, 2) == rows[:2]
    assert len(store.waiting(("encode",), LATER, 10)) == 5


@case
def _count(store: Store, database: Database) -> None:
    task = submit(database)
    for position in range(3):
        add(store, task, "encode", position, state=JobState.RUNNING)
    add(store, task, "audio", 0, state=JobState.RUNNING)
    add(store, task, "encode", 3)
    assert store.count(("encode", "audio"), JobState.RUNNING) == 4
    assert store.count(("encode",), JobState.RUNNING) == 3
    assert store.count(("purge",), JobState.RUNNING) == 0


@case
def _in_state(store: Store, database: Database) -> None:
    task = submit(database)
    lapsed = add(store, task, "encode", 0, state=JobState.RUNNING, lease_until=NOW - 1)
    add(store, task, "encode", 1, state=JobState.RUNNING, lease_until=NOW)
    add(store, task, "encode", 2, state=JobState.DONE, lease_until=NOW - 1)
    assert store.in_state(JobState.RUNNING, "lease_until", NOW) == [lapsed]
    with pytest.raises(ValueError, match="state"):
        store.in_state(JobState.RUNNING, "state", NOW)


@case
def _add(store: Store, database: Database) -> None:
    task = submit(database)
    for _ in range(2):
        store.add(task, NewJob("encode", 4), NOW)
    (row,) = store.jobs_of(task)
    assert row == JobRow(row.id, task, "encode", 4, changed_at=NOW), "twice is once"
    store.add(task, NewJob("encode", 5), NOW)
    store.add(task, NewJob("audio", 4), NOW)
    store.add(task + 1, NewJob("encode", 4), NOW)
    assert len(store.jobs_of(task)) == 3
    assert len(store.jobs_of(task + 1)) == 1


@case
def _apply(store: Store, database: Database) -> None:
    row = add(store, submit(database), "encode")
    assert store.apply(queued(row, LATER))
    assert not store.apply(queued(row, LATER)), "it is not waiting any more"
    late = Transition(row.id, OPEN, 2, {"state": JobState.DONE}, "done")
    assert not store.apply(late), "of another attempt"
    same = Transition(row.id, OPEN, 1, {"state": JobState.QUEUED}, "queued")
    assert store.apply(same), "a change that alters nothing was not forbidden"
    found = store.job(row.id)
    assert found is not None
    assert (found.state, found.changed_at) == (JobState.QUEUED, LATER)
    assert store.apply(Transition(row.id, OPEN, None, {"state": JobState.CANCELLED}, "cancelled"))


@case
def _extend_leases(store: Store, database: Database) -> None:
    task = submit(database)
    rows = [add(store, task, "encode", n, state=s, lease_until=1) for n, s in enumerate([*OPEN, JobState.DONE])]
    store.extend_leases(LATER)
    extended = {row.state for row in store.jobs_of(task) if row.lease_until == LATER}
    assert extended == {JobState.RUNNING}
    assert len(rows) == 4


@case
def _release_all(store: Store, database: Database) -> None:
    task = submit(database)
    for number, state in enumerate(JobState):
        add(store, task, "encode", number, state=state, not_before=LATER)
    store.release_all(LATER)
    released = {state: row.state for state, row in zip(JobState, store.jobs_of(task), strict=True) if row.attempt == 2}
    assert released == {JobState.QUEUED: JobState.WAITING, JobState.RUNNING: JobState.WAITING}


@case
def _forget(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for number in (task, other):
        add(store, number, "purge", 1)
    store.forget(task)
    assert store.jobs_of(task) == []
    assert len(store.jobs_of(other)) == 1


@case
def _prune(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for number in (task, other):
        for kind in ("prepare", "encode", "purge"):
            add(store, number, kind)
    store.prune(task)
    assert [row.kind for row in store.jobs_of(task)] == ["purge"]
    assert len(store.jobs_of(other)) == 3


@case
def _seen(store: Store, database: Database) -> None:
    for slots in (2, 3):
        store.seen(Alive(node="a", role="worker", slots=slots, build="1"), NOW)
    store.seen(Alive(node="a", role="worker", slots=3, build="1"), NOW)
    store.seen(Alive(node="a", role="master", slots=1, build="1"), LATER)
    rows = database.query("SELECT name, role, slots, build, seen_at FROM nodes ORDER BY role")
    assert [tuple(row.values()) for row in rows] == [("a", "master", 1, "1", LATER), ("a", "worker", 3, "1", NOW)]


@case
def _slots(store: Store, database: Database) -> None:
    assert store.slots("worker", 0) == 0
    for node, slots, seen in (("a", 2, NOW), ("b", 3, LATER), ("c", 9, NOW - 1)):
        store.seen(Alive(node=node, role="worker", slots=slots, build="1"), seen)
    store.seen(Alive(node="m", role="master", slots=7, build="1"), NOW)
    assert store.slots("worker", NOW) == 5


@case
def _record(store: Store, database: Database) -> None:
    row = add(store, submit(database), "encode")
    store.record(row, "failed" + "x" * 100, "nöde", "ffmpeg said 🎬", NOW)
    store.record(row, "done", None, None, LATER)
    rows = database.query("SELECT task_id, job_id, at, event, node, message FROM history ORDER BY id")
    assert [tuple(found.values()) for found in rows] == [
        (row.task_id, row.id, NOW, ("encode failed" + "x" * 100)[:32], "nöde", "ffmpeg said 🎬"),
        (row.task_id, row.id, LATER, "encode done", None, None),
    ]
