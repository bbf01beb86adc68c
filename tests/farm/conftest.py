"""One farm for the tests of a module, with one film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm.farm import FRAMES, Servers, fresh_servers
from tests.media import generate_clip
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.rabbitmq import RabbitMq


@pytest.fixture(scope="module")
def servers(mariadb_server: MariaDb, rabbitmq_server: RabbitMq, ceph_server: CephRgw) -> Iterator[Servers]:
    """A database, a vhost and a bucket for the farm of this module."""
    with fresh_servers(mariadb_server, rabbitmq_server, ceph_server) as found:
        yield found


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 seconds of picture and sound, not a whole number of segments, with keyframes that are not the grid's."""
    return generate_clip(tmp_path_factory.mktemp("film") / "film.ts", FRAMES, gop=37)


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, for the neighbours of what is tested."""
    return generate_clip(tmp_path_factory.mktemp("short") / "short.ts", 3 * 50)
