"""How far a task is, read from its rows: what the progress display and `raven watch` show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from raven.ports import Database, Row

VIDEO = ("encode", "second")
"""Kinds of jobs that encode a chunk, the second one on an idle slot beside the first."""
DONE, RUNNING, QUEUED, WAITING, LOST = _ORDER = "#>-.!"
"""A chunk in the strip: encoded, being encoded, handed out, waiting, given up. The first counts, of two runs."""
_MARKS = {"done": DONE, "running": RUNNING, "queued": QUEUED, "waiting": WAITING}


@dataclass(frozen=True)
class RunningJob:
    """A job that a node works on."""

    kind: str
    position: int
    node: str
    done: int
    speed: float


@dataclass(frozen=True)
class Snapshot:
    """A task at one moment. `elapsed` in seconds since it was started here; None: it was started elsewhere."""

    task: int
    status: str
    progress: float
    message: str | None
    url: str | None
    duration: float | None
    """Seconds of film: the real ones once done, before that what the container claims."""
    rate: Fraction | None
    jobs_done: int
    jobs_known: int
    running: tuple[RunningJob, ...]
    chunks: str
    """The film from its beginning to its end, a mark for each chunk that is known."""
    trouble: str | None
    """Why a job is tried again, if one is."""
    elapsed: float | None

    @property
    def ended(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    def as_json(self) -> dict[str, Any]:
        """Without what changes by the passing of time alone."""
        state = asdict(self) | {"rate": str(self.rate) if self.rate else None}
        del state["elapsed"]
        return state

    @property
    def speed(self) -> float | None:
        """Multiple of real time: over all so far, or of the chunks that are being encoded."""
        if self.elapsed is None:
            return speed_of_chunks((job.kind, job.position, job.speed) for job in self.running) or None
        if not self.duration or self.elapsed <= 0 or self.progress <= 0:
            return None
        return self.duration * self.progress / self.elapsed

    @property
    def left(self) -> float | None:
        """Seconds left at this speed."""
        if self.elapsed is None:
            return self.duration * (1 - self.progress) / self.speed if self.duration and self.speed else None
        if self.progress < 0.01:
            return None
        return self.elapsed * (1 - self.progress) / self.progress


def speed_of_chunks(jobs: Iterable[tuple[str, int, float]]) -> float:
    """Of running jobs by kind, position and speed. A second run of a chunk adds nothing."""
    return sum({position: speed for kind, position, speed in jobs if kind in VIDEO}.values())


def strip_of(jobs: Iterable[Row]) -> str:
    """The chunks of a task as marks, of its jobs in any order."""
    found: dict[int, str] = {}
    for job in jobs:
        if job["kind"] in VIDEO:
            mark, before = _MARKS.get(job["state"], LOST), found.get(int(job["position"]))
            found[int(job["position"])] = min(mark, before or mark, key=_ORDER.index)
    return "".join(found[position] for position in sorted(found))


def shortened(strip: str, most: int) -> str:
    """A strip of no more marks, each for some chunks: encoded if all of them are, else the furthest of the rest."""
    if len(strip) <= most:
        return strip
    parts = (strip[n * len(strip) // most : (n + 1) * len(strip) // most] for n in range(most))
    return "".join(next((mark for mark in (LOST, RUNNING, QUEUED, WAITING) if mark in part), DONE) for part in parts)


def read_snapshot(database: Database, task: int, elapsed: float | None) -> Snapshot:
    """A task whose row is gone is cancelled."""
    rows = database.query("SELECT status, progress, message, url, duration, metadata FROM tasks WHERE id = ?", (task,))
    if not rows:
        return Snapshot(task, "cancelled", 0.0, None, None, None, None, 0, 0, (), "", None, elapsed)
    row = rows[0]
    facts = json.loads(row["metadata"]) if row["metadata"] else {}
    jobs = database.query(
        "SELECT kind, position, state, node, done, speed, failures, message FROM jobs WHERE task_id = ?", (task,)
    )
    running = tuple(
        RunningJob(j["kind"], int(j["position"]), j["node"] or "", int(j["done"]), float(j["speed"]))
        for j in sorted(jobs, key=lambda j: (j["kind"], j["position"]))
        if j["state"] == "running"
    )
    video = facts.get("video")
    return Snapshot(
        task=task,
        status=row["status"],
        progress=float(row["progress"]),
        message=row["message"],
        url=row["url"],
        duration=row["duration"] if row["duration"] is not None else facts.get("duration"),
        rate=Fraction(video["rate"]) if video else None,
        jobs_done=sum(1 for j in jobs if j["state"] == "done"),
        jobs_known=len(jobs),
        running=running,
        chunks=strip_of(jobs),
        trouble=next((j["message"] for j in jobs if j["failures"] and j["state"] not in ("done", "failed")), None),
        elapsed=elapsed,
    )
