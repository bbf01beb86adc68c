"""The cleaner over many objects and a real MariaDB: time, memory, what goes, what stays; nothing is judged.

python -m benchmarks.scrub --objects 100000 --gone 0.4 --storage ceph
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from email.utils import formatdate
from pathlib import Path

import click

from benchmarks.farm.control import cpu_of
from raven import names
from raven.config import Settings
from raven.wiring import open_database
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_database, load_schema
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment, private_directory

ROOT = Path(__file__).parents[1]
PER_TASK = 1000
"""Objects: a film of 20 minutes with the default ladder."""
WRITERS = 16
CONTENT = b"x" * 100


@dataclass(frozen=True)
class Run:
    """One run of scrub.py. Memory in MB at its peak, CPU in s of the cleaner alone."""

    run: str
    seconds: float
    cpu: float
    memory: float
    removed: int
    kept: int


Put = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A database with the schema and an empty storage, which `put` puts small objects into."""

    database: str
    storage: str
    put: Put
    keys: dict[str, str]


@contextmanager
def place(kind: str) -> Iterator[Place]:
    with ExitStack() as stack:
        database = MariaDb.start(stack.enter_context(private_directory()))
        stack.callback(database.close)
        url = load_schema(database, stack.enter_context(fresh_database(database)))
        if kind == "directory":
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield Place(url, root.as_uri(), _files(root), {})
            return
        ceph = CephRgw.start(stack.enter_context(private_directory()))
        stack.callback(ceph.stop)
        bucket = f"raven-{os.getpid()}"
        yield Place(url, ceph.create_bucket(bucket), _requests(ceph, bucket), aws_environment(ceph))


def _files(root: Path) -> Put:
    """Without the fsync and the rename of the port, which would take most of the time."""

    def put(key: str) -> None:
        file = root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(CONTENT)

    return put


def _requests(ceph: CephRgw, bucket: str) -> Put:
    """By S3's old signature (version 2) and a connection for each thread: boto3 takes as much CPU as the gateway."""
    own = threading.local()

    def put(key: str) -> None:
        if not hasattr(own, "link"):
            own.link = http.client.HTTPConnection(ceph.endpoint.removeprefix("http://"))
        path, date = f"/{bucket}/{key}", formatdate(usegmt=True)
        code = hmac.digest(ceph.secret_key.encode(), f"PUT\n\n\n{date}\n{path}".encode(), "sha1")
        signed = f"AWS {ceph.access_key}:{base64.b64encode(code).decode()}"
        own.link.request("PUT", path, CONTENT, {"Date": date, "Authorization": signed})
        answer = own.link.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer.status} {answer.read()!r}")
        answer.read()

    return put


def fill(url: str, put: Put, objects: int, gone: float, seconds: float) -> int:
    """Tasks of which a share has no row any more, and small objects: their number counts, not their size.

    How many were stored, fewer where time was short.
    """
    until = time.monotonic() + seconds
    tasks = -(-objects // PER_TASK)
    with closing(open_database(Settings(database=url))) as database, database.transaction():
        for task in range(1, tasks + 1):
            if task > gone * tasks:
                database.execute("INSERT INTO tasks (id, source, status) VALUES (?, 'x', 'done')", (task,))

    def put_all(task: int) -> int:
        if time.monotonic() > until:
            return 0
        segments = min(PER_TASK, objects - task * PER_TASK)
        for segment in range(segments):
            put(f"{names.out_prefix(task + 1)}video/720p/{names.segment_name(segment + 1)}")
        return segments

    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(put_all, range(tasks)))


def measure(name: str, environment: dict[str, str], *options: str) -> Run:
    """A process of its own, as cron starts it."""
    command, begun = [sys.executable, str(ROOT / "scrub.py"), "--most", "100", *options], time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, env=environment, stdout=said)
        peak = cpu = 0.0
        while run.poll() is None:
            peak, cpu = _peak(run.pid) or peak, max(cpu, _cpu(run.pid))
            time.sleep(0.02)
        said.seek(0)
        words = said.read().splitlines()[-1].split()
    return Run(name, time.monotonic() - begun, cpu, peak, int(words[0]), int(words[-2]))


def _peak(pid: int) -> float:
    """MB since it was started; what wait4 tells is at least what its parent had when it forked."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    with suppress(OSError):
        return cpu_of(pid)
    return 0.0


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--objects", default=100_000, show_default=True, help=f"In tasks of {PER_TASK} each.")
@click.option("--gone", default=0.4, show_default=True, help="Share of the tasks that were deleted.")
@click.option("--storage", "kind", default="ceph", show_default=True, type=click.Choice(["ceph", "directory"]))
@click.option("--minutes", default=60.0, show_default=True, help="After which no more objects are stored.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def main(objects: int, gone: float, kind: str, minutes: float, as_json: bool) -> None:
    with place(kind) as where:
        begun = time.monotonic()
        stored = fill(where.database, where.put, objects, gone, minutes * 60)
        click.echo(f"{stored} objects stored in {time.monotonic() - begun:.0f} s", err=True)
        settings = {"RAVEN_DATABASE": where.database, "RAVEN_STORAGE": where.storage}
        environment = clean_environment(Path.cwd()) | where.keys | settings
        runs = [
            measure("looks", environment, "--dry-run"),
            measure("removes", environment),
            measure("looks again", environment, "--dry-run"),
        ]
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs]))
        return
    click.echo("run           seconds   cpu s  memory MB  removed     kept")
    for run in runs:
        click.echo(
            f"{run.run:<12} {run.seconds:>8.1f} {run.cpu:>7.1f} {run.memory:>10.0f} {run.removed:>8} {run.kept:>8}"
        )


if __name__ == "__main__":
    main()
