"""Handing out between the database and a broker that does not take everything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.alive import Alive
from raven.config import Settings
from raven.errors import Unavailable
from raven.messages import Failed, Started
from raven.ports import Consumer, Database, Delivery
from raven.profile import load_profiles
from watcher.ledger import CHUNK
from watcher.watcher import Watcher


class Choosy(LocalBroker):
    """Takes every second job of a batch, until it is told to take all."""

    takes_all = False

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        taken = [self.takes_all or place % 2 == 0 for place in range(len(messages))]
        for (queue, body), is_taken in zip(messages, taken, strict=True):
            if is_taken:
                self.publish(queue, body)
        return taken


def test_exactly_those_jobs_wait_again_that_the_broker_did_not_take(database: Database) -> None:
    """The others are in a queue already: out of it twice, a job would run twice."""
    broker = Choosy()
    watcher = Watcher(Settings(poll_seconds=0.001), database, broker, load_profiles())
    broker.publish(names.REPORTS, messages.encode(Alive(node="a", role="master", slots=4, build="1")))
    for number in range(4):
        database.execute("INSERT INTO tasks (source) VALUES (?)", (f"/srv/in/{number}.mkv",))

    with pytest.raises(Unavailable, match="2 of 4"):
        watcher.turn()
    rows = database.query("SELECT id, state FROM jobs ORDER BY id")
    assert [row["state"] for row in rows] == ["queued", "waiting", "queued", "waiting"]

    broker.takes_all = True
    watcher.turn()
    consumer = broker.consumer(names.lane_queue("master"), 4)
    told = [messages.read_job(delivery.body).job for _ in rows if (delivery := consumer.take(0))]
    assert told == [rows[place]["id"] for place in (0, 2, 1, 3)]


class _Noting:
    """A consumer that waits for nothing and notes how long it would have."""

    def __init__(self, inner: Consumer, waits: list[float]) -> None:
        self._inner, self._waits = inner, waits

    def take(self, timeout: float) -> Delivery | None:
        self._waits.append(timeout)
        return self._inner.take(0)

    def pause(self) -> None:
        self._inner.pause()

    def close(self) -> None:
        self._inner.close()


class Unhurried(LocalBroker):
    """Notes how long the watcher would wait for reports."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        return _Noting(super().consumer(queue, prefetch), self.waits)


def test_a_task_that_is_to_be_planned_later_is_waited_for(database: Database) -> None:
    """Not by turning on the spot: a core of the machine would go into it."""
    broker = Unhurried()
    watcher = Watcher(Settings(poll_seconds=60), database, broker, load_profiles())
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    columns = "task_id, kind, position, state, lane, attempt"
    for place in range(3):
        database.execute(f"INSERT INTO jobs ({columns}) VALUES (1, '{CHUNK}', ?, 'queued', 'worker', 1)", (place,))  # noqa: S608
    for _ in range(3):
        watcher.turn()
    broker.publish(names.REPORTS, messages.encode(Started(task=1, job=1, attempt=1, node="a")))
    watcher.turn()
    broker.waits.clear()
    watcher.turn()
    assert broker.waits == [60]


def test_what_a_failed_task_has_left_is_removed_once_it_was_kept_long_enough(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, though a slot is free for it; and at once when its row is deleted."""
    monkeypatch.setattr("watcher.watcher.CARE_SECONDS", 0.0)
    broker, now = LocalBroker(), [1_800_000_000_000]
    settings = Settings(poll_seconds=0.001, keep_failed_hours=2)
    watcher = Watcher(settings, database, broker, load_profiles(), lambda: now[0])
    purges = broker.consumer(names.lane_queue("master.light"), 9)

    def handed_out() -> list[int]:
        watcher.turn()
        watcher.turn()
        return [messages.read_job(delivery.body).task for _ in range(2) if (delivery := purges.take(0))]

    for task in (1, 2):
        database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
        watcher.turn()
        report = Failed(task=task, job=task, attempt=1, node="a", message="no such file", permanent=True)
        broker.publish(names.REPORTS, messages.encode(report))
    assert handed_out() == []
    now[0] += 2 * 3_600_000 - 1
    assert handed_out() == []
    database.execute("DELETE FROM tasks WHERE id = 2")
    assert handed_out() == [2]
    now[0] += 1
    assert handed_out() == [1]
