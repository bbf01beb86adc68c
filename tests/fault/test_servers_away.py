"""Servers that are killed in the middle of the work, and come back with what they had confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.fault.world import World

pytestmark = pytest.mark.servers
AWAY_SECONDS = [3.0, 60.0]
"""The longer one is longer than leases, back-offs and the patience of each client."""
OBJECTS_SECONDS = 30.0
"""So soon all objects of a deleted task are gone, once its servers are there."""


@pytest.mark.parametrize("seconds", AWAY_SECONDS)
def test_a_broker_that_was_away_costs_nothing_but_time(
    seconds: float, world: World, undisturbed: dict[str, bytes]
) -> None:
    """Also for a task that is deleted meanwhile: its jobs are stopped and its objects removed as soon as it is back."""
    kept, deleted = under_way(world), under_way(world, profile="slow")
    world.rabbitmq.kill()
    world.farm.delete(deleted)
    time.sleep(seconds)
    world.rabbitmq.restart()
    begun = time.monotonic()
    world.farm.until(lambda: not world.farm.jobs(deleted), "the deleted one is forgotten")
    assert time.monotonic() - begun < OBJECTS_SECONDS
    world.assert_unharmed([kept], undisturbed)


@pytest.mark.parametrize("seconds", AWAY_SECONDS)
@pytest.mark.parametrize("server", ["database", "gateway", "osd"])
def test_a_server_that_was_away_costs_nothing_but_time(
    server: str, seconds: float, world: World, undisturbed: dict[str, bytes]
) -> None:
    """In the middle of transactions, of uploads, of the objects themselves."""
    kept = [under_way(world), under_way(world)]
    end, begin = verbs(world)[server]
    end()
    time.sleep(seconds)
    begin()
    world.assert_unharmed(kept, undisturbed)


def verbs(world: World) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """How each server is killed, and started again."""
    return {
        "database": (world.kill_database, world.mariadb.restart),
        "gateway": (world.ceph.kill_gateway, world.ceph.start_gateway),
        "osd": (world.ceph.kill_osd, world.ceph.start_osd),
    }


def under_way(world: World, profile: str = "tiny") -> int:
    """A task that is being encoded."""
    task = world.submit(profile)
    world.farm.until(lambda: world.farm.jobs(task, kind="encode", state="running"), f"task {task} is encoded")
    return task
