"""Notices on both databases, to a real receiver: each is told of a task's end, whatever breaks in between."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner, Result

import watcher.post
from raven.adapters.local_broker import LocalBroker
from raven.cli import main
from raven.config import Settings
from raven.errors import ConfigError, Standby, Unavailable
from raven.ports import Database
from raven.profile import load_profiles
from raven.retry import retry
from raven.wiring import COURIER_LOCK, open_database
from tests.contract.databases import Connect, connecting, is_mariadb
from tests.receiver import CLOSE, HANG, Receiver, receiver, status
from tests.servers.fixtures import load_schema
from tests.servers.mariadb import MariaDb
from tests.waiting import DEADLINE, wait_until
from watcher.callbacks import DAY_MS, NUMBER, SIGNATURE, signature
from watcher.courier import SENDERS_HOST, Courier
from watcher.daemon import at_work
from watcher.notices import Notices
from watcher.tasks import Tasks
from watcher.watcher import Watcher

SECRET = "0123456789abcdef"
URL = "https://media.example/out/1/master.m3u8"
THUMBNAILS = "https://media.example/out/1/thumbs/thumbs.vtt"
START = 1_800_000_000_000
TLS = ssl.create_default_context()  # once, as it takes a while


@dataclass
class Farm:
    """A database and whoever sends its notices, at a time that the test says."""

    connect: Connect
    settings: dict[str, Any]
    now: int = START
    seconds: float = DEADLINE
    """That a host may take: as long as a busy machine needs. Who hangs is left by `impatient`."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.database = self.connect()
        self.tasks = Tasks(self.database, lambda: self.now)
        self.courier = self.start()

    def start(self, **settings: Any) -> Courier:
        """A fresh courier, as after a restart: it knows nothing but the rows."""
        found = Settings(**(self.settings | settings))
        self.courier = Courier(found, self.connect(), lambda: self.now, TLS, seconds=self.seconds)
        self._stack.callback(self.courier.close)
        return self.courier

    def ended(self, url: str | None, *, done: bool = True, reference: str | None = None) -> int:
        """A task that has just ended."""
        self.database.execute(
            "INSERT INTO tasks (source, callback_url, reference) VALUES ('/a', ?, ?)", (url, reference)
        )
        task = int(self.database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])
        with self.database.transaction():
            if done:
                assert self.tasks.finish(task, URL, 24.36, '{"frames":609}', None, THUMBNAILS)
            else:
                assert self.tasks.fail(task, "the source is empty")
        return task

    def go(self, courier: Courier | None = None) -> None:
        """All that is due now is tried, and what came of it is noted."""
        courier = courier or self.courier
        wait_until(lambda: turned(courier).is_idle, "the attempts come to an end", pause=0.01)

    def rows(self) -> list[tuple[object, ...]]:
        columns = "task_id, event, state, attempts, code"
        return [tuple(row.values()) for row in self.database.query(f"SELECT {columns} FROM notices ORDER BY id")]  # noqa: S608

    def message(self) -> str:
        return str(self.database.query("SELECT message FROM notices ORDER BY id DESC")[0]["message"])

    def events(self) -> list[tuple[object, ...]]:
        rows = self.database.query("SELECT task_id, event, node FROM history ORDER BY id")
        return [tuple(row.values()) for row in rows]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def farm(connect: Connect, there: Receiver, database_url: str) -> Iterator[Farm]:
    found = Farm(connect, settings_for(there, database_url))
    yield found
    found.close()


def settings_for(there: Receiver, url: str) -> dict[str, Any]:
    return {
        "database": url,
        "callback_hosts": f"127.0.0.1:{there.port}, localhost:{there.port}",
        "callback_networks": "127.0.0.0/8, ::1/128",
        "callback_secret": SECRET,
        "node": "boss",
    }


def turned(courier: Courier) -> Courier:
    courier.turn()
    return courier


def impatient(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Whoever listens there gets the whole request, however long that takes, and then hardly any time to answer."""
    real = watcher.post._status

    def hasty(link: socket.socket, until: float) -> int:
        return real(link, time.monotonic() + 0.1 if link.getpeername()[1] == port else until)

    monkeypatch.setattr(watcher.post, "_status", hasty)


def told(there: Receiver) -> list[tuple[int, str]]:
    """The tasks and states that the receiver was told, in order."""
    return [(post["id"], post["status"]) for post in (json.loads(post.body) for post in there.posts)]


# what is told


def test_a_done_task_is_told_once_with_a_signature_that_the_receiver_can_check(farm: Farm, there: Receiver) -> None:
    task = farm.ended(there.url("/done?key=1"), reference="n-1")

    farm.go()
    farm.go()

    (post,) = there.posts
    assert post.line == "POST /done?key=1 HTTP/1.1"
    assert json.loads(post.body) == {
        "id": task,
        "reference": "n-1",
        "status": "done",
        "message": None,
        "url": URL,
        "duration": 24.36,
        "metadata": {"frames": 609},
        "thumbnails": THUMBNAILS,
    }
    signed_at = int(post.headers[SIGNATURE].partition(",")[0].removeprefix("t="))
    assert post.headers[SIGNATURE] == signature(SECRET, signed_at, post.body)
    assert abs(time.time() - signed_at) < 60, "by the host's clock as it is now, not by one that was wrong at the start"
    assert post.headers[NUMBER] == "1"
    assert farm.rows() == [(task, "done", "sent", 1, 200)]
    assert farm.events() == [(task, "notice sent", "boss")]


def test_a_failed_task_is_told_too_with_the_reason(farm: Farm, there: Receiver) -> None:
    task = farm.ended(there.url(), done=False)

    farm.go()

    body = json.loads(there.posts[0].body)
    assert (body["id"], body["status"], body["message"]) == (task, "failed", "the source is empty")
    assert body["url"] is body["thumbnails"] is None


@pytest.mark.parametrize("url", [None, ""])
def test_a_task_without_callback_url_leaves_no_notice(url: str | None, farm: Farm) -> None:
    farm.ended(url)
    assert farm.rows() == []


def test_the_end_and_its_notice_count_together_or_not_at_all(farm: Farm, there: Receiver) -> None:
    """A watcher that dies in between must neither tell what did not happen nor keep what did."""
    farm.database.execute("INSERT INTO tasks (source, callback_url) VALUES ('/a', ?)", (there.url(),))

    with pytest.raises(Unavailable), farm.database.transaction():
        assert farm.tasks.fail(1, "no")
        raise Unavailable("the watcher is killed")

    assert farm.rows() == []
    assert farm.database.query("SELECT status FROM tasks") == [{"status": "new"}]


@pytest.mark.parametrize("metadata", [None, "}"])
def test_the_watcher_leaves_a_notice_of_a_task_that_it_fails(metadata: str | None, farm: Farm, there: Receiver) -> None:
    """By the same way as in a farm; also of a row that somebody has spoilt."""
    farm.database.execute(
        "INSERT INTO tasks (source, profile, callback_url, metadata) VALUES ('/a', 'none', ?, ?)",
        (there.url(), metadata),
    )
    Watcher(Settings(poll_seconds=0.001), farm.connect(), LocalBroker(), load_profiles(), lambda: START).turn()

    farm.go()

    assert told(there) == [(1, "failed")]
    assert "there is no 'none'" in json.loads(there.posts[0].body)["message"]


# when it fails


@pytest.mark.parametrize("answer", [status(500), status(302, "Location: /"), CLOSE, HANG], ids=str)
def test_a_notice_that_was_not_taken_is_tried_again_after_a_while(
    answer: bytes, farm: Farm, there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = farm.ended(there.url())
    there.answers += [answer]

    with monkeypatch.context() as first:
        if answer == HANG:
            impatient(first, there.port)
        farm.go()
    wait_until(lambda: there.posts, "it has been read, whether or not anybody waits for an answer", pause=0.01)
    ((_, _, state, attempts, _),) = farm.rows()
    assert (state, attempts) == ("waiting", 1)
    farm.now += 29_000
    farm.go(farm.start())
    assert len(there.posts) == 1, "too early"
    farm.now += 2_000
    farm.go()

    assert told(there) == [(task, "done")] * 2
    assert there.posts[0].body == there.posts[1].body
    assert farm.rows() == [(task, "done", "sent", 2, 200)]
    assert farm.events() == [(task, "notice failed", "boss"), (task, "notice sent", "boss")]


def test_over_restarts_nothing_is_lost_and_nothing_that_was_taken_is_sent_again(farm: Farm, there: Receiver) -> None:
    tasks = [farm.ended(there.url(f"/{number}")) for number in range(6)]
    there.answers += [status(503)] * 3

    for _ in range(3):
        farm.go(farm.start())
        farm.now += 40_000

    assert sorted({task for task, _ in told(there)}) == tasks
    assert len(there.posts) == len(tasks) + 3
    assert [row[2] for row in farm.rows()] == ["sent"] * 6


def test_a_courier_that_is_stopped_waits_for_what_is_under_way(farm: Farm, there: Receiver) -> None:
    farm.ended(there.url())
    farm.courier.turn()

    farm.courier.close()

    assert [row[2] for row in farm.rows()] == ["sent"]


def test_what_came_of_an_attempt_is_noted_later_where_the_database_is_away(
    farm: Farm, there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not sent a second time meanwhile."""
    farm.ended(there.url())

    def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(Notices, "sent", away)
        farm.courier.turn()
        for _ in range(3):
            with pytest.raises(Unavailable):
                wait_until(farm.courier.turn, "the attempt comes to an end", pause=0.01)
    farm.go()

    assert len(there.posts) == 1
    assert [row[2] for row in farm.rows()] == ["sent"]


def test_after_a_day_it_is_given_up_and_by_hand_begins_anew(farm: Farm, there: Receiver) -> None:
    task = farm.ended(there.url())
    there.answers += [status(500)] * 100
    attempts = 0

    while farm.rows()[0][2] == "waiting":
        farm.go()
        attempts, farm.now = attempts + 1, int(farm.database.query("SELECT due_at FROM notices")[0]["due_at"])
        assert farm.now < START + 2 * DAY_MS

    assert 25 < attempts == len(there.posts) < 35
    assert farm.rows() == [(task, "done", "given up", attempts, 500)]
    assert farm.events()[-1] == (task, "notice given up", "boss")
    assert START + DAY_MS - 3_600_000 <= farm.now <= START + DAY_MS + 3_600_000

    there.answers.clear()
    assert raven(farm, "notices", "again", "1").exit_code == 0
    farm.now = wait_until(lambda: int(farm.database.query("SELECT due_at FROM notices")[0]["due_at"]), "due")
    farm.go()
    assert farm.rows() == [(task, "done", "sent", attempts + 1, 200)]


def test_the_notices_of_a_task_go_in_order(farm: Farm, there: Receiver) -> None:
    """A task that failed, was tried again and is done must not end as failed for who is told."""
    task = farm.ended(there.url(), done=False)
    there.answers += [status(500)]
    farm.go()
    retry(farm.database, task, START)
    assert farm.tasks.finish(task, URL, 1.0, "{}", None)
    other = farm.ended(there.url())

    farm.go()
    assert told(there) == [(task, "failed"), (other, "done")], "the task's own next one waits"
    farm.now += 31_000
    farm.go()
    farm.go()

    assert told(there) == [(task, "failed"), (other, "done"), (task, "failed"), (task, "done")]


def test_a_host_that_hangs_holds_up_no_other(farm: Farm, there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many notices wait for it."""
    with receiver() as stuck:
        stuck.answers += [HANG] * 100
        impatient(monkeypatch, stuck.port)
        farm.start(callback_hosts=f"127.0.0.1:{there.port}, localhost:{stuck.port}")
        for _ in range(20):
            farm.ended(stuck.url(host="localhost"))
        last = farm.ended(there.url())

        wait_until(lambda: turned(farm.courier) and there.posts, "the other one is told", pause=0.01)
        assert told(there) == [(last, "done")]
        farm.go()
        wait_until(lambda: stuck.posts, "it has read what it was told", pause=0.01)
        assert len(stuck.posts) <= 2, "then it is left alone for a while"


def test_what_waits_for_a_host_that_does_not_answer_is_not_read_again_and_again(farm: Farm, there: Receiver) -> None:
    """Twice a second, however many tasks have named it; when it answers again all of them are told."""
    tasks = [farm.ended(there.url()) for _ in range(100)]
    there.answers += [CLOSE] * SENDERS_HOST
    farm.go()
    before = rows_read(farm.database)
    assert Notices(farm.database).due(farm.now + 1000, 8, (), ()) == []
    assert rows_read(farm.database) - before < 10
    farm.now += 3_600_000
    farm.start()  # as if it had rested by its own clock too
    wait_until(
        lambda: turned(farm.courier) and len(there.posts) == len(tasks) + SENDERS_HOST, "all are told", pause=0.01
    )
    farm.go()
    assert sorted(told(there)[SENDERS_HOST:]) == [(task, "done") for task in tasks]


def rows_read(database: Database) -> int:
    """By this connection; SQLite does not tell."""
    if not is_mariadb(database):
        return 0
    return sum(int(row["Value"]) for row in database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))


@pytest.mark.servers
def test_of_two_couriers_of_one_database_one_sends_and_the_other_takes_over(
    mariadb_server: MariaDb, mariadb_url: str, there: Receiver
) -> None:
    url = load_schema(mariadb_server, mariadb_url)
    with contextmanager(connecting)(url) as connect:
        farm = Farm(connect, settings_for(there, url))
        settings = Settings(**farm.settings)
        first, second = (
            Courier(settings, open_database(settings, COURIER_LOCK), lambda: START, TLS, DEADLINE) for _ in range(2)
        )
        task = farm.ended(there.url())

        first.turn()
        with pytest.raises(Standby):
            second.turn()
        first.close()
        other = farm.ended(there.url())
        wait_until(lambda: _took_over(second) and len(there.posts) > 1, "the other one takes over")
        second.close()
        farm.close()

        assert told(there) == [(task, "done"), (other, "done")]
        assert [row[2] for row in farm.rows()] == ["sent", "sent"]


def _took_over(courier: Courier) -> bool:
    try:
        courier.turn()
    except Standby:  # the server notices the end of a connection a moment later
        return False
    return True


# whom not


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"callback_hosts": None}, "RAVEN_CALLBACK_HOSTS names no host"),
        ({"callback_hosts": "news.example"}, "127.0.0.1 port"),
        ({"callback_networks": None}, "RAVEN_CALLBACK_NETWORKS"),
    ],
)
def test_who_is_not_allowed_is_not_told_and_the_notice_says_why(
    settings: dict[str, Any], reason: str, farm: Farm, there: Receiver
) -> None:
    task = farm.ended(there.url())

    farm.go(farm.start(**settings))

    assert there.posts == []
    assert farm.rows() == [(task, "done", "refused", 1, None)]
    assert reason in farm.message()
    assert farm.events() == [(task, "notice refused", "boss")]


@pytest.mark.parametrize("secret", [None, "short"])
def test_hosts_without_a_good_secret_are_a_wrong_setting(secret: str | None, farm: Farm) -> None:
    with pytest.raises(ConfigError, match="callback_secret"):
        farm.start(callback_secret=secret)


def test_of_a_deleted_task_nothing_is_told_any_more_and_nothing_is_kept(farm: Farm, there: Receiver) -> None:
    waiting, sent = farm.ended(there.url()), farm.ended(there.url())
    there.answers += [status(500)]
    farm.go()
    kept = farm.ended(there.url())
    farm.database.execute("DELETE FROM tasks WHERE id IN (?, ?)", (waiting, sent))
    farm.now += 31_000

    farm.go(farm.start())

    assert len(there.posts) == 3
    assert farm.rows() == [(kept, "done", "sent", 1, 200)]


# by hand, and in the daemon


def raven(farm: Farm, *arguments: str) -> Result:
    environment = {"RAVEN_DATABASE": farm.settings["database"], "RAVEN_CONFIG": "", "COLUMNS": "200"}
    return CliRunner().invoke(main, arguments, env=environment)


def test_the_log_of_notices_is_read_by_people_and_programs(farm: Farm, there: Receiver) -> None:
    first, second = farm.ended(there.url("/a")), farm.ended(there.url("/b"), done=False)
    there.answers += [status(404), status(404)]
    farm.go()

    lines = raven(farm, "notices").stdout.splitlines()
    assert lines[0].split() == ["ID", "TASK", "EVENT", "STATE", "TRIES", "LAST", "NEXT", "CODE", "URL", "MESSAGE"]
    assert lines[1].split()[:5] == ["1", str(first), "done", "waiting", "1"]
    assert lines[2].endswith(f"404   {there.url('/b')}  127.0.0.1 answers 404")
    (found,) = [json.loads(line) for line in raven(farm, "notices", str(second), "--json").stdout.splitlines()]
    assert found == {
        "id": 2,
        "task_id": second,
        "event": "failed",
        "url": there.url("/b"),
        "state": "waiting",
        "attempts": 1,
        "created_at": "2027-01-15T08:00:00.000Z",
        "due_at": "2027-01-15T08:00:30.000Z",
        "tried_at": "2027-01-15T08:00:00.000Z",
        "code": 404,
        "message": "127.0.0.1 answers 404",
    }


def test_what_was_taken_is_sent_again_by_hand(farm: Farm, there: Receiver) -> None:
    task = farm.ended(there.url())
    farm.go()

    assert raven(farm, "notices", "again", "1").stdout == "notice 1 is sent again\n"
    farm.now = int(farm.database.query("SELECT due_at FROM notices")[0]["due_at"])
    farm.go()

    assert told(there) == [(task, "done")] * 2
    assert farm.rows() == [(task, "done", "sent", 2, 200)]


def test_what_cannot_be_sent_again_is_told(farm: Farm, there: Receiver) -> None:
    task = farm.ended(there.url())
    farm.database.execute("DELETE FROM tasks WHERE id = ?", (task,))

    for number in ("1", "99"):
        done = raven(farm, "notices", "again", number)
        assert (done.exit_code, f"there is no notice {number}" in done.output) == (1, True)
    for words in (["again"], ["x"], ["1", "2"], ["again", "x"]):
        assert raven(farm, "notices", *words).exit_code == 2


def test_the_courier_at_work_sends_goes_on_after_faults_and_stops(
    farm: Farm, there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its thread, beside the watcher's turns."""
    broken, looks = threading.Event(), Notices.due

    def faulty(self: Notices, *arguments: Any) -> Any:
        if not broken.is_set():
            broken.set()
            raise Unavailable("away")
        return looks(self, *arguments)

    monkeypatch.setattr(Notices, "due", faulty)
    task = farm.ended(there.url())
    with at_work(farm.start()):
        wait_until(lambda: farm.rows()[0][2] == "sent", "the notice is sent", DEADLINE)

    assert broken.is_set()
    assert told(there) == [(task, "done")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("courier", "notice"))]
