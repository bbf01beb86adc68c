"""All SQL about what waits, lane by lane: its cost does not grow with the number of jobs that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raven import names
from raven.ports import Database, Row
from watcher.rows import HELD, JobRow, JobState, states
from watcher.schedule import Share
from watcher.store import LIGHT

LEAST = -(1 << 31)
"""Below all priorities."""
_LANES = ", ".join(f"'{lane}'" for lane in names.LANES)


@dataclass(frozen=True)
class InUse:
    """Jobs of a lane that nodes have or may take."""

    queued: int
    running: int
    owners: dict[str, int]
    """Of both, by owner."""


def _in_use(rows: Sequence[Row]) -> InUse:
    """From a count of each state and owner."""
    owners: dict[str, int] = {}
    for row in rows:
        owners[row["owner"]] = owners.get(row["owner"], 0) + int(row["n"])
    queued = sum(int(row["n"]) for row in rows if row["state"] == JobState.QUEUED)
    return InUse(queued, sum(owners.values()) - queued, owners)


class Waiting:
    """The watcher's view of the lanes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def shares(self, lane: str) -> list[Share]:
        """Owners and priorities that have jobs waiting, though maybe none of them is due.

        From each the first entry of the index after it is asked for. A GROUP BY reads all that waits, unless MariaDB's
        statistics happen to be of today.
        """
        found: list[Share] = []
        while (share := self._next_share(lane, found[-1] if found else Share(LEAST, ""))) is not None:
            found.append(share)
        return found

    def _next_share(self, lane: str, after: Share) -> Share | None:
        rows = self._database.query(
            "SELECT priority, owner FROM jobs WHERE lane = ? AND state = 'waiting'"
            " AND (priority > ? OR (priority = ? AND owner > ?)) ORDER BY priority, owner LIMIT 1",
            (lane, after.priority, after.priority, after.owner),
        )
        return Share(int(rows[0]["priority"]), rows[0]["owner"]) if rows else None

    def due(self, lane: str, share: Share, now: int, limit: int) -> list[JobRow]:
        """The next jobs of a share, by deadline."""
        rows = self._database.query(
            f"SELECT {LIGHT} FROM jobs WHERE lane = ? AND state = 'waiting' AND priority = ? AND owner = ?"
            f" AND not_before <= ? ORDER BY deadline, task_id, position LIMIT {int(limit)}",
            (lane, share.priority, share.owner, now),
        )
        return [JobRow(**row) for row in rows]

    def in_use(self) -> dict[str, InUse]:
        """Of every lane."""
        rows = self._database.query(
            f"SELECT lane, state, owner, COUNT(*) AS n FROM jobs WHERE lane IN ({_LANES}) AND state IN ({states(HELD)})"
            " GROUP BY lane, state, owner"
        )
        return {lane: _in_use([row for row in rows if row["lane"] == lane]) for lane in names.LANES}

    def queue(self, rows: Sequence[JobRow], now: int) -> list[JobRow]:
        """Notes that these are handed to the broker; those that were still waiting."""
        if not rows:
            return []
        marks = ", ".join("?" for _ in rows)
        ids = tuple(row.id for row in rows)
        matched = self._database.execute(
            f"UPDATE jobs SET state = 'queued', changed_at = ? WHERE state = 'waiting' AND id IN ({marks})", (now, *ids)
        )
        if matched == len(rows):
            return list(rows)
        # somebody, an operator that retries a task, was there in between
        sql = f"SELECT id FROM jobs WHERE state = 'queued' AND changed_at = ? AND id IN ({marks})"
        ours = {int(row["id"]) for row in self._database.query(sql, (now, *ids))}
        return [row for row in rows if row.id in ours]

    def untaken(self, lane: str, before: int) -> list[JobRow]:
        """Jobs that were queued before `before` and that no node has taken, the oldest first."""
        rows = self._database.query(
            f"SELECT {LIGHT} FROM jobs WHERE lane = ? AND state = 'queued' AND changed_at < ? ORDER BY changed_at, id",
            (lane, before),
        )
        return [JobRow(**row) for row in rows]
