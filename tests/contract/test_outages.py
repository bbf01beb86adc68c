"""What the watcher makes of silence: a node that says nothing is lost only if it could have been heard."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.alive import Alive
from raven.config import Settings
from raven.errors import Standby, Unavailable
from raven.messages import Done, Progress, Started
from raven.ports import Database
from raven.profile import load_profiles
from tests.contract.brokers import Join
from tests.contract.databases import new_database
from tests.waiting import wait_until
from watcher.dispatch import LOST_SECONDS
from watcher.rows import JobRow, JobState
from watcher.store import Store
from watcher.watcher import REPORT_BATCH, Watcher, steady_clock

LEASE = 30
ABOUT = {"task": 1, "job": 1, "attempt": 1, "node": "a"}


class Clock:
    """Seconds pass when the test says so."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def pass_by(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


class Broker(LocalBroker):
    """One that can be away: what is published meanwhile is refused, what nodes say waits."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused = 0
        """Broadcasts that were tried while it was away."""

    def broadcast(self, body: bytes) -> None:
        if self.away:
            self.refused += 1
            raise Unavailable("away")
        super().broadcast(body)

    def publish(self, queue: str, body: bytes) -> None:
        if self.away:
            raise Unavailable("away")
        super().publish(queue, body)

    def come_back(self) -> None:
        self.away, self._since = False, self._since + 1

    def connected_since(self) -> float | None:
        return None if self.away else self._since


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of one kind only: many turns, and no SQL that is not tested elsewhere."""
    return new_database("sqlite", request, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def watcher(database: Database, broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    """A watcher that looks after everything in each turn, with one task whose prepare job, number 1, runs on node a."""
    monkeypatch.setattr("watcher.watcher.CARE_SECONDS", 0.0)
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    watcher = Watcher(Settings(poll_seconds=0.001, lease_seconds=LEASE), database, broker, load_profiles(), clock)
    watcher.turn()
    assert broker.depth(names.lane_queue("master")) == 1
    take_order(broker)
    say(broker, Started(**ABOUT))
    watcher.turn()
    assert job(database).state == JobState.RUNNING
    return watcher


def take_order(broker: Broker) -> bytes:
    delivery = broker.consumer(names.lane_queue("master"), prefetch=1).take(0)
    assert delivery is not None
    return delivery.body


def say(broker: Broker, report: Started | Progress | Done) -> None:
    """A node says it; while the broker is away, it says it again until it is heard."""
    LocalBroker.publish(broker, names.REPORTS, messages.encode(report))


def job(database: Database, number: int = 1) -> JobRow:
    return Store(database).jobs([number])[number]


def live(watcher: Watcher, clock: Clock, seconds: float) -> None:
    """Turn after turn, as they come when all is well."""
    for _ in range(round(seconds)):
        clock.pass_by(1)
        watcher.turn()


def test_a_node_that_falls_silent_loses_its_job(watcher: Watcher, database: Database, clock: Clock) -> None:
    live(watcher, clock, LEASE + 1)
    assert (job(database).attempt, job(database).failures) == (2, 1)


@pytest.mark.parametrize("gap", [LEASE * 0.6, LEASE + 1, 3600])
def test_after_a_gap_of_the_watcher_s_own_no_node_is_taken_for_lost(
    gap: float, watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    """The database was away, or the watcher was frozen: what nodes said meanwhile waits, and is more than one batch."""
    # Given a job that is heard of for long, then reports of others, and behind them the next one of this job
    for _ in range(LEASE):
        say(broker, Progress(**ABOUT))
        live(watcher, clock, 2)
    for number in range(3 * REPORT_BATCH):
        say(broker, Progress(task=2, job=1000 + number, attempt=1, node="b"))
    say(broker, Progress(**ABOUT, done=5))

    # When the watcher comes back
    clock.pass_by(gap)
    live(watcher, clock, 3)

    # Then the job is where it was
    assert (job(database).state, job(database).attempt) == (JobState.RUNNING, 1)
    live(watcher, clock, 3)
    assert job(database).done == 5
    # and silence from now on counts
    live(watcher, clock, LEASE + 1)
    assert (job(database).attempt, job(database).failures) == (2, 1)


def test_while_more_is_said_than_can_be_read_no_node_is_taken_for_lost(
    watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    """Its sign of life may be the last one in the queue."""
    for _ in range(2 * LEASE):
        for number in range(REPORT_BATCH):
            say(broker, Progress(task=2, job=1000 + number, attempt=1, node="b"))
        live(watcher, clock, 1)
    assert (job(database).state, job(database).attempt) == (JobState.RUNNING, 1)


@pytest.mark.parametrize("seconds", [1, 3 * LEASE])
def test_while_the_broker_is_away_no_lease_lapses(
    seconds: int, watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    """Nobody can report; afterwards all have a whole lease's time to do so, also after a moment's break."""
    live(watcher, clock, LEASE - 1)
    broker.away = True
    live(watcher, clock, seconds)
    broker.come_back()
    live(watcher, clock, LEASE - 1)
    assert (job(database).state, job(database).attempt) == (JobState.RUNNING, 1)
    live(watcher, clock, 3)
    assert (job(database).attempt, job(database).failures) == (2, 1)


class Cut:
    """The way to a database that can be cut."""

    def __init__(self, database: Database) -> None:
        self._database, self.fault = database, list[Unavailable]()

    def __getattr__(self, name: str) -> Any:
        if self.fault:
            raise self.fault[0]
        return getattr(self._database, name)


@pytest.mark.parametrize("fault", [Unavailable("no route to host"), Standby("another one has the lock")])
def test_a_watcher_that_has_lost_its_database_leaves_the_reports_to_another(
    fault: Unavailable, database: Database, join: Join
) -> None:
    """It may be the only one that has, and what it hoarded nobody would hear: leases would lapse."""
    # Given a watcher that is at work and loses its database
    way = Cut(database)
    watcher = Watcher(Settings(poll_seconds=0.001), cast("Database", way), join(), load_profiles())
    watcher.turn()
    way.fault.append(fault)
    for _ in range(3):
        with pytest.raises(Unavailable):
            watcher.turn()

    # When another one listens, then it hears all that is said
    other, node = join().consumer(names.REPORTS, REPORT_BATCH), join()
    assert other.take(0) is None
    said = [messages.encode(Alive(node=f"n{number}", role="worker", slots=1, build="1")) for number in range(20)]
    for report in said:
        node.publish(names.REPORTS, report)
    taken = [delivery for _ in said if (delivery := other.take(5)) is not None]
    assert sorted(delivery.body for delivery in taken) == sorted(said)

    # And the first one hears what comes once it has its database back
    other.close()
    way.fault.clear()
    wait_until(lambda: hears(watcher, database) == 20, "all nodes are heard of")


def hears(watcher: Watcher, database: Database) -> int:
    watcher.turn()
    return len(database.query("SELECT name FROM nodes"))


def test_a_watcher_whose_database_goes_while_it_writes_reports_gives_them_back(
    watcher: Watcher, database: Database, broker: Broker, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes(*_: object) -> None:
        way.fault.append(Unavailable("Lost connection to server during query"))
        raise way.fault[0]

    way = Cut(database)
    cut_off = Watcher(Settings(poll_seconds=0.001), cast("Database", way), broker, load_profiles(), clock)
    cut_off.turn()
    say(broker, Progress(**ABOUT, done=5))
    with monkeypatch.context() as broken:
        broken.setattr(Store, "apply_all", goes)
        for _ in range(2):
            with pytest.raises(Unavailable):
                cut_off.turn()
    watcher.turn()
    assert job(database).done == 5


def test_a_broker_that_does_not_answer_is_asked_once_a_turn(
    watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    """Each question takes as long as its answer is waited for, and reports wait meanwhile."""
    broker.away = True
    for number in range(20):
        say(broker, Progress(task=2, job=1000 + number, attempt=1, node="b"))
    watcher.turn()
    assert broker.refused == 1


def test_a_job_whose_start_waits_behind_other_reports_is_not_lost(
    watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    """After an outage of the database its message is gone from the queue because a node has taken it."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    live(watcher, clock, LEASE - 1)
    say(broker, Progress(**ABOUT))
    (second,) = [row for row in (job(database, 2),) if row.state == JobState.QUEUED]
    take_order(broker)
    for number in range(3 * REPORT_BATCH):
        say(broker, Progress(task=9, job=1000 + number, attempt=1, node="b"))
    say(broker, Started(task=2, job=second.id, attempt=1, node="c"))

    clock.pass_by(LOST_SECONDS * 10)
    live(watcher, clock, 5)

    assert (job(database, 2).state, job(database, 2).attempt) == (JobState.RUNNING, 1)


def test_a_message_that_the_broker_has_lost_is_sent_again(
    watcher: Watcher, database: Database, broker: Broker, clock: Clock
) -> None:
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/other.mkv')")
    live(watcher, clock, 2)
    take_order(broker)
    for _ in range(2 * LOST_SECONDS):
        say(broker, Progress(**ABOUT))
        live(watcher, clock, 1)
    assert (job(database, 2).state, job(database, 2).attempt) == (JobState.QUEUED, 2)
    assert json.loads(take_order(broker))["attempt"] == 2


def test_the_watcher_s_clock_does_not_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sets the system's clock by an hour: no lease lapses, and none lasts an hour longer."""
    clock = steady_clock()
    before = clock()
    for jump in (3600, -7200):
        real = time.time_ns
        monkeypatch.setattr("time.time_ns", lambda real=real, jump=jump: real() + jump * 10**9)
        assert before <= clock() < before + 60_000
    assert abs(steady_clock()() - before + 3600_000) < 60_000, "a new one begins with the system's time"
