"""A broker of three nodes, of which one is killed: the one that leads the queue, in the middle of the work."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from raven import names
from tests.farm.aftermath import differences, until_nothing_is_left
from tests.farm.farm import Farm, Servers
from tests.fault.world import SETTINGS
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_bucket, fresh_database, load_schema, need
from tests.servers.mariadb import MariaDb
from tests.servers.process import private_directory
from tests.servers.rabbitmq import RabbitMq
from tests.servers.rabbitmq_cluster import RabbitCluster

pytestmark = pytest.mark.servers
VHOST = "farm"


@pytest.fixture
def cluster() -> Iterator[RabbitCluster]:
    """Three nodes for one test."""
    need(RabbitMq.missing())
    with private_directory() as directory:
        cluster = RabbitCluster.start(directory / "cluster")
        yield cluster
        cluster.close()


@pytest.fixture
def farm(
    cluster: RabbitCluster, mariadb_server: MariaDb, ceph_server: CephRgw, clip: Path, tmp_path: Path
) -> Iterator[Farm]:
    """A watcher, a master and two workers, who know all nodes of the cluster."""
    with fresh_database(mariadb_server) as database, fresh_bucket(ceph_server) as storage:
        broker = cluster.create_vhost(VHOST)
        owner, aws = load_schema(mariadb_server, database), aws_environment(ceph_server)
        servers = Servers(owner, broker, storage, aws, ceph_server, cluster.nodes[0])
        with contextlib.closing(Farm(tmp_path, servers, **SETTINGS)) as farm:
            shutil.copy(clip, farm.sources / "film.ts")
            for role, node in (("watcher", "watcher"), ("master", "master"), ("worker", "one"), ("worker", "two")):
                farm.start(role, node)
            farm.until_seen()
            yield farm


@pytest.mark.parametrize("queue", [names.lane_queue("worker"), names.REPORTS])
def test_the_leader_of_a_queue_that_is_killed_costs_nothing_but_time(
    queue: str, cluster: RabbitCluster, farm: Farm
) -> None:
    """The other two go on with all that was confirmed, and it joins them when it is back."""
    source = farm.sources / "film.ts"
    first = farm.submit(source, profile="tiny")
    farm.done(first)
    undisturbed = farm.outputs(first)

    # Given tasks that are encoded
    tasks = [farm.submit(source, profile="tiny") for _ in range(3)]
    farm.until(lambda: farm.jobs(tasks[0], kind="encode", state="running"), "it is encoded")

    # When the leader is killed, they end without it
    leader = cluster.leader(VHOST, queue)
    leader.kill()
    for task in tasks:
        assert farm.done(task, timeout=120)["message"] is None
    assert cluster.leader(VHOST, queue) is not leader

    # And when it is back, another one can go
    leader.restart()
    last = farm.submit(source, profile="tiny")
    farm.until(lambda: farm.jobs(last, kind="encode", state="running"), "it is encoded")
    second = cluster.leader(VHOST, queue)
    second.kill()
    assert farm.done(last, timeout=120)["message"] is None
    second.restart()
    for task in [*tasks, last]:
        assert differences(farm.outputs(task), undisturbed) == []
    until_nothing_is_left(farm, [first, *tasks, last])
