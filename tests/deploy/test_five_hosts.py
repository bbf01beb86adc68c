"""Five hosts that are alone with each other: installed as documented, walled off by firewalls, changed while they work.

`RAVEN_TEST_TRANSCRIPT=FILE` keeps what an operator would have typed and read.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from raven import names
from tests.deploy import rights
from tests.deploy.tools import DEPLOY
from tests.farm.aftermath import differences
from tests.farm.farm import FRAMES, PROFILES, Farm, Gate
from tests.hosts import host as hosts
from tests.hosts.firewall import firewall
from tests.hosts.service import Service
from tests.hosts.site import NETWORK, Data, Site, address, installed_ffmpeg
from tests.media import count_frames, ffmpeg, generate_clip
from tests.servers.fixtures import need
from tests.servers.process import private_directory

pytestmark = pytest.mark.servers
WORKERS = ("worker-1", "worker-2", "worker-3")
FILM = Path("/srv/in/film.ts")
RUNGS = 2
"""Of the profile `test`."""


class Hosts:
    """The site, its servers, its farm and what makes a chunk last as long as the test wants."""

    def __init__(self, site: Site, data: Data, farm: Farm, gate: Gate) -> None:
        self.site, self.data, self.farm, self.gate = site, data, farm, gate

    def add_head(self) -> None:
        """The host of the watcher and the master, the only one with sources."""
        mariadb, storage = self.data.mariadb, self.data.storage
        watcher = {
            "RAVEN_DATABASE": rights.url(mariadb, "raven_watcher", "raven"),
            "RAVEN_PROFILES": "/srv/profiles",
            "RAVEN_SECOND_RUNS": "false",  # so that each chunk has one node
        }
        master = {"RAVEN_SOURCES": str(FILM.parent)} | storage.environment("raven_master")
        files = {
            "raven.env": {"RAVEN_STORAGE": storage.url},
            "raven-watcher.env": watcher | self.data.broker("watcher"),
            "raven-master.env": master | self.data.broker("master"),
            "raven-scrub.env": {"RAVEN_DATABASE": rights.url(mariadb, "raven_scrub", "raven")}
            | storage.environment("raven_scrub"),
            "raven-owner.env": {"RAVEN_DATABASE": rights.url(mariadb, "raven_owner", "raven")},
        }
        head = self.site.prepare("head", files)
        head.run("mkdir", FILM.parent)
        head.run("cp", "-r", PROFILES, "/srv/profiles")
        head.call(lambda: generate_clip(FILM, FRAMES, gop=37))
        head.run("nft", "-f", "-", text=firewall())
        self.site.install("head")
        for role in ("watcher", "master"):
            self.farm.daemons[f"head-{role}"] = self.site.start("head", role)

    def add_worker(self, name: str) -> None:
        """By the two documented commands."""
        data = self.data
        files = {
            "raven.env": {
                "RAVEN_STORAGE": data.storage.url,
                "RAVEN_SLOTS": "1",
                "RAVEN_FFMPEG": str(self.gate.program),
            },
            "raven-worker.env": data.broker("worker") | data.storage.environment("raven_worker"),
        }
        host = self.site.prepare(name, files)
        outward = [(address("data"), data.rabbitmq.port), (address("storage"), data.ceph.port)]
        host.run("nft", "-f", "-", text=firewall(outward=outward))
        self.site.install(name)
        self.farm.daemons[name] = self.site.start(name, "worker")

    def operator(self, line: str) -> str:
        """A command with the watcher's settings, on its host."""
        return self.site.shell("head", f"raven-as watcher {line}")

    def service(self, name: str) -> Service:
        found = self.farm.daemons[name]
        assert isinstance(found, Service)
        return found

    def running(self, task: int) -> set[str]:
        """The nodes that encode."""
        return {job["node"] for job in self.farm.jobs(task, kind="encode", state="running")}


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Servers, storage, a head and three workers. The tests themselves are in the office."""
    need(hosts.missing())
    if reason := hosts.forbidden():
        pytest.skip(reason)
    with ExitStack() as stack:
        folder = stack.enter_context(private_directory())
        site = Site(folder, stack)
        data = site.start_servers()
        stack.enter_context(hosts.at(site.hosts["office"]))
        farm = stack.enter_context(closing(Farm(tmp_path_factory.mktemp("five"), data.servers())))
        farm.s3 = data.storage.client("raven_owner")
        farm.temporaries = []
        gate = Gate(folder, str(installed_ffmpeg()))
        gate.open()
        found = Hosts(site, data, farm, gate)
        found.add_head()
        for name in WORKERS:
            found.add_worker(name)
        farm.until_seen("head", *WORKERS)
        yield found
        assert farm.complaints() == []
        if file := os.environ.get("RAVEN_TEST_TRANSCRIPT"):
            site.write_transcript(Path(file))


@pytest.fixture(scope="module")
def undisturbed(five: Hosts) -> dict[str, bytes]:
    """What becomes of the film while nothing happens."""
    task = five.farm.submit(FILM, profile="test")
    five.farm.done(task)
    return five.farm.outputs(task)


def answer(five: Hosts, name: str, target: str, port: int) -> str:
    """What a host gets that connects to a port: "open", or what is wrong."""

    def connects() -> str:
        try:
            socket.create_connection((address(target), port), timeout=10).close()
        except OSError as error:
            return os.strerror(error.errno or 0)
        return "open"

    said = five.site.hosts[name].call(connects)
    five.site.note(name, f"(a connection to {target}, {five.data.service(port)})", said)
    return said


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_reaches_broker_and_storage_and_nothing_else(five: Hosts, name: str) -> None:
    database, broker, storage = five.data.mariadb.port, five.data.rabbitmq.port, five.data.ceph.port

    assert answer(five, name, "data", broker) == answer(five, name, "storage", storage) == "open"
    assert answer(five, "head", "data", database) == "open"
    assert answer(five, name, "data", database) == "Connection refused"
    assert answer(five, name, "data", five.data.rabbitmq.management_port) == "Connection refused"
    assert answer(five, name, "head", 22) == "Connection refused"
    routes = five.site.hosts[name].run("ip", "route").splitlines()
    assert [route.split()[0] for route in routes] == [f"{NETWORK}.0/24"], "there is a way to the internet"


def test_the_database_lets_no_worker_in_even_without_its_own_wall(five: Hosts) -> None:
    """A stolen worker can open its own firewall, not the one before the database."""
    host = five.site.hosts["worker-1"]
    rules = host.run("nft", "list", "ruleset")
    host.run("nft", "flush", "ruleset")

    assert answer(five, "worker-1", "data", five.data.mariadb.port) == "Connection refused"
    host.run("nft", "-f", "-", text=rules)


def test_only_the_masters_host_sees_the_sources(five: Hosts) -> None:
    seen = {name for name, host in five.site.hosts.items() if host.call(FILM.exists)}
    assert seen == {"head"}


def test_no_worker_has_the_databases_password(five: Hosts) -> None:
    password = rights.PASSWORDS["raven_watcher"]
    for name in WORKERS:
        assert "RAVEN_DATABASE" not in five.service(name).environment
        assert password not in five.site.hosts[name].run("sh", "-c", "cat /etc/raven/*.env")


def test_daemons_run_as_the_account_that_was_made_for_them(five: Hosts) -> None:
    for name, daemon in five.farm.daemons.items():
        owner = Path(f"/proc/{daemon.pid}").stat().st_uid
        assert owner == int(five.service(name).host.run("id", "-u", "raven")) != 0


def test_the_doctor_finds_no_fault_on_any_host(five: Hosts) -> None:
    for name, role in (("worker-1", "worker"), ("head", "watcher"), ("head", "master"), ("head", "scrub")):
        said = five.site.shell(name, f"raven-as {role} raven doctor --role {role}")
        assert not re.search(r"^fault ", said, re.M), said
        assert re.search(r"^ok +(storage|database) ", said, re.M)


@pytest.mark.parametrize(
    ("host", "line", "says"),
    [
        (
            "worker-1",
            "raven-as worker raven doctor --role worker",
            r"^ok +machine +room: .* in /var/cache/raven-worker,",
        ),
        ("head", "raven-as watcher raven nodes", r"^worker-1 +worker .* ready$"),
        ("head", "raven-as owner raven migrate", r"which this Raven needs$"),
        ("head", "raven-as scrub python -m scrub --dry-run", r"would go; \d+ stay$"),
        ("head", "raven-as master head -c 1 FILE", r"^G"),
    ],
)
def test_a_documented_command_runs_as_the_daemons_do(five: Hosts, host: str, line: str, says: str) -> None:
    said = five.site.shell(host, line.replace("FILE", str(FILM)))
    assert re.search(says, said, re.M), said


def test_a_host_runs_any_set_of_the_daemons(five: Hosts) -> None:
    """A head alone, workers alone, and here all three."""
    settings = five.site.hosts["worker-1"].run("cat", "/etc/raven/raven-worker.env")
    five.site.hosts["head"].write("/etc/raven/raven-worker.env", settings, 0o600)
    worker = five.site.start("head", "worker")
    five.farm.daemons["head-worker"] = worker

    def roles() -> set[str]:
        rows = five.farm.database.query("SELECT role FROM nodes WHERE name = 'head' AND slots > 0")
        return {row["role"] for row in rows}

    five.farm.until(lambda: roles() == {"master", "worker"}, "all three run on one host")
    worker.terminate()
    assert worker.exit_status() == 0
    del five.farm.daemons["head-worker"]
    five.farm.until(lambda: roles() == {"master"}, "its worker is gone")


@pytest.mark.parametrize(
    "line", ["deploy/install.sh raven.env raven-worker.env", "systemctl enable --now raven-worker"]
)
def test_the_two_commands_for_a_worker_are_documented(line: str) -> None:
    assert f"\n    {line}\n" in (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")


def test_a_worker_joins_and_another_leaves_while_a_film_is_encoded(
    five: Hosts, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    """Nobody is told of either; the film comes out complete, the same bytes as if nothing had happened."""
    five.gate.shut()
    task = five.farm.submit(FILM, profile="test")
    five.farm.until(lambda: five.running(task) == set(WORKERS), "three workers encode")

    five.add_worker("worker-4")
    five.farm.until(lambda: "worker-4" in five.running(task), "the fourth one encodes")
    five.operator("raven nodes")
    leaver = five.service("worker-2")
    five.site.note("worker-2", "systemctl disable --now raven-worker")
    stopping = leaver.stop()
    five.farm.until(
        lambda: any(line["event"].startswith("draining") for line in leaver.logged()), "the second one drains"
    )
    five.gate.open()
    assert leaver.exit_status() == 0
    stopping.result()
    del five.farm.daemons["worker-2"]

    five.farm.done(task)
    five.operator(f"raven status {task}")
    five.operator("raven nodes")
    assert differences(five.farm.outputs(task), undisturbed) == []
    playlist = five.farm.download(task, tmp_path / "film") / names.MULTIVARIANT
    assert count_frames(ffmpeg(), playlist, RUNGS) == [FRAMES] * RUNGS
    done = [row["node"] for row in five.farm.history(task, "encode done")]
    assert "worker-4" in done
    assert done.count("worker-2") == 1, "it ended what it had, and took nothing more"
    assert five.farm.history(task, "encode failed") == []
