"""Servers that are killed in the middle of the work, and come back with what they had confirmed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.world import World, new_world
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.process import HOST
from tests.servers.rabbitmq import RabbitMq
from tests.smtp import mail_server

pytestmark = pytest.mark.servers
AWAY_SECONDS = [3.0, 60.0]
"""The longer one is longer than leases, back-offs and the patience of each client."""
MAIL_SECONDS = 240.0
"""A trouble that is over within a minute is told to nobody; before it there are the attempts that fail."""
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


def test_operators_get_a_mail_of_a_storage_that_is_away_and_one_when_it_is_back(
    tmp_path: Path, killable: tuple[MariaDb, RabbitMq, CephRgw], clip: Path
) -> None:
    """Of a real gateway, by what real daemons report of it, to a real mail server; nothing else is told meanwhile."""
    with mail_server() as post, new_world(tmp_path, *killable) as world:
        shutil.copy(clip, world.farm.sources / "film.ts")
        mails = {
            "RAVEN_MAIL_SERVER": f"smtp://{HOST}:{post.port}",
            "RAVEN_MAIL_FROM": "raven@farm.example",
            "RAVEN_MAIL_OPERATORS": "alice@ops.example",
            "RAVEN_MAIL_MINUTES": "0.1",
        }
        world.start("watcher", "watcher", **mails)
        world.start("master", "master")
        world.start("worker", "worker")
        world.farm.until_seen()
        task = under_way(world, profile="slow")

        def told() -> list[str]:
            return [str(one.mail["Subject"]) for one in post.postmaster.taken]

        world.ceph.kill_gateway()
        try:
            world.farm.until(lambda: told() == ["Raven: 1 new"], "a mail tells of it", MAIL_SECONDS)
        finally:
            world.ceph.start_gateway()
        assert "the storage does not answer, or refuses: " in post.postmaster.taken[0].mail.get_content()
        world.farm.until(lambda: told() == ["Raven: 1 new", "Raven: 1 over"], "a mail tells of its end", MAIL_SECONDS)
        assert world.farm.done(task, 180)["message"] is None


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
