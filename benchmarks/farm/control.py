"""The control plane at its limit: real watcher, MariaDB and RabbitMQ, and a fleet that sleeps instead of encoding."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from raven.config import Settings
from raven.errors import Unavailable
from raven.model import PrepareResult
from raven.names import lane_queue
from raven.ports import Broker, Database
from raven.wiring import open_broker, open_database
from tests.builders import source_facts
from tests.servers.fixtures import fresh_database, fresh_vhost, load_schema
from tests.servers.mariadb import MariaDb
from tests.servers.process import ChildProcess, clean_environment, private_directory
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
CHUNKS = 1000
"""Of a task: a film of five hours."""
IDLE_SECONDS = 6.0
"""In which every look falls due, and all that is looked after every 5 s."""
POOL = ("--innodb-buffer-pool-size=1G",)


@dataclass(frozen=True)
class Control:
    """One run. Waits in ms from the end of a job on a slot to the arrival of the next; CPU in s for 1,000 jobs."""

    waiting: int
    slots: int
    seconds: float
    rate: float
    reports: float
    """Of progress, for each job."""
    median: float
    p99: float
    watcher_cpu: float
    database_cpu: float
    broker_cpu: float
    fleet_cpu: float
    memory: float
    """MB of the watcher at its end."""
    idle: float
    """CPU of watcher and database in ms for each second in which nobody reports: their looks, with all that waits."""


@contextmanager
def servers() -> Iterator[tuple[MariaDb, RabbitMq]]:
    """A durable MariaDB and a RabbitMQ of their own."""
    with ExitStack() as stack:
        database = MariaDb.start(stack.enter_context(private_directory()), durable=True, options=POOL)
        stack.callback(database.close)
        broker = RabbitMq.start(stack.enter_context(private_directory()))
        stack.callback(broker.close)
        yield database, broker


def fill(database: Database, waiting: int) -> None:
    """Tasks that are cut, with so many chunks waiting in all."""
    facts = source_facts(audio=())
    frames = CHUNKS * 450
    state = PrepareResult(facts=facts, chunks=CHUNKS, frames=frames, complete=True, chunk_segments=3).model_dump_json()
    for task in range(1, -(-waiting // CHUNKS) + 1):
        with database.transaction():
            _fill_task(database, task, min(CHUNKS, waiting - (task - 1) * CHUNKS), state)


def _fill_task(database: Database, task: int, chunks: int, state: str) -> None:
    database.execute("INSERT INTO tasks (id, source, status) VALUES (?, ?, 'encoding')", (task, f"/srv/in/{task}.mkv"))
    columns = "task_id, kind, position, state, lane, deadline, frames, result"
    rows: list[tuple[object, ...]] = [(task, "prepare", 0, "done", "master", task, 0, state)]
    rows += [(task, "encode", n, "waiting", "worker", task, 450, None) for n in range(chunks)]
    marks = ", ".join("(?, ?, ?, ?, ?, ?, ?, ?)" for _ in rows)
    values = tuple(value for row in rows for value in row)
    database.execute(f"INSERT INTO jobs ({columns}) VALUES {marks}", values)  # noqa: S608 - constants


def cpu_of(pid: int) -> float:
    """Seconds of user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _wait_for_jobs(url: str) -> None:
    """A watcher that has begun hands out the spare jobs, though no node is there yet."""
    with closing(open_broker(Settings(broker=url))) as broker:
        wait_until(lambda: _depth(broker) > 0, "the watcher hands out jobs")


def _depth(broker: Broker) -> int:
    try:
        return broker.depth(lane_queue("worker"))
    except Unavailable:
        return 0


def measure(
    mariadb: MariaDb, rabbitmq: RabbitMq, waiting: int, slots: int, seconds: float, lasts: float, tells: float = 0
) -> Control:
    """One run on a fresh database and a fresh vhost; each job tells how far it is every `tells` s, 0 for never."""
    with fresh_database(mariadb) as admin, fresh_vhost(rabbitmq) as broker, private_directory() as folder:
        url = load_schema(mariadb, admin)
        with closing(open_database(Settings(database=url))) as database:
            fill(database, waiting)
        environment = clean_environment(folder) | {
            "RAVEN_DATABASE": url, "RAVEN_BROKER": broker, "RAVEN_LOG_LEVEL": "warning",
        }  # fmt: skip
        command = [sys.executable, "-m", "watcher"]
        watcher = ChildProcess("watcher", command, log=folder / "watcher.log", env=environment)
        try:
            return _run(watcher, (mariadb.pid, rabbitmq.pid), broker, (waiting, slots, seconds, tells), lasts)
        finally:
            watcher.kill()


def _run(
    watcher: ChildProcess, servers_: tuple[int, int], broker: str, sizes: tuple[int, int, float, float], lasts: float
) -> Control:
    waiting, slots, seconds, tells = sizes
    order = json.dumps({"broker": broker, "slots": slots, "seconds": seconds, "lasts": lasts, "tells": tells})
    _wait_for_jobs(broker)  # the daemon's own start is not what is measured
    pids = (watcher.pid, *servers_)
    still = [cpu_of(pid) for pid in pids]
    time.sleep(IDLE_SECONDS)
    before = [cpu_of(pid) for pid in pids]
    command = [sys.executable, "-m", "benchmarks.farm.fleet", order]
    said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    told = json.loads(said.splitlines()[-1])  # before it stands what the adapters log
    after = [cpu_of(pid) for pid in pids]
    each = [1000 * (b - a) / max(1, told["done"]) for a, b in zip(before, after, strict=True)]
    waits = told["waits"] or [0.0]
    return Control(
        waiting=waiting,
        slots=slots,
        seconds=seconds,
        rate=told["done"] / lasts,
        reports=told["reports"] / max(1, told["done"]),
        median=waits[len(waits) // 2],
        p99=waits[int(len(waits) * 0.99)],
        watcher_cpu=each[0],
        database_cpu=each[1],
        broker_cpu=each[2],
        fleet_cpu=1000 * told["cpu"] / max(1, told["done"]),
        memory=_memory(watcher.pid),
        idle=1000 * sum(b - a for a, b in zip(still[:2], before[:2], strict=True)) / IDLE_SECONDS,
    )
