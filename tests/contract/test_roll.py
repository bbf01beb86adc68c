"""The watcher and its nodes, on both databases: who is held, who is told, and what is taken from whom."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.alive import Alive, HoldNode
from raven.config import Settings
from raven.messages import CancelJob, CancelTask, ConfirmJob, Done, Failed, Passed, Progress, Started
from raven.ports import Database
from raven.profile import load_profiles
from raven.values import Value
from tests.builders import prepare_result
from watcher.health import BLAMES, CRASHES, Hold
from watcher.nodes import Nodes
from watcher.rows import JobRow
from watcher.store import Store
from watcher.transitions import BACK_OFF_MS, PASS_MS
from watcher.watcher import Watcher

LEASE, STALL = 30, 100  # s; the latter is what a node bears, the watcher twice as long
RESULT = prepare_result(chunks=1).model_dump(mode="json")


@dataclass
class Farm:
    """A watcher, whose clock stands, and nodes that are values."""

    watcher: Watcher
    broker: LocalBroker
    database: Database
    now: list[int]

    def __post_init__(self) -> None:
        self.listener, self.store = self.broker.listener(), Store(self.database)

    def turn(self, seconds: float = 0) -> None:
        """A turn of the watcher, so much later, with all that it looks after."""
        self.now[0] += round(seconds * 1000)
        self.watcher._cared = self.watcher._looked = float("-inf")
        self.watcher.turn()

    def say(self, *reports: Value) -> None:
        for report in reports:
            self.broker.publish(names.REPORTS, messages.encode(report))
        self.turn()

    def alive(self, *nodes: str, hold: str | None = "", slots: int = 1) -> None:
        """Signs of life of masters called `name@instance`."""
        self.say(
            *(
                Alive(node=name, role="master", instance=run, slots=slots, light=slots, build="1", hold=hold)
                for name, _, run in (node.partition("@") for node in nodes)
            )
        )

    def heard(self) -> list[CancelTask | CancelJob | ConfirmJob | HoldNode]:
        """What was broadcast since it was asked last."""
        found = []
        while (delivery := self.listener.take(0)) is not None:
            found.append(messages.read_control(delivery.body))
        return found

    def prepare(self) -> int:
        """The first job of a new task."""
        self.database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
        self.turn()
        return int(self.database.query("SELECT MAX(id) AS id FROM jobs WHERE kind = 'prepare'")[0]["id"])

    def row(self, job: int) -> JobRow:
        return self.store.jobs([job])[job]

    def order(self, lane: str = "master") -> dict[str, Any]:
        """The newest order in a queue."""
        consumer, body = self.broker.consumer(names.lane_queue(lane), 99), b""
        while (delivery := consumer.take(0)) is not None:
            body = delivery.body
        order: dict[str, Any] = json.loads(body)
        return order

    def fails(self, job: int, node: str) -> None:
        """The job fails there; afterwards it is queued again."""
        self.say(Started(**self.about(job, node)), Failed(**self.about(job, node), message=f"{node} is broken"))
        self.turn(BACK_OFF_MS[min(self.row(job).failures, len(BACK_OFF_MS)) - 1] / 1000)
        self.alive(node, "good@2")

    def falls_silent(self) -> None:
        """Nobody says anything until all leases are over, and what failed is queued again."""
        for _ in range(12):  # no step so long that the watcher takes itself for away
            self.turn(LEASE / 4)

    def does(self, job: int, node: str) -> None:
        self.say(Started(**self.about(job, node)), Done(**self.about(job, node), seconds=1, result=RESULT))

    def about(self, job: int, node: str) -> dict[str, Any]:
        """What every report on a job says."""
        row, (name, _, run) = self.row(job), node.partition("@")
        return {"task": row.task_id, "job": job, "attempt": row.attempt, "node": name, "instance": run}

    def fails_and_is_done(self, times: int, bad: str, good: str) -> None:
        """So many films fail on one node and are cut by another."""
        for _ in range(times):
            job = self.prepare()
            self.fails(job, bad)
            self.does(job, good)

    def held(self) -> list[Hold]:
        return Nodes(self.database).holds()


@pytest.fixture
def farm(database: Database) -> Farm:
    """Two masters, a good one and a bad one."""
    broker, now = LocalBroker(), [1_800_000_000_000]
    broker._since = float("-inf")  # neither the broker nor the watcher was away
    settings = Settings(poll_seconds=0.001, lease_seconds=LEASE, stall_seconds=STALL)
    farm = Farm(Watcher(settings, database, broker, load_profiles(), lambda: now[0]), broker, database, now)
    farm.alive("bad@1", "good@2")
    return farm


# holds


def test_a_node_is_told_what_holds_it_until_it_knows(farm: Farm) -> None:
    """A broadcast may be lost, and a node that was away has heard nothing: each sign of life is answered."""
    Nodes(farm.database).hold(Hold("bad", "", "", "drained"), farm.now[0])
    told = HoldNode(node="bad", role="master", instance="1", hold="drained")
    for _ in range(2):
        farm.alive("bad@1", "good@2")
        assert farm.heard() == [told]
    farm.alive("bad@1", hold="drained", slots=0)
    assert farm.heard() == []
    farm.database.execute("DELETE FROM holds")
    farm.alive("bad@1", hold="drained", slots=0)
    assert farm.heard() == [told.model_copy(update={"hold": ""})]


def test_a_node_that_joins_is_told_that_nothing_holds_it(farm: Farm) -> None:
    farm.alive("new@3", hold=None, slots=0)
    assert farm.heard() == [HoldNode(node="new", role="master", instance="3", hold="")]


def test_a_node_of_an_older_version_is_told_nothing(farm: Farm) -> None:
    """It would not understand it, every five seconds."""
    Nodes(farm.database).hold(Hold("old", "", "", "drained"), farm.now[0])
    farm.say(Alive(node="old", role="master", slots=1, build="1"))
    assert farm.heard() == []


def test_a_node_on_which_job_after_job_fails_is_held_and_told(farm: Farm) -> None:
    farm.fails_and_is_done(BLAMES - 1, "bad@1", "good@2")
    assert farm.held() == []
    farm.fails_and_is_done(1, "bad@1", "good@2")
    (hold,) = farm.held()
    assert (hold.name, hold.role, hold.instance) == ("bad", "master", "1")
    assert hold.reason.endswith("the last one: bad@1 is broken")
    farm.heard()
    farm.alive("bad@1", "good@2")
    assert farm.heard() == [HoldNode(node="bad", role="master", instance="1", hold=hold.reason)]
    farm.alive("bad@another run")
    assert farm.heard() == [], "it was started again, and its self-test passed"


def test_a_success_in_between_clears_a_node(farm: Farm) -> None:
    farm.fails_and_is_done(BLAMES - 1, "bad@1", "good@2")
    farm.does(farm.prepare(), "bad@1")
    farm.fails_and_is_done(BLAMES - 1, "bad@1", "good@2")
    assert farm.held() == []


def test_two_hosts_of_one_name_are_judged_apart(farm: Farm) -> None:
    """Somebody cloned a machine: the good one does its own jobs well, and the bad one is not cleared by that."""
    farm.alive("good@twin")
    farm.fails_and_is_done(BLAMES, "good@twin", "good@2")
    assert [(hold.name, hold.instance) for hold in farm.held()] == [("good", "twin")]
    assert Nodes(farm.database).slots(0)["master"] == 3


def test_a_job_that_fails_everywhere_is_nobody_s_fault(farm: Farm) -> None:
    for _ in range(BLAMES):
        job = farm.prepare()
        while farm.row(job).state != "failed":
            farm.fails(job, "bad@1" if farm.row(job).attempt % 2 else "good@2")
    assert farm.held() == []


def test_a_host_that_crashes_over_its_jobs_is_held_at_its_next_start(farm: Farm) -> None:
    """Each time with all the jobs that it had, which count once."""
    for run in range(CRASHES):
        jobs = [farm.prepare(), farm.prepare()]
        farm.alive(f"bad@run {run}", "good@2")
        for job in jobs:
            farm.say(Started(**farm.about(job, f"bad@run {run}")))
        assert farm.held() == []
        farm.falls_silent()
        farm.alive("good@2")
        for job in jobs:
            farm.does(job, "good@2")
    assert [(hold.name, hold.instance) for hold in farm.held()] == [("bad", "")]
    farm.heard()
    farm.alive("bad@the next", hold=None, slots=0)
    (told,) = farm.heard()
    assert isinstance(told, HoldNode)
    assert told.hold.startswith("quarantined: it fell silent 3 times")


# other nodes


def test_a_job_that_failed_is_handed_to_others_as_long_as_there_are_some(farm: Farm) -> None:
    job = farm.prepare()
    assert "avoid" not in farm.order()
    farm.fails(job, "bad@1")
    farm.alive("bad@1", "good@2")
    farm.say(Passed(**farm.about(job, "bad@1")))
    row = farm.row(job)
    assert (row.state, row.attempt, row.failures, row.passes) == ("waiting", 3, 1, 1)
    farm.turn(PASS_MS[0] / 1000)
    assert farm.order()["avoid"] == ["bad"]


def test_a_job_that_everybody_gives_back_is_run_all_the_same(farm: Farm) -> None:
    """The other node may be busy for hours."""
    job = farm.prepare()
    farm.fails(job, "bad@1")
    for pause in PASS_MS:
        farm.alive("bad@1", "good@2")
        assert farm.order()["avoid"] == ["bad"]
        farm.say(Passed(**farm.about(job, "bad@1")))
        farm.turn(pause / 1000)
    assert "avoid" not in farm.order()
    farm.does(job, "bad@1")
    assert farm.row(job).state == "done"


def test_a_job_avoids_nobody_where_nobody_else_is_left(farm: Farm) -> None:
    job = farm.prepare()
    farm.alive("good@2", slots=0)
    farm.fails(job, "bad@1")
    farm.alive("bad@1")
    assert "avoid" not in farm.order()


# no progress


def test_an_encode_that_moves_no_more_is_taken_away_though_its_node_says_that_it_lives(farm: Farm) -> None:
    """The node's own watch would have ended it, unless the node is what hangs."""
    farm.does(farm.prepare(), "good@2")
    farm.turn()
    (job,) = (row["id"] for row in farm.database.query("SELECT id FROM jobs WHERE kind = 'encode'"))
    farm.say(Started(**farm.about(job, "stuck@9")), Progress(**farm.about(job, "stuck@9"), done=7))
    farm.heard()
    for _ in range(2 * STALL // (LEASE // 2)):
        farm.turn(LEASE / 2)
        farm.say(Progress(**farm.about(job, "stuck@9"), done=7))
    assert farm.row(job).state == "running"
    farm.turn(LEASE / 2)
    row = farm.row(job)
    assert (row.state, row.attempt, row.failures) == ("waiting", 2, 1)
    assert "made no progress" in (row.message or "")
    assert farm.heard() == [CancelJob(job=job, below=2)]
