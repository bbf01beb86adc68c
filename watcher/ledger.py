"""A task's jobs as the plan sees them: its chunks in numbers, the few others one by one. Pure.

A film of a day has thousands of chunks, and each report asks for a plan: its cost must not grow with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watcher.rows import OPEN, JobRow, JobState

UNTAKEN_MS = 10_000
"""A queued job of an ended task that no node has taken for so long is given up."""
CONFORM = 1
"""Position of the prepare job that decodes the source, in place of the one whose chunks cannot be used."""
CHUNK, SECOND = "encode", "second"
"""The work on a chunk, and a second run of a slow one, which nothing waits for."""


@dataclass(frozen=True)
class Chunks:
    """The encode jobs of a task in numbers."""

    known: int = 0
    """Jobs that exist."""
    top: int = -1
    """The highest position."""
    ready: int = 0
    """Done from the first one on without a hole."""
    done: int = 0
    frames: int = 0
    """Frames so far of those that nodes have."""

    def missing(self, wanted: int) -> range:
        """Positions to add for `wanted` chunks; all where some are gone from the middle, as adding twice is once."""
        return range(self.top + 1 if self.known == self.top + 1 else 0, wanted)


@dataclass(frozen=True)
class Ledger:
    """All jobs of a task."""

    chunks: Chunks = Chunks()
    rows: Mapping[tuple[str, int], JobRow] = field(default_factory=dict)
    """Those that are no chunks and no second runs, by kind and position; of `announce` the newest."""
    held: int = 0
    """Jobs but purges that a node has or may take."""
    idle: int = 0
    """Jobs but purges that nobody has: waiting, or queued and untaken for long."""
    fault: JobRow | None = None
    """A job that the task cannot go on with; if there is one, of an unusable chunk."""

    @property
    def work(self) -> bool:
        """Whether there is a job that is no purge."""
        return self.chunks.known > 0 or any(row.kind != "purge" for row in self.rows.values())

    @property
    def prepare(self) -> JobRow | None:
        """The job that the task's chunks are from."""
        return self.get("prepare", CONFORM) or self.get("prepare")

    def get(self, kind: str, position: int = 0) -> JobRow | None:
        return self.rows.get((kind, position))

    def of(self, kind: str) -> list[JobRow]:
        return [row for row in self.rows.values() if row.kind == kind]


ENDED_BADLY = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.UNUSABLE})


def counted(
    counts: Sequence[Mapping[str, Any]],
    held: Sequence[Mapping[str, Any]],
    rows: dict[tuple[str, int], JobRow],
    fault: JobRow | None,
) -> Ledger:
    """From a count of each kind and state, and what was asked of those that nodes have or may take."""
    chunks = [row for row in counts if row["kind"] == CHUNK]
    opened = [row for row in counts if row["kind"] != "purge" and row["state"] in OPEN]
    idle = sum(int(row["n"]) for row in opened if row["state"] == JobState.WAITING)
    idle += sum(int(row["old"]) for row in held if row["kind"] != "purge" and row["state"] == JobState.QUEUED)
    known = sum(int(row["n"]) for row in chunks)
    done = sum(int(row["n"]) for row in chunks if row["state"] == JobState.DONE)
    numbers = Chunks(
        known=known,
        top=max((int(row["top"]) for row in chunks), default=-1),
        ready=min((int(row["first"]) for row in chunks if row["state"] != JobState.DONE), default=known),
        done=done,
        frames=sum(int(row["done"]) for row in held if row["kind"] == CHUNK),
    )
    return Ledger(numbers, rows, sum(int(row["n"]) for row in opened) - idle, idle, fault)
