"""What networks do: they cut off, hang, drip and reset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raven import names
from tests.farm.farm import Gate
from tests.fault.test_servers_away import under_way
from tests.fault.world import World
from tests.media import ffmpeg
from tests.waiting import wait_until

pytestmark = pytest.mark.servers
SENT = 2500
"""Bytes that a worker sends to the storage before it is cut off: more than it asks with whether its chunk is there."""


@pytest.fixture
def gated(world: World, tmp_path: Path) -> Iterator[Gate]:
    """A third worker, `far`, whose ffmpeg waits at a gate."""
    gate = Gate(tmp_path, ffmpeg())
    world.start("worker", "far", RAVEN_FFMPEG=str(gate.program))
    world.farm.until_seen("far")
    yield gate
    gate.open()
    world.end("far")


def test_a_worker_that_was_cut_off_brings_back_nothing(
    world: World, undisturbed: dict[str, bytes], gated: Gate
) -> None:
    """It goes on with jobs that are others' by now, stores what nobody wants, and reports it when it is back.

    Of one task the row is deleted meanwhile, and all is forgotten: then its objects go a second time.
    """
    # Given a worker at a chunk of a task, which loses the broker and then, in the middle of storing, the storage
    tasks = [world.submit(), world.submit()]
    mine = wait_until(lambda: running_on_far(world), "it has a job")
    other = next(task for task in tasks if task != mine)
    program, far = str(gated.program), world.links["far"]
    world.farm.until(lambda: any(program in line for line in world.farm.processes(mine)), "its ffmpeg waits")
    far.broker.hang()
    far.storage.hang_after(SENT)
    gated.open()
    world.farm.until(lambda: far.storage.hangs, "it stores")

    # When the task is deleted and forgotten, and only then the rest is stored
    world.farm.delete(mine)
    world.farm.until(lambda: not world.farm.jobs(mine), "it is forgotten")
    world.farm.until(lambda: not world.farm.keys(names.out_prefix(mine)), "its objects are gone")
    far.storage.heal()
    world.farm.until(lambda: world.farm.keys(names.out_prefix(mine)), "the worker stores its chunk")

    # Then nothing of it is there soon after it has come back
    far.broker.heal()
    world.assert_unharmed([other], undisturbed)


def running_on_far(world: World) -> int | None:
    """The task of which the far worker has a chunk."""
    rows = world.farm.database.query(
        "SELECT task_id FROM jobs WHERE node = 'far' AND state = 'running' AND kind = 'encode'"
    )
    return int(rows[0]["task_id"]) if rows else None


def test_connections_that_hang_drip_and_break_cost_nothing_but_time(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    """All at once, each to another node; the watcher's database hangs for longer than its lock lives."""
    links = world.links
    tasks = [under_way(world), world.submit()]
    links["worker-1"].storage.slow(100_000)
    links["worker-2"].storage.reset_after(20_000)
    links["master"].broker.hang()
    links["watcher"].database.hang()
    lock = "SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE()"
    world.farm.until(lambda: world.farm.database.query(lock)[0]["n"] == 1, "the server ends the watcher's connection")
    links["watcher"].broker.reset()
    links["master"].storage.reset()
    world.heal()
    links["worker-2"].broker.reset()
    world.assert_unharmed(tasks, undisturbed)
