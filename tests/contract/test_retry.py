"""Trying a failed task again, on both databases."""

from __future__ import annotations

import pytest

from raven.errors import TaskError
from raven.ports import Database
from raven.retry import retry
from raven.story import story
from tests.contract.databases import Connect, is_mariadb
from watcher.plan import PURGE_ALL, NewJob
from watcher.rows import OPEN, JobState, Place, Transition
from watcher.store import Store
from watcher.tasks import Tasks

NOW = 1_800_000_000_000


def failed_task(database: Database, **states: str) -> int:
    """A failed task with jobs of these states, each with a failure behind it."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    store = Store(database)
    store.add(1, Place(), [(NewJob(kind, PURGE_ALL if kind == "purge" else 0), 0) for kind in states], NOW)
    rows = database.query("SELECT id, kind FROM jobs ORDER BY id")
    for row in rows:
        values = {
            "state": states[row["kind"]],
            "failures": 3,
            "message": "broken",
            "not_before": NOW + 9,
            "result": "{}",
        }
        assert store.apply(Transition(int(row["id"]), OPEN, 1, values, "test"))
    assert Tasks(database).fail(1, "broken")
    return 1


def jobs(database: Database) -> dict[str, tuple[object, ...]]:
    columns = "kind, state, attempt, failures, not_before, message, result"
    return {row["kind"]: tuple(row.values())[1:] for row in database.query(f"SELECT {columns} FROM jobs")}  # noqa: S608


def test_what_is_done_stays_done_and_what_failed_waits_with_a_new_attempt(database: Database) -> None:
    task = failed_task(
        database,
        prepare="done",
        encode="failed",
        audio="cancelled",
        announce="unusable",
        text="running",
        second="cancelled",
        purge="waiting",
    )

    assert retry(database, task, NOW)

    found = jobs(database)
    assert found["prepare"] == ("done", 1, 3, NOW + 9, "broken", "{}")
    assert found["encode"] == found["audio"] == found["announce"] == ("waiting", 2, 0, 0, None, "{}")
    assert found["text"][:2] == ("running", 1), "a node that has not heard of the end yet goes on"
    assert "second" not in found
    assert "purge" not in found
    row = Tasks(database).task(task)
    assert row is not None
    assert row.status == "new"
    assert database.query("SELECT message, finished_at FROM tasks") == [{"message": None, "finished_at": None}]


@pytest.mark.parametrize(
    ("purge", "message"), [("waiting", "what was done stays done"), ("done", "from the beginning")]
)
def test_what_a_person_has_done_stands_in_the_task_s_story(database: Database, purge: str, message: str) -> None:
    task = failed_task(database, prepare="done", encode="failed", purge=purge)
    retry(database, task, NOW, "desk-3")

    told = [(line.event, line.node, line.message) for line in story(database, task)]

    assert ("tried again", "desk-3", message) in told


def test_a_task_whose_row_is_held_by_the_cleaner_must_wait(connect: Connect) -> None:
    """Else it could remove what a new attempt has just stored."""
    database, cleaner = connect(), connect()
    if not is_mariadb(database):
        pytest.skip("SQLite has one writer at a time, who is waited for")
    task = failed_task(database, prepare="done", encode="failed", purge="done")

    with cleaner.transaction():
        cleaner.query("SELECT status FROM tasks WHERE id = ? LOCK IN SHARE MODE", (task,))
        with pytest.raises(TaskError, match="just being cleaned up or looked at; try again in a minute"):
            retry(database, task, NOW)

    assert not retry(database, task, NOW)


def test_a_task_whose_objects_are_gone_begins_anew(database: Database) -> None:
    task = failed_task(database, prepare="done", encode="failed", purge="done")

    assert not retry(database, task, NOW)

    assert jobs(database) == {}
    assert Tasks(database).new_tasks() == [task]


@pytest.mark.parametrize(("state", "attempt"), [(JobState.QUEUED, 1), (JobState.RUNNING, 1), (JobState.WAITING, 2)])
def test_a_task_whose_objects_are_being_removed_must_wait(database: Database, state: str, attempt: int) -> None:
    """Also where a purge failed or lapsed: whoever began it may still remove what a new attempt stores."""
    task = failed_task(database, prepare="done", purge=state)
    database.execute("UPDATE jobs SET attempt = ? WHERE kind = 'purge'", (attempt,))

    with pytest.raises(TaskError, match="just being removed; try again"):
        retry(database, task, NOW)

    assert jobs(database)["purge"][0] == state, "nothing was changed"


def test_only_a_task_that_failed_can_be_tried_again(database: Database) -> None:
    with pytest.raises(TaskError, match="there is no task 1"):
        retry(database, 1, NOW)
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    with pytest.raises(TaskError, match="task 1 is new; only a failed task"):
        retry(database, 1, NOW)
