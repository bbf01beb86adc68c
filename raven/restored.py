"""After a database was restored from a backup: no number is given a second time.

What was inserted since the backup is forgotten, but its objects, its jobs' messages and its notices are still about.
"""

from __future__ import annotations

from raven import names
from raven.errors import UsageError
from raven.ports import Database, Storage

UNSTORED = 1_000
"""Tasks that may have been inserted after the last one that has stored anything."""
MARGIN = 10_000_000
"""Jobs and notices that may have been since the backup: nothing tells. There are numbers enough."""


def newest(storage: Storage) -> int:
    """The highest number of a task that has anything there; 0 for none. It lists all objects."""
    owners = (names.task_of(entry.key) for tree in names.TREES for entry in storage.entries(tree))
    return max((owner[1] for owner in owners if owner is not None), default=0)


def next_number(database: Database, table: str = "tasks") -> int | None:
    """What the next row of a table gets; None where the database does not count by itself (SQLite)."""
    if database.about().name != "MariaDB":
        return None
    (row,) = database.query(
        "SELECT AUTO_INCREMENT AS following FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
        (table,),
    )
    return int(row["following"] or 1)


def go_on(database: Database, storage: Storage) -> int:
    """Lets rows to come have numbers that none had before the backup was restored; that of the next task.

    Raises UsageError.
    """
    following = next_number(database)
    if following is None:
        raise UsageError("database: only MariaDB is restored so; a SQLite file is one machine's own")
    wanted = max(following, newest(storage) + UNSTORED)
    _raise(database, "tasks", wanted)
    for table in ("jobs", "notices"):
        _raise(database, table, (next_number(database, table) or 1) + MARGIN)
    return wanted


def _raise(database: Database, table: str, number: int) -> None:
    database.execute(f"ALTER TABLE {table} AUTO_INCREMENT = {int(number)}")
