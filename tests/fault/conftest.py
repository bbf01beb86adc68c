"""One set of servers that can be killed, and one world on them for all tests of faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.world import World, durable_servers, new_world
from tests.media import generate_clip
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.rabbitmq import RabbitMq

FRAMES = 209
"""Eight chunks of a second, the last one longer."""


@pytest.fixture(scope="package")
def killable() -> Iterator[tuple[MariaDb, RabbitMq, CephRgw]]:
    """Servers of these tests alone."""
    with durable_servers() as servers:
        yield servers


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_clip(tmp_path_factory.mktemp("clip") / "film.ts", FRAMES, size="160x90", gop=37)


@pytest.fixture(scope="package")
def world(
    tmp_path_factory: pytest.TempPathFactory, killable: tuple[MariaDb, RabbitMq, CephRgw], clip: Path
) -> Iterator[World]:
    """A watcher, a master and two workers, each with links of its own; what a test breaks, it mends."""
    with new_world(tmp_path_factory.mktemp("world"), *killable) as world:
        shutil.copy(clip, world.farm.sources / "film.ts")
        world.start_all()
        yield world


@pytest.fixture(scope="package")
def undisturbed(world: World) -> dict[str, bytes]:
    """The outputs of a run in which nothing happened."""
    task = world.submit()
    world.farm.done(task)
    return world.farm.outputs(task)


@pytest.fixture(autouse=True)
def _mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails in the middle of a fault does not spoil the next one."""
    yield
    if "world" in request.fixturenames:
        found: World = request.getfixturevalue("world")
        found.heal()
