"""Three RabbitMQ nodes as one broker, of which any one may be killed."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.servers.process import ServerError
from tests.servers.rabbitmq import Epmd, Membership, RabbitMq

SIZE = 3


class RabbitCluster:
    """Nodes that share an epmd, a cookie and their users. A quorum queue has a copy on each."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._epmd = Epmd(directory)
        names = [f"rabbit-{number + 1}" for number in range(SIZE)]
        peers = tuple(f"{name}@localhost" for name in names)
        membership = Membership(self._epmd, secrets.token_hex(10), secrets.token_hex(8), peers)
        self.nodes = [RabbitMq(directory / name, name=name, membership=membership) for name in names]

    @classmethod
    def start(cls, directory: Path) -> RabbitCluster:
        """Start a new cluster; this takes half a minute, and two on a busy machine."""
        cluster = cls(directory)
        try:
            for node in cluster.nodes:
                node.configure()
            first, *others = cluster.nodes
            first.launch()
            first.until_ready()  # the others find it and join: all at once would each wait for a lock
            for node in others:
                node.launch()
            for node in others:
                node.until_ready()
        except ServerError:
            cluster.close()
            raise
        return cluster

    def create_vhost(self, name: str) -> str:
        """Create a vhost, and return the URL that names all nodes."""
        url = urlsplit(self.nodes[0].create_vhost(name))
        login = url.netloc.rpartition("@")[0]
        hosts = ",".join(f"{node.host}:{node.port}" for node in self.nodes)
        return urlunsplit(url._replace(netloc=f"{login}@{hosts}"))

    def leader(self, vhost: str, queue: str) -> RabbitMq:
        """The node that leads a quorum queue, as any node that runs knows it."""
        asked = next(node for node in self.nodes if node.is_running())
        name = asked.queue_info(vhost, queue)["leader"]
        return next(node for node in self.nodes if node.node == name)

    def close(self) -> None:
        """End all nodes for good."""
        for node in self.nodes:
            node.close()
        self._epmd.kill()
