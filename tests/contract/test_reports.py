"""The watcher between a broker and both databases: whatever a node says, the watcher and its rows live on.

A report is one message among thousands and comes from machines that may be broken or lost to an attacker. One that
no row can hold must not stop the watcher, least of all again and again, as it would come back after each restart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any, cast

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.alive import Alive
from raven.config import Settings
from raven.errors import DataRefused, RowLocked, Unavailable
from raven.media.grid import Span
from raven.messages import CancelJob, ConfirmJob, Done, Failed, PurgeJob, Started
from raven.model import EncodeResult, SegmentInfo, TrackSegments
from raven.ports import Consumer, Database
from raven.profile import Profile, load_profiles
from raven.retry import retry
from raven.values import Value
from tests.builders import encode_result, prepare_result, source_facts
from tests.contract.databases import Connect, is_mariadb
from watcher.nodes import Nodes
from watcher.orders import film_renditions
from watcher.rows import TaskRow, Transition
from watcher.store import Store
from watcher.tasks import Tasks
from watcher.watcher import Watcher

HUGE = 10**30


def facts(**odd: object) -> dict[str, Any]:
    """What a master tells of a source, but for what is odd of it or of its pictures."""
    found = source_facts(audio=()).model_dump(mode="json")
    return found | ({"video": found["video"] | odd} if odd.keys() <= found["video"].keys() else odd)


def prepare(**odd: object) -> dict[str, Any]:
    """A result of preparing, but for what is odd of it."""
    return prepare_result(facts=source_facts(audio=())).model_dump(mode="json") | odd


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
    "a film longer than time": ABOUT | {"type": "progress", "so_far": prepare(facts=facts(duration=1e300), chunks=1)},
    "a film of less than no time": ABOUT | {"type": "progress", "so_far": prepare(facts=facts(duration=-1.0))},
    "pictures at no rate": ABOUT | {"type": "progress", "so_far": prepare(facts=facts(rate="0"))},
    "frames beyond all": ABOUT | {"type": "progress", "so_far": prepare(frames=HUGE, complete=True)},
    "frames of 400 digits": ABOUT | {"type": "progress", "so_far": prepare(frames=10**400, complete=True)},
    "sound beyond all": ABOUT | {"type": "done", "seconds": 1.0, "result": prepare(samples={"und-1": 10**400})},
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
    row = Store(database).jobs([1])[1]
    assert (row.kind, row.state) == ("prepare", "running")
    return watcher


def say(broker: LocalBroker, report: dict[str, object] | bytes) -> None:
    """What arrives at the watcher."""
    broker.publish(names.REPORTS, report if isinstance(report, bytes) else json.dumps(report).encode())


def add_purge(database: Database, position: int, state: str) -> None:
    """The task's purge job, of its temporary objects (0) or of all (1)."""
    columns = "task_id, kind, position, state, lane"
    database.execute(f"INSERT INTO jobs ({columns}) VALUES (1, 'purge', ?, ?, 'master.light')", (position, state))  # noqa: S608


def test_a_report_whose_transaction_breaks_is_one_line_of_history_when_it_is_taken_again(
    watcher: Watcher, broker: LocalBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_store: Store, _transitions: object) -> None:
        raise Unavailable("MariaDB: Lost connection to server during query")

    say(broker, messages.encode(Failed(task=1, job=1, attempt=1, node="a", message="no such file", permanent=True)))
    with monkeypatch.context() as broken:
        broken.setattr(Store, "apply_all", breaks)
        with pytest.raises(Unavailable):
            watcher.turn()
    watcher.turn()
    assert database.query("SELECT event, message FROM history WHERE event LIKE '%failed'") == [
        {"event": "prepare failed", "message": "no such file"}
    ]


@pytest.mark.parametrize("what", POISON)
def test_a_report_that_no_row_can_hold_is_dead_lettered_and_harms_nothing(
    what: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It goes to the dead letters alone: what is reported before and after it counts."""
    before = Store(database).jobs([1])
    say(broker, messages.encode(Alive(node="before", role="worker", slots=2, build="1")))
    say(broker, POISON[what])
    say(broker, messages.encode(Alive(node="after", role="worker", slots=3, build="1")))
    watcher.turn()
    assert broker.depth(names.dead_letters(names.REPORTS)) == 1
    assert broker.depth(names.REPORTS) == 0
    assert Nodes(database).slots(0)["worker"] == 5
    assert Store(database).jobs([1]) == before


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


@pytest.mark.parametrize("end", ["done", "failed", "deleted", "forgotten"])
@pytest.mark.parametrize("purge", ["queued", "running", "done"])
def test_a_node_that_comes_back_late_has_its_objects_removed(
    end: str, purge: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It was cut off and has stored something after the purge; which of its reports are late it cannot know."""
    # Given a task that is at an end, and cleaned, or is just being cleaned
    position = 0 if end == "done" else 1
    database.execute("UPDATE jobs SET state = 'cancelled', attempt = 2 WHERE id = 1")
    add_purge(database, position, purge)
    if end in ("done", "failed"):
        database.execute("UPDATE tasks SET status = ?", (end,))
    else:
        database.execute("DELETE FROM tasks")
    if end == "forgotten":
        database.execute("DELETE FROM jobs")

    # When the node says that its work has ended
    say(broker, Failed(task=1, job=1, attempt=1, node="a", message="stopped", cancelled=True).model_dump())
    for _ in range(3):
        watcher.turn()

    # Then a purge is ordered that begins after all that it has stored
    taken = broker.consumer(names.lane_queue("master.light"), prefetch=1).take(0)
    assert taken is not None
    order = messages.read_job(taken.body)
    assert isinstance(order, PurgeJob)
    assert order.prefixes == (("tmp/1/",) if end == "done" else ("tmp/1/", "out/1/"))
    assert order.attempt == (1 if end == "forgotten" else 2)
    for attempt in range(1, order.attempt + 1):
        say(broker, done(order, attempt))
    for _ in range(3):
        watcher.turn()
    states = [row["state"] for row in database.query("SELECT state FROM jobs")]
    assert states == (["done"] if end in ("done", "failed") else []), "and that is all"


def done(order: PurgeJob, attempt: int) -> dict[str, object]:
    return Done(
        task=order.task, job=order.job, attempt=attempt, node="m", seconds=1.0, result={"objects": 0}
    ).model_dump()


def test_late_reports_of_a_task_under_way_remove_nothing(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    database.execute("UPDATE jobs SET attempt = 2 WHERE id = 1")
    say(broker, Failed(task=1, job=1, attempt=1, node="a", message="x").model_dump())
    watcher.turn()
    assert database.query("SELECT kind, state FROM jobs") == [{"kind": "prepare", "state": "running"}]


def test_a_source_may_have_more_to_tell_than_64_kilobytes(database: Database) -> None:
    """The facts of a film with hundreds of tracks are longer than MariaDB's TEXT."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    facts = json.dumps({"audio": ["commentary"] * 10_000})
    Tasks(database).set_facts(1, facts)
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

    # And what the first has stored is removed, although no job of it has anything more to say
    database.execute("UPDATE jobs SET state = 'done' WHERE id = 1")
    database.execute("UPDATE tasks SET status = 'preparing' WHERE id = 1")
    again = Watcher(Settings(poll_seconds=0.001), database, broker, load_profiles())
    again.turn()
    again.turn()
    assert database.query("SELECT state FROM jobs WHERE kind = 'purge'") == [{"state": "waiting"}]


def test_a_row_with_text_that_nests_without_end_fails_alone(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """Python gives up on such JSON by another error than on all else that is none, and its notice looks at it too."""
    nested = "[" * 60_000
    columns = "source, options, metadata, callback_url"
    database.execute(f"INSERT INTO tasks ({columns}) VALUES ('/a', ?, ?, 'http://x/')", (nested, nested))  # noqa: S608
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    watcher.turn()
    _, first, second = database.query("SELECT status, message FROM tasks ORDER BY id")
    assert first["status"] == "failed"
    assert first["message"].startswith("options: ")
    assert second["status"] == "preparing"
    assert database.query("SELECT event FROM notices") == [{"event": "failed"}]


ODD_ROWS = {
    "a source that has lost its pictures": prepare(facts=facts(video=None), chunks=0),
    "a picture of no height": prepare(facts=facts(height=0)),
    "frames that come faster than numbers go": prepare(facts=facts(rate=str(10**39))),
}


@pytest.mark.parametrize("what", ODD_ROWS)
def test_a_task_that_cannot_be_planned_or_ordered_fails_alone(
    what: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """A source may be replaced between two attempts, a master may lie: whatever that raises is this task's alone."""
    # Given two tasks, of which the first has chunks that wait
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    say(broker, ALIVE)
    database.execute("INSERT INTO jobs (task_id, kind, position, lane) VALUES (1, 'encode', 0, 'worker')")

    # When a master says something odd of it, then it fails with a reason, and the other goes on
    say(broker, ABOUT | {"type": "done", "seconds": 1.0, "result": ODD_ROWS[what]})
    for _ in range(3):
        watcher.turn()
    first, second = database.query("SELECT status, message FROM tasks ORDER BY id")
    assert first["status"] == "failed"
    assert first["message"]
    assert second["status"] == "preparing"
    assert broker.depth(names.dead_letters(names.REPORTS)) == 0


def test_a_fault_of_raven_s_own_in_planning_fails_one_task_and_is_logged(
    watcher: Watcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(row: TaskRow, *_: object, **__: object) -> Profile:
        raise AssertionError(f"of {row.source}")

    with monkeypatch.context() as broken:
        broken.setattr("watcher.planner.task_profile", breaks)
        database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/odd.mkv')")
        watcher.turn()
    rows = database.query("SELECT status, message FROM tasks ORDER BY id")
    assert [row["status"] for row in rows] == ["preparing", "failed"]
    assert str(rows[1]["message"]).endswith("cannot be planned: AssertionError: of /srv/in/odd.mkv")


def test_a_task_whose_plan_met_an_outage_is_planned_in_the_next_turn(
    watcher: Watcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next slow look may come to it only after all others: with many tasks that is minutes later."""

    def breaks(*_: object, **__: object) -> Profile:
        raise Unavailable("the connection broke")

    watcher.turn()
    database.execute("UPDATE jobs SET state = 'failed', message = 'broken' WHERE task_id = 1")
    watcher._planner.due.touch([1])
    with monkeypatch.context() as broken:
        broken.setattr("watcher.planner.task_profile", breaks)
        with pytest.raises(Unavailable):
            watcher.turn()
    watcher.turn()
    assert [row["status"] for row in database.query("SELECT status FROM tasks")] == ["failed"]


def test_a_task_that_cannot_even_fail_is_put_off_and_holds_up_nobody(
    watcher: Watcher, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> bool:
        raise DataRefused("too long")

    database.execute("INSERT INTO tasks (source, profile) VALUES ('/srv/in/odd.mkv', 'none')")
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    with monkeypatch.context() as broken:
        broken.setattr(Tasks, "fail", breaks)
        watcher.turn()
    assert [row["status"] for row in database.query("SELECT status FROM tasks ORDER BY id")] == [
        "preparing",
        "new",
        "preparing",
    ]


def test_reports_on_a_task_whose_rows_a_newer_version_has_written_stop_nobody(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """A watcher that was rolled back finds results with fields that it does not know."""
    # Given a task whose results cannot be read, that of its source and that of a chunk, and another task
    newer = '{"a later field": 1}'
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    queue_chunks(database, 2)
    database.execute("UPDATE jobs SET result = ? WHERE id = 1", (newer,))
    database.execute("UPDATE jobs SET state = 'done', result = ? WHERE id = 2", (newer,))

    # When nodes go on to report on it
    say(broker, ABOUT | {"type": "progress", "so_far": prepare(chunks=4)})
    say(broker, encoded(3))
    say(broker, messages.encode(Alive(node="after", role="worker", slots=3, build="1")))
    for _ in range(2):
        watcher.turn()

    # Then what they say is taken, the task fails with the reason, and all else goes on
    assert broker.depth(names.dead_letters(names.REPORTS)) == 0
    assert Nodes(database).slots(0)["worker"] == 3
    first, second = database.query("SELECT status, message FROM tasks ORDER BY id")
    assert first["status"] == "failed"
    assert "another version" in first["message"]
    assert second["status"] == "preparing"


def test_a_report_that_breaks_its_batch_is_dead_lettered_alone(
    watcher: Watcher, broker: LocalBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever nobody has foreseen: all others of the batch count, and count once."""
    queue_chunks(database, 5)
    real = Store.apply_all

    def breaks(store: Store, transitions: Iterable[Transition]) -> None:
        some = list(transitions)
        if any(transition.job == 4 for transition in some):
            raise DataRefused("Out of range value for column 'done'")
        real(store, some)

    monkeypatch.setattr(Store, "apply_all", breaks)
    for job in range(2, 7):
        say(broker, ABOUT | {"type": "started", "job": job})
    say(broker, messages.encode(Alive(node="after", role="worker", slots=3, build="1")))
    watcher.turn()
    rows = database.query("SELECT id, state FROM jobs WHERE kind = 'encode' ORDER BY id")
    assert {row["id"] for row in rows if row["state"] != "running"} == {4}
    events = database.query("SELECT job_id FROM history WHERE event = 'encode started' ORDER BY job_id")
    assert [row["job_id"] for row in events] == [2, 3, 5, 6]
    assert broker.depth(names.dead_letters(names.REPORTS)) == 1
    assert Nodes(database).slots(0)["worker"] == 3


# a batch: what several reports say of one job, or of one task, before anything of it is written


def queue_chunks(database: Database, number: int) -> None:
    """Chunks of task 1 that nodes may take, with the numbers from 2 on."""
    for position in range(number):
        columns = "task_id, kind, position, state, lane"
        database.execute(f"INSERT INTO jobs ({columns}) VALUES (1, 'encode', ?, 'queued', 'worker')", (position,))  # noqa: S608


def encoded(job: int, init: str = "ab", attempt: int = 1) -> dict[str, object]:
    """A node has encoded a chunk; `init` is the hash of its init segment."""
    track = TrackSegments(first=1, segments=(SegmentInfo(length=150, bytes=9),), start=0, init_sha256=init)
    result = EncodeResult(renditions={"240p": track}, frames=150, thumbs=1, bytes=9).model_dump(mode="json")
    return Done(task=1, job=job, attempt=attempt, node="a", seconds=job / 4, result=result).model_dump()


def test_a_job_may_begin_and_end_in_one_batch(watcher: Watcher, broker: LocalBroker, database: Database) -> None:
    """Each row keeps what was said of it, and a report of an end makes all that comes after it late."""
    queue_chunks(database, 3)
    listener = broker.listener()
    for job in (2, 3):
        say(broker, ABOUT | {"type": "started", "job": job, "node": f"node {job}"})
        say(broker, ABOUT | {"type": "progress", "job": job, "node": f"node {job}", "done": job})
        say(broker, encoded(job))
    say(broker, ABOUT | {"type": "progress", "job": 3})
    watcher.turn()
    rows = database.query("SELECT state, done, seconds, node FROM jobs WHERE kind = 'encode' ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        ("done", 2, 0.5, "a"),
        ("done", 3, 0.75, "a"),
        ("queued", 0, 0, None),
    ]
    events = [row["event"] for row in database.query("SELECT event FROM history WHERE job_id > 1 ORDER BY id")]
    assert events == ["encode started", "encode done"] * 2
    heard = listener.take(0)
    assert heard is not None
    assert messages.read_control(heard.body) == CancelJob(job=3, below=2)


def test_a_failure_fences_what_its_attempt_says_after_it_in_one_batch(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    queue_chunks(database, 1)
    say(broker, Failed(task=1, job=2, attempt=1, node="a", message="no").model_dump())
    say(broker, encoded(2))
    watcher.turn()
    (row,) = database.query("SELECT state, attempt, failures FROM jobs WHERE id = 2")
    assert tuple(row.values()) == ("waiting", 2, 1)


def test_the_first_chunk_judges_the_others_of_its_batch(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """An encoder of another build is found although nothing of the task was written yet."""
    queue_chunks(database, 3)
    for job, init in ((2, "ab"), (3, "cd"), (4, "ab")):
        say(broker, encoded(job, init))
    watcher.turn()
    rows = database.query("SELECT state, failures FROM jobs WHERE kind = 'encode' ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [("done", 0), ("waiting", 1), ("done", 0)]


def test_a_purge_that_ends_beside_a_late_report_runs_once_more(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """Which of both was first nobody knows, so the node may have stored something after it."""
    database.execute("UPDATE tasks SET status = 'failed'")
    database.execute("UPDATE jobs SET state = 'cancelled', attempt = 2 WHERE id = 1")
    add_purge(database, 1, "running")
    say(broker, Failed(task=1, job=1, attempt=1, node="a", message="stopped", cancelled=True).model_dump())
    say(broker, Done(task=1, job=2, attempt=1, node="m", seconds=1.0, result={"objects": 0}).model_dump())
    watcher.turn()
    (row,) = database.query("SELECT state, attempt FROM jobs WHERE id = 2")
    assert tuple(row.values()) == ("queued", 2)


@pytest.mark.parametrize("end", ["done", "failed"])
def test_a_watcher_killed_between_the_end_of_a_purge_and_the_pruning_leaves_no_row(
    end: str, watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """The end of the purge is in the database, and the one that knew what comes next is gone."""
    database.execute("UPDATE tasks SET status = ?", (end,))
    database.execute("UPDATE jobs SET state = 'done' WHERE id = 1")
    add_purge(database, int(end == "failed"), "done")
    Watcher(Settings(poll_seconds=0.001), database, broker, load_profiles()).turn()
    rows = database.query("SELECT kind FROM jobs")
    assert [row["kind"] for row in rows] == ["purge"]


def test_a_row_that_its_client_has_locked_holds_up_no_other_task(
    watcher: Watcher, database: Database, connect: Connect
) -> None:
    """A client can do that to its own rows for as long as it likes; no right forbids it."""
    if not is_mariadb(database):
        pytest.skip("SQLite locks all or nothing")
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/locked.mkv'), ('/srv/in/free.mkv')")
    client = connect()
    client.execute("START TRANSACTION")
    client.query("SELECT id FROM tasks WHERE id = 2 FOR UPDATE")

    watcher.turn()

    rows = database.query("SELECT tasks.id, status, kind FROM tasks LEFT JOIN jobs ON task_id = tasks.id ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (1, "preparing", "prepare"),
        (2, "new", None),
        (3, "preparing", "prepare"),
    ]
    # and it goes on once the client has let go
    client.execute("ROLLBACK")
    Watcher(Settings(poll_seconds=0.001), database, LocalBroker(), load_profiles()).turn()
    (row,) = database.query("SELECT status FROM tasks WHERE id = 2")
    assert row["status"] == "preparing"


class Locked:
    """A database in which somebody has locked rows of `tasks`; each that is written is waited for a second."""

    def __init__(self, database: Database, rows: set[int]) -> None:
        self._database, self._rows = database, rows
        self.met = list[int]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        for row in self._rows & set(parameters) if sql.startswith("UPDATE tasks") else ():
            self.met.append(row)
            raise RowLocked("Lock wait timeout exceeded")
        return self._database.execute(sql, parameters)


def test_a_client_that_has_locked_many_rows_is_waited_for_twice_a_turn_and_holds_up_no_other(
    database: Database,
) -> None:
    """Each wait costs a second of everybody's: hundreds of them in one turn would stop the farm."""
    for owner in (*["greedy"] * 9, "other"):
        database.execute("INSERT INTO tasks (source, owner) VALUES ('/srv/in/a.mkv', ?)", (owner,))
    locked = Locked(database, set(range(1, 9)))
    beats = list[int]()
    watcher = Watcher(Settings(poll_seconds=0.001), cast("Database", locked), LocalBroker(), load_profiles())

    def status() -> list[str]:
        return [row["status"] for row in database.query("SELECT status FROM tasks ORDER BY id")]

    # In a turn two rows are waited for, and what others have inserted is begun
    watcher.turn(lambda: beats.append(len(locked.met)))
    assert locked.met == [1, 2]
    assert status() == ["new"] * 9 + ["preparing"]
    assert len(beats) == 10, "the service manager knows all the while that the watcher lives"

    # In the next ones the others of that client have their turn, and none of those that were waited for
    for _ in range(4):
        watcher.turn()
    assert locked.met == [1, 2, 3, 4, 5, 6, 7, 8]
    assert status() == ["new"] * 8 + ["preparing"] * 2


def test_a_locked_row_of_a_task_that_cannot_go_on_holds_up_nobody(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It cannot be failed now; what others wait for is handed out all the same."""
    locked = Locked(database, {1})
    database.execute("UPDATE jobs SET result = 'not JSON' WHERE id = 1")
    queue_chunks(database, 1)
    database.execute("UPDATE jobs SET state = 'waiting' WHERE id = 2")
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    say(broker, ALIVE)
    watcher = Watcher(Settings(poll_seconds=0.001), cast("Database", locked), broker, load_profiles())
    for _ in range(3):
        watcher.turn()
    assert len(locked.met) == 1
    rows = database.query("SELECT kind, state FROM jobs WHERE task_id = 2")
    assert [tuple(row.values()) for row in rows] == [("prepare", "queued")]


def test_a_purge_is_confirmed_only_while_its_order_counts(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """The broker, or a slow master, may keep an order until its task has been tried again and its objects are new."""
    # Given a failed task whose purge a master has
    database.execute("UPDATE tasks SET status = 'failed'")
    database.execute("UPDATE jobs SET state = 'failed' WHERE id = 1")
    add_purge(database, 1, "queued")
    listener = broker.listener()
    asks = ABOUT | {"type": "progress", "job": 2, "done": 3}

    # When it asks, then its order counts
    say(broker, asks)
    watcher.turn()
    assert controls(listener) == [ConfirmJob(job=2, attempt=1, done=3)]

    # When the same order comes out of the broker once more after the task was tried again, then it counts no more
    say(broker, Done(task=1, job=2, attempt=1, node="m", seconds=1.0, result={"objects": 0}).model_dump())
    watcher.turn()
    assert not retry(database, 1, 0), "its objects are gone"
    say(broker, asks)
    watcher.turn()
    assert controls(listener) == [CancelJob(job=2, below=2)]


def test_an_announcement_gives_way_as_soon_as_the_whole_film_is_there(
    watcher: Watcher, broker: LocalBroker, database: Database
) -> None:
    """It may have thousands of segments to read ahead, and everybody would wait for that."""
    # Given a film of one chunk that is encoded while a master announces its beginning
    cut, profile = prepare_result(facts=source_facts(audio=()), frames=60, chunks=1), load_profiles()["default"]
    grid, rungs = profile.cutting.grid(Fraction(25)), [r.name for r in film_renditions(cut, profile)]
    made = encode_result(grid, Span(0, 60), rungs).model_dump(mode="json")
    say(broker, Done(task=1, job=1, attempt=1, node="a", seconds=1.0, result=cut.model_dump(mode="json")).model_dump())
    watcher.turn()
    columns = "task_id, kind, position, state, lane, lease_until"
    row = "1, 'announce', 1, 'running', 'master.light', 99999999999999"
    database.execute(f"INSERT INTO jobs ({columns}) VALUES ({row})")  # noqa: S608
    (chunk,) = database.query("SELECT id FROM jobs WHERE kind = 'encode'")
    (announcement,) = database.query("SELECT id FROM jobs WHERE kind = 'announce'")
    listener = broker.listener()

    # When the chunk is done, then the master is told to stop
    say(broker, Done(task=1, job=chunk["id"], attempt=1, node="a", seconds=1.0, result=made).model_dump())
    watcher.turn()
    assert controls(listener) == [CancelJob(job=announcement["id"], below=2)]
    assert not database.query("SELECT id FROM jobs WHERE kind = 'publish'")

    # And when it has stopped, then the film is published, and no other announcement comes
    say(broker, Failed(task=1, job=announcement["id"], attempt=1, node="a", message="", cancelled=True).model_dump())
    watcher.turn()
    rows = database.query("SELECT kind, state FROM jobs WHERE kind IN ('announce', 'publish') ORDER BY kind")
    assert [tuple(row.values()) for row in rows] == [("announce", "cancelled"), ("publish", "queued")]


def controls(listener: Consumer) -> list[Value]:
    """What was broadcast since."""
    found = list[Value]()
    while (heard := listener.take(0)) is not None:
        found.append(messages.read_control(heard.body))
    return found
