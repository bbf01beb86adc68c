"""The rows that the watcher thinks about, as frozen values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class TaskState(StrEnum):
    NEW = "new"
    PREPARING = "preparing"
    ENCODING = "encoding"
    PUBLISHING = "publishing"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({TaskState.DONE, TaskState.FAILED})


class JobState(StrEnum):
    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({JobState.WAITING, JobState.QUEUED, JobState.RUNNING})
"""States in which a job can still be changed by a report."""


@dataclass(frozen=True)
class TaskRow:
    """A row of `tasks`, as far as planning needs it."""

    id: int
    source: str
    profile: str = "default"
    priority: int = 0
    options: str | None = None
    status: str = TaskState.NEW
    progress: float = 0.0


@dataclass(frozen=True)
class JobRow:
    """A row of `jobs`. `result` is loaded for prepare jobs, and for all when the manifests are ordered."""

    id: int
    task_id: int
    kind: str
    position: int
    state: str = JobState.WAITING
    attempt: int = 1
    failures: int = 0
    not_before: int = 0
    changed_at: int = 0
    lease_until: int = 0
    node: str | None = None
    done: int = 0
    speed: float = 0.0
    seconds: float = 0.0
    message: str | None = None
    result: str | None = None


@dataclass(frozen=True)
class Transition:
    """One guarded change of a job: applied only in one of `states` and, unless None, at this `attempt`."""

    job: int
    states: frozenset[JobState]
    attempt: int | None
    values: dict[str, Any]
    event: str
    """For the history."""

    def applied(self, row: JobRow) -> JobRow | None:
        """The row afterwards; None when the guard forbids it (a late report)."""
        if row.id != self.job or row.state not in self.states or self.attempt not in (None, row.attempt):
            return None
        return replace(row, **self.values)
