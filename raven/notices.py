"""The log of notices, for people, and sending one again: an operator's act, in the watcher's tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from raven.errors import TaskError
from raven.ports import Database

DAY_MS = 86_400_000
"""A notice that is sent again by hand is tried for as long as a new one."""


@dataclass(frozen=True)
class Notice:
    """A notice and what came of it. Times in ms since 1970."""

    id: int
    task_id: int
    event: str
    """The task's state, or `alarm`."""
    url: str
    state: str
    """waiting, sent, refused (by Raven's own rules) or given up."""
    attempts: int
    created_at: int
    due_at: int
    """Of one that waits: when it is tried next."""
    tried_at: int | None
    code: int | None
    """Status of the last answer, by HTTP or SMTP."""
    message: str | None
    """What came of the last attempt."""

    def as_json(self) -> dict[str, Any]:
        """Times in UTC."""
        times = {name: getattr(self, name) for name in ("created_at", "due_at", "tried_at")}
        return asdict(self) | {name: None if at is None else _utc(at) for name, at in times.items()}


_COLUMNS = ", ".join(f.name for f in fields(Notice))


def _utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_notices(database: Database, task: int | None, limit: int) -> list[Notice]:
    """The newest of all tasks, or of one, oldest first."""
    where, values = ("WHERE task_id = ?", (task,)) if task is not None else ("", ())
    rows = database.query(f"SELECT {_COLUMNS} FROM notices {where} ORDER BY id DESC LIMIT {int(limit)}", values)  # noqa: S608 - constants and an int
    return [Notice(**row) for row in reversed(rows)]


def send_again(database: Database, notice: int, now: int) -> None:
    """Has a notice sent at once, whatever came of it before; `now` in ms. Raises TaskError when it is not there."""
    found = database.execute(
        "UPDATE notices SET state = 'waiting', due_at = ?, until = ?"
        " WHERE id = ? AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = notices.task_id)",
        (now, now + DAY_MS, notice),
    )
    if not found:
        raise TaskError(f"there is no notice {notice}, or its task was deleted, so that none is sent any more")
