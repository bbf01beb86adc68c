"""Nodes: who takes jobs and who does not, and why; what an operator sees of them and says to them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raven.ports import Row
from tests.farm.farm import Farm, Gate, Servers
from tests.media import ffmpeg, generate_clip
from tests.servers.process import clean_environment
from tests.waiting import wait_until
from watcher.health import BLAMES
from watcher.numbers import read_numbers
from watcher.watcher import steady_clock

pytestmark = pytest.mark.servers
ATTEMPTS = 3
POISON = "start_time=2.000000000"
"""In the command of a film's second chunk."""


class Faulty:
    """An ffmpeg that works, but for commands with a certain text while a file is there."""

    def __init__(self, folder: Path, name: str, text: str) -> None:
        self.mark, self.program = folder / f"{name}-fails", folder / f"{name}-ffmpeg"
        fails = f"if [ -e {self.mark} ]; then echo it is broken >&2; exit 1; fi"
        self.program.write_text(f'#!/bin/sh\ncase "$*" in *{text}*) {fails};; esac\nexec {ffmpeg()} "$@"\n')
        self.program.chmod(0o755)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    """The ffmpeg of all good nodes."""
    return Faulty(tmp_path_factory.mktemp("poison"), "poison", POISON)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, servers: Servers, poisoned: Faulty) -> Iterator[Farm]:
    """A watcher, a master and one good worker, which no test touches."""
    settings = {
        "RAVEN_ATTEMPTS": str(ATTEMPTS), "RAVEN_HEARTBEAT_SECONDS": "0.5", "RAVEN_SECOND_RUNS": "false",
    }  # fmt: skip
    with closing(Farm(tmp_path_factory.mktemp("nodes"), servers, **settings)) as farm:
        farm.start("watcher", "watcher")
        farm.start("master", "master")
        farm.start("worker", "steady", RAVEN_FFMPEG=str(poisoned.program))
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


@pytest.fixture(scope="module")
def source(farm: Farm, film: Path) -> Path:
    return Path(shutil.copy(film, farm.sources / "film.ts"))


@pytest.fixture
def node(farm: Farm, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of one more worker, which the test starts; it is gone afterwards."""
    name = request.node.name.removeprefix("test_")[:30]
    yield name
    farm.daemons.pop(name).kill()


def raven(farm: Farm, *arguments: str) -> str:
    """What the operator's command says."""
    done = subprocess.run(
        [sys.executable, "-m", "raven", *arguments],
        env=clean_environment(farm.folder) | {"RAVEN_DATABASE": farm.servers.database},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(farm: Farm, node: str) -> str:
    """Why the newest run of a worker takes no jobs; empty when it does."""
    rows = farm.database.query("SELECT state FROM nodes WHERE name = ? ORDER BY seen_at DESC LIMIT 1", (node,))
    return str(rows[0]["state"]) if rows else "unknown"


def until_state(farm: Farm, node: str, words: str) -> None:
    farm.until(lambda: state(farm, node).startswith(words), f"{node} says {words!r}, not {state(farm, node)!r}")


def workers_of(farm: Farm, task: int) -> set[str]:
    """Who has done something of a task, but for the master."""
    sql = "SELECT DISTINCT node FROM history WHERE task_id = ? AND event IN ('encode started', 'audio started')"
    return {row["node"] for row in farm.database.query(sql, (task,))}


def taken(farm: Farm, node: str, *tasks: int) -> Row:
    """A chunk of one of these tasks that this node has, once it has one."""

    def found() -> Row | None:
        rows = (row for task in tasks for row in farm.jobs(task, kind="encode", state="running", node=node))
        return next(rows, None)

    return wait_until(found, f"{node} has a chunk")


def test_a_drained_node_ends_its_job_and_takes_no_more_until_it_may(
    farm: Farm, source: Path, node: str, tmp_path: Path
) -> None:
    """Before its machine is looked after: no work is lost, and starting it again changes nothing."""
    gate = Gate(tmp_path, ffmpeg())
    daemon = farm.start("worker", node, RAVEN_FFMPEG=str(gate.program))
    farm.until_seen(node)
    task = farm.submit(source, profile="test")
    job = taken(farm, node, task)["id"]
    assert "takes no more jobs" in raven(farm, "nodes", "drain", node)
    until_state(farm, node, "drained")
    (seen,) = [line for line in raven(farm, "nodes").splitlines() if line.startswith(node)]
    assert seen.endswith("drained")
    gate.open()
    farm.done(task)
    assert [row["node"] for row in farm.history(task, "encode done") if row["job_id"] == job] == [node]

    # Started again it is drained still, and the next task is done without it
    daemon.kill()
    farm.start("worker", node)
    until_state(farm, node, "drained")
    another = farm.submit(source, profile="test")
    farm.done(another)
    assert workers_of(farm, another) == {"steady"}

    # Let go it works again
    assert "takes jobs again" in raven(farm, "nodes", "resume", node)
    farm.until(lambda: state(farm, node) == "", "it takes jobs")


def test_a_node_that_is_not_fit_takes_no_jobs_and_says_why(farm: Farm, source: Path, tmp_path: Path) -> None:
    """Too little room on its disk, or an ffmpeg that does not encode: its daemon runs on, for an operator to see."""
    broken = Faulty(tmp_path, "broken", "lavfi")
    broken.mark.touch()
    try:
        farm.start("worker", "full", RAVEN_RESERVE_DISK=str(1 << 60))
        farm.start("worker", "broken", RAVEN_FFMPEG=str(broken.program))
        until_state(farm, "full", "disk: ")
        until_state(farm, "broken", "unfit: broken-ffmpeg ended with status 1: it is broken")
        task = farm.submit(source, profile="test")
        farm.done(task)
        assert workers_of(farm, task) == {"steady"}
        nodes = {node["name"]: node for node in map(json.loads, raven(farm, "nodes", "--json").splitlines())}
        assert nodes["full"]["state"].endswith("free of 1152921504.6 GB wanted")
        assert nodes["steady"]["state"] == "ready"
        assert nodes["steady"]["ffmpeg"].startswith("ffmpeg version ")
        assert (nodes["full"]["slots"], nodes["broken"]["slots"], nodes["steady"]["slots"]) == (0, 0, 1)
        assert all(daemon.is_alive() for daemon in farm.daemons.values())
    finally:
        for node in ("full", "broken"):
            farm.daemons.pop(node).kill()


def test_a_node_on_which_all_jobs_fail_is_quarantined_and_its_work_is_done_elsewhere(
    farm: Farm, source: Path, node: str, tmp_path: Path
) -> None:
    """Its memory is bad, say: its self-test passes, its encodes do not, and it is quick to fail the next one."""
    faulty = Faulty(tmp_path, "faulty", "chunk.nut")
    faulty.mark.touch()
    farm.start("worker", node, RAVEN_FFMPEG=str(faulty.program))
    farm.until_seen(node)
    tasks = [farm.submit(source, profile="test") for _ in range(2)]
    until_state(farm, node, f"quarantined: {BLAMES} jobs in a row failed here")
    assert "it is broken" in state(farm, node)
    for task in tasks:
        assert farm.done(task)["message"] is None
        failed = {row["job_id"] for row in farm.history(task, "encode retried")}
        assert len(failed) == len(farm.history(task, "encode retried")), "no job twice, though it is the quicker node"
    after = farm.submit(source, profile="test")
    farm.done(after)
    assert workers_of(farm, after) == {"steady"}

    # Mended and started again it takes jobs, by itself
    farm.daemons.pop(node).kill()
    faulty.mark.unlink()
    farm.start("worker", node, RAVEN_FFMPEG=str(faulty.program))
    farm.until(lambda: state(farm, node) == "", "it takes jobs")


def test_a_chunk_that_fails_everywhere_ends_its_task_and_is_nobody_s_fault(
    farm: Farm, source: Path, node: str, poisoned: Faulty
) -> None:
    farm.start("worker", node, RAVEN_FFMPEG=str(poisoned.program))
    farm.until_seen(node)
    poisoned.mark.touch()
    task = farm.submit(source, profile="test")
    row = farm.ended(task)
    poisoned.mark.unlink()
    assert row["status"] == "failed"
    assert "it is broken" in row["message"]
    retried = farm.history(task, "encode retried")
    assert {row["node"] for row in retried} == {node, "steady"}, "the second attempt was another node's"
    standing = farm.database.query("SELECT name, blames FROM nodes WHERE name IN (?, 'steady')", (node,))
    assert {row["name"]: row["blames"] for row in standing} == {node: 0, "steady": 0}
    assert farm.database.query("SELECT name FROM holds WHERE name IN (?, 'steady')", (node,)) == []


def test_a_node_that_said_goodbye_alarms_nobody_and_one_that_vanished_can_be_forgotten(farm: Farm, node: str) -> None:
    """As pods that are scaled away do, and those that are killed before they can."""

    def later() -> str:
        """What is told of the node once it is silent."""
        farm.database.execute("UPDATE nodes SET seen_at = seen_at - 60000 WHERE name = ?", (node,))
        numbers = read_numbers(farm.database, steady_clock()())
        told = [state for name, _, state in numbers.nodes if name == node]
        return told[0] if told else "nothing"

    daemon = farm.start("worker", node)
    farm.until_seen(node)
    daemon.terminate()
    assert later() == "nothing"
    farm.daemons[node].kill()

    farm.start("worker", node)
    farm.until(lambda: state(farm, node) == "", "it takes jobs")
    farm.daemons[node].kill()
    farm.start("worker", f"{node}-after")
    farm.until_seen(f"{node}-after")  # its first words came behind the last ones of the killed node
    farm.daemons.pop(f"{node}-after").kill()
    assert later() == "silent"
    assert "is forgotten" in raven(farm, "nodes", "forget", node)
    assert later() == "nothing"


def test_an_encode_that_hangs_is_ended_and_done_elsewhere(farm: Farm, node: str, tmp_path: Path) -> None:
    """Its node says every half second that it lives, but no frame comes out."""
    single = generate_clip(farm.sources / "single.ts", 50)  # of one chunk: none is begun a second time
    gate = Gate(tmp_path, ffmpeg())
    farm.start("worker", node, RAVEN_FFMPEG=str(gate.program), RAVEN_STALL_SECONDS="0.7")
    farm.until_seen(node)
    job = taken(farm, node, *(farm.submit(single, profile="test") for _ in range(4)))
    farm.done(job["task_id"])
    events = farm.database.query("SELECT event, node, message FROM history WHERE job_id = ? ORDER BY id", (job["id"],))
    hung, *_, done = [row for row in events if row["event"] in ("encode retried", "encode done")]
    assert (hung["event"], hung["node"]) == ("encode retried", node)
    assert "hung: it made no progress" in hung["message"]
    assert (done["event"], done["node"]) == ("encode done", "steady")
