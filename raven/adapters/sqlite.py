"""The database port over SQLite: the embedded farm's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raven.errors import ConfigError, Unavailable
from raven.ports import Row

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

    def _run(self, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if str(error).startswith("no such table"):
                raise ConfigError(f"database: {error}; load db.sql into it") from error
            raise Unavailable(f"SQLite: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE", ())
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self._run("COMMIT", ())

    def script(self, sql: str) -> None:
        """Loads a schema."""
        self._connection.executescript(sql)

    def close(self) -> None:
        self._connection.close()
