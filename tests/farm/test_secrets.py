"""A film goes through a whole farm, by TLS to all servers, and whatever can be read of it holds none of its secrets."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pika
import pytest
from click.testing import CliRunner

from raven import names
from raven.cli import main
from tests.authority import Certificate
from tests.farm.farm import ROOT, Daemon, Farm, Gate, Servers, Syslog, fresh_servers
from tests.media import ffmpeg, generate_clip
from tests.receiver import CLOSE, Receiver, receiver
from tests.scrape import shown
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment, free_port
from tests.servers.rabbitmq import RabbitMq

pytestmark = pytest.mark.servers

DATABASE, BROKER, STORAGE = "D4t/ab:se@#?%-pass", "Br0k/er:w@rd#?%-pass", "St0r4ge/Secret+Key=0123456789abcdefghijk"
CALLBACK = "C4llb/ack+s@cret-pass"
WRONG = "Wr0ng/but:s@me#elsewhere%-pass"
"""What a person types who mistakes one password for another."""
MAIL = "M4il/pass:w@rd#?%"
SECRETS = (DATABASE, BROKER, STORAGE, CALLBACK, MAIL, WRONG)
TOLD = b"-m\0worker\0"
"""The one daemon whose operator has put secrets into its environment; its children must have none of them."""
ACCESS = "AKRAVENTESTSECRETS01"


def marks(secret: str) -> set[bytes]:
    """As a secret may stand in a text: as it is, in a URL, in JSON, in SQL."""
    return {form.encode() for form in (secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1])}


@dataclass
class Heard:
    """All that was written, said or shown, by what it was."""

    texts: list[tuple[str, bytes]] = field(default_factory=list)

    def hear(self, what: str, text: bytes | str) -> None:
        self.texts.append((what, text if isinstance(text, bytes) else text.encode()))

    def told(self) -> set[tuple[str, str]]:
        """Which secret stands where."""
        return {
            (what, secret) for what, text in self.texts for secret in SECRETS if any(m in text for m in marks(secret))
        }


class Spy:
    """Looks again and again at the command lines and environments of all processes of a farm."""

    def __init__(self, farm: Farm) -> None:
        self._mark = f"RAVEN_TEST_FARM={farm.folder}".encode()
        self.seen: dict[str, bytes] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    environment, command = (process / "environ").read_bytes(), (process / "cmdline").read_bytes()
                    whole = command and environment == (process / "environ").read_bytes()  # it was not just starting
                    if whole and self._mark in environment:
                        told = b"" if command.endswith(TOLD) else environment
                        self.seen[command.replace(b"\0", b" ").decode("utf-8", "replace")] = told

    def ran(self, words: str) -> bool:
        return any(words in command for command in list(self.seen))

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def servers(
    mariadb_server: MariaDb, rabbitmq_server: RabbitMq, ceph_server: CephRgw, tls: Certificate
) -> Iterator[Servers]:
    """With accounts whose passwords are the secrets, all by TLS."""
    with fresh_servers(mariadb_server, rabbitmq_server, ceph_server) as plain:
        name = urlsplit(plain.database).path[1:]
        mariadb_server.create_user("secretive", DATABASE, [f"ALL PRIVILEGES ON `{name}`.*"])
        account = f"secretive:{quote(DATABASE, safe='')}@{mariadb_server.host}:{mariadb_server.port}"
        broker = rabbitmq_server.create_user(plain.vhost, "secretive", BROKER, ".*", ".*", ".*")
        user = ("--uid=secretive", "--display-name=Secretive", "--access-key", ACCESS, "--secret-key", STORAGE)
        ceph_server.administer("user", "create", *user)
        ceph_server.client(ACCESS, STORAGE).create_bucket(Bucket="secretive")
        yield replace(
            plain,
            database=f"mysql://{account}/{name}?tls={tls.trusted}",
            broker=rabbitmq_server.by_tls(broker, tls.trusted),
            storage=ceph_server.by_tls(f"s3://secretive?endpoint={ceph_server.endpoint}", tls.trusted),
            aws={"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": STORAGE, "AWS_DEFAULT_REGION": "us-east-1"},
        )
        ceph_server.administer("bucket", "rm", "--bucket=secretive", "--purge-objects")
        ceph_server.administer("user", "rm", "--uid=secretive")


@pytest.fixture
def client() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    with closing(Syslog()) as server:
        yield server


@pytest.fixture
def farm(tmp_path: Path, servers: Servers, syslog: Syslog, client: Receiver) -> Iterator[Farm]:
    settings = {
        "RAVEN_LOG_LEVEL": "debug",
        "RAVEN_SYSLOG": syslog.address,
        "RAVEN_CALLBACK_HOSTS": f"127.0.0.1:{client.port}",
        "RAVEN_CALLBACK_NETWORKS": "127.0.0.0/8",
        "RAVEN_MAIL_FROM": "raven@farm.example",
        "RAVEN_MAIL_DOMAINS": "news.example",
    }
    with closing(Farm(tmp_path, servers, **settings)) as farm:
        farm.s3 = servers.ceph.client(ACCESS, STORAGE)
        yield farm


def by_files(farm: Farm, folder: Path) -> dict[str, str]:
    """The secrets in files of their own, as the manual has it."""
    folder.mkdir()
    keys = f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {STORAGE}\n"
    texts = {
        "RAVEN_DATABASE_FILE": farm.servers.database,
        "RAVEN_BROKER_FILE": farm.servers.broker,
        "RAVEN_CALLBACK_SECRET_FILE": CALLBACK,
        "RAVEN_MAIL_SERVER_FILE": f"smtp://raven:{quote(MAIL, safe='')}@127.0.0.1:{free_port()}?tls=system",
        "AWS_SHARED_CREDENTIALS_FILE": keys,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o600)
    return {name: str(folder / name) for name in texts}


def start(farm: Farm, role: str, node: str, files: dict[str, str], **more: str) -> Daemon:
    """A daemon whose environment holds no secret."""
    wanted = {name: file for name, file in files.items() if role == "watcher" or "BROKER" in name or "AWS" in name}
    open_ones = {
        name: value
        for name, value in farm.environment(role, node, **more).items()
        if not name.startswith("AWS_") and name not in ("RAVEN_DATABASE", "RAVEN_BROKER")
    }
    farm.daemons[node] = Daemon(role, node, farm.folder, open_ones | wanted)
    return farm.daemons[node]


@contextlib.contextmanager
def tapped(server: RabbitMq, vhost: str) -> Iterator[list[bytes]]:
    """Every message that goes through Raven's exchanges meanwhile, once it is over."""
    heard: list[bytes] = []
    login = pika.PlainCredentials(server.user, server.password)
    parameters = pika.ConnectionParameters(server.host, server.port, vhost, login, heartbeat=0)
    with closing(pika.BlockingConnection(parameters)) as connection:
        channel: Any = connection.channel()
        channel.queue_declare("tap", exclusive=True)
        for exchange in (names.JOBS, names.ANSWERS, names.CONTROL):
            for queue in names.QUEUES:
                channel.queue_bind("tap", exchange, queue)
        yield heard
        while (message := channel.basic_get("tap", auto_ack=True))[0] is not None:
            heard.append(repr(message[1]).encode() + message[2])


def run(environment: dict[str, str], *words: str) -> str:
    """All that a command of `raven` says."""
    ended = CliRunner().invoke(main, words, env=environment)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.output


def commands(farm: Farm, files: dict[str, str], heard: Heard, task: int) -> None:
    """Each command with the right secrets."""
    storage = {"RAVEN_STORAGE": farm.servers.storage, "RAVEN_TEMPORARY": str(farm.temporary)}
    environment = storage | files | {"RAVEN_LOG_LEVEL": "debug"}
    number = str(task)
    for words in (
        ("doctor", "--json"), ("status", number), ("list", "--json"), ("log", number), ("watch", number),
        ("top", "--once"), ("nodes", "--json"), ("notices", "--json"), ("migrate", "--check"), ("retry", number),
        ("cancel", "999999"),
    ):  # fmt: skip
        heard.hear(f"raven {' '.join(words)}", run(environment, *words))
    script = [sys.executable, str(ROOT / "scrub.py"), "--dry-run"]
    done = subprocess.run(script, env=clean_environment(farm.folder) | environment, capture_output=True, check=True)
    heard.hear("scrub.py", done.stdout + done.stderr)


def mistaken(farm: Farm, heard: Heard) -> None:
    """Commands and a daemon with a wrong password, and with URLs that cannot be read."""
    servers = farm.servers
    wrong, escaped = quote(WRONG, safe=""), quote(DATABASE, safe="")
    for password in (wrong, WRONG):
        told = run({"RAVEN_DATABASE": servers.database.replace(escaped, password)}, "list", "--json")
        assert "database" in told or "Access denied" in told, told
        heard.hear("list, wrong", told)
    settings = {
        "RAVEN_DATABASE": servers.database.replace(escaped, wrong),
        "RAVEN_BROKER": servers.broker.replace(quote(BROKER, safe=""), wrong),
        "RAVEN_STORAGE": servers.storage,
        "RAVEN_CALLBACK_SECRET": WRONG,
        **servers.aws,
        "AWS_SECRET_ACCESS_KEY": WRONG,
    }
    told = run(settings, "doctor")
    assert "Access denied" in told
    assert "ACCESS_REFUSED" in told
    assert "SignatureDoesNotMatch" in told
    heard.hear("doctor, wrong", told)
    stranger = farm.start("worker", "stranger", RAVEN_BROKER=settings["RAVEN_BROKER"])
    farm.until(lambda: "ACCESS_REFUSED" in stranger.log_tail(), "the broker refuses it")
    stranger.kill()


def test_no_secret_stands_in_anything_that_is_written_said_or_shown(
    farm: Farm, tmp_path: Path, syslog: Syslog, client: Receiver, mariadb_server: MariaDb, rabbitmq_server: RabbitMq
) -> None:
    heard, gate, port = Heard(), Gate(tmp_path, ffmpeg()), free_port()
    files = by_files(farm, tmp_path / "secrets")
    client.answers = [CLOSE]
    with closing(Spy(farm)) as spy:
        start(farm, "watcher", "watcher", files, RAVEN_METRICS=f"127.0.0.1:{port}")
        start(farm, "master", "master", files)
        farm.start("worker", "worker", RAVEN_FFMPEG=str(gate.program))
        farm.until_seen()
        with tapped(rabbitmq_server, farm.servers.vhost) as messages:
            told = {"callback_url": client.url(), "notify_email": "desk@news.example"}
            task = farm.submit(generate_clip(farm.sources / "film.ts", 75), profile="tiny", **told)
            farm.until(lambda: spy.ran("chunk.nut"), "an encode has begun")
            for key in farm.keys("tmp/"):
                heard.hear(key, farm.get(key))
            for file in filter(Path.is_file, farm.temporary.rglob("*")):
                heard.hear(str(file), file.read_bytes())
            gate.open()
            farm.done(task)
            failed = farm.submit(farm.sources / "nothing.ts")
            farm.ended(failed)
            farm.until(lambda: client.posts, "a notice is tried")
            heard.hear("metrics", shown(port))
        commands(farm, files, heard, task)
    mistaken(farm, heard)

    for message in messages:
        heard.hear("a message", message)
    for command, environment in spy.seen.items():
        heard.hear(f"the process {command}", command.encode() + environment)
    for key in farm.keys("out/"):
        heard.hear(key, farm.get(key))
    name = urlsplit(farm.servers.database).path[1:]
    heard.hear("the database", mariadb_server.dump(name))
    for daemon in farm.daemons.values():
        heard.hear(f"the log of {daemon.node}", daemon.log.read_bytes())
    heard.hear("syslog", "\n".join(syslog.lines))
    for post in client.posts:
        heard.hear("a notice", repr(post))

    everything = b"".join(text for _, text in heard.texts)
    signs = (
        b'"kind":"encode"',
        b"master.m3u8",
        b"INSERT INTO `notices`",
        b"broker connected",
        b"does not exist",
        b"mailto:desk",
    )
    for sign in (*signs, b"raven_watcher_at_work 1"):
        assert sign in everything, sign  # so all was really heard
    assert any(what.endswith("task.json") for what, _ in heard.texts)
    assert heard.told() == set()
    heard.hear("a slip", f"mysql://secretive:{quote(DATABASE, safe='')}@host/")
    assert heard.told() == {("a slip", DATABASE)}
