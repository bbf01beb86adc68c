"""A whole farm for tests: real daemons as processes of their own, on real servers, with clients that are tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from raven.config import Settings
from raven.ports import Row
from raven.wiring import open_broker, open_database
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_bucket, fresh_database, fresh_vhost, load_schema
from tests.servers.mariadb import MariaDb
from tests.servers.process import HOST, ChildProcess, clean_environment
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PROFILES = Path(__file__).parent / "profiles"
FRAMES = 409
"""Of the clip that most tests encode: eight chunks of 50 frames, the last one longer."""


@dataclass(frozen=True)
class Servers:
    """Where the farm's servers are, and the bucket's keys."""

    database: str
    broker: str
    storage: str
    aws: Mapping[str, str]
    ceph: CephRgw
    rabbitmq: RabbitMq

    @property
    def bucket(self) -> str:
        return urlsplit(self.storage).netloc

    @property
    def vhost(self) -> str:
        return unquote(urlsplit(self.broker).path[1:])


@contextlib.contextmanager
def fresh_servers(mariadb: MariaDb, rabbitmq: RabbitMq, ceph: CephRgw) -> Iterator[Servers]:
    """A database of its owner's, a vhost and a bucket, all for one farm."""
    with fresh_database(mariadb) as database, fresh_vhost(rabbitmq) as broker, fresh_bucket(ceph) as storage:
        yield Servers(load_schema(mariadb, database), broker, storage, aws_environment(ceph), ceph, rabbitmq)


class Daemon(ChildProcess):
    """A daemon of the farm: it dies with the tests, and what it writes goes to a file."""

    def __init__(
        self,
        role: str,
        node: str,
        folder: Path,
        settings: Mapping[str, str],
        command: Sequence[str] = (),
        user: str | None = None,
    ) -> None:
        """`command`: another one than by this Python."""
        self.role, self.node, self.log = role, node, folder / f"{node}.log"
        environment = clean_environment(folder) | dict(settings)
        super().__init__(node, command or [sys.executable, "-m", role], log=self.log, env=environment, user=user)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the daemon alone, as a service manager does."""
        os.kill(self.pid, number)

    def exit_status(self, timeout: float = 30) -> int:
        """How it ended, which it must within `timeout`."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.node} still runs.\n{self.log_tail()}") from None

    def logged(self, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines with these fields."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in found if fields.items() <= line.items()]

    @property
    def environment(self) -> dict[str, str]:
        """What the kernel says that it was started with."""
        entries = Path(f"/proc/{self.pid}/environ").read_bytes().decode().split("\0")
        return dict(entry.split("=", 1) for entry in entries if entry)


class Syslog:
    """A syslog server on a UDP port that keeps what arrives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.address = f"{HOST}:{self._socket.getsockname()[1]}"
        self.lines: list[str] = []
        threading.Thread(target=self._receive, name="syslog", daemon=True).start()

    def _receive(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self.lines.append(self._socket.recv(1 << 16).decode())

    def close(self) -> None:
        self._socket.close()


class Farm:
    """Daemons on one set of servers, and what a client does with the table `tasks`."""

    def __init__(self, folder: Path, servers: Servers, **settings: str) -> None:
        self.folder, self.servers, self._settings = folder, servers, settings
        self.sources, self.temporary = folder / "sources", folder / "temporary"
        self.temporaries = [self.temporary]
        """All folders in which daemons of this farm work."""
        for path in (self.sources, self.temporary):
            path.mkdir()
        self.daemons: dict[str, Daemon] = {}
        self.database = open_database(Settings(database=servers.database))
        self.broker = open_broker(Settings(broker=servers.broker))
        self.s3 = servers.ceph.client()

    # daemons

    def environment(self, role: str, node: str, **more: str) -> dict[str, str]:
        """The settings of one daemon: each role has what it needs and no more."""
        servers = self.servers
        storage = {"RAVEN_STORAGE": servers.storage, "RAVEN_TEMPORARY": str(self.temporary), **servers.aws}
        own = {
            "watcher": {"RAVEN_DATABASE": servers.database, "RAVEN_PROFILES": str(PROFILES)},
            "master": storage | {"RAVEN_SOURCES": str(self.sources)},
            "worker": storage,
        }[role]
        own_mark = {"RAVEN_TEST_FARM": str(self.folder)}
        common = {"RAVEN_BROKER": servers.broker, "RAVEN_NODE": node, "RAVEN_SLOTS": "1"} | own_mark
        return own | common | self._settings | more

    def start(self, role: str, node: str, **more: str) -> Daemon:
        """Starts a daemon; in a farm every node has a name of its own."""
        self.daemons[node] = Daemon(role, node, self.folder, self.environment(role, node, **more))
        return self.daemons[node]

    def until_seen(self, *nodes: str) -> None:
        """Waits until the watcher knows these nodes, all of them if none is named."""
        wanted = set(nodes) or {node for node, daemon in self.daemons.items() if daemon.role != "watcher"}

        def seen() -> bool:
            return {row["name"] for row in self.database.query("SELECT name FROM nodes WHERE slots > 0")} >= wanted

        self.until(seen, f"the watcher knows {wanted}")

    def drain(self, daemon: Daemon) -> None:
        """The first SIGTERM, until it is understood."""

        def said() -> int:
            return sum(line["event"].startswith("draining") for line in daemon.logged())

        before = said()  # by daemons of this name that were there before
        daemon.signal(signal.SIGTERM)
        self.until(lambda: said() > before, "it drains")

    def complaints(self) -> list[str]:
        """Daemons that died by themselves, and errors that they logged."""
        dead = [f"{node} has died:\n{d.log_tail()}" for node, d in self.daemons.items() if not d.is_alive()]
        errors = [f"{node}: {line}" for node, d in self.daemons.items() for line in d.logged(level="error")]
        return dead + errors

    def close(self) -> None:
        """Kills what still runs. The children of a killed daemon die with it."""
        for daemon in self.daemons.values():
            daemon.kill()
        self.broker.close()
        self.database.close()

    # a client

    def submit(self, source: Path | str, **columns: object) -> int:
        """INSERTs a task as a client does; its id."""
        names = ["source", *columns]
        marks = ", ".join("?" for _ in names)
        sql = f"INSERT INTO tasks ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - columns named by tests
        self.database.execute(sql, (str(source), *columns.values()))
        return int(self.database.query("SELECT LAST_INSERT_ID() AS id")[0]["id"])

    def delete(self, task: int) -> None:
        assert self.database.execute("DELETE FROM tasks WHERE id = ?", (task,)) == 1

    def task(self, task: int) -> Row:
        return self.database.query("SELECT * FROM tasks WHERE id = ?", (task,))[0]

    def ended(self, task: int, timeout: float = 60) -> Row:
        """The row of a task, once it is at an end."""
        self.until(lambda: self.task(task)["status"] in ("done", "failed"), f"task {task} ends", timeout)
        return self.task(task)

    def done(self, task: int, timeout: float = 60) -> Row:
        """The row of a task, once it is done."""
        row = self.ended(task, timeout)
        assert row["status"] == "done", row["message"]
        return row

    def jobs(self, task: int, **columns: object) -> list[Row]:
        """The jobs of a task that have these values."""
        rows = self.database.query("SELECT * FROM jobs WHERE task_id = ? ORDER BY id", (task,))
        return [row for row in rows if columns.items() <= row.items()]

    def history(self, task: int, event: str) -> list[Row]:
        """What happened to a task's jobs, such as `encode done`, in order."""
        sql = "SELECT * FROM history WHERE task_id = ? AND event = ? ORDER BY id"
        return self.database.query(sql, (task, event))

    def until(self, condition: Callable[[], object], what: str, timeout: float = 60) -> None:
        """Waits for a condition; a failure shows what the farm was doing."""
        wait_until(lambda: bool(condition()), lambda: f"{what}\n{self._state()}", timeout)

    def _state(self) -> str:
        tasks = self.database.query("SELECT id, status, progress, message FROM tasks")
        jobs = self.database.query("SELECT task_id, kind, position, state, attempt, node, message FROM jobs")
        logs = [line for daemon in self.daemons.values() for line in daemon.log_tail(15).splitlines()]
        return "\n".join(str(line)[:300] for line in [*tasks, *jobs, *logs])

    # the broker

    def unacknowledged(self, queue: str) -> int:
        """Messages that somebody has taken and not acknowledged, as they were up to 5 s ago."""
        info = self.servers.rabbitmq.queue_info(self.servers.vhost, queue)
        return int(info.get("messages_unacknowledged", 0))

    # the bucket

    def keys(self, prefix: str) -> list[str]:
        """The keys of the bucket with this prefix, asked for without Raven's help."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.servers.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=self.servers.bucket, Key=key)["Body"].read()
        return content

    def put(self, key: str) -> None:
        """An object that lies there, whoever left it."""
        self.s3.put_object(Bucket=self.servers.bucket, Key=key, Body=b"x")

    def outputs(self, task: int) -> dict[str, bytes]:
        """All that a client can fetch of a task, by the key below its prefix."""
        prefix = f"out/{task}/"
        return {key.removeprefix(prefix): self.get(key) for key in self.keys(prefix)}

    def download(self, task: int, folder: Path) -> Path:
        """The outputs of a task in a folder, as a mirror of the bucket would have them."""
        shutil.rmtree(folder, ignore_errors=True)
        for key, content in self.outputs(task).items():
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    # the machine

    def processes(self, task: int, job: int | None = None) -> list[str]:
        """Command lines of processes that work in a temporary folder of this task, or of this job of it."""
        mark = f"{self.temporary}/raven-{task}-" + ("" if job is None else f"{job}-")
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found.append(file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        return [command for command in found if mark in command]


class Gate:
    """An ffmpeg that does not begin a chunk while its gate is shut: a job that takes as long as the test wants."""

    def __init__(self, folder: Path, ffmpeg: str) -> None:
        self._shut = folder / "shut"
        self.program = folder / "gated-ffmpeg"
        waits = f"while [ -e {self._shut} ]; do sleep 0.05; done"
        self.program.write_text(f'#!/bin/sh\ncase "$*" in *chunk.nut*) {waits};; esac\nexec {ffmpeg} "$@"\n')
        self.program.chmod(0o755)
        self.shut()

    def shut(self) -> None:
        self._shut.touch()

    def open(self) -> None:
        self._shut.unlink(missing_ok=True)


class Pipe:
    """A source that the test feeds piece by piece: for the master a film that is still being recorded."""

    def __init__(self, path: Path, film: Path) -> None:
        self.path, self._content, self._fed = path, film.read_bytes(), 0
        os.mkfifo(path)
        self._writer: int | None = None

    def feed(self, share: float) -> None:
        """Writes up to this share of the film, as soon as the master reads."""
        if self._writer is None:
            self._writer = wait_until(self._opened, "the master opens the pipe")
        until = int(len(self._content) * share)
        while self._fed < until:
            self._fed += os.write(self._writer, self._content[self._fed : min(until, self._fed + (1 << 16))])

    def close(self) -> None:
        """The film ends here."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def _opened(self) -> int | None:
        try:
            writer = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return None
        os.set_blocking(writer, True)
        return writer
