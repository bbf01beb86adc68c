"""`raven log` and `raven top`: what they read, on SQLite and on MariaDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from raven.errors import TaskError
from raven.overview import MANY, Waiting, read_overview
from raven.ports import Database
from raven.roster import DRAINED
from raven.story import PAGE, story

NOW = 1_800_000_000_000
FACTS = '{"duration": 600.0, "video": {"rate": "25"}}'


def submit(database: Database, source: str = "/srv/in/film.mkv", status: str = "new", owner: str = "ann") -> int:
    (row,) = database.query(
        "INSERT INTO tasks (source, status, owner) VALUES (?, ?, ?) RETURNING id", (source, status, owner)
    )
    return int(row["id"])


def add_job(database: Database, task: int, kind: str, position: int, state: str, **more: object) -> int:
    columns = {"task_id": task, "kind": kind, "position": position, "state": state, "lane": "worker"} | more
    marks = ", ".join("?" for _ in columns)
    sql = f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks}) RETURNING id"  # noqa: S608 - columns of ours
    return int(database.query(sql, tuple(columns.values()))[0]["id"])


def record(database: Database, task: int, job: int | None, at: int, event: str, node: str = "", why: str = "") -> None:
    database.execute(
        "INSERT INTO history (task_id, job_id, at, event, node, message) VALUES (?, ?, ?, ?, ?, ?)",
        (task, job, at, event, node or None, why or None),
    )


# a task's story


def test_a_story_begins_with_the_insert_tells_each_event_and_ends_with_the_end(database: Database) -> None:
    task = submit(database)
    job = add_job(database, task, "encode", 11, "done")
    record(database, task, job, NOW + 5, "encode retried", "worker-1", "the disk is full")
    record(database, task, job, NOW + 1005, "encode done", "worker-2")
    database.execute(
        "UPDATE tasks SET status = 'done', message = 'as it should', finished_at = CURRENT_TIMESTAMP WHERE id = ?",
        (task,),
    )

    first, retried, done, last = story(database, task)

    assert (first.event, first.message, first.node) == ("inserted by ann", "/srv/in/film.mkv", "")
    assert (retried.event, retried.node, retried.position) == ("encode retried", "worker-1", 11)
    assert retried.message == "the disk is full"
    assert retried.at == datetime.fromtimestamp(NOW / 1000, UTC) + timedelta(milliseconds=5)
    assert done.as_json()["at"] == "2027-01-15T08:00:01.005Z"
    assert (last.event, last.message) == ("done", "as it should")
    assert abs(datetime.now(UTC) - first.at) < timedelta(minutes=2)


def test_a_story_outlives_its_jobs_and_its_row(database: Database) -> None:
    record(database, 77, 5, NOW, "encode done", "worker-1")

    done, gone = story(database, 77)

    assert (done.event, done.position) == ("encode done", None)
    assert gone.event == "row deleted since"


def test_a_task_that_never_was_has_no_story(database: Database) -> None:
    with pytest.raises(TaskError, match="no task 4711"):
        list(story(database, 4711))


def test_a_long_story_is_told_whole(database: Database) -> None:
    """It is read page by page, so that a film of a day is no burden."""
    task = submit(database)
    with database.transaction():
        for n in range(2 * PAGE):
            record(database, task, None, NOW + n, f"event {n}")
    record(database, task + 1, None, NOW, "another's")

    events = [line.event for line in story(database, task)]

    assert events == ["inserted by ann", *(f"event {n}" for n in range(2 * PAGE))]


# the farm at a glance


def test_the_overview_of_an_empty_farm_is_empty(database: Database) -> None:
    farm = read_overview(database, NOW)

    assert (farm.nodes, farm.running, farm.tasks, farm.new) == ((), (), (), 0)
    assert [lane.name for lane in farm.lanes] == ["master", "master.light", "worker", "worker.light"]
    assert {(lane.slots, lane.running, lane.queued, lane.waiting) for lane in farm.lanes} == {(0, 0, 0, ())}


def test_the_overview_tells_what_runs_where_and_how_fast(database: Database) -> None:
    task = submit(database, status="encoding")
    database.execute("UPDATE tasks SET progress = 0.4, metadata = ? WHERE id = ?", (FACTS, task))
    add_job(database, task, "encode", 0, "running", node="worker-1", speed=2.0, changed_at=NOW - 30_000)
    add_job(database, task, "encode", 1, "running", node="worker-2", speed=1.0, changed_at=NOW)
    add_job(database, task, "second", 1, "running", node="worker-1", speed=1.0, changed_at=NOW)
    add_job(database, task, "audio", 0, "running", node="worker-1", speed=90.0, lane="worker.light", changed_at=NOW)
    add_job(database, task, "encode", 2, "queued")
    submit(database)

    farm = read_overview(database, NOW)

    assert [(job.kind, job.position, job.node, job.seconds) for job in farm.running] == [
        ("audio", 0, "worker-1", 0.0),
        ("encode", 0, "worker-1", 30.0),
        ("encode", 1, "worker-2", 0.0),
        ("second", 1, "worker-1", 0.0),
    ]
    (line,) = farm.tasks
    assert (line.id, line.status, line.owner, line.running) == (task, "encoding", "ann", 4)
    assert line.speed == 3.0, "a second run of a chunk and the sound make the film no faster"
    assert line.left == 600 * 0.6 / 3
    assert farm.new == 1
    lanes = {lane.name: lane for lane in farm.lanes}
    assert (lanes["worker"].running, lanes["worker"].queued, lanes["worker.light"].running) == (3, 1, 1)


def test_what_waits_is_told_by_owner_and_priority_the_highest_first(database: Database) -> None:
    for position in range(3):
        add_job(database, 1, "encode", position, "waiting", owner="ann")
    add_job(database, 2, "encode", 0, "waiting", owner="bob", priority=5)
    add_job(database, 3, "encode", 0, "waiting", owner="", priority=-7)
    add_job(database, 2, "publish", 0, "waiting", owner="bob", priority=5, lane="master.light")

    lanes = {lane.name: lane.waiting for lane in read_overview(database, NOW).lanes}

    assert lanes["worker"] == (Waiting("bob", 5, 1), Waiting("ann", 0, 3), Waiting("", -7, 1))
    assert lanes["master.light"] == (Waiting("bob", 5, 1),)
    assert lanes["worker.light"] == ()


def test_slots_are_those_of_nodes_that_live_and_take_jobs(database: Database) -> None:
    for name, slots, seen in (("w1", 4, NOW), ("w2", 2, NOW), ("gone", 8, NOW - 3_600_000)):
        database.execute(
            "INSERT INTO nodes (name, role, instance, slots, light, build, seen_at)"
            " VALUES (?, 'worker', 'a', ?, 1, '1', ?)",
            (name, slots, seen),
        )
    database.execute("INSERT INTO holds (name, reason, since) VALUES ('w2', ?, 0)", (DRAINED,))

    farm = read_overview(database, NOW)

    assert {lane.name: lane.slots for lane in farm.lanes}["worker"] == 6, "nodes say themselves what they take"
    assert {lane.name: lane.slots for lane in farm.lanes}["worker.light"] == 2
    assert {node.name: node.state for node in farm.nodes} == {"w1": "ready", "w2": "drained", "gone": "silent"}


def test_the_overview_reads_no_more_where_more_waits(database: Database) -> None:
    """A million waiting chunks must not be counted every two seconds."""
    if database.about().name != "MariaDB":
        pytest.skip("SQLite does not tell what it reads")
    for task in range(1, 4):
        database.execute(
            "INSERT INTO jobs (task_id, kind, position, state, lane, owner)"
            " SELECT ?, 'encode', seq, 'waiting', 'worker', 'ann' FROM seq_1_to_3000",
            (task,),
        )

    def reads() -> int:
        return sum(int(row["Value"]) for row in database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))

    before = reads()
    farm = read_overview(database, NOW)

    assert next(lane for lane in farm.lanes if lane.name == "worker").waiting == (Waiting("ann", 0, MANY),)
    assert reads() - before < 3 * MANY
