"""How throughput grows with workers, and how long a film waits at its beginning and end: a real farm and servers."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.farm.throttle import group
from raven.config import Settings, ffmpeg_path
from raven.process import StopSignal, run
from tests.farm.farm import Farm, Servers, fresh_servers
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.process import private_directory
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

SEGMENT_RATE = 10
"""Frames/s of the long film: its length is what counts."""


@dataclass(frozen=True)
class Speed:
    """Chunks per second of `workers`, each held to the same share of a core.

    `bare`: frames per second of as many ffmpegs so held that know nothing of each other or of a farm. What these lose
    together, a machine loses whose cores share caches, clocks and memory; no farm can have it back.
    """

    workers: int
    rate: float
    chunks: int
    bare: float


@dataclass(frozen=True)
class Waits:
    """Seconds: from INSERT to the first chunk being encoded, and from the last chunk to `done`."""

    first: float
    last: float
    segments: int


@contextmanager
def real_servers() -> Iterator[tuple[MariaDb, RabbitMq, CephRgw]]:
    with ExitStack() as stack:
        database = MariaDb.start(stack.enter_context(private_directory()), durable=True)
        stack.callback(database.close)
        broker = RabbitMq.start(stack.enter_context(private_directory()))
        stack.callback(broker.close)
        ceph = CephRgw.start(stack.enter_context(private_directory()))
        stack.callback(ceph.stop)
        yield database, broker, ceph


def make_film(path: Path, seconds: int, rate: int, size: str) -> Path:
    """A moving test picture."""
    run(
        [
            ffmpeg_path(Settings()), "-v", "error", "-nostdin", "-y", "-progress", "pipe:1",
            "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}",
            "-c:v", "libx264", "-preset", "ultrafast", "-g", str(rate * 2), str(path),
        ],
        StopSignal(),
    )  # fmt: skip
    return path


def speeds(
    all_servers: tuple[MariaDb, RabbitMq, CephRgw], workers: Sequence[int], share: float, lasts: float
) -> list[Speed]:
    """One run for each number of workers."""
    with private_directory() as folder:
        film = make_film(folder / "film.mkv", 1800, 25, "640x360")
        return [Speed(n, *_farmed(all_servers, film, n, share, lasts), _bare(film, n, share, lasts)) for n in workers]


def _farmed(
    all_servers: tuple[MariaDb, RabbitMq, CephRgw], film: Path, workers: int, share: float, lasts: float
) -> tuple[float, int]:
    """Chunks per second while all workers have enough to do, for `lasts` s, and how many were counted."""
    with ExitStack() as stack:
        farm = _farm(stack, all_servers)
        source = farm.sources / film.name
        source.hardlink_to(film)
        for n in range(workers):
            name = f"worker-{n}"
            procs = stack.enter_context(group(f"raven-benchmark-{os.getpid()}-{n}", share))
            procs.write_text(str(farm.start("worker", name).pid))
        farm.until_seen()
        task = farm.submit(source, profile="benchmark")
        farm.until(lambda: len(farm.history(task, "encode done")) >= workers, "each has done one", timeout=300)
        time.sleep(lasts)
        ends = [int(row["at"]) for row in farm.history(task, "encode done")][workers - 1 :]
    return 1000 * (len(ends) - 1) / (ends[-1] - ends[0]), len(ends)


def _bare(film: Path, count: int, share: float, lasts: float) -> float:
    """Frames per second of `count` ffmpegs, each with `share` of a core, that encode as the farm's do."""
    with ExitStack() as stack:
        folder = stack.enter_context(private_directory())
        logs = [folder / f"{n}.log" for n in range(count)]
        for n, log in enumerate(logs):
            procs = stack.enter_context(group(f"raven-benchmark-bare-{os.getpid()}-{n}", share))
            process = subprocess.Popen(
                [
                    ffmpeg_path(Settings()), "-v", "error", "-nostdin", "-stats_period", "0.1", "-progress", str(log),
                    "-stream_loop", "-1", "-threads", "1", "-i", str(film),
                    "-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-threads:v", "1",
                    "-x264-params", "keyint=50:scenecut=0", "-f", "null", "-",
                ]
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            procs.write_text(str(process.pid))
        wait_until(lambda: all(map(_frames, logs)), "each encodes", timeout=300)
        before, begun = sum(map(_frames, logs)), time.monotonic()
        time.sleep(lasts)
        return (sum(map(_frames, logs)) - before) / (time.monotonic() - begun)


def _frames(log: Path) -> int:
    """The latest count in a file of ffmpeg's progress, 0 while there is none."""
    found = re.findall(r"^frame=(\d+)$", log.read_text() if log.exists() else "", re.MULTILINE)
    return int(found[-1]) if found else 0


def waits(all_servers: tuple[MariaDb, RabbitMq, CephRgw], seconds: int, workers: int) -> Waits:
    """A long film of six rungs through a farm."""
    with ExitStack() as stack:
        farm = _farm(stack, all_servers)
        film = make_film(farm.sources / "film.mkv", seconds, SEGMENT_RATE, "160x90")
        for n in range(workers):
            farm.start("worker", f"worker-{n}")
        farm.until_seen()
        task, begun = farm.submit(film, profile="six-rungs"), time.time()
        farm.until(lambda: farm.history(task, "encode started"), "the first chunk is encoded")
        first = int(farm.history(task, "encode started")[0]["at"]) / 1000 - begun
        row = farm.done(task, timeout=3600)
        ended = time.time()
        last = ended - max(int(r["at"]) for r in farm.history(task, "encode done")) / 1000
        return Waits(first, last, round(row["duration"] / 6))


def _farm(stack: ExitStack, all_servers: tuple[MariaDb, RabbitMq, CephRgw]) -> Farm:
    """A watcher and a master, on a database, a vhost and a bucket of their own."""
    servers: Servers = stack.enter_context(fresh_servers(*all_servers))
    folder = stack.enter_context(private_directory())
    profiles = str(Path(__file__).parent / "profiles")
    farm = stack.enter_context(closing(Farm(folder, servers, RAVEN_PROFILES=profiles)))
    farm.start("watcher", "watcher", RAVEN_PROFILES=profiles)
    farm.start("master", "master")
    return farm
