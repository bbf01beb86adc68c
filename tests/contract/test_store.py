"""Every function that holds SQL of the watcher on both databases: they could differ in what they mean by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from raven.alive import Alive
from raven.errors import Unavailable
from raven.model import EncodeResult, SegmentInfo, TrackSegments
from raven.ports import Database
from tests.contract.databases import is_mariadb
from tests.ledgers import ledger_of
from watcher.health import Hold, Standing
from watcher.ledger import CONFORM, UNTAKEN_MS, Chunks, Ledger
from watcher.nodes import Nodes
from watcher.numbers import read_numbers
from watcher.plan import NewJob
from watcher.rows import OPEN, JobRow, JobState, Place, TaskRow, TaskState, Transition
from watcher.schedule import Share
from watcher.store import Event, Store
from watcher.tasks import Tasks
from watcher.transitions import cancelled
from watcher.updates import TOGETHER
from watcher.waiting import InUse, Waiting

NOW = 1_800_000_000_000  # ms: beyond 32 bits, as real times are
LATER = NOW + 60_000
TRACK = TrackSegments(first=1, segments=(SegmentInfo(length=150, bytes=9),), start=0, init_sha256="ab")
RESULT = EncodeResult(renditions={"240p": TRACK}, frames=150, thumbs=1, bytes=9).model_dump_json()
Case = Callable[[Store, Database], None]
CASES: dict[str, Case] = {}
TABLES = (Tasks, Store, Waiting, Nodes)


def case(function: Case) -> Case:
    """Notes a case under the name of the function that it is about."""
    CASES[function.__name__.removeprefix("_")] = function
    return function


@pytest.mark.parametrize("name", sorted(name for table in TABLES for name in vars(table) if not name.startswith("_")))
def test_every_function_with_sql_means_the_same_on_both_databases(name: str, database: Database) -> None:
    """A statement that only SQLite has run is not tested: the farm runs on MariaDB."""
    assert name in CASES, f"write a case for {name}"
    CASES[name](Store(database), database)


def submit(database: Database, source: str = "/srv/in/film.mkv", **columns: Any) -> int:
    """Inserts a task as a client would; its id."""
    columns["source"] = source
    marks = ", ".join("?" for _ in columns)
    database.execute(f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608
    return int(database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])


def add(store: Store, task: int, kind: str, position: int = 0, **columns: Any) -> JobRow:
    """Adds a job, with other values than the defaults if they are given."""
    store.add(task, Place(), [(NewJob(kind, position), columns.pop("frames", 0))], NOW)
    row = next(row for row in rows_of(store, task) if (row.kind, row.position) == (kind, position))
    if columns:
        state = frozenset({JobState(row.state)})
        assert store.apply(Transition(row.id, state, row.attempt, columns, "test"))
    return store.jobs([row.id])[row.id]


def rows_of(store: Store, task: int) -> list[JobRow]:
    """All jobs of a task as `store.jobs` has them, in the order in which they were added."""
    ids = store._database.query("SELECT id FROM jobs WHERE task_id = ? ORDER BY id", (task,))
    return list(store.jobs([row["id"] for row in ids]).values())


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
    assert Tasks(database).live_tasks(0, 9) == [task]


@case
def _task(store: Store, database: Database) -> None:
    task = submit(database, profile="news", priority=-3, options='{"thumbs": false}')
    owner = column(database, "owner", task)
    assert Tasks(database).task(task) == TaskRow(
        task, "/srv/in/film.mkv", "news", -3, '{"thumbs": false}', TaskState.NEW, 0.0, owner
    )
    assert owner == column(database, "SUBSTRING_INDEX(USER(), '@', 1)", task) if is_mariadb(database) else owner == ""
    assert isinstance(Tasks(database).task(task).progress, float)  # type: ignore[union-attr]
    assert Tasks(database).task(task + 1) is None


@case
def _live_tasks(store: Store, database: Database) -> None:
    states = ["new", "preparing", "encoding", "publishing", "done", "failed", "nonsense"]
    tasks = {state: submit(database, status=state) for state in states}
    live = [task for state, task in tasks.items() if state not in ("done", "failed")]
    assert Tasks(database).live_tasks(0, 9) == live
    assert Tasks(database).live_tasks(live[0], 2) == live[1:3], "slice by slice"


@case
def _new_tasks(store: Store, database: Database) -> None:
    first, planned, ended, second = (submit(database) for _ in range(4))
    Tasks(database).set_status(planned, TaskState.PREPARING)
    Tasks(database).fail(ended, "no")
    assert Tasks(database).new_tasks() == [first, second]
    assert Tasks(database).new_tasks(1) == [first]


def test_a_client_that_inserts_many_tasks_keeps_none_of_others_from_being_seen(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before theirs and behind them, an import of an archive as well as an attack."""
    monkeypatch.setattr("watcher.tasks.NEW_SLICE", 25)
    many = [submit(database, owner="news") for _ in range(60)]
    theirs = [submit(database, owner="sport") for _ in range(2)]
    many += [submit(database, owner="news") for _ in range(60)]
    tasks = Tasks(database)

    looks = [tasks.new_tasks(10) for _ in range(6)]

    assert looks[0] == many[:10], "there are others further on, as is seen soon"
    assert theirs in [[task for task in look if task in theirs] for look in looks]
    for look in looks:
        assert len(look) == 10
        assert [task for task in look if task in many] == many[: 10 - len(set(look) & set(theirs))]


@case
def _abandoned(store: Store, database: Database) -> None:
    live, deleted, ended, cleaned = (submit(database) for _ in range(4))
    for task in (live, deleted, ended, cleaned):
        add(store, task, "encode", 0, state=JobState.RUNNING)
        add(store, task, "encode", 1, state=JobState.QUEUED)
        add(store, task, "encode", 2)
        add(store, task, "purge", 0, state=JobState.QUEUED)
    Tasks(database).fail(ended, "no")
    Tasks(database).fail(cleaned, "no")
    for row in rows_of(store, cleaned):
        store.apply(cancelled(row, NOW))
    database.execute("DELETE FROM tasks WHERE id = ?", (deleted,))
    assert sorted(Tasks(database).abandoned()) == [deleted, ended], "each once, whatever the number of its jobs"


@case
def _unpruned(store: Store, database: Database) -> None:
    live, purging, cleaned, pruned, deleted = (submit(database) for _ in range(5))
    for task in (live, purging, cleaned, pruned, deleted):
        add(store, task, "prepare", state=JobState.DONE)
        add(store, task, "prepare", 1, state=JobState.DONE)
        add(store, task, "purge", 1, state=JobState.RUNNING if task == purging else JobState.DONE)
    for task in (purging, cleaned, pruned, deleted):
        Tasks(database).fail(task, "no")
    store.prune(pruned)
    database.execute("DELETE FROM tasks WHERE id = ?", (deleted,))
    assert Tasks(database).unpruned(0) == ([cleaned], 0), "a live one may be about to run again"
    assert Tasks(database).unpruned(live, 2) == ([], purging), "slice by slice: each has two such jobs"
    assert Tasks(database).unpruned(purging, 2) == ([cleaned], cleaned)
    assert Tasks(database).unpruned(cleaned) == ([], 0), "a deleted one is forgotten"


@case
def _deleted(store: Store, database: Database) -> None:
    tasks = [submit(database) for _ in range(4)]
    for task in tasks[:3]:
        add(store, task, "purge", state=JobState.DONE)
        add(store, task, "encode")
    database.execute("DELETE FROM tasks WHERE id IN (?, ?, ?)", (tasks[0], tasks[2], tasks[3]))
    assert Tasks(database).deleted(0) == ([tasks[0], tasks[2]], 0), "of the last one there is nothing to remove"
    assert Tasks(database).deleted(tasks[0]) == ([tasks[2]], 0)
    assert Tasks(database).deleted(0, 2) == ([tasks[0]], tasks[1]), "slice by slice"


def test_a_client_that_deletes_many_tasks_holds_up_no_turn_for_all_of_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.tasks.GONE", 3)
    tasks = [submit(database) for _ in range(8)]
    for task in tasks:
        add(Store(database), task, "prepare")
    database.execute("DELETE FROM tasks WHERE id > ?", (tasks[0],))

    looks, after = [], 0
    for _ in range(3):
        gone, after = Tasks(database).deleted(after)
        looks.append(gone)

    assert looks == [tasks[1:4], tasks[4:7], tasks[7:]]
    assert after == 0


@case
def _owner(store: Store, database: Database) -> None:
    task = submit(database, owner="tv")
    assert Tasks(database).owner(task) == "tv"
    assert Tasks(database).owner(task + 1) == ""


@case
def _known(store: Store, database: Database) -> None:
    store.record([Event(7, None, NOW, "encode started", None, None)])
    assert Tasks(database).known(7)
    assert not Tasks(database).known(8)


@case
def _set_status(store: Store, database: Database) -> None:
    task = submit(database)
    assert column(database, "started_at", task) is None
    assert Tasks(database).set_status(task, TaskState.PREPARING)
    started = column(database, "started_at", task)
    assert started is not None
    assert not Tasks(database).set_status(task, TaskState.PREPARING), "so already: no change, no line in the log"
    assert Tasks(database).set_status(task, TaskState.ENCODING)
    assert column(database, "started_at", task) == started
    Tasks(database).fail(task, "no")
    assert not Tasks(database).set_status(task, TaskState.DONE), "an end is an end"
    assert not Tasks(database).set_status(task + 1, TaskState.ENCODING)
    assert column(database, "status", task) == TaskState.FAILED


@case
def _set_facts(store: Store, database: Database) -> None:
    task = submit(database)
    Tasks(database).set_facts(task, '{"title": "🎬"}')
    Tasks(database).set_facts(task, "{}")
    assert column(database, "metadata", task) == '{"title": "🎬"}', "what was found first stays"


@case
def _set_progress(store: Store, database: Database) -> None:
    task = submit(database)
    for progress in (0.25, 0.2, 0.5):
        Tasks(database).set_progress(task, progress)
    assert column(database, "progress", task) == 0.5
    Tasks(database).set_progress(task, 0.4)
    assert column(database, "progress", task) == 0.5, "never backwards"
    Tasks(database).finish(task, "u", 1.0, "{}", None)
    assert column(database, "progress", task) == 1


@case
def _finish(store: Store, database: Database) -> None:
    task = submit(database)
    assert Tasks(database).finish(task, "s3://out/master.m3u8", 24.36, '{"a": 1}', "one warning")
    (row,) = database.query("SELECT status, progress, url, duration, metadata, message, finished_at FROM tasks")
    assert row["finished_at"] is not None
    assert [row[name] for name in ("status", "progress", "url", "duration", "metadata", "message")] == [
        "done", 1, "s3://out/master.m3u8", 24.36, '{"a": 1}', "one warning",
    ]  # fmt: skip
    assert not Tasks(database).finish(task, "again", 0.0, "{}", None)
    assert column(database, "url", task) == "s3://out/master.m3u8"


@case
def _set_url(store: Store, database: Database) -> None:
    task, other, failed = (submit(database) for _ in range(3))
    Tasks(database).set_url(task, "https://cdn/1")
    assert [column(database, "url", t) for t in (task, other)] == ["https://cdn/1", None]
    Tasks(database).set_url(failed, "https://cdn/3")
    Tasks(database).fail(failed, "no")
    assert column(database, "url", failed) is None, "what is removed is named no more"
    Tasks(database).set_url(failed, "https://cdn/3")
    assert column(database, "url", failed) is None, "an end is an end"


@case
def _fail(store: Store, database: Database) -> None:
    task = submit(database)
    assert Tasks(database).fail(task, "🎬" * 5000), "a message may be longer than the column"
    assert column(database, "status", task) == "failed"
    assert column(database, "message", task) == "🎬" * 4000
    assert column(database, "finished_at", task) is not None
    assert not Tasks(database).fail(task, "another reason")
    assert not Tasks(database).finish(task, "u", 1.0, "{}", None)


def test_a_job_is_read_with_all_that_was_written(database: Database) -> None:
    store, task = Store(database), submit(database)
    add(store, task, "encode", 7, state=JobState.RUNNING, lease_until=LATER, node="nöde", done=3, speed=1.5, frames=99)
    (row,) = rows_of(store, task)
    assert row == JobRow(
        id=row.id, task_id=task, kind="encode", position=7, state=JobState.RUNNING, changed_at=NOW,
        lease_until=LATER, node="nöde", done=3, speed=1.5, frames=99,
    )  # fmt: skip


@case
def _jobs(store: Store, database: Database) -> None:
    task = submit(database)
    kinds = ("prepare", "encode", "publish", "announce", "audio")
    ids = {add(store, task, kind, result=RESULT, state=JobState.DONE).id: kind for kind in kinds}
    found = store.jobs([*ids, max(ids) + 1])
    assert {row.kind: row.result is not None for row in found.values()} == {
        "prepare": True, "encode": False, "publish": True, "announce": True, "audio": False,
    }, "without the results of chunks, which are large"  # fmt: skip
    doubted = add(store, task, "encode", 1, result='{"node":"n1"}')
    assert doubted.result == '{"node":"n1"}', "who found an unfinished chunk unusable"
    assert store.jobs([]) == {}


@case
def _ledger(store: Store, database: Database) -> None:
    """Counted by SQL it is what it is counted row by row."""
    task, other = submit(database), submit(database)
    late = NOW + UNTAKEN_MS + 1
    assert store.ledger(task, NOW) == Ledger()
    add(store, task, "prepare", state=JobState.DONE, result=RESULT)
    for position, state in enumerate(
        [*[JobState.DONE] * 2, JobState.RUNNING, JobState.DONE, JobState.QUEUED, *[JobState.WAITING] * 2]
    ):
        add(store, task, "encode", position, state=state, done=10 + position)
    add(store, task, "second", 2, state=JobState.RUNNING)
    for position in (2, 5, 9):
        add(store, task, "announce", position, state=JobState.DONE, result=RESULT)
    for kind in ("audio", "text", "purge"):
        add(store, task, kind, state=JobState.QUEUED)
    add(store, other, "encode", 0, state=JobState.FAILED)
    add(store, other, "audio", 0, state=JobState.CANCELLED)
    unusable = add(store, other, "encode", 1, state=JobState.UNUSABLE)
    assert store.ledger(other, NOW) == ledger_of(rows_of(store, other), NOW)
    assert store.ledger(other, NOW).fault == unusable, "before what was stopped because of it"
    third = submit(database)
    add(store, third, "announce", 3, state=JobState.CANCELLED)
    assert store.ledger(third, NOW) == ledger_of(rows_of(store, third), NOW)
    assert store.ledger(third, NOW).fault is None, "it gave way to publishing"
    for now in (NOW, late):
        found, counted = store.ledger(task, now), ledger_of(rows_of(store, task), now)
        newest = {key: row for key, row in counted.rows.items() if key != ("announce", 2)}
        assert found == Ledger(counted.chunks, newest, counted.held, counted.idle, counted.fault)
    assert store.ledger(task, NOW).chunks == Chunks(known=7, top=6, ready=2, done=3, frames=26)
    assert (store.ledger(task, NOW).held, store.ledger(task, NOW).idle) == (5, 2)
    assert (store.ledger(task, late).held, store.ledger(task, late).idle) == (2, 5)
    failed = add(store, task, "encode", 7, state=JobState.FAILED, message="no")
    assert store.ledger(task, NOW).fault == failed


@case
def _prepare(store: Store, database: Database) -> None:
    task = submit(database)
    assert store.prepare(task) is None
    add(store, task, "encode")
    row = add(store, task, "prepare", result=RESULT)
    assert store.prepare(task) == row


@case
def _chunks_open(store: Store, database: Database) -> None:
    task = submit(database)
    add(store, task, "audio", 0)
    add(store, task, "encode", 0, state=JobState.DONE)
    assert not store.chunks_open(task)
    add(store, task, "encode", 1, state=JobState.RUNNING)
    assert store.chunks_open(task)


@case
def _runs(store: Store, database: Database) -> None:
    task = submit(database)
    first, second, _ = add(store, task, "encode", 1), add(store, task, "second", 1), add(store, task, "encode", 2)
    assert store.runs(task, 1) == [first, second]


@case
def _second_runs(store: Store, database: Database) -> None:
    task, other, third = (submit(database) for _ in range(3))
    add(store, task, "encode", 1)
    for number, position in ((task, 1), (other, 4), (third, 5)):
        add(store, number, "second", position)
    assert store.second_runs({task, other}) == {(task, 1), (other, 4)}
    assert store.second_runs(set()) == set()


@case
def _add_second(store: Store, database: Database) -> None:
    task = submit(database)
    store.add(task, Place("ann", 7, LATER), [(NewJob("encode", 3), 150)], NOW)
    (first,) = rows_of(store, task)
    for _ in range(2):
        store.add_second(first, LATER)
    _, second = rows_of(store, task)
    assert second == JobRow(second.id, task, "second", 3, changed_at=LATER, frames=150)
    assert Waiting(database).due("worker", Share(7, "ann"), NOW, 9) == [second, first], "the second one goes first"


@case
def _pace(store: Store, database: Database) -> None:
    task, none = submit(database), submit(database)
    for position, seconds in enumerate((10.0, 20.0)):
        add(store, task, "encode", position, state=JobState.DONE, seconds=seconds, frames=150)
    add(store, task, "encode", 2, state=JobState.RUNNING, seconds=0, frames=150)
    add(store, none, "encode", 0, state=JobState.RUNNING, frames=150)
    assert store.pace({task, none}) == {task: 0.1}
    assert store.pace(set()) == {}


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


def wait(store: Store, task: int, place: Place, *jobs: tuple[str, int]) -> None:
    store.add(task, place, [(NewJob(kind, position), 0) for kind, position in jobs], NOW)


@case
def _shares(store: Store, database: Database) -> None:
    task = submit(database)
    wait(store, task, Place("ann", 1), ("encode", 0), ("encode", 1), ("audio", 0))
    wait(store, task + 1, Place("ann", 2), ("encode", 0))
    wait(store, task + 2, Place("bob", 1), ("prepare", 0))
    waiting = Waiting(database)
    assert sorted(waiting.shares("worker")) == [Share(1, "ann"), Share(2, "ann")]
    assert waiting.shares("worker.light") == [Share(1, "ann")]
    assert waiting.shares("master") == [Share(1, "bob")]
    assert waiting.shares("master.light") == []


@case
def _due(store: Store, database: Database) -> None:
    early, late = submit(database), submit(database)
    wait(store, late, Place("ann", 0, NOW + 9), ("encode", 0))
    wait(store, early, Place("ann", 0, NOW), ("encode", 1), ("encode", 0), ("encode", 2), ("audio", 0))
    wait(store, early + 9, Place("bob", 0, 0), ("encode", 0))
    wait(store, early + 8, Place("ann", 1, 0), ("encode", 0))
    rows = rows_of(store, early)
    store.apply(Transition(rows[1].id, OPEN, 1, {"state": JobState.QUEUED}, "test"))
    store.apply(Transition(rows[2].id, OPEN, 1, {"not_before": LATER}, "test"))
    found = Waiting(database).due("worker", Share(0, "ann"), NOW, 9)
    assert [(row.task_id, row.position) for row in found] == [(early, 1), (late, 0)]
    assert found[0] == rows[0]
    assert Waiting(database).due("worker", Share(0, "ann"), NOW, 1) == found[:1]
    assert len(Waiting(database).due("worker", Share(0, "ann"), LATER, 9)) == 3


@case
def _in_use(store: Store, database: Database) -> None:
    task = submit(database)
    assert Waiting(database).in_use()["worker"] == InUse(0, 0, {})
    wait(store, task, Place("ann"), *[("encode", n) for n in range(5)], ("audio", 0))
    wait(store, task + 1, Place("bob"), ("encode", 0))
    wanted = ["queued", "running", "running", "done", "waiting", "running", "queued"]
    for row, state in zip([*rows_of(store, task), *rows_of(store, task + 1)], wanted, strict=True):
        store.apply(Transition(row.id, OPEN, 1, {"state": state}, "test"))
    assert Waiting(database).in_use()["worker"] == InUse(2, 2, {"ann": 3, "bob": 1})


@case
def _queue(store: Store, database: Database) -> None:
    task = submit(database)
    rows = [add(store, task, "encode", n) for n in range(3)]
    assert Waiting(database).queue(rows[:2], LATER) == rows[:2]
    assert Waiting(database).queue(rows, LATER + 1) == rows[2:], "the others are not waiting any more"
    assert {(row.state, row.changed_at) for row in rows_of(store, task)} == {("queued", LATER), ("queued", LATER + 1)}
    assert Waiting(database).queue([], LATER) == []


@case
def _untaken(store: Store, database: Database) -> None:
    task = submit(database)
    rows = [add(store, task, "encode", n, state=JobState.QUEUED, changed_at=NOW - n) for n in range(3)]
    add(store, task, "encode", 3, state=JobState.RUNNING, changed_at=NOW - 3)
    add(store, task, "audio", 3, state=JobState.QUEUED, changed_at=NOW - 3)
    assert Waiting(database).untaken("worker", NOW) == [rows[2], rows[1]], "the oldest first"


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
        store.add(task, Place("ann", 3, LATER), [(NewJob("encode", 4), 150)], NOW)
    (row,) = rows_of(store, task)
    assert row == JobRow(row.id, task, "encode", 4, changed_at=NOW, deadline=LATER, frames=150), "twice is once"
    (stored,) = database.query("SELECT lane, owner, priority FROM jobs")
    assert tuple(stored.values()) == ("worker", "ann", 3)
    store.add(task, Place(), [(NewJob("encode", n), 1) for n in range(250)], NOW)
    store.add(task, Place(), [(NewJob("audio", 4), 0)], NOW)
    store.add(task + 1, Place(), [(NewJob("encode", 4), 0)], NOW)
    store.add(task + 1, Place(), [], NOW)
    assert len(rows_of(store, task)) == 251
    assert len(rows_of(store, task + 1)) == 1
    store.add(task, Place("ann", 3, LATER), [(NewJob("purge", 1, delay=500), 0)], NOW)
    purge = rows_of(store, task)[-1]
    assert (purge.deadline, purge.not_before) == (NOW + 500, NOW + 500)
    assert Waiting(database).shares("master.light") == [], "it does not stand in the way of those due"


@case
def _cancel_idle(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for number, state in enumerate(JobState):
        add(store, task, "encode", number, state=state)
    add(store, task, "audio", 0, state=JobState.QUEUED, changed_at=NOW - UNTAKEN_MS - 1)
    add(store, task, "purge", 0)
    add(store, other, "encode", 0)
    assert store.cancel_idle(task, NOW) == 2
    now_cancelled = {
        row.id for row in rows_of(store, task) if row.state == JobState.CANCELLED and row.changed_at == NOW
    }
    kinds = [(row.kind, row.position) for row in rows_of(store, task) if row.id in now_cancelled]
    assert ("audio", 0) in kinds
    assert ("encode", 0) in kinds
    assert rows_of(store, other)[0].state == JobState.WAITING


@case
def _hasten_purge(store: Store, database: Database) -> None:
    task = submit(database)
    store.add(task, Place("ann"), [(NewJob("purge", 1, delay=LATER - NOW), 0)], NOW)
    add(store, task, "encode", not_before=LATER)
    store.hasten_purge(task)
    assert [row.not_before for row in rows_of(store, task)] == [0, LATER]
    (due,) = Waiting(database).due("master.light", Share(0, ""), NOW, 9)
    assert (due.kind, due.deadline) == ("purge", 0)


@case
def _begin_purges(store: Store, database: Database) -> None:
    soon, later = submit(database), submit(database)
    for task, delay in ((soon, 5), (later, 6)):
        store.add(task, Place("ann", 1), [(NewJob("purge", 1, delay), 0)], NOW)
    assert store.begin_purges(NOW + 4) == 0
    assert store.begin_purges(NOW + 5) == 1
    due = Waiting(database).due("master.light", Share(0, ""), NOW + 5, 9)
    assert [(row.task_id, row.position) for row in due] == [(soon, 1)]
    assert store.begin_purges(NOW + 6) == 1


@case
def _apply(store: Store, database: Database) -> None:
    row = add(store, submit(database), "encode")
    begins = Transition(row.id, frozenset({JobState.WAITING}), 1, {"state": JobState.QUEUED, "changed_at": LATER}, "")
    assert store.apply(begins)
    assert not store.apply(begins), "it is not waiting any more"
    late = Transition(row.id, OPEN, 2, {"state": JobState.DONE}, "done")
    assert not store.apply(late), "of another attempt"
    same = Transition(row.id, OPEN, 1, {"state": JobState.QUEUED}, "queued")
    assert store.apply(same), "a change that alters nothing was not forbidden"
    found = store.jobs([row.id])[row.id]
    assert (found.state, found.changed_at) == (JobState.QUEUED, LATER)
    assert store.apply(Transition(row.id, OPEN, None, {"state": JobState.CANCELLED}, "cancelled"))


@case
def _apply_all(store: Store, database: Database) -> None:
    """What `apply` does, for many: each row gets its own values, and what is text, number or nothing stays so."""
    task = submit(database)
    rows = [add(store, task, "encode", n) for n in range(2 * TOGETHER + 1)]
    changes = [
        Transition(
            row.id, OPEN, 1,
            {"state": JobState.DONE, "node": f"nöde'{n}\\", "seconds": n / 2, "result": RESULT, "message": None},
            "done",
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip
    changes[1] = Transition(rows[1].id, OPEN, None, {"state": JobState.CANCELLED}, "cancelled")
    changes[2] = replace(changes[2], values=changes[2].values | {"node": None, "message": "3", "result": None})
    store.apply_all(changes)
    for n, (row, found) in enumerate(zip(rows, rows_of(store, task), strict=True)):
        after = changes[n].applied(row)
        assert after is not None
        assert found == replace(after, result=None)
        (said,) = database.query("SELECT result FROM jobs WHERE id = ?", (row.id,))
        assert said["result"] == after.result
    store.apply_all([])


@case
def _purge_again(store: Store, database: Database) -> None:
    for task, state in enumerate(JobState, 1):
        add(store, task, "purge", 0, state=state, not_before=LATER)
        add(store, task, "purge", 1, state=state)
        add(store, task, "encode", 0, state=state)
        store.purge_again(task, 0, LATER)
        purge, *others = rows_of(store, task)
        assert {(row.state, row.attempt) for row in others} == {(state, 1)}
        if state in (JobState.QUEUED, JobState.RUNNING, JobState.DONE):
            assert (purge.state, purge.attempt, purge.not_before) == (JobState.WAITING, 2, 0)
        else:
            assert (purge.state, purge.attempt, purge.not_before) == (state, 1, LATER)


@case
def _begin_leases(store: Store, database: Database) -> None:
    task, states = submit(database), [*OPEN, JobState.DONE]
    for number, state in enumerate(states):
        ahead = {"changed_at": NOW + 3_600_000, "not_before": NOW + 3_600_000}
        add(store, task, "encode", number, state=state, lease_until=1, **ahead)
    add(store, task, "audio", changed_at=NOW - 1, not_before=LATER)
    add(store, task, "purge", not_before=LATER + 1)
    store.record([Event(task, None, NOW, "encode retried", None, None)])
    store.begin_leases(NOW, LATER)
    *rows, audio, purge = rows_of(store, task)
    assert {row.state for row in rows if row.changed_at == NOW} == {JobState.QUEUED, JobState.RUNNING}
    assert {row.state for row in rows if row.not_before == NOW} == set(), "nobody's clock was ahead"

    store.record([Event(task, None, NOW + 3_600_000, "encode retried", None, None)])
    store.begin_leases(NOW, LATER)
    *rows, audio, purge = rows_of(store, task)
    assert {row.state for row in rows if (row.lease_until, row.moved_at) == (LATER, NOW)} == {JobState.RUNNING}
    assert {row.state for row in rows if row.changed_at == NOW} == OPEN, "by the clock of this watcher"
    assert {row.state for row in rows if row.not_before == NOW} == {JobState.WAITING}
    assert (audio.changed_at, audio.not_before) == (NOW - 1, LATER), "a back-off can be as long"
    assert purge.not_before == LATER + 1


@case
def _release_all(store: Store, database: Database) -> None:
    task = submit(database)
    for number, state in enumerate(JobState):
        add(store, task, "encode", number, state=state, not_before=LATER)
    store.release_all(LATER)
    released = {state: row.state for state, row in zip(JobState, rows_of(store, task), strict=True) if row.attempt == 2}
    assert released == {JobState.QUEUED: JobState.WAITING, JobState.RUNNING: JobState.WAITING}


@case
def _begin_anew(store: Store, database: Database) -> None:
    """What stays keeps its numbers, and no number of what goes is given again: reports of it must be late for ever."""
    task, other = submit(database, priority=7), submit(database)
    add(store, other, "encode")
    add(store, task, "prepare", state=JobState.DONE, deadline=NOW - 5)
    old = [add(store, task, "encode", n, state=state) for n, state in enumerate(("unusable", "done", "cancelled"))]
    announced = [add(store, task, "announce", n, state=state) for n, state in ((4, "done"), (5, "cancelled"))]
    store.begin_anew(task, RESULT, NOW)
    kept, conform = rows_of(store, task)
    assert kept == announced[0]
    assert (conform.kind, conform.position, conform.state, conform.result) == ("prepare", CONFORM, "waiting", RESULT)
    assert (conform.deadline, conform.changed_at, conform.attempt) == (NOW - 5, NOW, 1)
    assert store.ledger(task, NOW).prepare == conform
    assert len(rows_of(store, other)) == 1
    assert add(store, task, "encode").id > max(row.id for row in [*old, *announced])


@case
def _prune(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for number in (task, other):
        for kind in ("prepare", "encode", "purge"):
            add(store, number, kind)
    store.prune(task)
    assert [row.kind for row in rows_of(store, task)] == ["purge"]
    assert len(rows_of(store, other)) == 3


def alive(node: str, instance: str = "", *, role: Literal["master", "worker"] = "worker", slots: int = 1) -> Alive:
    return Alive(node=node, role=role, instance=instance, slots=slots, light=1, build="1")


@case
def _seen(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    for slots in (2, 3):
        nodes.seen(alive("a", slots=slots), NOW)
    nodes.seen(Alive(node="a", role="worker", slots=3, light=2, build="1"), NOW)
    nodes.seen(alive("a", role="master"), LATER)
    nodes.seen(
        Alive(
            node="a", role="worker", instance="0a1b2c3d", slots=0, build="2", ffmpeg="ffmpeg 9", cpus=4, load=1.5,
            memory_total=1 << 40, memory_free=8, disk_free=(1 << 63) - 1, state="disk: 3 MB free",
        ),
        LATER,
    )  # fmt: skip
    rows = database.query("SELECT name, role, instance, slots, light, build, seen_at FROM nodes ORDER BY role, build")
    assert [tuple(row.values()) for row in rows] == [
        ("a", "master", "", 1, 1, "1", LATER),
        ("a", "worker", "", 3, 2, "1", NOW),
        ("a", "worker", "0a1b2c3d", 0, 0, "2", LATER),
    ], "of two hosts of one name each has its row"
    (row,) = database.query(
        "SELECT ffmpeg, cpus, load_1m, memory_total, memory_free, disk_free, state FROM nodes WHERE build = '2'"
    )
    assert tuple(row.values()) == ("ffmpeg 9", 4, 1.5, 1 << 40, 8, (1 << 63) - 1, "disk: 3 MB free")


@case
def _slots(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    assert nodes.slots(0) == {}
    for node, slots, seen in (("a", 2, NOW), ("b", 3, LATER), ("c", 9, NOW - 1)):
        nodes.seen(alive(node, slots=slots), seen)
    nodes.seen(alive("a", "twin", slots=4), NOW)
    nodes.seen(Alive(node="m", role="master", slots=7, build="1"), NOW)
    assert nodes.slots(NOW) == {"worker": 9, "worker.light": 3, "master": 7, "master.light": 0}


@case
def _takers(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    nodes.seen(alive("a"), NOW)
    nodes.seen(alive("light", slots=0), NOW)
    nodes.seen(alive("gone"), NOW - 1)
    nodes.seen(alive("m", role="master"), NOW)
    assert nodes.takers("worker", NOW) == {"a"}
    assert nodes.takers("worker.light", NOW) == {"a", "light"}
    assert nodes.takers("master", NOW) == {"m"}


@case
def _forget(store: Store, database: Database) -> None:
    task, other = submit(database), submit(database)
    for number in (task, other):
        add(store, number, "purge", 1)
    store.forget(task)
    assert rows_of(store, task) == []
    assert len(rows_of(store, other)) == 1
    nodes = Nodes(database)
    nodes.seen(alive("a", "1"), NOW)
    nodes.seen(alive("b", "2"), LATER)
    for name, instance in (("a", "1"), ("b", "2"), ("a", "")):
        nodes.hold(Hold(name, "worker" if instance else "", instance, "why"), NOW)
    nodes.forget(LATER)
    assert [s.name for s in nodes.standings("worker", 0)] == ["b"]
    assert {(hold.name, hold.instance) for hold in nodes.holds()} == {("b", "2"), ("a", "")}, "a drain stays"


@case
def _standings(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    nodes.seen(alive("a", "1"), NOW)
    nodes.seen(alive("b", "2", slots=0), LATER)
    nodes.seen(alive("c", "3"), LATER)
    nodes.seen(alive("m", "4", role="master"), NOW)
    assert nodes.standings("worker", LATER) == [
        Standing("a", "1", 0, lost=False, fault="", alive=False, takes=False),
        Standing("b", "2", 0, lost=False, fault="", alive=True, takes=False),
        Standing("c", "3", 0, lost=False, fault="", alive=True, takes=True),
    ]


def stains(nodes: Nodes) -> dict[str, tuple[int, bool, str]]:
    """What is held against each run of a worker."""
    return {s.instance: (s.blames, s.lost, s.fault) for s in nodes.standings("worker", 0)}


@case
def _blame(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    for instance in ("1", "2"):
        nodes.seen(alive("a", instance), NOW)
    nodes.blame("a", "worker", "1", "x" * 300)
    nodes.blame("a", "worker", "1", "bröken 🎬")
    nodes.blame("a", "worker", "none such", "")
    nodes.seen(alive("a", "1"), LATER)
    assert stains(nodes) == {"1": (2, False, "bröken 🎬"), "2": (0, False, "")}


@case
def _lost(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    for instance in ("1", "2"):
        nodes.seen(alive("a", instance), NOW)
    for _ in range(3):
        nodes.lost("a", "worker", "1")
    assert stains(nodes) == {"1": (0, True, ""), "2": (0, False, "")}


@case
def _stained(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    for node in ("a", "b", "c"):
        nodes.seen(alive(node, "1"), NOW)
    assert nodes.stained() == set()
    nodes.blame("a", "worker", "1", "x")
    nodes.lost("b", "worker", "1")
    assert nodes.stained() == {("a", "worker"), ("b", "worker")}
    nodes.praise("a", "worker", "1")
    assert nodes.stained() == {("b", "worker")}


@case
def _praise(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    for node, instance in (("a", "1"), ("a", "2"), ("b", "3")):
        nodes.seen(alive(node, instance), NOW)
        nodes.blame(node, "worker", instance, "x")
        nodes.lost(node, "worker", instance)
    nodes.praise("a", "worker", "2")
    assert stains(nodes) == {"1": (1, False, "x"), "2": (0, False, "x"), "3": (1, True, "x")}


@case
def _hold(store: Store, database: Database) -> None:
    nodes = Nodes(database)
    holds = [Hold("nöde", "", "", "drained"), Hold("a", "worker", "1", "r" * 255)]
    for number, hold in enumerate(holds):
        nodes.hold(hold, NOW + number)
    assert nodes.holds() == holds


@case
def _holds(store: Store, database: Database) -> None:
    assert Nodes(database).holds() == []


@case
def _record(store: Store, database: Database) -> None:
    store.record(
        [
            Event(7, 70, NOW, "encode failed" + "x" * 100, "nöde", "ffmpeg said 🎬"),
            Event(7, None, LATER, "encode done", None, None),
        ]
    )
    store.record([])
    rows = database.query("SELECT task_id, job_id, at, event, node, message FROM history ORDER BY id")
    assert [tuple(found.values()) for found in rows] == [
        (7, 70, NOW, ("encode failed" + "x" * 100)[:32], "nöde", "ffmpeg said 🎬"),
        (7, None, LATER, "encode done", None, None),
    ]


@pytest.mark.parametrize("changed", ["state = 'cancelled'", "attempt = 2"])
def test_where_a_row_is_not_any_more_as_it_was_read_nothing_of_a_batch_counts(changed: str, database: Database) -> None:
    """It is decided again, by what the row is now: a report that is late by then must not slip through with others."""
    store = Store(database)
    task = submit(database)
    rows = [add(store, task, "encode", n) for n in range(3)]
    database.execute(f"UPDATE jobs SET {changed} WHERE id = ?", (rows[1].id,))  # noqa: S608
    before = rows_of(store, task)

    def write() -> None:
        with store.transaction():
            store.apply_all([Transition(row.id, OPEN, 1, {"state": JobState.DONE}, "done") for row in rows])

    with pytest.raises(Unavailable, match="have changed"):
        write()
    assert rows_of(store, task) == before


def test_what_is_asked_at_every_turn_costs_no_more_where_more_waits(database: Database) -> None:
    """By the rows that MariaDB reads, with its statistics as they are after many rows have come at once."""
    if not is_mariadb(database):
        pytest.skip("SQLite does not tell what it reads")
    store, waiting = Store(database), Waiting(database)
    for _ in range(3):
        task = submit(database)
        add(store, task, "prepare", state=JobState.DONE)
        wait(store, task, Place("ann"), *[("encode", n) for n in range(1000)])
    wait(store, task, Place("bob", 1), ("encode", 1000))
    before = reads(database)
    assert waiting.shares("worker") == [Share(0, "ann"), Share(1, "bob")]
    assert len(waiting.due("worker", Share(0, "ann"), NOW, 20)) == 20
    assert waiting.in_use()["worker"].queued == 0
    assert Tasks(database).deleted(0) == ([], 0)
    store.begin_leases(NOW, LATER)
    assert reads(database) - before < 200


def test_what_is_looked_after_costs_no_more_where_more_tasks_have_ended(database: Database) -> None:
    """Rows of tasks at an end stay until somebody deletes them; of those that failed the jobs stay for a day."""
    if not is_mariadb(database):
        pytest.skip("SQLite does not tell what it reads")
    store = Store(database)
    with store.transaction():
        first, *failed = (submit(database, status="failed") for _ in range(300))
        for task in (first, *failed):
            store.add(task, Place(), [(NewJob("prepare", 0), 0), (NewJob("purge", 1, delay=task), 0)], NOW)
        live = submit(database, status="encoding")
    before = reads(database)
    assert Tasks(database).live_tasks(0, 9) == [live]
    assert Tasks(database).live_tasks(live - 1, 9) == [live]
    assert Tasks(database).unpruned(0, 10) == ([], failed[8])
    assert reads(database) - before < 150


def test_purges_that_are_put_off_cost_nothing_until_they_are_due(database: Database) -> None:
    """Each failed task has one, for a day."""
    if not is_mariadb(database):
        pytest.skip("SQLite does not tell what it reads")
    store, waiting, ann = Store(database), Waiting(database), Share(0, "ann")
    with store.transaction():
        for task in range(1, 500):
            store.add(task, Place("ann"), [(NewJob("purge", 1, delay=task), 0)], NOW)
        wait(store, 500, Place("ann"), ("publish", 0))
    before = reads(database)
    assert waiting.shares("master.light") == [ann]
    assert [row.kind for row in waiting.due("master.light", ann, NOW, 20)] == ["publish"]
    assert store.begin_purges(NOW + 10) == 10
    assert reads(database) - before < 100
    assert read_numbers(database, NOW).waiting["master.light"] == 11


def reads(database: Database) -> int:
    """Rows that MariaDB has read for this connection."""
    return sum(int(row["Value"]) for row in database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))
