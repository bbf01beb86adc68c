"""A row that is deleted, in every state of its task: nobody pays any more for what nobody wants."""

from __future__ import annotations

import time

import pytest

from raven import names
from tests.fault.world import World

pytestmark = pytest.mark.servers
STOP_SECONDS, OBJECTS_SECONDS = 2.0, 30.0
"""What DELETE promises for processes and for objects."""


def test_a_task_can_be_deleted_in_any_state(world: World, undisturbed: dict[str, bytes]) -> None:
    """Its jobs vanish, its processes end, its objects go, and its neighbour is not touched."""
    farm = world.farm
    neighbour = world.submit("test")
    for state in ("new", "preparing", "encoding", "publishing", "done"):
        task = world.submit()
        farm.until(lambda: state == farm.task(task)["status"], f"it is {state}")  # noqa: B023 - used at once
        farm.delete(task)
        begun = time.monotonic()
        farm.until(lambda: not farm.processes(task), "its processes end")  # noqa: B023
        assert time.monotonic() - begun < STOP_SECONDS
        farm.until(lambda: not farm.jobs(task), "it is forgotten")  # noqa: B023
        assert time.monotonic() - begun < OBJECTS_SECONDS
        assert farm.keys(names.out_prefix(task)) + farm.keys(names.tmp_prefix(task)) == []
    farm.done(neighbour)
    assert farm.history(neighbour, "encode retried") + farm.history(neighbour, "encode stopped") == []
    world.assert_unharmed([], undisturbed)
