"""Which version of the schema a database has, and the way to the one that this Raven needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

from raven.errors import NoSchema, SchemaDiffers, Unavailable
from raven.migrations import STEPS, v0001
from raven.ports import Database

VERSION = len(STEPS)
"""Of the schema that this Raven works with: what db.sql makes."""
LOCK = "raven-migrate"
"""The word that one migration alone holds, for `open_database`."""


def check(database: Database) -> None:
    """Raises SchemaDiffers, which says what to do; NoSchema for a database without tables. Costs next to nothing."""
    found = _stated(database)
    if found != VERSION:
        raise SchemaDiffers(_difference(found))


def check_closely(database: Database) -> None:
    """As `check`, and whether the tables are what their version says: for the start of a daemon."""
    found = version(database)
    if found is None:
        raise NoSchema("database: it has no tables; run `raven migrate`, or load db.sql into it")
    if found != VERSION:
        raise SchemaDiffers(_difference(found))


def check_as_client(database: Database) -> None:
    """As `check`, for who need not be able to see the version: what it then asks for is refused if it is not there."""
    try:
        found = _stated(database)
    except (NoSchema, Unavailable):
        return
    if found and found != VERSION:
        raise SchemaDiffers(_difference(found))


def _difference(found: int) -> str:
    has = f"the database has schema version {found}" if found else "the database has a schema from before versions"
    todo = "run `raven migrate` as the schema's owner" if found < VERSION else "update Raven on this host"
    return f"{has}, this Raven needs version {VERSION}: {todo}"


def version(database: Database) -> int | None:
    """Of the schema that is there: 0 for one from before there were versions, None for no tables at all."""
    try:
        found = _stated(database)
        return 0 if found and v0001.is_older(database) else found
    except NoSchema:
        return None


def _stated(database: Database) -> int:
    """What the database says of itself. Raises NoSchema when it has no tables."""
    try:
        (row,) = database.query("SELECT MAX(version) AS version FROM schema_version")
    except NoSchema:
        database.query("SELECT id FROM tasks WHERE 1 = 0")
        return 0
    return int(row["version"] or 0)


def migrate(database: Database, steps: tuple[Callable[[Database], None], ...] = STEPS) -> tuple[int | None, int]:
    """Brings the database to the version of this Raven; the version before and after. Safe to repeat and to kill.

    No two may run at once: open a MariaDB with LOCK; a SQLite file is held by the transaction. Raises SchemaDiffers
    when the database is of a newer Raven.
    """
    with database.transaction():
        before = version(database)
        if before is None:
            database.script((resources.files("raven") / "db.sql").read_text("utf-8"))
            return None, VERSION
        if before > len(steps):
            raise SchemaDiffers(_difference(before))
        for number, step in enumerate(steps[before:], before + 1):
            step(database)
            database.execute("DELETE FROM schema_version WHERE version = ?", (number,))
            database.execute("INSERT INTO schema_version (version) VALUES (?)", (number,))
    return before, len(steps)
