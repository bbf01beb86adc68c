"""The database port over SQLite: the embedded farm's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raven.adapters.statements import statements
from raven.errors import DataRefused, NoSchema, Unavailable
from raven.ports import DatabaseAbout, Row

BUSY_SECONDS = 30  # another process may hold the file while it commits


class SqliteDatabase:
    """One connection, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")  # readers do not stop the watcher
        self._connection.execute("PRAGMA synchronous=NORMAL")  # safe against kill -9; WAL survives a crash whole

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return self._run(sql, parameters).rowcount

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return [dict(row) for row in self._run(sql, parameters).fetchall()]

    def script(self, sql: str) -> None:
        for statement in statements(sql):
            self._run(statement, ())

    def about(self) -> DatabaseAbout:
        return DatabaseAbout("SQLite", sqlite3.sqlite_version, None)

    def _run(self, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except (OverflowError, sqlite3.DataError) as error:
            raise DataRefused(f"SQLite: {error}") from error
        except sqlite3.Error as error:
            if str(error).startswith("no such table"):
                raise NoSchema(f"database: {error}; run `raven migrate`, or load db.sql into it") from error
            raise Unavailable(f"SQLite: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE", ())
        try:
            yield
            self._run("COMMIT", ())
        except BaseException:  # a COMMIT that fails, as on a full disk, leaves the transaction open
            self._connection.rollback()
            raise

    def close(self) -> None:
        self._connection.close()
