"""How far a task is, read from its rows: what the progress display and `raven watch` show."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from raven.ports import Database


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
    """A task at one moment. `elapsed` in seconds since it was started here."""

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
    trouble: str | None
    """Why a job is tried again, if one is."""
    elapsed: float

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
        """Multiple of real time over all so far."""
        if not self.duration or self.elapsed <= 0 or self.progress <= 0:
            return None
        return self.duration * self.progress / self.elapsed

    @property
    def left(self) -> float | None:
        """Seconds left at the speed so far."""
        if self.progress < 0.01:
            return None
        return self.elapsed * (1 - self.progress) / self.progress


def read_snapshot(database: Database, task: int, elapsed: float) -> Snapshot:
    """A task whose row is gone is cancelled."""
    rows = database.query("SELECT status, progress, message, url, duration, metadata FROM tasks WHERE id = ?", (task,))
    if not rows:
        return Snapshot(task, "cancelled", 0.0, None, None, None, None, 0, 0, (), None, elapsed)
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
        trouble=next((j["message"] for j in jobs if j["failures"] and j["state"] not in ("done", "failed")), None),
        elapsed=elapsed,
    )
