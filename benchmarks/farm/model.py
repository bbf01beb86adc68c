"""How many slots each part of a farm bears, from what a job costs it as measured. Pure but for what measures uploads.

Nothing but the encodes grows with the film, so a farm is as large as its first part that is full: the watcher, which is
one thread; the database, the broker and the storage, which have cores; the wire to the storage. Masters are not in it:
they are added as workers are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.farm.control import Control, cpu_of
from raven.config import Settings
from raven.wiring import open_storage
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, fresh_bucket

OBJECTS, OBJECT_BYTES = 43, 1 << 20
"""Of a chunk of 30 s in the default ladder: five segments of eight rungs and three thumbnails; at most so large."""
REPEATS = 10
"""Chunks that are stored to be measured."""


@dataclass(frozen=True)
class Cost:
    """What a part spends on one job, and on one report of progress: seconds of CPU, or of a wire."""

    part: str
    job: float
    report: float
    capacity: float
    """Seconds that it has each second."""


@dataclass(frozen=True)
class Use:
    """How full each part is with so many slots, 1 for full, and which is full first, at how many slots."""

    slots: int
    jobs: float
    """Each second."""
    reports: float
    parts: dict[str, float]
    efficiency: float
    """Share of its time that a slot encodes, as long as no part is full: it waits for its next job, and stores."""


@dataclass(frozen=True)
class Load:
    """What jobs are like, in seconds: encoding a chunk, between two reports, from one job to the next, storing."""

    chunk: float
    heartbeat: float
    wait: float
    upload: float

    @property
    def lasts(self) -> float:
        """Of a job, from its beginning to the next one's."""
        return self.chunk + self.wait + self.upload


def differences(still: Control, telling: Control, reports: float, cores: int) -> list[Cost]:
    """Of two runs that differ in their reports of progress alone: `reports` for each job of `telling`, none before."""
    each = [
        ("watcher", still.watcher_cpu, telling.watcher_cpu, 1),
        ("database", still.database_cpu, telling.database_cpu, cores),
        ("broker", still.broker_cpu, telling.broker_cpu, cores),
    ]
    return [Cost(part, job / 1000, max(0.0, more - job) / 1000 / reports, has) for part, job, more, has in each]


def use(slots: int, costs: Sequence[Cost], load: Load) -> Use:
    """Of a farm with so many slots that are all busy."""
    jobs, reports = slots / load.lasts, slots / load.heartbeat
    parts = {cost.part: (jobs * cost.job + reports * cost.report) / cost.capacity for cost in costs}
    return Use(slots, jobs, reports, parts, load.chunk / load.lasts)


def full_at(costs: Sequence[Cost], load: Load) -> dict[str, int]:
    """With how many slots each part is full, the first one first."""
    one = use(1, costs, load).parts
    return {part: int(1 / one[part]) for part in sorted(one, key=lambda part: -one[part])}


def storing(ceph: CephRgw, gigabits: float, cores: int) -> tuple[list[Cost], float]:
    """What storing a chunk costs the gateway and its disks, and the wire; and how long a worker takes for it, s."""
    os.environ |= aws_environment(ceph)
    content = os.urandom(OBJECT_BYTES)
    with fresh_bucket(ceph) as url:
        storage = open_storage(Settings(storage=url))
        storage.put("warm", content)
        before, begun = sum(map(cpu_of, ceph.pids)), time.monotonic()
        for number in range(REPEATS * OBJECTS):
            storage.put(f"out/{number}", content)
        spent, took = sum(map(cpu_of, ceph.pids)) - before, time.monotonic() - begun
    wire = OBJECTS * OBJECT_BYTES * 8 / (gigabits * 1e9)
    return [Cost("storage", spent / REPEATS, 0.0, cores), Cost("wire", wire, 0.0, 1)], took / REPEATS
