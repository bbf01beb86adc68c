"""The farm of README.md, started by its ten lines, and each documented command of clients and operators on it."""

from __future__ import annotations

import re
import secrets
import shlex
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from raven.roster import drain
from tests.documented.pages import ROOT, blocks
from tests.documented.shown import Shown, check, run
from tests.farm.farm import Daemon, Farm, Servers
from tests.media import generate_clip
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_bucket, fresh_database, fresh_vhost
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment
from tests.servers.rabbitmq import RabbitMq
from watcher.watcher import steady_clock

pytestmark = pytest.mark.servers
BIN = Path(sys.executable).parent
INSERT, SELECT, DELETE = SQL = (
    "INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv');",
    "SELECT status, progress, url, message FROM tasks WHERE id = 1;",
    "DELETE FROM tasks WHERE id = 1;",
)


class Site:
    """Servers, what README.md calls them, and a folder with a film in it."""

    def __init__(self, folder: Path, mariadb: MariaDb, database: str, broker: str, storage: str, ceph: CephRgw) -> None:
        self.folder, self.database = folder, urlsplit(database).path[1:]
        owner, password = f"raven-{uuid.uuid4().hex}", secrets.token_hex(8)
        mariadb.create_user(owner, password, [f"ALL PRIVILEGES ON `{self.database}`.*"])
        url = f"mysql://{owner}:{password}@{mariadb.host}:{mariadb.port}/{self.database}"
        self.instead = {
            "-u raven -p raven": self.database,
            "mysql://raven:secret@db:3306/raven": url,
            "amqp://raven:secret@broker:5672/": broker,
            "s3://videos?endpoint=https://ceph.example": storage,
            "/srv/in": f"{folder}/sources",
        }
        plain = clean_environment(folder)
        # what operators have in their shell, and hosts of their own are without
        own = {"RAVEN_TEMPORARY": f"{folder}/temporary", "RAVEN_SLOTS": "1", "COLUMNS": "200"}
        self.environment = plain | {"PATH": f"{BIN}:{plain['PATH']}"} | own | aws_environment(ceph)
        (folder / ".my.cnf").write_text(
            f"[client]\nhost={mariadb.host}\nport={mariadb.port}\nuser={owner}\npassword={password}\nprotocol=tcp\n"
        )

    def here(self, line: str) -> str:
        """A line of README.md, for these servers."""
        for there, here in self.instead.items():
            line = line.replace(there, here)
        return line

    def ask(self, sql: str) -> str:
        """What MariaDB's client says to a line of SQL."""
        return run(f"mariadb {self.database} -e {shlex.quote(self.here(sql))}", self.environment, ROOT)


class Stage:
    """The farm, and what stands for ID, NAME and other words of the pages."""

    def __init__(self, farm: Farm, site: Site) -> None:
        self.farm, self.site = farm, site
        self.done, self.refused = self._done(), self._refused()

    @property
    def environment(self) -> Mapping[str, str]:
        """An operator's, who has the watcher's settings."""
        return self.site.environment | {"RAVEN_DATABASE": self.farm.servers.database}

    @property
    def film(self) -> str:
        return self.site.here("/srv/in/film.mkv")

    def _done(self) -> str:
        """A task that was inserted as documented and is done."""
        self.site.ask(INSERT)
        task = self.newest()
        self.farm.done(int(task))
        return task

    def _refused(self) -> str:
        """A task of which a notice was refused, as no host may be told."""
        task = self.farm.submit(f"{self.film}.none", callback_url="https://news.example/")
        assert self.farm.ended(task)["status"] == "failed"
        self.farm.until(lambda: self._notices(task), "a notice was refused")
        return str(task)

    def notice(self) -> str:
        return self._notices(int(self.refused))[0]

    def _notices(self, task: int) -> list[str]:
        rows = self.farm.database.query("SELECT id FROM notices WHERE task_id = ? AND state = 'refused'", (task,))
        return [str(row["id"]) for row in rows]

    def newest(self) -> str:
        return str(self.farm.database.query("SELECT MAX(id) AS id FROM tasks")[0]["id"])

    def log(self) -> str:
        return shlex.quote(str(self.farm.daemons["watcher"].log))

    def running(self) -> str:
        """A task that has just been inserted."""
        return str(self.farm.submit(self.film))

    def drained(self) -> str:
        drain(self.farm.database, "spare", steady_clock()())
        return "spare"

    def silent(self) -> str:
        """A node that vanished some minutes ago."""
        self.farm.database.execute(
            "INSERT INTO nodes (name, role, instance, slots, build, seen_at) VALUES ('gone', 'worker', 'x', 1, '1', ?)",
            (steady_clock()() - 300_000,),
        )
        return "gone"

    def settings(self, role: str) -> Mapping[str, str]:
        """Those of a host that has this daemon alone."""
        return self.site.environment | self.farm.environment(role, role)


COMMANDS: dict[str, Shown[Stage]] = {
    "raven submit FILM --options '{\"metadata_only\": true}'": Shown(r"^task \d+$", {"FILM": lambda s: s.film}),
    "raven probe FILM": Shown(r"video  h264 320x180", {"FILM": lambda s: s.film}),
    "raven list": Shown(r" done +100\.0 % .*/film\.mkv$"),
    "raven status ID": Shown(r"^task \d+: done, 100\.0 %$", {"ID": lambda s: s.done}),
    "raven watch ID": Shown(r"^100\.0 %  done", {"ID": Stage.running}),
    "raven log ID": Shown(r"worker +encode done$", {"ID": lambda s: s.done}),
    "raven retry ID": Shown(r"^task \d+ is tried again", {"ID": lambda s: s.refused}),
    "raven top": Shown(r"^worker +1 "),
    "raven top --once": Shown(r"^LANE +SLOTS"),
    "raven top --json": Shown(r'^\{.*"lanes"'),
    "raven nodes": Shown(r"^worker .* ready$"),
    "raven nodes drain NAME": Shown(r"takes no more jobs", {"NAME": lambda _: "spare"}),
    "raven nodes resume NAME": Shown(r"takes jobs again", {"NAME": Stage.drained}),
    "raven nodes forget NAME": Shown(r"is forgotten$", {"NAME": Stage.silent}),
    "raven profiles": Shown(r"^archive: "),
    "raven notices": Shown(r"^\d+ +\d+ +failed +.*refused"),
    "raven notices TASK": Shown(r"RAVEN_CALLBACK_HOSTS names no host", {"TASK": lambda s: s.refused}),
    "raven notices again ID": Shown(r"sent", {"ID": Stage.notice}),
    "raven doctor": Shown(r"^ok +database .*\n(.*\n)*ok +farm "),
    "raven doctor --json": Shown(r'"verdict": "(ok|warning)"'),
    "raven doctor --role worker": Shown(r"^ok +storage ", settings=lambda s: s.settings("worker")),
    "raven doctor --role watcher": Shown(r"^ok +broker ", settings=lambda s: s.settings("watcher")),
    "raven migrate": Shown(r"which this Raven needs$"),
    "raven migrate --restored": Shown(r"^the next task gets number 1\d{3}, above all that the storage has$"),
    "raven migrate --check": Shown(r"which this Raven needs$"),
    "scrub.py --dry-run": Shown(
        r"objects, \d+\.\d MB would go; \d+ stay$", {"scrub.py": lambda _: shlex.quote(str(ROOT / "scrub.py"))}
    ),
    'grep \'"level": "error"\'': Shown(
        r"at work", {"error\"'": lambda s: f"info\"' {s.log()}"}
    ),  # there are no errors to be found
    "python -m scrub": Shown(r"removed; \d+ stay$"),
}
README = next(block for block in blocks((ROOT / "README.md").read_text("utf-8")) if "raven-worker &" in block)
"""The ten lines."""
POLICY = (
    "rabbitmqctl set_policy -p VHOST --apply-to queues jobs"
    " '^raven\\.(master|worker|reports)' '{\"delivery-limit\":100000}'"
)
BROKER = {
    "rabbitmqctl delete_user guest": "Deleting user",
    "rabbitmqctl list_queues -p raven name messages": "raven.reports.dead\t0",
    "rabbitmqctl purge_queue -p raven raven.reports.dead": "Purging queue",
    POLICY: "Setting policy",
}


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, mariadb_server: MariaDb, rabbitmq_server: RabbitMq, ceph_server: CephRgw
) -> Iterator[Stage]:
    """As README.md tells to make it: the schema, settings, daemons in the background."""
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database(mariadb_server))
        broker, storage = (
            stack.enter_context(fresh_vhost(rabbitmq_server)), stack.enter_context(fresh_bucket(ceph_server)),
        )  # fmt: skip
        site = Site(tmp_path_factory.mktemp("ten-lines"), mariadb_server, database, broker, storage, ceph_server)
        url, keys = site.instead["mysql://raven:secret@db:3306/raven"], aws_environment(ceph_server)
        servers = Servers(url, broker, storage, keys, ceph_server, rabbitmq_server)
        farm = stack.enter_context(closing(Farm(site.folder, servers)))
        generate_clip(farm.sources / "film.mkv", 50)
        for line in map(site.here, README):
            _type(line, farm, site)
        farm.until_seen()
        yield Stage(farm, site)
        assert farm.complaints() == []


def _type(line: str, farm: Farm, site: Site) -> None:
    """Does what a shell would, but that what is put into the background ends with the tests."""
    if line.startswith("export "):
        site.environment |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
    elif line.endswith(" &"):
        (role,) = re.findall(r"raven-(\w+) &$", line)
        settings = site.environment | {"RAVEN_NODE": role}
        farm.daemons[role] = Daemon(role, role, site.folder, settings, ["bash", "-c", f"exec env {line[:-2]}"])
    else:
        run(line, site.environment, ROOT)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_does_what_it_says(command: str, stage: Stage) -> None:
    shown = COMMANDS[command]
    settings = shown.settings or (lambda s: s.environment)

    check(run(shown.line(command, stage), settings(stage), ROOT), shown)


def test_the_documented_statements_submit_follow_and_cancel(stage: Stage) -> None:
    assert "/master.m3u8" in stage.site.ask(SELECT.replace("1", stage.done))
    stage.site.ask(INSERT)
    task = int(stage.newest())

    stage.site.ask(DELETE.replace("1", str(task)))

    stage.farm.until(lambda: not stage.farm.jobs(task) and not stage.farm.keys(f"out/{task}/"), "nothing is left")


@pytest.mark.parametrize("command", BROKER)
def test_a_documented_command_for_the_broker_is_one_that_it_takes(
    command: str, stage: Stage, rabbitmq_server: RabbitMq
) -> None:
    if command.endswith(" guest"):
        rabbitmq_server.control("add_user", "guest", "guest")
    vhost = f"-p {stage.farm.servers.vhost} "
    words = shlex.split(command.replace("-p VHOST ", vhost).replace("-p raven ", vhost))

    assert BROKER[command] in rabbitmq_server.control(*words[1:])
