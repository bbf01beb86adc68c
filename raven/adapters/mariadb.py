"""The database port over MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.constants import CLIENT, ER
from pymysql.cursors import DictCursor

from raven.errors import ConfigError, Unavailable
from raven.ports import Row

FORM = "write it as mysql://user:password@host:3306/name"
CONNECT_SECONDS = 5
ANSWER_SECONDS = 30  # a hung connection must not stop the watcher for ever


class MariaDatabase:
    """One connection, opened when it is first needed and again after it broke; for one thread at a time."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            name, port = parts.path.lstrip("/"), parts.port or 3306
        except ValueError as error:
            raise ConfigError(f"database: {error}; {FORM}") from error
        if not parts.hostname or not name:
            raise ConfigError(f"database: {FORM}")
        self._where: dict[str, Any] = {
            "host": parts.hostname,
            "port": port,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": name,
        }
        self._connection: pymysql.Connection[DictCursor] | None = None
        self._inside = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._cursor() as cursor:
            return cursor.execute(_marked(sql), tuple(parameters))

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._cursor() as cursor:
            cursor.execute(_marked(sql), tuple(parameters))
            return list(cursor.fetchall())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("START TRANSACTION")
        self._inside = True
        try:
            yield
            self._inside = False
            self.execute("COMMIT")
        except BaseException:
            self._inside = False
            self._drop()  # closing rolls back, also when the server is gone
            raise

    def close(self) -> None:
        self._drop()

    @contextmanager
    def _cursor(self) -> Iterator[DictCursor]:
        try:
            with self._connected().cursor() as cursor:
                yield cursor
        except pymysql.ProgrammingError as error:
            if error.args[0] == ER.NO_SUCH_TABLE:
                raise ConfigError(f"database: {error.args[1]}; load db.sql into it") from error
            raise
        except (pymysql.OperationalError, pymysql.InterfaceError, pymysql.InternalError) as error:
            self._drop()
            raise Unavailable(f"MariaDB: {error.args[-1] if error.args else error}") from error

    def _connected(self) -> pymysql.Connection[DictCursor]:
        if self._connection is None:
            if self._inside:
                raise Unavailable("MariaDB: the connection broke within a transaction")
            connection = pymysql.connect(
                **self._where,
                charset="utf8mb4",
                autocommit=True,
                cursorclass=DictCursor,
                client_flag=CLIENT.FOUND_ROWS,  # rows matched: a guarded update that changes nothing still matched
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
                write_timeout=ANSWER_SECONDS,
                init_command="SET time_zone = '+00:00'",  # times in rows are UTC
            )
            with connection.cursor() as cursor:
                # snapshots must not hide the rows that clients insert meanwhile; the statement, as the name of its
                # variable changed in 11.1
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except pymysql.Error:
                return  # it was broken already, which is why it is dropped


def _marked(sql: str) -> str:
    """The statement with the driver's marks: `?` becomes `%s`, and a percent sign of ours stays one."""
    return sql.replace("%", "%%").replace("?", "%s")
