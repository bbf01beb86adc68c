"""A site: servers on hosts of their own, hosts with Raven on them, and an office from which they are looked at.

    data     10.77.0.10  MariaDB and RabbitMQ         storage  10.77.0.11  Ceph with its S3 gateway
    head     10.77.0.20  watcher and master           worker-N 10.77.0.3N  a worker
    office   10.77.0.99  administrators and clients: the tests themselves

Each host lets in what its role offers, and workers let out what goes to broker and storage, nothing else.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.deploy import accounts, bucket, rights
from tests.deploy.tools import DEPLOY
from tests.farm.farm import ROOT, Servers
from tests.hosts.firewall import firewall
from tests.hosts.host import Host, Switch
from tests.hosts.service import Service, begin
from tests.media import ffmpeg
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.rabbitmq import RabbitMq

T = TypeVar("T")
NETWORK = "10.77.0"
ADDRESSES = {"data": 10, "storage": 11, "head": 20, "office": 99} | {f"worker-{n}": 30 + n for n in range(1, 5)}
_SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
_PACKAGES, _SOURCE, _SETTINGS = Path("/opt/packages"), Path("/opt/source"), Path("/srv/settings")


def address(name: str) -> str:
    return f"{NETWORK}.{ADDRESSES[name]}"


def installed_ffmpeg() -> Path:
    """Where the packaged ffmpeg is on every host."""
    return _PACKAGES / Path(ffmpeg()).relative_to(_SITE_PACKAGES)


@dataclass(frozen=True)
class Data:
    """The servers, and what they gave their accounts."""

    mariadb: MariaDb
    rabbitmq: RabbitMq
    ceph: CephRgw
    storage: bucket.Bucket

    def servers(self) -> Servers:
        """As administrators reach them."""
        mariadb, vhost = self.mariadb, accounts.VHOST
        database = f"mysql://{mariadb.user}:{mariadb.password}@{mariadb.host}:{mariadb.port}/raven"
        broker = (
            f"amqp://{self.rabbitmq.user}:{self.rabbitmq.password}@{self.rabbitmq.host}:{self.rabbitmq.port}/{vhost}"
        )
        return Servers(database, broker, self.storage.url, {}, self.ceph, self.rabbitmq)

    def service(self, port: int) -> str:
        """What listens on a port of these servers."""
        mariadb, rabbitmq = self.mariadb.port, self.rabbitmq
        names = {mariadb: "MariaDB", rabbitmq.port: "RabbitMQ", rabbitmq.management_port: "RabbitMQ's management"}
        return names.get(port) or ("S3" if port == self.ceph.port else f"port {port}")

    def broker(self, role: str) -> dict[str, str]:
        return {"RAVEN_BROKER": accounts.url(self.rabbitmq, f"raven_{role}")}


class Site:
    """Hosts in one network, and a transcript of what an operator did on them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """`folder`: one that every user can reach. What is made here ends with `stack`."""
        self.folder, self._stack = folder, stack
        self.hosts: dict[str, Host] = {}
        self.transcript: list[str] = []
        self._switch = Switch()
        stack.callback(self._switch.close)
        self._install(self.host("office"))

    def host(self, name: str) -> Host:
        """A new host in the network, with nothing on it yet; all know each other by name."""
        host = Host(name)
        self._stack.callback(host.close)
        self._switch.plug(host, address(name))
        known = [f"{address(other)} {other}" for other in ADDRESSES]
        host.write("/etc/hosts", "\n".join(["127.0.0.1 localhost", *known, ""]))
        host.write("/etc/resolv.conf", "")
        self.hosts[name] = host
        return host

    def shell(self, name: str, line: str) -> str:
        """What a line of an operator does on a host, in the copy of the repository there."""
        said = self.hosts[name].run("sh", "-c", f"cd {_SOURCE} && PATH=/usr/local/sbin:$PATH && {line}")
        self.note(name, line, said)
        return said

    def note(self, name: str, line: str, said: str = "") -> None:
        self.transcript += [f"root@{name}# {line}", *said.splitlines()]

    def write_transcript(self, file: Path) -> None:
        file.write_text("\n".join([*self.transcript, ""]), "utf-8")

    # Raven

    def prepare(self, name: str, files: dict[str, dict[str, str]]) -> Host:
        """A host on which Raven's packages, a copy of the repository and settings lie, nothing else of Raven."""
        host = self.host(name)
        self._share(host, self.folder / "raven", Path("/opt/raven"))
        self._share(host, ROOT, _SOURCE)
        for file, settings in files.items():
            text = _filled(settings) if file == "raven.env" else "".join(f"{n}={v}\n" for n, v in settings.items())
            host.write(f"{_SETTINGS}/{file}", text, 0o600)
        return host

    def install(self, name: str) -> None:
        """The first of the two documented commands."""
        self.shell(name, f"deploy/install.sh --no-packages {_SETTINGS}/*.env")

    def start(self, name: str, role: str) -> Service:
        """The second one, as far as systemd does not have to be there."""
        self.note(name, f"systemctl enable --now raven-{role}")
        logs = self.folder / f"{name}-{role}"
        logs.mkdir()
        return begin(self.hosts[name], role, logs)

    def _install(self, host: Host) -> None:
        """Raven itself from a wheel, into /opt/raven; the packages that it needs are those of these tests."""
        raven, source = self.folder / "raven", self.folder / "source"
        leave = shutil.ignore_patterns(
            ".*", "build", "*.egg-info", "__pycache__", "node_modules", "tests", "benchmarks"
        )
        shutil.copytree(ROOT, source, ignore=leave)  # as a build writes into its source folder
        raven.mkdir()
        self._share(host, raven, Path("/opt/raven"), "rw")
        python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        host.run(python, "-m", "venv", "--without-pip", "/opt/raven")
        library = host.run("/opt/raven/bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        host.write(f"{library.strip()}/packages.pth", f"{_PACKAGES}\n")
        pip = ["/opt/raven/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        host.run(*pip, "--no-deps", "--no-index", "--no-build-isolation", source)

    def _entered(self, host: Host, manager: AbstractContextManager[T]) -> T:
        """Enters and leaves a context on a host."""
        entered = host.call(manager.__enter__)
        self._stack.callback(host.call, manager.__exit__, None, None, None)
        return entered

    def _share(self, host: Host, folder: Path, target: Path, mode: str = "ro") -> None:
        for source, there, how in ((folder, target, mode), (_SITE_PACKAGES, _PACKAGES, "ro")):
            host.run("mkdir", "-p", there)
            host.run("mount", "--bind", source, there)
            host.run("mount", "-o", f"remount,bind,{how}", there)

    # servers

    def start_servers(self) -> Data:
        """MariaDB, RabbitMQ and Ceph with the accounts of deploy/, and firewalls before them."""
        data, storage = self.host("data"), self.host("storage")
        begun = storage.begin(lambda: CephRgw.start(self.folder / "ceph", host=address("storage")))
        mariadb = data.call(lambda: MariaDb.start(self.folder / "mariadb", host=address("data")))
        self._stack.callback(data.call, mariadb.close)
        rabbitmq = data.call(lambda: RabbitMq.start(self.folder / "rabbitmq", host=address("data")))
        self._stack.callback(data.call, rabbitmq.close)
        ceph = begun.result()
        self._stack.callback(storage.call, ceph.stop)

        self._entered(data, rights.installed(mariadb))
        self._entered(data, accounts.imported(rabbitmq))
        made = self._entered(storage, bucket.made(ceph))
        office, head, all_hosts = address("office"), address("head"), f"{NETWORK}.0/24"
        to_data = [(head, mariadb.port), (office, mariadb.port), (all_hosts, rabbitmq.port)]
        data.run("nft", "-f", "-", text=firewall([*to_data, (office, rabbitmq.management_port)]))
        storage.run("nft", "-f", "-", text=firewall([(all_hosts, ceph.port)]))
        return Data(mariadb, rabbitmq, ceph, made)


def _filled(settings: dict[str, str]) -> str:
    """deploy/raven.env.example with some settings in force."""
    lines = (DEPLOY / "raven.env.example").read_text("utf-8").splitlines()
    for name, value in settings.items():
        (place,) = (number for number, line in enumerate(lines) if line.startswith(f"#{name}="))
        lines[place] = f"{name}={value}"
    return "\n".join([*lines, ""])
