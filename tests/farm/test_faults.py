"""What a farm bears: every daemon may end at any moment, politely or not, and the outputs are the same bytes."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from raven import messages, names
from raven.messages import Failed
from raven.ports import Row
from raven.retry import retry
from tests.farm.aftermath import differences
from tests.farm.farm import Daemon, Farm, Gate, Servers
from tests.media import ffmpeg

pytestmark = pytest.mark.servers
LEASE = 3
STOP_SECONDS = 2.0
"""After the end of a worker nothing of its jobs may run for longer."""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[Farm]:
    """A watcher, a master and one worker that no test touches; leases are short, so that a loss is noticed soon."""
    settings = {"RAVEN_LEASE_SECONDS": str(LEASE), "RAVEN_HEARTBEAT_SECONDS": "0.5", "RAVEN_SECOND_RUNS": "false"}
    with closing(Farm(tmp_path_factory.mktemp("faults"), servers, **settings)) as farm:
        for role, node in (("watcher", "watcher"), ("master", "master"), ("worker", "steady")):
            farm.start(role, node)
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


@pytest.fixture(scope="module")
def source(farm: Farm, film: Path) -> Path:
    return Path(shutil.copy(film, farm.sources / "film.ts"))


@pytest.fixture(scope="module")
def undisturbed(farm: Farm, source: Path) -> dict[str, bytes]:
    """The outputs of a run in which nothing happened."""
    task = farm.submit(source, profile="test")
    farm.done(task)
    return farm.outputs(task)


@dataclass(frozen=True)
class Held:
    """A task of which one worker holds a job, with its gate shut."""

    task: int
    job: int
    worker: Daemon
    gate: Gate

    def row(self, farm: Farm) -> Row:
        (row,) = farm.jobs(self.task, id=self.job)
        return row

    def events(self, farm: Farm) -> list[tuple[str, str]]:
        """What happened to the job, and on which node."""
        rows = farm.database.query("SELECT event, node FROM history WHERE job_id = ? ORDER BY id", (self.job,))
        return [(row["event"].split()[1], row["node"]) for row in rows]

    def encoders(self, farm: Farm) -> list[str]:
        """Command lines of this worker's ffmpeg at the job; another worker's, which has it meanwhile, has no gate."""
        return [command for command in farm.processes(self.task, self.job) if str(self.gate.program) in command]

    def all_but_this_done(self, farm: Farm) -> bool:
        """Whether the other worker has done all that can be done without this job."""
        rows = [row for row in farm.jobs(self.task) if row["id"] != self.job]
        kinds = {row["kind"] for row in rows}
        return {"prepare", "encode", "audio"} <= kinds and all(row["state"] == "done" for row in rows)


@pytest.fixture
def held(farm: Farm, source: Path, undisturbed: dict[str, bytes], request: pytest.FixtureRequest) -> Iterator[Held]:
    """A second worker, of the test's name, has taken a chunk of a task and is at it."""
    node = request.node.name.removeprefix("test_")[:40]
    folder = farm.folder / node
    folder.mkdir()
    gate = Gate(folder, ffmpeg())
    worker = farm.start("worker", node, RAVEN_FFMPEG=str(gate.program))
    farm.until_seen(node)
    task = farm.submit(source, profile="test")
    farm.until(lambda: farm.jobs(task, kind="encode", state="running", node=node), "the worker has a chunk")
    (row,) = farm.jobs(task, kind="encode", state="running", node=node)
    held = Held(task, row["id"], worker, gate)
    farm.until(lambda: held.encoders(farm), "it encodes")
    yield held
    farm.daemons.pop(node).kill()
    gate.open()


def test_a_worker_that_is_told_to_end_finishes_its_job_first(
    farm: Farm, held: Held, undisturbed: dict[str, bytes]
) -> None:
    """SIGTERM before an update of the machine costs no work: the job is done, however long it takes, and no more."""
    farm.drain(held.worker)
    lease = held.row(farm)["lease_until"]
    farm.until(lambda: held.all_but_this_done(farm), "the other worker does the rest")
    farm.until(lambda: held.row(farm)["lease_until"] > lease + 1000 * LEASE, "it still says that it lives")
    assert held.worker.is_alive()
    held.gate.open()
    assert held.worker.exit_status() == 0
    farm.done(held.task)
    assert held.events(farm) == [("started", held.worker.node), ("done", held.worker.node)]
    assert differences(farm.outputs(held.task), undisturbed) == []


def test_a_worker_that_is_told_twice_ends_at_once(farm: Farm, held: Held, undisturbed: dict[str, bytes]) -> None:
    """It gives its job back by itself: another has it before any lease lapses, and the attempt is not a failure."""
    farm.drain(held.worker)
    held.worker.signal(signal.SIGTERM)
    assert held.worker.exit_status() == 0
    assert held.encoders(farm) == []
    farm.done(held.task)
    assert held.events(farm) == [
        ("started", held.worker.node), ("stopped", held.worker.node), ("started", "steady"), ("done", "steady"),
    ]  # fmt: skip
    assert differences(farm.outputs(held.task), undisturbed) == []
    assert list(farm.temporary.glob(f"raven-{held.task}-*")) == []


def test_a_killed_worker_costs_nothing_but_time(farm: Farm, held: Held, undisturbed: dict[str, bytes]) -> None:
    """kill -9, or the power: its ffmpeg dies with it, its lease lapses, and another worker makes the same bytes."""
    held.worker.signal(signal.SIGKILL)
    assert held.worker.exit_status() == -signal.SIGKILL
    farm.until(lambda: not held.encoders(farm), "nothing of it runs on", timeout=STOP_SECONDS)
    row = farm.done(held.task)
    assert row["message"] is None
    events = held.events(farm)
    assert [event for event, _ in events] == ["started", "retried", "started", "done"]
    assert events[-1] == ("done", "steady")
    (lapse,) = farm.history(held.task, "encode retried")
    assert held.worker.node in lapse["message"]
    assert differences(farm.outputs(held.task), undisturbed) == []


def test_a_worker_that_was_frozen_comes_back_to_a_job_that_is_not_its_own(
    farm: Farm, held: Held, undisturbed: dict[str, bytes]
) -> None:
    """A node cut off for longer than its lease returns with an old result, which changes nothing, and works on."""
    held.worker.signal(signal.SIGSTOP)
    farm.until(lambda: ("done", "steady") in held.events(farm), "another worker has done the job")
    held.worker.signal(signal.SIGCONT)
    farm.until(lambda: held.worker.logged(event="job stopped", job=held.job), "it is told to stop")
    farm.done(held.task)
    assert held.events(farm)[-1] == ("done", "steady")
    assert differences(farm.outputs(held.task), undisturbed) == []
    held.gate.open()
    again = farm.submit(farm.sources / "film.ts", profile="test")
    farm.done(again)
    assert held.worker.node in {row["node"] for row in farm.history(again, "encode done")}


def test_a_killed_watcher_goes_on_where_it_was(farm: Farm, held: Held, undisturbed: dict[str, bytes]) -> None:
    """All that it knows is in the database: nobody has to be told anything, and running jobs are not begun anew."""
    farm.until(lambda: farm.jobs(held.task, kind="encode", state="done"), "some chunks are done")
    watcher = farm.daemons.pop("watcher")
    watcher.signal(signal.SIGKILL)
    assert watcher.exit_status() == -signal.SIGKILL
    held.gate.open()
    farm.until(lambda: held.worker.logged(event="job done", job=held.job), "a job ends while there is no watcher")
    farm.start("watcher", "watcher")
    farm.done(held.task)
    assert held.events(farm) == [("started", held.worker.node), ("done", held.worker.node)]
    assert differences(farm.outputs(held.task), undisturbed) == []


def test_of_two_watchers_one_stands_by_and_takes_over(farm: Farm, held: Held, undisturbed: dict[str, bytes]) -> None:
    """The lock of the database ends with the connection of the one that was killed."""
    second = farm.start("watcher", "second-watcher")
    farm.until(lambda: second.logged(event="this watcher stands by"), "it stands by")
    first = farm.daemons.pop("watcher")
    first.signal(signal.SIGKILL)
    assert first.exit_status() == -signal.SIGKILL
    held.gate.open()
    farm.until(lambda: second.logged(event="this watcher is at work"), "it takes over", timeout=10)
    farm.done(held.task)
    assert differences(farm.outputs(held.task), undisturbed) == []
    farm.daemons["watcher"] = farm.daemons.pop("second-watcher")


def test_a_failed_task_is_tried_again_from_what_is_there(farm: Farm, held: Held, undisturbed: dict[str, bytes]) -> None:
    """Its disk was full, say: the operator makes room, and what is encoded is not encoded again."""
    farm.until(lambda: held.all_but_this_done(farm), "the other worker does the rest")
    before = {row["job_id"] for row in farm.history(held.task, "encode done")}
    failed = Failed(task=held.task, job=held.job, attempt=1, node="x", message="the disk is full", permanent=True)
    farm.broker.publish(names.REPORTS, messages.encode(failed))
    assert farm.ended(held.task)["message"] == "the disk is full"
    farm.until(lambda: farm.jobs(held.task, kind="purge", state="waiting"), "its objects are kept for a while")
    held.gate.open()
    retry(farm.database, held.task, time.time_ns() // 1_000_000)
    row = farm.done(held.task)
    assert row["message"] is None
    done = [row["job_id"] for row in farm.history(held.task, "encode done")]
    assert len(done) == len(set(done)) == len(before) + 1
    assert differences(farm.outputs(held.task), undisturbed) == []
