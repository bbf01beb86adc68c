"""Lines of history that have grown old, and their end: in small steps, which hold no lock for long."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from raven.errors import RowLocked
from raven.ports import Database

STEP = 500
"""Lines that go at once: some milliseconds."""
log = structlog.get_logger()


def count_old(database: Database, before: int) -> int:
    """How many lines are from before then; milliseconds since 1970."""
    (row,) = database.query("SELECT COUNT(*) AS n FROM history WHERE at < ?", (before,))
    return int(row["n"])


def forget(database: Database, before: int) -> Iterator[int]:
    """Removes the lines from before then, the oldest first; after each step how many went. Safe to stop and to repeat.

    Each step begins at the time of the one before: what has gone stays in MariaDB's index while a backup reads.
    """
    since = 0
    while rows := database.query(
        f"SELECT id, at FROM history WHERE at >= ? AND at < ? ORDER BY at LIMIT {STEP}",  # noqa: S608 - a number of ours
        (since, before),
    ):
        marks = ", ".join("?" for _ in rows)
        yield database.execute(f"DELETE FROM history WHERE id IN ({marks})", [row["id"] for row in rows])  # noqa: S608
        since = rows[-1]["at"]


def cleaned(database: Database, days: float, now: float, *, dry_run: bool) -> str:
    """Removes the lines that are older than this, or only counts them; the sentence for who asked. `now`: seconds."""
    before = round((now - days * 24 * 3600) * 1000)
    lines = count_old(database, before) if dry_run else 0
    try:
        for gone in () if dry_run else forget(database, before):
            lines += gone
    except RowLocked as error:
        log.warning("history is locked by another program: its rest goes tomorrow", fault=str(error))
    return f"history: {lines} lines, older than {days:g} days, {'would go' if dry_run else 'removed'}"
