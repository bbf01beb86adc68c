"""Messages are doorbells: any of them may be lost, doubled, late, out of order or nonsense."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from raven import names
from tests.farm.farm import Pipe
from tests.fault.test_servers_away import under_way
from tests.fault.world import CONSUMER_TIMEOUT, World

pytestmark = pytest.mark.servers


def test_messages_that_are_doubled_mixed_invented_and_lost_cost_nothing_but_time(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    """In every queue; the reports while no watcher takes them."""
    dice, post = random.Random(5), world.post  # noqa: S311 - no secret
    tasks = [under_way(world), world.submit(), world.submit()]
    for queue in names.QUEUES:
        world.post.litter(queue)
    worker = names.lane_queue("worker")
    world.farm.until(lambda: post.double(worker, 3), "some jobs are doubled")
    world.kill("watcher")
    world.farm.until(lambda: world.farm.broker.depth(names.REPORTS) >= 8, "reports wait")
    post.double(names.REPORTS, 6)
    post.mix(names.REPORTS, 10, dice)
    post.drop(names.REPORTS, 1)
    world.again("watcher")
    world.farm.until(lambda: post.drop(worker, 1), "a job is lost")
    post.replay(6, dice)
    for queue in names.QUEUES[:-1]:
        post.purge(queue)
    world.assert_unharmed(tasks, undisturbed)


def test_an_update_in_the_middle_of_the_work_loses_nothing_to_messages_of_the_other_version(
    world: World, undisturbed: dict[str, bytes]
) -> None:
    """Jobs and reports that are on their way in another version are put aside, and what they were about is done again.

    All daemons end and start again meanwhile, one after the other.
    """
    post, worker = world.post, names.lane_queue("worker")
    tasks = [under_way(world), world.submit()]
    world.farm.until(lambda: post.outdate(worker, 2), "jobs have another version")
    world.kill("watcher")
    world.farm.until(lambda: world.farm.broker.depth(names.REPORTS) >= 4, "reports wait")
    assert post.outdate(names.REPORTS, 4)
    for node in ("worker-1", "worker-2", "master"):
        world.restart(node)
    world.again("watcher")
    world.assert_unharmed(tasks, undisturbed)
    dead = {queue: world.farm.broker.depth(names.dead_letters(queue)) for queue in (worker, names.REPORTS)}
    assert all(dead.values()), dead


def test_a_job_longer_than_the_patience_of_the_broker_is_not_handed_out_again(
    world: World, undisturbed: dict[str, bytes], clip: Path
) -> None:
    """The broker of these tests ends who holds a message for some seconds; a recording takes the master longer."""
    farm, master = world.farm, world.farm.daemons["master"]
    before = len(master.logged(event="consumer lost"))
    with contextlib.closing(Pipe(farm.sources / "recording.ts", clip)) as pipe:
        task = farm.submit(pipe.path, profile="tiny")
        pipe.feed(0.6)
        farm.until(lambda: farm.jobs(task, kind="prepare", state="running"), "the master reads it")
        (first,) = farm.jobs(task, kind="prepare")
        enough = first["lease_until"] + 2 * CONSUMER_TIMEOUT
        farm.until(lambda: farm.jobs(task, kind="prepare")[0]["lease_until"] > enough, "it takes its time")
        pipe.feed(1)
    farm.done(task)
    pipe.path.unlink()
    assert len(farm.history(task, "prepare started")) == 1
    assert len(master.logged(event="consumer lost")) == before
    world.assert_unharmed([task], undisturbed)
