"""A farm whose every part can be killed, frozen and cut off: servers that are durable, and proxies for each node."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.farm.aftermath import differences, until_nothing_is_left
from tests.farm.farm import Daemon, Farm, Servers, fresh_servers
from tests.fault.post import Post
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb
from tests.servers.process import ServerError, clean_environment, private_directory, program, run
from tests.servers.proxy import Proxy
from tests.servers.rabbitmq import RabbitMq

CONSUMER_TIMEOUT = 5_000
"""ms; half an hour by default. So short, whoever holds a message for longer than a moment loses its channel."""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
LEASE = 4
SETTINGS = {
    "RAVEN_LEASE_SECONDS": str(LEASE),
    "RAVEN_HEARTBEAT_SECONDS": "0.5",
    "RAVEN_KEEP_FAILED_HOURS": "0",
    "RAVEN_LOG_LEVEL": "debug",
}


@dataclass(frozen=True)
class Links:
    """The ways from one node to the servers."""

    broker: Proxy
    storage: Proxy
    database: Proxy

    @property
    def all(self) -> tuple[Proxy, ...]:
        return self.broker, self.storage, self.database


class World:
    """A farm, the servers under it, and what can be done to both."""

    def __init__(self, folder: Path, mariadb: MariaDb, rabbitmq: RabbitMq, ceph: CephRgw, servers: Servers) -> None:
        self.mariadb, self.rabbitmq, self.ceph, self.servers = mariadb, rabbitmq, ceph, servers
        self.farm = Farm(folder, servers, **SETTINGS)
        self.post = Post(servers.broker)
        self.links: dict[str, Links] = {}
        self._settings: dict[str, tuple[str, dict[str, str]]] = {}
        self._mounts: list[Path] = []

    # nodes

    def start(self, role: str, node: str, **settings: str) -> Daemon:
        """Starts a node, which reaches the servers through proxies of its own."""
        if node not in self.links:
            ports = (self.rabbitmq.port, self.ceph.port, self.mariadb.port)
            self.links[node] = Links(*map(Proxy, ports))
        links, servers = self.links[node], self.servers
        urls = {
            "RAVEN_BROKER": _through(servers.broker, self.rabbitmq.port, links.broker),
            "RAVEN_STORAGE": _through(servers.storage, self.ceph.port, links.storage),
            "RAVEN_DATABASE": _through(servers.database, self.mariadb.port, links.database),
        }
        allowed = self.farm.environment(role, node)
        settings = {name: url for name, url in urls.items() if name in allowed} | settings
        self._settings[node] = role, settings
        return self.farm.start(role, node, **settings)

    def start_all(self, workers: int = 2) -> None:
        """A watcher, a master and some workers, and waits until the watcher knows them."""
        self.start("watcher", "watcher")
        self.start("master", "master")
        for number in range(workers):
            self.start("worker", f"worker-{number + 1}")
        self.farm.until_seen()

    def kill(self, node: str) -> None:
        """SIGKILL, to the daemon alone: its children have to die by themselves."""
        daemon = self.farm.daemons[node]
        daemon.signal(signal.SIGKILL)
        daemon.exit_status()

    def again(self, node: str) -> Daemon:
        """Starts a node that has ended, with the settings that it had."""
        role, settings = self._settings[node]
        return self.farm.start(role, node, **settings)

    def restart(self, node: str, timeout: float = 60) -> None:
        """SIGTERM, and a new one when all its jobs have ended: an update."""
        daemon = self.farm.daemons[node]
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_status(timeout) == 0
        self.again(node)

    def end(self, node: str) -> None:
        """Kills a node for good."""
        self.farm.daemons.pop(node).kill()

    def role(self, node: str) -> str:
        return self._settings[node][0]

    def cut_off(self, node: str) -> None:
        """Nothing passes between a node and any server."""
        for proxy in self.links[node].all:
            proxy.hang()

    def heal(self) -> None:
        """All links are well, and all nodes run."""
        for links in self.links.values():
            for proxy in links.all:
                proxy.heal()
        for node, daemon in self.farm.daemons.items():
            if daemon.is_alive():
                daemon.thaw()
            else:
                self.again(node)

    def kill_database(self) -> None:
        """SIGKILL; the connection of the farm's client is gone too, and it opens another one when it asks next."""
        self.mariadb.kill()
        self.farm.database.close()

    # the machine

    def small_disk(self, name: str, megabytes: int) -> Path:
        """A file system of its own as a folder for temporary files; who may not mount has none."""
        folder = self.farm.folder / name
        folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
        self._mounts.append(folder)
        self.farm.temporaries.append(folder)
        return folder

    # tasks

    def submit(self, profile: str = "tiny", **columns: object) -> int:
        """A task over `film.ts`."""
        return self.farm.submit(self.farm.sources / "film.ts", profile=profile, **columns)

    def assert_unharmed(self, tasks: Collection[int], undisturbed: Mapping[str, bytes]) -> None:
        """The two end conditions: these tasks are done with the bytes of an undisturbed run, and nothing else is left.

        Tasks of earlier tests may be there, whose outputs are not looked at again.
        """
        for task in tasks:
            row = self.farm.done(task)
            assert row["message"] is None
            assert differences(self.farm.outputs(task), undisturbed) == []
        rows = self.farm.database.query("SELECT id FROM tasks WHERE status = 'done'")
        until_nothing_is_left(self.farm, {row["id"] for row in rows}, self.post.garbage)

    def close(self) -> None:
        """Ends all nodes and their links."""
        self.farm.close()
        for links in self.links.values():
            for proxy in links.all:
                proxy.close()
        for folder in self._mounts:
            _run("umount", "--lazy", str(folder))


def _through(url: str, port: int, proxy: Proxy) -> str:
    """The same URL by way of a proxy."""
    assert f":{port}" in url
    return url.replace(f":{port}", f":{proxy.port}")


def may_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            _run("mount", "-t", "tmpfs", "tmpfs", folder)
        except ServerError:
            return False
        _run("umount", folder)
    return True


def _run(command: str, *arguments: str) -> None:
    run([program(command), *arguments], clean_environment(Path("/")))


def clock_of(file: Path) -> dict[str, str]:
    """Settings of a daemon whose system clock is what `file` says, such as `+3600`; clocks that count on stay."""
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
    }


@contextmanager
def durable_servers() -> Iterator[tuple[MariaDb, RabbitMq, CephRgw]]:
    """One of each, of the caller's own, with data that outlive a kill."""
    for missing in (MariaDb.missing(), RabbitMq.missing(), CephRgw.missing()):
        need(missing)
    with private_directory() as directory, ExitStack() as stack:
        ceph = CephRgw.start(directory / "ceph", durable=True)
        stack.callback(ceph.stop)
        mariadb = MariaDb.start(directory / "mariadb", durable=True)
        stack.callback(mariadb.close)
        rabbitmq = RabbitMq.start(directory / "rabbitmq", CONSUMER_TIMEOUT)
        stack.callback(rabbitmq.close)
        yield mariadb, rabbitmq, ceph


@contextmanager
def new_world(folder: Path, mariadb: MariaDb, rabbitmq: RabbitMq, ceph: CephRgw) -> Iterator[World]:
    """A farm without nodes yet, on these servers."""
    with (
        fresh_servers(mariadb, rabbitmq, ceph) as servers,
        contextlib.closing(World(folder, mariadb, rabbitmq, ceph, servers)) as world,
    ):
        yield world
