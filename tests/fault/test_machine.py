"""What the machines do: disks that are full, clocks that jump, and a chunk on which ffmpeg breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.test_servers_away import under_way
from tests.fault.world import FAKETIME, World, clock_of, may_mount
from tests.media import ffmpeg

pytestmark = pytest.mark.servers
POISON = '#!/bin/sh\ncase "$*" in *start_time=3.000000000*{}*) kill -SEGV $$;; esac\nexec {} "$@"\n'
ENCODER, DECODER = "libx264", ""
"""What an ffmpeg has to be told beside the place of the chunk to break: to encode, or anything."""


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's package libfaketime: run tests/install.sh")
def test_a_clock_that_is_set_by_an_hour_changes_nothing(
    world: World, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Leases are no longer and no shorter, and no job is begun anew."""
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    world.end("watcher")
    world.start("watcher", "jumping", **clock_of(clock))
    tasks = [under_way(world), world.submit()]
    for ahead in ("+3600", "-3600"):
        clock.write_text(f"{ahead}\n")
        task = world.submit()
        tasks.append(task)
        world.farm.until(lambda: world.farm.jobs(task, kind="encode", state="done"), "it is under way")  # noqa: B023
    world.assert_unharmed(tasks, undisturbed)
    assert [row for task in tasks for row in world.farm.history(task, "encode retried")] == []
    world.end("jumping")
    world.start("watcher", "watcher")
    after = world.submit()  # the rows have times of an hour ahead and behind
    world.assert_unharmed([after], undisturbed)


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's package libfaketime: run tests/install.sh")
@pytest.mark.parametrize("role", ["worker", "master"])
def test_a_node_whose_clock_is_wrong_harms_no_task_and_works_once_it_is_set(
    role: str, world: World, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """The gateway refuses what is signed an hour off its own time. Who else there is does the work."""
    clock, node = tmp_path / "clock", f"late-{role}"
    clock.write_text("-3600\n")
    world.start(role, node, **clock_of(clock))
    try:
        world.farm.until_seen()
        tasks = [world.submit() for _ in range(3)]
        world.farm.until(lambda: state_of(world, node).startswith("clock: "), "it says what is wrong")
        world.assert_unharmed(tasks, undisturbed)
        assert world.farm.database.query("SELECT * FROM holds") == []

        clock.write_text("+0\n")
        world.end("master" if role == "master" else "worker-1")
        world.farm.until(lambda: state_of(world, node) == "", "it takes jobs again")
        world.assert_unharmed([world.submit()], undisturbed)
    finally:
        clock.write_text("+0\n")
        world.end(node)
        for other in {"master", "worker-1"} - world.farm.daemons.keys():
            world.again(other)


@pytest.fixture
def poisoned(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[None]:
    """Workers whose ffmpeg breaks on the fourth second of a film, and a watcher that is soon tired of it."""
    program = tmp_path / "poisoned-ffmpeg"
    program.write_text(POISON.format(request.param, ffmpeg()))
    program.chmod(0o755)
    for node in ("worker-1", "worker-2", "watcher"):
        world.end(node)
    for node in ("worker-1", "worker-2"):
        world.start("worker", node, RAVEN_FFMPEG=str(program))
    world.start("watcher", "watcher", RAVEN_ATTEMPTS="2")
    yield
    for node in ("worker-1", "worker-2", "watcher"):
        role = world.role(node)
        world.end(node)
        world.start(role, node)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("poisoned", "words"),
    [(ENCODER, "after 2 attempts"), (DECODER, "cannot be decoded by itself")],
    indirect=["poisoned"],
)
def test_a_chunk_on_which_ffmpeg_breaks_fails_its_task_and_no_node(
    words: str, world: World, undisturbed: dict[str, bytes]
) -> None:
    """It goes from node to node until its attempts are used up, and one that does not even decode is made anew first.

    Chunks of other films are encoded as ever.
    """
    poisoned, sound = world.submit(), world.submit(options='{"chunk_segments": 4}')
    row = world.farm.ended(poisoned)
    assert row["status"] == "failed"
    assert "SIGSEGV" in row["message"]
    assert words in row["message"]
    assert world.farm.done(sound)["message"] is None
    world.assert_unharmed([], undisturbed)
    assert all(daemon.is_alive() for daemon in world.farm.daemons.values())
    assert world.farm.database.query("SELECT * FROM holds") == []


@pytest.mark.skipif(not may_mount(), reason="only root may mount a small file system")
@pytest.mark.parametrize("role", ["worker", "master"])
def test_a_node_whose_disk_is_full_takes_no_task_down(role: str, world: World, undisturbed: dict[str, bytes]) -> None:
    """Its jobs are done elsewhere, or wait for room. It looks at no reserve, so that jobs meet the full disk."""
    with full_node(world, role) as node:
        tasks = [world.submit() for _ in range(3)]
        world.farm.until(lambda: "disk" in state_of(world, node), "a job has met the full disk")
        for task in tasks:
            world.farm.done(task)
        assert world.farm.database.query("SELECT * FROM holds") == []
    world.assert_unharmed(tasks, undisturbed)


@contextlib.contextmanager
def full_node(world: World, role: str) -> Iterator[str]:
    """One more node, whose disk is full until the end; its name."""
    disk, node = world.small_disk(f"disk-{role}", 8), f"full-{role}"
    world.start(role, node, RAVEN_TEMPORARY=str(disk), RAVEN_RESERVE_DISK="0")
    world.farm.until_seen(node)
    ballast = fill(disk)
    try:
        yield node
    finally:
        ballast.unlink()
        world.end(node)


def state_of(world: World, node: str) -> str:
    """Why a node takes no jobs, in its own words."""
    (row,) = world.farm.database.query("SELECT state FROM nodes WHERE name = ?", (node,))
    return str(row["state"])


def fill(folder: Path) -> Path:
    """Takes all room that is left; the file to remove."""
    ballast = folder / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    return ballast
