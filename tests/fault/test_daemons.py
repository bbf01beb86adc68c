"""Daemons that end at any moment, politely or not."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from raven.ports import Row
from tests.fault.faults import Fault, Stage, kill, states_now
from tests.fault.world import World
from tests.waiting import wait_until

pytestmark = pytest.mark.servers
SEED = 20
ROLES = ("watcher", "master", "worker")
MOMENTS = [(role, state) for state in ("new", "preparing", "encoding", "publishing", "cleaning") for role in ROLES]


def test_daemons_that_are_killed_at_any_moment_cost_nothing_but_time(
    world: World, undisturbed: dict[str, bytes], record_property: Callable[[str, object], None]
) -> None:
    """Each role in each state of a task; in chaos.py more of it, by chance."""
    dice = random.Random(SEED)  # noqa: S311 - no secret
    stage = Stage(world, world.post)
    tasks = [world.submit()]
    for role, state in MOMENTS:
        wait_until(lambda: aimed(world, tasks, state), f"a task is {state}", pause=0.01)  # noqa: B023 - used at once
        node = dice.choice([node for node in world.farm.daemons if world.role(node) == role])
        kill(stage, Fault("kill", node, 0, 0, state, dice.randrange(1 << 30)))()
    world.assert_unharmed(tasks, undisturbed)
    record_property("hits", sorted(set(stage.hits)))
    assert len(set(stage.hits)) >= len(set(MOMENTS)) - 2, "a state may be over before the signal arrives"


def aimed(world: World, tasks: list[int], state: str) -> bool:
    """Whether a task is in this state; there is always one on its way to it."""
    found = states_now(world)
    if not found & {"new", "preparing", "encoding", "publishing"}:
        tasks.append(world.submit())
    return state in found


def test_an_update_of_all_nodes_one_after_the_other_costs_no_attempt(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    """A second watcher stands by, and SIGTERM lets each node finish what it has."""
    tasks = [world.submit(), world.submit()]
    world.farm.until(lambda: world.farm.jobs(tasks[0], kind="encode", state="done"), "they are under way")
    world.start("watcher", "standby")
    world.farm.until(lambda: world.farm.daemons["standby"].logged(event="this watcher stands by"), "it stands by")
    for node in ("worker-1", "watcher", "worker-2", "master", "standby"):
        world.restart(node)
    world.assert_unharmed(tasks, undisturbed)
    for task in tasks:
        assert world.farm.history(task, "encode retried") + world.farm.history(task, "prepare retried") == []
    world.end("standby")


def test_two_masters_share_the_work_and_one_that_is_killed_is_done_without(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    world.start("master", "second")
    world.farm.until_seen("second")
    tasks = [world.submit() for _ in range(6)]
    masters = {"master", "second"}
    world.farm.until(lambda: masters <= {row["node"] for row in prepares(world, tasks)}, "both cut")
    world.kill("master")
    late = [world.submit() for _ in range(2)]
    world.farm.until(lambda: all(world.farm.history(task, "prepare done") for task in late), "the other goes on")
    assert {row["node"] for row in prepares(world, late)} == {"second"}
    world.again("master")
    world.assert_unharmed([*tasks, *late], undisturbed)
    world.end("second")


def prepares(world: World, tasks: list[int]) -> list[Row]:
    """Who has begun to cut these."""
    return [row for task in tasks for row in world.farm.history(task, "prepare started")]


def test_all_nodes_that_are_told_to_end_at_once_finish_what_they_have(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    """What they report meanwhile waits for the next watcher."""
    tasks = [world.submit(), world.submit()]
    world.farm.until(lambda: world.farm.jobs(tasks[0], kind="encode", state="done"), "they are under way")
    nodes = dict(world.farm.daemons)
    for daemon in nodes.values():
        daemon.signal(signal.SIGTERM)
    for node, daemon in nodes.items():
        assert daemon.exit_status(60) == 0
        world.again(node)
    world.assert_unharmed(tasks, undisturbed)
    for task in tasks:
        assert world.farm.history(task, "encode retried") + world.farm.history(task, "prepare retried") == []


def test_a_worker_whose_storage_hangs_ends_when_it_is_told_twice(world: World, undisturbed: dict[str, bytes]) -> None:
    """It cannot hear of a stop while it waits for an answer; what it has is left to another."""
    for proxy in (world.links[node].storage for node in ("worker-1", "worker-2")):
        proxy.hang()
    task = world.submit()
    world.farm.until(lambda: world.farm.jobs(task, kind="encode", state="running"), "it has a chunk")
    for node in ("worker-1", "worker-2"):
        daemon = world.farm.daemons[node]
        world.farm.drain(daemon)
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_status(30) == 0
    world.heal()
    world.assert_unharmed([task], undisturbed)
