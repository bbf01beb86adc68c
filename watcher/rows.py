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
    UNUSABLE = "unusable"
    """Of an encode job: nodes agree that its chunk does not decode. The source must be cut the other way."""


OPEN = frozenset({JobState.WAITING, JobState.QUEUED, JobState.RUNNING})
"""States in which a job can still be changed by a report."""
HELD = frozenset({JobState.QUEUED, JobState.RUNNING})
"""States in which a node has a job or may take it."""


def states(several: frozenset[JobState] | frozenset[TaskState]) -> str:
    """As a SQL list: constants of ours, never a client's text."""
    return ", ".join(f"'{state}'" for state in sorted(several))


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
    owner: str = ""


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
    deadline: int = 0
    """Among equals the earliest goes first, ms."""
    frames: int = 0
    """Of a chunk, as far as it is known when the job is added."""
    instance: str | None = None
    """Which run of the node's daemon."""
    moved_at: int = 0
    """When it was begun, or `done` changed last, ms."""
    faults: str | None = None
    """JSON: on which nodes it went wrong (watcher/health.py)."""
    passes: int = 0
    """How often a node gave it back unbegun."""


@dataclass(frozen=True)
class Place:
    """Where the jobs of a task stand among all that wait."""

    owner: str = ""
    priority: int = 0
    deadline: int = 0
    """Among the jobs of one owner and priority the earliest goes first, ms."""


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

    def then(self, later: Transition) -> Transition:
        """Both in one, where `later` was asked of the row as this one leaves it."""
        return replace(later, states=self.states, attempt=self.attempt, values={**self.values, **later.values})
