"""Whether a node takes jobs: by its disk and memory, by the watcher's word, by its self-test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raven import readiness
from raven.alive import Alive
from raven.capacity import host
from raven.errors import ClockWrong, SourceAway, StorageAway, Unavailable
from raven.machine import Machine, default_slots, look
from raven.readiness import RESTS, WRONG_CLOCK, Readiness, Reserve, shortage
from tests.waiting import wait_until

GB = 1_000_000_000
HOST = Machine(cpus=4, load=1.5, memory_total=8 * GB, memory_free=2 * GB, disk_free=2 * GB)
WORKER = Alive(node="n1", role="worker", slots=4, light=2, build="1")


# how many


@pytest.mark.parametrize(
    ("cpus", "memory", "slots"),
    [
        (1, 64 * GB, 1),
        (2, 64 * GB, 1),
        (3, 64 * GB, 1),
        (4, 64 * GB, 2),
        (64, 64 * GB, 32),
        (64, 8 * GB, 6),
        (8, None, 4),
    ],
)
def test_a_worker_has_a_slot_of_the_usual_size_for_two_cores_as_far_as_memory_goes(
    cpus: int, memory: int | None, slots: int
) -> None:
    assert default_slots("worker", host(cpus, memory)) == slots


def test_the_smallest_host_has_a_slot_too() -> None:
    assert default_slots("worker", host(1, 1 << 28)) == 1
    assert default_slots("master", host(1, 1 << 28)) == 1


def test_a_master_cuts_a_few_films_at_once_however_large_its_host_is() -> None:
    assert [default_slots("master", host(cpus, 64 * GB)) for cpus in (2, 4, 64)] == [1, 2, 4]


def test_the_host_is_known(tmp_path: Path) -> None:
    """Not a figure of it is nothing, on the systems that Raven runs on."""
    host = look(tmp_path)

    assert host.cpus >= 1
    assert 0 < host.memory_free <= host.memory_total
    assert host.disk_free > 0


# room


@pytest.mark.parametrize(
    ("reserve", "said"),
    [
        (Reserve(), ""),
        (Reserve(disk=2 * GB, memory=2 * GB), ""),
        (Reserve(disk=2 * GB + 1), "disk: 2.0 GB free of 2.0 GB wanted"),
        (Reserve(disk=3 * GB, memory=3 * GB), "disk: 2.0 GB free of 3.0 GB wanted"),
        (Reserve(memory=2 * GB + 500_000_000), "memory: 2.0 GB free of 2.5 GB wanted"),
    ],
)
def test_too_little_room_is_said_with_its_figures(reserve: Reserve, said: str) -> None:
    assert shortage(HOST, reserve) == said


def test_memory_that_is_not_known_is_not_asked_for() -> None:
    unknown = Machine(cpus=4, load=0, memory_total=0, memory_free=0, disk_free=312_000_000)

    assert shortage(unknown, Reserve(memory=GB)) == ""
    assert shortage(unknown, Reserve(disk=GB)) == "disk: 312 MB free of 1.0 GB wanted"


def test_a_node_short_of_room_takes_no_job_but_for_those_that_make_room(tmp_path: Path) -> None:
    node = Readiness(tmp_path, Reserve(disk=1 << 62))

    assert node.obstacle("worker").startswith("disk: ")
    assert node.obstacle("worker.light").startswith("disk: ")
    assert node.obstacle("master").startswith("disk: ")
    assert node.obstacle("master.light") == "", "a purge"


def test_a_folder_that_is_gone_is_told_too(tmp_path: Path) -> None:
    """A disk that was unmounted."""
    node = Readiness(tmp_path / "none", Reserve(disk=1))

    assert "No such file" in node.obstacle("worker")
    assert node.completed(WORKER).state == node.obstacle("worker")


def test_after_its_disk_ran_full_a_node_waits_before_it_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that filled it has given its room back: what is free now says nothing."""
    node = Readiness(tmp_path, Reserve(disk=1))
    assert node.obstacle("worker") == ""

    node.ran_out()
    assert node.obstacle("worker").startswith("disk: it ran full")

    later = time.monotonic() + readiness.FULL_SECONDS
    monkeypatch.setattr("raven.readiness.time.monotonic", lambda: later)
    assert node.obstacle("worker") == ""


def test_a_node_that_the_storage_does_not_answer_rests_longer_and_longer_until_a_job_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it alone is cut off, it would fail all jobs of the farm as fast as they come."""
    node, now, rests = Readiness(tmp_path), [1000.0], list[float]()
    monkeypatch.setattr("raven.readiness.time.monotonic", lambda: now[0])

    def rest() -> float:
        for _ in range(3):  # slots that meet the same at once
            node.met(StorageAway("storage: connection refused"))
        begun = now[0]
        while node.obstacle("worker"):
            assert node.obstacle("worker") == "storage: it does not answer this node"
            assert node.obstacle("master.light") == node.obstacle("worker"), "publishing stores too"
            now[0] += 0.5
        return now[0] - begun

    rests = [rest() for _ in range(7)]
    assert rests == [*RESTS, RESTS[-1], RESTS[-1]]
    node.did()
    assert rest() == RESTS[0]


def test_a_node_whose_clock_the_storage_refuses_says_so_while_it_rests(tmp_path: Path) -> None:
    node = Readiness(tmp_path)
    node.met(ClockWrong("storage: it refuses the time"))
    assert node.obstacle("worker") == WRONG_CLOCK


@pytest.mark.parametrize("kind", [Unavailable, SourceAway])
def test_what_says_nothing_of_the_node_does_not_make_it_rest(kind: type[Unavailable], tmp_path: Path) -> None:
    node = Readiness(tmp_path)

    node.met(kind("storage: connection refused"))

    assert node.obstacle("worker") == ""


# the watcher's word


def test_a_node_that_joins_takes_no_job_before_the_watcher_has_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is drained, or crashes over every job, would else take one at each of its starts."""
    node = Readiness(joins=True)
    assert node.obstacle("worker") == "joining"
    assert node.completed(WORKER).hold is None

    node.asked()
    assert node.obstacle("worker") == "joining"
    node.obey("")
    assert node.obstacle("worker") == ""


def test_a_node_that_hears_nothing_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is queued waits for nobody: the watcher may be away. But it has to have been asked."""
    node = Readiness(joins=True)
    later = time.monotonic() + readiness.JOIN_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr("raven.readiness.time.monotonic", lambda: later)
        assert node.obstacle("worker") == "joining"
    node.asked()
    monkeypatch.setattr("raven.readiness.time.monotonic", lambda: later + 1)

    assert node.obstacle("worker") == ""


def test_a_held_node_says_so_until_it_is_let_go(tmp_path: Path) -> None:
    node = Readiness(tmp_path, Reserve(disk=1 << 62))
    node.changed.clear()

    node.obey("drained")

    assert node.changed.is_set()
    assert node.obstacle("worker") == node.obstacle("worker.light") == "drained"
    alive = node.completed(WORKER)
    assert (alive.slots, alive.light, alive.state, alive.hold) == (0, 0, "drained", "drained")
    node.obey("")
    assert node.completed(WORKER).hold == ""
    assert node.obstacle("worker").startswith("disk: ")


def test_a_sign_of_life_tells_what_the_host_has(tmp_path: Path) -> None:
    node = Readiness(tmp_path, ffmpeg="ffmpeg version 9")

    alive = node.completed(WORKER)

    assert (alive.slots, alive.light, alive.state, alive.ffmpeg) == (4, 2, "", "ffmpeg version 9")
    assert alive.cpus >= 1
    assert alive.memory_total >= alive.memory_free > 0
    assert alive.disk_free > 0


def test_only_news_are_told_at_once(tmp_path: Path) -> None:
    """Figures change all the time."""
    (node := Readiness(tmp_path, Reserve(disk=1 << 62))).obstacle("worker")
    node.changed.clear()

    node.obstacle("worker")
    assert not node.changed.is_set()
    node.leave()
    assert node.changed.is_set()
    assert node.obstacle("master.light") == "stopping"


# the self-test


def test_until_its_self_test_passes_a_node_takes_no_job() -> None:
    go, faults = threading.Semaphore(0), ["it encodes garbage", ""]

    def test() -> str:
        go.acquire()
        return faults.pop(0)

    node = Readiness()
    node.keep_testing(test, again=0.01)
    assert node.obstacle("worker") == "testing"
    go.release()
    _until(lambda: node.obstacle("worker") == "unfit: it encodes garbage")
    go.release()
    _until(lambda: node.obstacle("worker") == "")


def _until(condition: Callable[[], bool]) -> None:
    wait_until(condition, "it is told", timeout=10)
