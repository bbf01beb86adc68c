"""The agent of master and worker: which jobs it takes, which it gives back, and what it says of itself."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from master.purge import purge
from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.agent import Agent, Handler
from raven.alive import Alive, HoldNode
from raven.capacity import CORE, Share
from raven.config import Settings
from raven.context import Context
from raven.daemon import serve
from raven.errors import NoRoom, StorageAway, Unavailable
from raven.messages import (
    CancelJob,
    CancelTask,
    ConfirmJob,
    Done,
    Failed,
    JobReport,
    Passed,
    Progress,
    PurgeJob,
    Started,
)
from raven.model import PurgeResult
from raven.notify import Notifier
from raven.ports import nothing
from raven.pulse import Pulse
from raven.readiness import Readiness
from raven.recheck import Recheck
from raven.runs import Runs
from raven.values import Value
from tests.builders import encode_job, purge_job
from tests.waiting import wait_until

SETTINGS = Settings(node="n1", slots=1, light_slots=1, heartbeat_seconds=0.01)


def purged(job: PurgeJob, context: Context) -> Value:
    return PurgeResult(objects=1)


class Heard:
    """What a watcher hears of an agent, and says to it."""

    def __init__(self, broker: LocalBroker) -> None:
        self._broker, self._consumer = broker, broker.consumer(names.REPORTS, 1)
        self.all: list[Alive | JobReport] = []

    def until(self, what: type[Alive | JobReport], **fields: Any) -> Any:
        """The first report of a kind with these values; what was said before it is in `all`."""

        def found() -> Alive | JobReport | None:
            delivery = self._consumer.take(0.1)
            if delivery is None:
                return None
            delivery.ack()
            self.all.append(messages.read_report(delivery.body))
            last = self.all[-1]
            fits = isinstance(last, what) and fields.items() <= dict(last).items()
            return last if fits else None

        return wait_until(found, f"{what.__name__} {fields}", timeout=10, pause=0)

    def until_all(self, *wanted: tuple[type[Alive | JobReport], dict[str, Any]]) -> None:
        """In whatever order: a thread tells of the node, another one of its job."""
        begun = len(self.all)

        def is_said(what: type[Alive | JobReport], fields: dict[str, Any]) -> bool:
            return any(isinstance(each, what) and fields.items() <= dict(each).items() for each in self.all[begun:])

        while missing := [(what, fields) for what, fields in wanted if not is_said(what, fields)]:
            what, fields = missing[0]
            self.until(what, **fields)

    def hand_out(self, job: PurgeJob) -> None:
        self._broker.publish(names.lane_queue("master.light"), messages.encode(job))

    def hold(self, alive: Alive, hold: str) -> None:
        word = HoldNode(node=alive.node, role=alive.role, instance=alive.instance, hold=hold)
        self.say(word)

    def say(self, word: Value) -> None:
        self._broker.broadcast(messages.encode(word))


@contextmanager
def working(
    readiness: Readiness | None = None, handler: Handler = purged, settings: Settings = SETTINGS
) -> Iterator[Heard]:
    """A master at work, of which a test hears all."""
    broker = LocalBroker()
    agent = Agent(settings, "master", broker, {"purge": handler}, readiness)
    agent.start()
    try:
        yield Heard(broker)
    finally:
        agent.stop()
        assert agent.join(10)


def test_a_run_of_a_daemon_is_known_by_its_instance() -> None:
    """Of two hosts of one name, and of a daemon before and after it crashed."""
    seen = set()
    for _ in range(2):
        with working() as heard:
            alive = heard.until(Alive)
            heard.hand_out(purge_job())
            done = heard.until(Done)
            assert len(alive.instance) == 8
            assert (done.node, done.instance) == ("n1", alive.instance)
            seen.add(alive.instance)
    assert len(seen) == 2


def test_a_job_that_shall_avoid_this_node_is_given_back_unbegun() -> None:
    with working() as heard:
        heard.hand_out(purge_job().model_copy(update={"avoid": ("n0", "n1")}))
        heard.until(Passed)
        assert not any(isinstance(report, Started) for report in heard.all)
        heard.hand_out(purge_job().model_copy(update={"avoid": ("n2",)}))
        heard.until(Done)


def test_a_held_node_takes_nothing_until_it_is_let_go() -> None:
    """Its daemon runs on, so the word reaches it."""
    with working(Readiness(joins=True)) as heard:
        alive = heard.until(Alive, state="joining", slots=0, light=0)
        heard.hold(alive, "drained")
        heard.until(Alive, state="drained", slots=0, light=0, hold="drained")
        heard.hand_out(purge_job())
        heard.hold(alive.model_copy(update={"node": "n2"}), "")
        heard.hold(alive.model_copy(update={"instance": "another"}), "")
        heard.until(Alive, state="drained")
        assert not any(isinstance(report, Started) for report in heard.all)
        heard.hold(alive, "")
        heard.until(Alive, state="", slots=1, light=1, hold="")
        heard.until(Done)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("error", [FULL, NoRoom("ffmpeg found no room")], ids=["ours", "a child's"])
def test_a_full_disk_is_a_transient_fault_after_which_the_node_looks_at_its_disk(error: Exception) -> None:
    def fills(job: PurgeJob, context: Context) -> Value:
        raise error

    with working(handler=fills) as heard:
        heard.until(Alive, state="")
        heard.hand_out(purge_job())
        failed = heard.until(Failed)
        assert "room" in failed.message
        assert not failed.permanent
        heard.until(Alive, slots=0, light=1)
        state = next(report.state for report in reversed(heard.all) if isinstance(report, Alive))
        assert state.startswith("disk: ")


def test_a_node_that_the_storage_does_not_answer_says_so_and_leaves_the_next_jobs_to_others() -> None:
    def stores(job: PurgeJob, context: Context) -> Value:
        raise StorageAway("storage: connection refused")

    with working(handler=stores) as heard:
        heard.until(Alive, state="")
        heard.hand_out(purge_job())
        heard.until_all(
            (Failed, {"away": True}),
            (Alive, {"slots": 0, "light": 0, "state": "storage: it does not answer this node"}),
        )
        heard.until(Alive, slots=1, light=1, state="")


def test_a_node_that_ends_says_so_and_gives_back_what_it_has_not_begun() -> None:
    with working() as heard:
        heard.until(Alive)
    heard.until(Alive, state="stopping", slots=0, light=0)


class Objects:
    """A storage of which only the removal counts."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def delete_prefix(self, prefix: str, check: Callable[[], None] = nothing) -> int:
        check()
        self.removed.append(prefix)
        return 1


def test_a_purge_removes_nothing_before_the_watcher_says_that_its_order_counts() -> None:
    """It may be from before its task was tried again. A word about another attempt, or the cancel of it, is no such."""
    objects, job = Objects(), purge_job()

    with working(handler=lambda job, context: purge(job, context, objects)) as heard:  # type: ignore[arg-type]
        heard.hand_out(job)
        heard.until(Progress, job=job.job)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt + 1))
        heard.say(CancelJob(job=job.job, below=job.attempt + 1))
        heard.until(Failed, cancelled=True)
        assert objects.removed == []

        heard.hand_out(job)
        heard.until(Progress, job=job.job)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt))
        assert heard.until(Done).result == {"objects": 2}
    assert objects.removed == list(job.prefixes)


def test_two_attempts_of_one_job_on_one_node_are_told_apart() -> None:
    """Of a farm of one node, where an upload hangs past its lease."""

    def asks(job: PurgeJob, context: Context) -> Value:
        context.confirm()
        return PurgeResult(objects=0)

    with working(handler=asks, settings=SETTINGS.model_copy(update={"light_slots": 2})) as heard:
        first = purge_job()
        second = first.model_copy(update={"attempt": 2})
        for job in (first, second):
            heard.hand_out(job)
            heard.until(Progress, attempt=job.attempt)
        heard.say(CancelJob(job=first.job, below=2))
        heard.until(Failed, attempt=1, cancelled=True)
        heard.until(Progress, attempt=2)
        heard.say(ConfirmJob(job=first.job, attempt=2))
        heard.until(Done, attempt=2)


def test_a_master_that_hung_in_a_purge_asks_again_and_takes_no_old_word_for_an_answer() -> None:
    """It may have been given up, and its task tried again. The old word may lie in its socket."""
    job = purge_job()

    def asks(job: PurgeJob, context: Context) -> Value:
        check = Recheck(context.confirm, clock=iter((0.0, 60.0, 61.0)).__next__)
        for _ in range(3):
            check()
            context.notes["removed"] = context.notes.get("removed", 0) + 1
        return PurgeResult(objects=context.notes["removed"])

    with working(handler=asks) as heard:
        heard.hand_out(job)
        heard.until(Progress, done=0)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt))
        heard.until(Progress, done=1)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt))
        heard.say(CancelJob(job=job.job, below=job.attempt + 1))
        heard.until(Failed, cancelled=True)

        heard.hand_out(job)
        heard.until(Progress, done=0)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt))
        heard.until(Progress, done=1)
        heard.say(ConfirmJob(job=job.job, attempt=job.attempt, done=1))
        assert heard.until(Done).result == {"objects": 3}


def test_without_a_word_of_the_watcher_a_purge_is_tried_later() -> None:
    with pytest.raises(Unavailable, match=r"not confirmed the order within 0.01 s"):
        Context().confirm(0.01)


def breaks(*_: object) -> Any:
    raise RuntimeError("a mistake of ours")


def test_the_last_that_is_heard_of_an_idle_node_is_that_it_goes() -> None:
    """Its slots end at once, before the next sign of life is due; else it would count as there for half a minute."""
    broker = LocalBroker()
    agent = Agent(SETTINGS, "master", broker, {"purge": purged}, Readiness(joins=True))
    agent.start()
    heard = Heard(broker)
    heard.until(Alive, state="joining")

    agent.drain()
    assert agent.join(10)

    heard.until(Alive, state="stopping", slots=0, light=0)


@pytest.mark.parametrize(
    ("part", "method"),
    [(Agent, "_next"), (Pulse, "_node_lives"), (Runs, "heed")],
    ids=["slot", "beat", "control"],
)
def test_a_daemon_of_which_a_thread_breaks_ends_for_its_supervisor(
    part: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on as a cripple: without a slot, unheard, or deaf to cancels."""
    broker = LocalBroker()
    monkeypatch.setattr(part, method, breaks)
    agent = Agent(SETTINGS, "master", broker, {"purge": purged})
    broker.broadcast(messages.encode(CancelTask(task=7)))

    with pytest.raises(SystemExit) as ended, capture_logs() as logs:
        serve(agent, SimpleNamespace(draining=Event(), stopping=Event()), Notifier({}))  # type: ignore[arg-type]

    assert ended.value.code == 1
    assert isinstance(agent.fault, RuntimeError)
    told = [line for line in logs if line.get("exc_info")]
    assert {line["event"] for line in told} == {"a thread broke"}
    assert agent.join(0), "nothing of it goes on"


def test_a_daemon_says_when_it_is_ready_that_it_lives_and_when_it_drains(tmp_path: Path) -> None:
    """While running jobs end it lives too: draining may take long, and must not look like hanging."""
    started, may_end, draining = Event(), Event(), Event()

    def slow(job: PurgeJob, context: Context) -> Value:
        started.set()
        assert may_end.wait(20)
        return PurgeResult(objects=0)

    broker = LocalBroker()
    broker.publish(names.lane_queue("master.light"), messages.encode(purge_job()))
    agent = Agent(SETTINGS, "master", broker, {"purge": slow})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000"})
        daemon = Thread(target=serve, args=(agent, SimpleNamespace(draining=draining, stopping=Event()), notifier))
        daemon.start()
        assert manager.recv(64) == b"READY=1"
        assert manager.recv(64) == b"WATCHDOG=1"
        assert started.wait(20)
        draining.set()
        while (said := manager.recv(64)) == b"WATCHDOG=1":
            pass
        assert said == b"STOPPING=1"
        assert manager.recv(64) == b"WATCHDOG=1"
        may_end.set()
        daemon.join(20)
    assert not daemon.is_alive()


@pytest.mark.parametrize("word", ["cancelled", "drained", "stopped"])
def test_a_job_that_waits_for_room_counts_as_running_and_is_given_back_at_a_word(word: str) -> None:
    """The small job before it goes on, unless it is told to stop too."""
    may_end = Event()

    def small(job: PurgeJob, context: Context) -> Value:
        while not may_end.wait(0.01):
            context.stop.check()
        return PurgeResult(objects=0)

    broker, whole = LocalBroker(), Share(2 * CORE, 1 << 40)
    heard, large = Heard(broker), encode_job().model_copy(update={"job": 99})
    agent = Agent(SETTINGS, "worker", broker, {"purge": small, "encode": purged}, whole=whole)
    agent.start()
    for job in (purge_job(), large):
        broker.publish(names.lane_queue("worker"), messages.encode(job))
        heard.until(Started, job=job.job)
    heard.until(Progress, job=99)

    if word == "cancelled":
        heard.say(CancelJob(job=99, below=large.attempt + 1))
    else:
        (agent.drain if word == "drained" else agent.stop)()
    heard.until(Failed, job=99, cancelled=True)
    may_end.set()
    agent.stop()
    assert agent.join(10)
