"""The cleaner over many objects on a real Ceph RGW and MariaDB: time, memory, what goes, what stays; nothing is judged.

python -m benchmarks.scrub --objects 100000 --gone 0.4
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.farm.control import cpu_of
from raven import names
from raven.config import Settings
from raven.ports import Storage
from raven.wiring import open_database, open_storage
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_database, load_schema
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment, private_directory

ROOT = Path(__file__).parents[1]
PER_TASK = 1000
"""Objects: a film of 20 minutes with the default ladder."""
WRITERS = 16


@dataclass(frozen=True)
class Run:
    """One run of scrub.py. Memory in MB at its peak, CPU in s of the cleaner alone."""

    run: str
    seconds: float
    cpu: float
    memory: float
    removed: int
    kept: int


@contextmanager
def servers() -> Iterator[tuple[str, str, dict[str, str]]]:
    """URLs of a database with the schema and of an empty bucket, and the bucket's keys."""
    with ExitStack() as stack:
        database = MariaDb.start(stack.enter_context(private_directory()))
        stack.callback(database.close)
        ceph = CephRgw.start(stack.enter_context(private_directory()))
        stack.callback(ceph.stop)
        url = load_schema(database, stack.enter_context(fresh_database(database)))
        bucket = f"raven-{os.getpid()}"
        yield url, ceph.create_bucket(bucket), aws_environment(ceph)


def fill(url: str, storage: Storage, objects: int, gone: float) -> None:
    """Tasks of which a share has no row any more, and small objects: their number counts, not their size."""
    tasks = -(-objects // PER_TASK)
    with closing(open_database(Settings(database=url))) as database, database.transaction():
        for task in range(1, tasks + 1):
            if task > gone * tasks:
                database.execute("INSERT INTO tasks (id, source, status) VALUES (?, 'x', 'done')", (task,))

    def put(number: int) -> None:
        task, segment = divmod(number, PER_TASK)
        storage.put(f"{names.out_prefix(task + 1)}video/720p/{names.segment_name(segment + 1)}", b"x" * 100)

    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(put, range(objects)):
            pass


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
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def main(objects: int, gone: float, as_json: bool) -> None:
    with servers() as (database, bucket, keys):
        os.environ |= keys
        begun = time.monotonic()
        fill(database, open_storage(Settings(storage=bucket)), objects, gone)
        click.echo(f"{objects} objects stored in {time.monotonic() - begun:.0f} s", err=True)
        home = Path.cwd()
        environment = clean_environment(home) | keys | {"RAVEN_DATABASE": database, "RAVEN_STORAGE": bucket}
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
