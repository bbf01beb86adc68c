"""What steps are made of: changes that both databases understand and that are safe to repeat."""

from __future__ import annotations

from raven.errors import NoSchema
from raven.ports import Database


def columns(database: Database, table: str) -> frozenset[str]:
    """The names of a table's columns; none where there is no such table."""
    try:
        # one row, of nothing, however many the table has
        (row,) = database.query(f"SELECT t.* FROM (SELECT 1 AS one) AS o LEFT JOIN {table} AS t ON 1 = 0")
    except NoSchema:
        return frozenset()
    return frozenset(row)


def add_columns(database: Database, table: str, wanted: dict[str, str]) -> None:
    """Adds those that are missing, each by its definition, which needs a default if it is NOT NULL."""
    there = columns(database, table)
    for name, definition in wanted.items():
        if name not in there:
            database.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition}")
