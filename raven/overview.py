"""The farm at one moment: nodes, what runs, what waits, tasks under way. Its cost does not grow with what waits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raven import names
from raven.ports import Database, Row
from raven.roster import Node, current, read_nodes
from raven.snapshot import speed_of_chunks

MANY = 1000
"""Counting ends here: a million waiting jobs are as much more than enough as a thousand."""
SHARES = 20
"""Of a lane, the most that are told; those of the highest priority."""
TASKS = 50
_UNDER_WAY = "'preparing', 'encoding', 'publishing'"


@dataclass(frozen=True)
class Waiting:
    """Jobs of one owner and priority that wait in a lane."""

    owner: str
    priority: int
    jobs: int
    """At most MANY."""


@dataclass(frozen=True)
class Lane:
    """One of the queues that jobs go by."""

    name: str
    slots: int
    """Of live nodes that take jobs now."""
    running: int
    queued: int
    """Handed to the broker, and not taken yet."""
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True)
class Running:
    """A job that a node works on."""

    task: int
    kind: str
    position: int
    node: str
    speed: float
    """Multiple of real time."""
    seconds: float
    """Since it was begun."""


@dataclass(frozen=True)
class TaskLine:
    """A task under way."""

    id: int
    source: str
    owner: str
    priority: int
    status: str
    progress: float
    running: int
    speed: float | None
    """Of all its running jobs together, multiple of real time; None while none of them has said."""
    left: float | None
    """Seconds, at this speed."""


@dataclass(frozen=True)
class Overview:
    nodes: tuple[Node, ...]
    lanes: tuple[Lane, ...]
    running: tuple[Running, ...]
    tasks: tuple[TaskLine, ...]
    """Under way, at most TASKS, the oldest."""
    new: int
    """Tasks that nothing was done for yet, at most MANY."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_overview(database: Database, now: int) -> Overview:
    """`now` in ms."""
    nodes = current(read_nodes(database, now))
    jobs = database.query(
        "SELECT task_id, kind, position, node, speed, changed_at, lane FROM jobs WHERE state = 'running'"
        " ORDER BY task_id, kind, position"
    )
    tasks = database.query(
        "SELECT id, source, owner, priority, status, progress, metadata FROM tasks"
        f" WHERE status IN ({_UNDER_WAY}) ORDER BY id LIMIT {TASKS}"
    )
    return Overview(
        tuple(nodes),
        tuple(_lane(database, lane, nodes, jobs) for lane in names.LANES),
        tuple(_running(job, now) for job in jobs),
        tuple(_task(task, [job for job in jobs if job["task_id"] == task["id"]]) for task in tasks),
        _count(database, "SELECT id FROM tasks WHERE status = 'new'"),
    )


def _lane(database: Database, lane: str, nodes: Sequence[Node], jobs: Sequence[Row]) -> Lane:
    role, _, light = lane.partition(".")
    takers = [node for node in nodes if node.role == role and node.live]
    return Lane(
        lane,
        sum(node.light if light else node.slots for node in takers),
        sum(1 for job in jobs if job["lane"] == lane),
        _count(database, "SELECT id FROM jobs WHERE lane = ? AND state = 'queued'", lane),
        tuple(_waiting(database, lane)),
    )


def _waiting(database: Database, lane: str) -> list[Waiting]:
    """From each share the index is asked for the next lower one: a GROUP BY would read all that waits."""
    found: list[Waiting] = []
    priority, owner = 1 << 31, ""
    while len(found) < SHARES:
        rows = database.query(
            "SELECT priority, owner FROM jobs WHERE lane = ? AND state = 'waiting'"
            " AND (priority < ? OR (priority = ? AND owner < ?)) ORDER BY priority DESC, owner DESC LIMIT 1",
            (lane, priority, priority, owner),
        )
        if not rows:
            break
        priority, owner = int(rows[0]["priority"]), rows[0]["owner"]
        some = "SELECT id FROM jobs WHERE lane = ? AND state = 'waiting' AND priority = ? AND owner = ?"
        found.append(Waiting(owner, priority, _count(database, some, lane, priority, owner)))
    return found


def _count(database: Database, some: str, *parameters: object) -> int:
    """Rows of a SELECT, at most MANY."""
    return int(database.query(f"SELECT COUNT(*) AS n FROM ({some} LIMIT {MANY}) AS some", parameters)[0]["n"])


def _running(job: Row, now: int) -> Running:
    return Running(
        task=int(job["task_id"]),
        kind=job["kind"],
        position=int(job["position"]),
        node=job["node"] or "",
        speed=round(float(job["speed"]), 2),
        seconds=round(max(0, now - int(job["changed_at"])) / 1000, 1),
    )


def _task(task: Row, jobs: Sequence[Row]) -> TaskLine:
    facts = json.loads(task["metadata"]) if task["metadata"] else {}
    chunks = ((job["kind"], int(job["position"]), float(job["speed"])) for job in jobs)
    speed = speed_of_chunks(chunks) if facts.get("video") else 0.0
    film = facts.get("duration")
    progress = float(task["progress"])
    return TaskLine(
        id=int(task["id"]),
        source=task["source"],
        owner=task["owner"],
        priority=int(task["priority"]),
        status=task["status"],
        progress=progress,
        running=len(jobs),
        speed=round(speed, 2) if speed else None,
        left=round(film * (1 - progress) / speed, 1) if film and speed else None,
    )
