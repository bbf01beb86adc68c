"""The farm in numbers, which the watcher at work shows as metrics: on SQLite and on MariaDB."""

from __future__ import annotations

import threading

import pytest

from raven.errors import Unavailable
from raven.metrics.farm import FarmCollector, FarmNumbers
from raven.ports import Database
from tests.contract.databases import Connect
from tests.contract.test_overview import NOW, add_job, submit
from tests.waiting import wait_until
from watcher.numbers import MANY, keep_noting, read_numbers


def join(database: Database, name: str, slots: int, seen: int, state: str = "") -> None:
    database.execute(
        "INSERT INTO nodes (name, role, instance, slots, light, build, seen_at, state)"
        " VALUES (?, 'worker', 'a', ?, 1, '1', ?, ?)",
        (name, slots, seen, state),
    )


def test_an_empty_farm_has_nothing_of_anything(database: Database) -> None:
    numbers = read_numbers(database, NOW)

    lanes = dict.fromkeys(("master", "master.light", "worker", "worker.light"), 0)
    assert (numbers.slots, numbers.queued, numbers.waiting) == (lanes, lanes, lanes)
    assert numbers.tasks == dict.fromkeys(("new", "preparing", "encoding", "publishing"), 0)
    assert (numbers.running, numbers.speeds, numbers.nodes) == ({}, {}, {})


def test_what_runs_waits_and_lives_is_counted(database: Database) -> None:
    task = submit(database, status="encoding")
    submit(database)
    submit(database, status="done")
    for position, speed in enumerate((1.5, 2.25)):
        add_job(database, task, "encode", position, "running", node="w1", speed=speed)
    add_job(database, task, "second", 0, "running", node="w1", speed=9.0)
    add_job(database, task, "audio", 0, "running", node="w2", speed=90.0, lane="worker.light")
    add_job(database, task, "encode", 2, "queued")
    for position in range(3, 6):
        add_job(database, task, "encode", position, "waiting")
    join(database, "w1", 4, NOW)
    join(database, "w2", 0, NOW, "disk: 5 MB free of 1 GB wanted")
    join(database, "gone", 8, NOW - 3_600_000)
    join(database, "ended", 8, NOW - 3_600_000, "stopping")
    database.execute("INSERT INTO holds (name, reason, since) VALUES ('gone', 'drained', 0)")

    numbers = read_numbers(database, NOW)

    assert numbers.running == {("encode", "w1"): 2, ("second", "w1"): 1, ("audio", "w2"): 1}
    assert numbers.speeds == {"w1": 3.75}, "a second run and sound make no film faster"
    assert (numbers.queued["worker"], numbers.waiting["worker"], numbers.waiting["worker.light"]) == (1, 3, 0)
    assert (numbers.slots["worker"], numbers.slots["worker.light"]) == (4, 2)
    assert numbers.nodes == {
        ("w1", "worker", "ready"): 1, ("w2", "worker", "disk"): 1, ("gone", "worker", "silent"): 1,
    }, "a state is one word, as figures would make a series each"  # fmt: skip
    assert numbers.tasks == {"new": 1, "preparing": 0, "encoding": 1, "publishing": 0}


def test_counting_reads_no_more_where_more_waits(database: Database) -> None:
    """A million waiting chunks must not be counted every five seconds."""
    if database.about().name != "MariaDB":
        pytest.skip("SQLite does not tell what it reads")
    database.execute(
        "INSERT INTO jobs (task_id, kind, position, state, lane, owner)"
        " SELECT 1, 'encode', seq, 'waiting', 'worker', 'ann' FROM seq_1_to_30000"
    )

    def reads() -> int:
        return sum(int(row["Value"]) for row in database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))

    before = reads()
    numbers = read_numbers(database, NOW)

    assert numbers.waiting["worker"] == MANY
    assert reads() - before < 2.1 * MANY, "each is read from the index, then from what was found"


class Shown(FarmCollector):
    """What was noted, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[FarmNumbers | None] = []

    def note(self, numbers: FarmNumbers | None) -> None:
        self.noted.append(numbers)


class AwayAtFirst:
    """A database that answers from the third question on."""

    def __init__(self, database: Database) -> None:
        self._database, self.asked = database, 0

    def query(self, sql: str, parameters: tuple[object, ...] = ()) -> object:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("it is away")
        if self.asked == 2:
            raise ValueError("a row that nothing can read")
        return self._database.query(sql, parameters)

    def close(self) -> None:
        """The test closes it."""


def test_the_watcher_at_work_tells_through_faults_and_one_that_stands_by_does_not(connect: Connect) -> None:
    shown, at_work, stop, database = Shown(), threading.Event(), threading.Event(), AwayAtFirst(connect())
    arguments = (shown, database, at_work, stop, lambda: NOW, 0.01)
    thread = threading.Thread(target=keep_noting, args=arguments)
    thread.start()

    wait_until(lambda: shown.noted, "it says that it does not know")
    assert set(shown.noted) == {None}
    at_work.set()
    wait_until(lambda: shown.noted[-1], "it tells")
    at_work.clear()
    wait_until(lambda: shown.noted[-1] is None, "it stops telling")

    stop.set()
    thread.join(60)
    assert database.asked > 2
