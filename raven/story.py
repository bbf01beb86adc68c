"""What happened to a task, for people: its row and its lines of history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raven.errors import TaskError
from raven.ports import Database

PAGE = 1000
"""Lines read at once: a film of a day has tens of thousands."""


@dataclass(frozen=True)
class Happening:
    """A line of a task's story."""

    at: datetime
    """UTC."""
    event: str
    """Of a job its kind and what came of it, as `encode failed`."""
    node: str = ""
    position: int | None = None
    """Of the job, from 0; None for the task itself, and for jobs whose rows are gone: those of ended tasks."""
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        at = self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return vars(self) | {"at": at}


def story(database: Database, task: int) -> Iterator[Happening]:
    """In order of time, but for what clocks of several watchers differ by. Raises TaskError for an unknown task."""
    rows = database.query(
        "SELECT source, status, message, owner, created_at, finished_at FROM tasks WHERE id = ?", (task,)
    )
    lines = _history(database, task)
    first = next(lines, None)
    if not rows and first is None:
        raise TaskError(f"there is no task {task}, and history has nothing of one")
    if rows:
        by = f" by {rows[0]['owner']}" if rows[0]["owner"] else ""
        yield Happening(utc(rows[0]["created_at"]), f"inserted{by}", message=rows[0]["source"])
    if first is not None:
        yield first
        last = first
        for line in lines:
            yield line
            last = line
        if not rows:
            yield Happening(last.at, "row deleted since")
    if rows and rows[0]["finished_at"] is not None:
        yield Happening(utc(rows[0]["finished_at"]), rows[0]["status"], message=rows[0]["message"] or "")


def _history(database: Database, task: int) -> Iterator[Happening]:
    after = 0
    while True:
        rows = database.query(
            "SELECT h.id, h.at, h.event, h.node, h.message, j.position FROM history AS h"
            " LEFT JOIN jobs AS j ON j.id = h.job_id WHERE h.task_id = ? AND h.id > ? ORDER BY h.id LIMIT ?",
            (task, after, PAGE),
        )
        for row in rows:
            at = datetime.fromtimestamp(row["at"] / 1000, UTC)
            yield Happening(at, row["event"], row["node"] or "", row["position"], row["message"] or "")
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


def utc(value: datetime | str) -> datetime:
    """Of a TIMESTAMP: MariaDB's driver gives a datetime, SQLite the text that it stores, both without a zone."""
    return (value if isinstance(value, datetime) else datetime.fromisoformat(value)).replace(tzinfo=UTC)
