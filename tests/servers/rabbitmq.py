"""A private RabbitMQ broker for tests."""

import base64
import json
import os
import secrets
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.authority import Certificate
from tests.servers.process import (
    HOST,
    ChildProcess,
    ServerError,
    clean_environment,
    free_port,
    missing_program,
    program,
    run,
    wait_until,
)

_TIMEOUT = 120
# Debian's /usr/sbin/rabbitmq-server changes the user and drops the environment: run what is behind it.
_SERVERS = "/usr/lib/rabbitmq/lib"
_PROGRAM = "rabbitmq_server-*/sbin/rabbitmq-server"
# Two schedulers that do not spin while idle, and no listener for other machines.
_ERLANG_OPTIONS = (
    "+S 2:2 +A 8 +sbwt none +sbwtdcpu none +sbwtdio none",
    "-kernel inet_dist_use_interface {127,0,0,1}",
)


class Epmd:
    """Erlang's register of nodes, by which those of one host find each other."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory.resolve()
        self._child: ChildProcess | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._child is not None and self._child.is_alive():
            return
        command = [program("epmd"), "-port", str(self.port), "-address", HOST]
        log = self._directory / "epmd.log"
        self._child = ChildProcess("epmd", command, log=log, env=clean_environment(self._directory))
        wait_until(self._is_there, _TIMEOUT, self._child)

    def kill(self) -> None:
        """End it; the nodes that it knew do not tell a new one of themselves soon."""
        if self._child is not None:
            self._child.kill()

    def _is_there(self) -> bool:
        socket.create_connection((HOST, self.port), timeout=5).close()
        return True


@dataclass(frozen=True)
class Membership:
    """Of a node in a cluster: what it shares with the others, and their names."""

    epmd: Epmd
    cookie: str
    password: str
    peers: tuple[str, ...]


class RabbitMq:
    """A RabbitMQ node with its data in one directory, on free ports of one address; alone it has an epmd of its own."""

    user = "bob"

    def __init__(
        self,
        directory: Path,
        consumer_timeout: int | None = None,
        name: str = "rabbit",
        membership: Membership | None = None,
        tls: Certificate | None = None,
        host: str = HOST,
    ) -> None:
        self.host = host
        self.port, self.management_port, self._cluster_port, self.tls_port = (free_port() for _ in range(4))
        self.tls = tls
        self.node = f"{name}@localhost"
        self._membership = membership
        self.password = membership.password if membership else secrets.token_hex(8)
        self._directory = directory.resolve()
        self._consumer_timeout = consumer_timeout
        self._epmd = membership.epmd if membership else Epmd(directory)
        self._broker: ChildProcess | None = None

    @staticmethod
    def missing() -> str | None:
        """Say which Debian package is missing, if one is."""
        if not _programs():
            return "RabbitMQ is missing: run tests/install.sh or install Debian's package rabbitmq-server."
        return missing_program({"epmd": "erlang-base"})

    @classmethod
    def start(
        cls,
        directory: Path,
        consumer_timeout: int | None = None,
        tls: Certificate | None = None,
        host: str = HOST,
    ) -> "RabbitMq":
        """Start a new broker; this takes 6 seconds and more, so share it and use a vhost for each test.

        `consumer_timeout`: ms after which a delivery that is not acknowledged ends its channel, else half an hour.
        `tls`: what it also listens with on `tls_port`.
        """
        broker = cls(directory, consumer_timeout, tls=tls, host=host)
        broker.configure()
        try:
            broker.restart()
        except ServerError:
            broker.close()
            raise
        return broker

    @property
    def pid(self) -> int:
        """Of the broker's process, while it runs."""
        if self._broker is None:
            raise ServerError("RabbitMQ does not run")
        return self._broker.pid

    def create_vhost(self, name: str) -> str:
        """Create a vhost and return its URL for the administrator."""
        self._api("PUT", f"vhosts/{_quoted(name)}", {})
        self._allow(name, self.user, ".*", ".*", ".*")
        return self._url(name, self.user, self.password)

    def by_tls(self, url: str, trusted: Path | str) -> str:
        """The URL of an account, by TLS."""
        return url.replace("amqp:", "amqps:").replace(f":{self.port}/", f":{self.tls_port}/") + f"?tls={trusted}"

    def delete_vhost(self, name: str) -> None:
        """Remove a vhost with its queues, closing the connections to it."""
        self._api("DELETE", f"vhosts/{_quoted(name)}")

    def create_user(self, vhost: str, name: str, password: str, configure: str, write: str, read: str) -> str:
        """Create a user with permissions (regular expressions) in one vhost and return the URL for it."""
        self._api("PUT", f"users/{_quoted(name)}", {"password": password, "tags": ""})
        self._allow(vhost, name, configure, write, read)
        return self._url(vhost, name, password)

    def queue_info(self, vhost: str, queue: str) -> dict[str, Any]:
        """Return what the management API knows of a queue; its message counts are up to 5 seconds old."""
        info: dict[str, Any] = self._api("GET", f"queues/{_quoted(vhost)}/{_quoted(queue)}")
        return info

    def delete_queue(self, vhost: str, queue: str) -> None:
        """Remove a queue with its messages, as an administrator can."""
        self._api("DELETE", f"queues/{_quoted(vhost)}/{_quoted(queue)}")

    def control(self, *command: str) -> str:
        """What `rabbitmqctl` says to a command, which takes a second or two."""
        return run([str(Path(_programs()[-1]).with_name("rabbitmqctl")), *command], self._environment())

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would.

        A quorum queue that was declared less than about a second ago may not survive this.
        """
        if self._broker is not None:
            self._broker.kill()

    def stop(self) -> None:
        """End the broker in an orderly way, which takes 6 seconds; restart starts it again with its data."""
        if self._broker is not None:
            self._broker.terminate()
        self._stop_epmd()

    def close(self) -> None:
        """End the broker for good, as fast as possible."""
        self.kill()
        self._stop_epmd()

    def is_running(self) -> bool:
        """Tell whether the broker's process is there."""
        return self._broker is not None and self._broker.is_alive()

    def restart(self) -> None:
        """Start the broker again with its data on the same ports, after stopping it if it runs."""
        self.stop()
        self.launch()
        self.until_ready()

    def launch(self) -> None:
        """Start the broker without waiting for it: members of a new cluster wait for each other."""
        self._epmd.start()
        log = self._directory / "output.log"
        self._broker = ChildProcess("rabbitmq-server", [_programs()[-1]], log=log, env=self._environment())

    def until_ready(self) -> None:
        """Wait until the broker takes connections."""
        if self._broker is None:
            raise ServerError("RabbitMQ does not run")
        wait_until(self._is_ready, _TIMEOUT, self._broker)

    def _stop_epmd(self) -> None:
        if self._membership is None:  # else it is the others' too
            self._epmd.kill()

    def configure(self) -> None:
        """Write the files from which the broker starts."""
        self._directory.mkdir(parents=True, exist_ok=True)
        cookie = self._directory / ".erlang.cookie"
        cookie.write_text(self._membership.cookie if self._membership else secrets.token_hex(10), encoding="ascii")
        cookie.chmod(0o400)  # Erlang refuses one that others could read
        settings = (
            f"listeners.tcp.default = {self.host}:{self.port}\n"
            "num_acceptors.tcp = 2\n"
            f"default_user = {self.user}\n"
            f"default_pass = {self.password}\n"
            "loopback_users = none\n"
            f"management.tcp.ip = {self.host}\n"
            f"management.tcp.port = {self.management_port}\n"
            "vm_memory_high_watermark.absolute = 512MiB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        if self._consumer_timeout is not None:
            settings += f"consumer_timeout = {self._consumer_timeout}\n"
        if self.tls is not None:
            settings += (
                f"listeners.ssl.default = {self.host}:{self.tls_port}\n"
                "num_acceptors.ssl = 2\n"
                f"ssl_options.certfile = {self.tls.file}\n"
                f"ssl_options.keyfile = {self.tls.key}\n"
                "ssl_options.versions.1 = tlsv1.3\n"
                "ssl_options.versions.2 = tlsv1.2\n"
            )
        if self._membership is not None:
            settings += "cluster_formation.peer_discovery_backend = classic_config\n"
            for number, peer in enumerate(self._membership.peers, 1):
                settings += f"cluster_formation.classic_config.nodes.{number} = {peer}\n"
        (self._directory / "rabbitmq.conf").write_text(settings, encoding="utf-8")
        # With the default tick of 60 s an expired consumer time-out is noticed up to a minute late.
        advanced = "[{rabbit,[{channel_tick_interval,1000}]},{ra,[{wal_max_size_bytes,16777216}]}].\n"
        (self._directory / "advanced.config").write_text(advanced, encoding="ascii")
        (self._directory / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="ascii")

    def _environment(self) -> dict[str, str]:
        home = self._directory
        return clean_environment(home) | {
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_DIST_PORT": str(self._cluster_port),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(_ERLANG_OPTIONS),
            # Makes the start script become Erlang instead of its parent, so that a signal reaches Erlang.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _is_ready(self) -> bool:
        """The broker answers an AMQP header, and the management API knows the administrator."""
        with socket.create_connection((self.host, self.port), timeout=5) as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            if connection.recv(1) != b"\x01":
                return False
        return bool(self._api("GET", "whoami")["name"] == self.user)

    def _allow(self, vhost: str, user: str, configure: str, write: str, read: str) -> None:
        permissions = {"configure": configure, "write": write, "read": read}
        self._api("PUT", f"permissions/{_quoted(vhost)}/{_quoted(user)}", permissions)

    def _url(self, vhost: str, user: str, password: str) -> str:
        return f"amqp://{_quoted(user)}:{_quoted(password)}@{self.host}:{self.port}/{_quoted(vhost)}"

    def _api(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """Call the management API, never through a proxy of the environment."""
        url = f"http://{self.host}:{self.management_port}/api/{path}"
        request = urllib.request.Request(url, method=method)
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {credentials}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.loads(response.read() or b"null")


def _programs() -> list[str]:
    return sorted(str(path) for path in Path(_SERVERS).glob(_PROGRAM))


def _quoted(name: str) -> str:
    return quote(name, safe="")
