"""The watcher between a broker and both databases: whatever a node says, the watcher and its rows live on.

A report is one message among thousands and comes from machines that may be broken or lost to an attacker. One that
no row can hold must not stop the watcher, least of all again and again, as it would come back after each restart.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.config import Settings
from raven.messages import Alive, CancelJob, Failed, Started
from raven.ports import Database
from raven.profile import load_profiles
from watcher.store import Store
from watcher.watcher import Watcher

HUGE = 10**30
ABOUT = {"version": 1, "task": 1, "job": 1, "attempt": 1, "node": "a"}
ALIVE = {"version": 1, "type": "alive", "node": "a", "role": "worker", "slots": 1, "build": "1"}
POISON: dict[str, Any] = {
    "no JSON": b"\x00\xff{",
    "nothing": b"",
    "JSON of something else": b'{"type": "invoice"}',
    "another version": ALIVE | {"version": 2},
    "slots beyond all machines": ALIVE | {"slots": HUGE},
    "slots below zero": ALIVE | {"slots": -5},
    "a node with a long name": ALIVE | {"node": "a" * 300},
    "a node without a name": ALIVE | {"node": ""},
    "a long build": ALIVE | {"build": "1" * 100},
    "a job beyond all numbers": ABOUT | {"type": "started", "job": HUGE},
    "a job of the attempt beyond all": ABOUT | {"type": "started", "attempt": HUGE},
    "a task beyond all numbers": ABOUT | {"type": "started", "task": HUGE},
    "progress beyond all": ABOUT | {"type": "progress", "done": HUGE},
    "progress below zero": ABOUT | {"type": "progress", "done": -1},
    "infinite speed": json.dumps(ABOUT | {"type": "progress", "speed": float("inf")}).encode(),
    "no number for speed": json.dumps(ABOUT | {"type": "progress", "speed": float("nan")}).encode(),
    "infinite work": json.dumps(ABOUT | {"type": "done", "seconds": float("inf"), "result": {}}).encode(),
    "the result of another kind": ABOUT | {"type": "done", "seconds": 1.0, "result": {"objects": 1}},
    "a report larger than a row": ABOUT | {"type": "failed", "message": "x" * 20_000_000},
}


@pytest.fixture
def broker() -> LocalBroker:
    return LocalBroker()


@pytest.fixture
def watcher(database: Database, broker: LocalBroker) -> Watcher:
    """A watcher with one task, whose prepare job has the number 1 and runs on node a."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    watcher = Watcher(Settings(poll_seconds=0.001), database, broker, load_profiles())
    say(broker, ALIVE | {"role": "master"})
    watcher.turn()
    say(broker, Started(task=1, job=1, attempt=1, node="a").model_dump())
    watcher.turn()
    row = Store(database).job(1)
    assert row is not None
    assert (row.kind, row.state) == ("prepare", "running")
    return watcher


def say(broker: LocalBroker, report: dict[str, object] | bytes) -> None:
    """What arrives at the watcher."""
    broker.publish(names.REPORTS, report if isinstance(report, bytes) else json.dumps(report).encode())


@pytest.mark.parametrize("what", POISON)
def test_a_report_that_no_row_can_hold_is_dead_lettered_and_harms_nothing(
    what: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It goes to the dead letters alone: what is reported before and after it counts."""
    before = Store(database).job(1)
    say(broker, messages.encode(Alive(node="before", role="worker", slots=2, build="1")))
    say(broker, POISON[what])
    say(broker, messages.encode(Alive(node="after", role="worker", slots=3, build="1")))
    watcher.turn()
    assert broker.depth(names.dead_letters(names.REPORTS)) == 1
    assert broker.depth(names.REPORTS) == 0
    assert Store(database).slots("worker", 0) == 5
    assert Store(database).job(1) == before


def test_the_longest_complaint_of_a_node_fits(watcher: Watcher, broker: LocalBroker, database: Database) -> None:
    """An error text can be anything, and the task has to end with its beginning at least."""
    say(broker, messages.encode(Failed(task=1, job=1, attempt=1, node="a", message="🎬" * 100_000, permanent=True)))
    watcher.turn()
    (row,) = database.query("SELECT status, message FROM tasks")
    assert row["status"] == "failed"
    assert row["message"].startswith("🎬" * 1000)
    assert broker.depth(names.dead_letters(names.REPORTS)) == 0


@pytest.mark.parametrize("job", [1, 99])
@pytest.mark.parametrize("kind", ["started", "progress"])
def test_a_node_that_works_on_what_is_not_its_own_any_more_is_told_to_stop(
    job: int, kind: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It was cut off when the cancel was said, or took the message of a job that is gone: nobody wants its work."""
    listener = broker.listener()
    say(broker, ABOUT | {"type": kind})
    watcher.turn()
    assert listener.take(0) is None, "the job is its own yet"
    database.execute("UPDATE jobs SET attempt = 3")
    say(broker, ABOUT | {"type": kind, "job": job})
    watcher.turn()
    heard = listener.take(0)
    assert heard is not None
    assert messages.read_control(heard.body) == CancelJob(job=job, below=2)
    watcher.turn()
    assert listener.take(0) is None, "said once for each report"


def test_a_source_may_have_more_to_tell_than_64_kilobytes(database: Database) -> None:
    """The facts of a film with hundreds of tracks are longer than MariaDB's TEXT."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    facts = json.dumps({"audio": ["commentary"] * 10_000})
    Store(database).set_facts(1, facts)
    assert database.query("SELECT metadata FROM tasks")[0]["metadata"] == facts


@pytest.mark.parametrize("spoilt", ['{"facts": 1}', "not JSON", '{"version": 99}'])
def test_a_task_whose_rows_cannot_be_read_fails_alone(
    spoilt: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """Another version, or a person, may have written them: all other tasks go on."""
    # Given two tasks, of which the first has a result that nobody can read
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    database.execute("UPDATE jobs SET result = ? WHERE id = 1", (spoilt,))
    database.execute("UPDATE tasks SET status = 'new' WHERE id = 1")

    # When a node speaks of the first
    say(broker, ABOUT | {"type": "started"})
    for _ in range(3):
        watcher.turn()

    # Then the first has ended with the reason, and the second is on its way
    first, second = database.query("SELECT status, message FROM tasks ORDER BY id")
    assert first["status"] == "failed"
    assert "cannot be read" in first["message"]
    assert second["status"] == "preparing"
