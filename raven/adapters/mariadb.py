"""The database port over MariaDB."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.constants import CLIENT, ER
from pymysql.cursors import DictCursor

from raven import tls
from raven.adapters.statements import statements
from raven.errors import ConfigError, DataRefused, NoSchema, RowLocked, Standby, Unavailable
from raven.ports import DatabaseAbout, Row

FORM = "write it as mysql://user:password@host:3306/name, for TLS with ?tls=system or ?tls=FILE behind it"
CONNECT_SECONDS = 5
SILENT_SECONDS = 6  # who holds a lock has to speak more often than that
LOCKED_SECONDS = 1  # for a row that somebody else's transaction holds; the server's own 50 would hold up all tasks
LOCKED = (ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK)
ANSWER_SECONDS = 30  # a hung connection must not stop the watcher for ever


class MariaDatabase:
    """One connection, opened when it is first needed and again after it broke; for one thread at a time.

    `alone`: a word that only one connection to this database can hold at a time, as a named lock of the server. It is
    the connection itself that holds it: whatever is written is written by the one who has it.
    """

    def __init__(self, url: str, alone: str | None = None, answer_seconds: int = ANSWER_SECONDS) -> None:
        try:
            parts = urlsplit(url)
            name, port = parts.path.lstrip("/"), parts.port or 3306
        except ValueError:  # whose words may hold a piece of the password
            raise ConfigError(f"database: {FORM}; in a password, spell : / ? # [ ] @ by percent signs") from None
        if not parts.hostname or not name:
            raise ConfigError(f"database: {FORM}")
        self._where: dict[str, Any] = {
            "host": parts.hostname,
            "port": port,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": name,
            "ssl": _tls(parts.query),
        }
        # names of locks are the whole server's and of at most 64 characters
        self._lock = alone and f"{alone}:{hashlib.sha256(name.encode()).hexdigest()[:24]}"
        self._connection: pymysql.Connection[DictCursor] | None = None
        self._inside = False
        self._answer_seconds = answer_seconds

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._cursor() as cursor:
            return cursor.execute(_marked(sql), tuple(parameters))

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._cursor() as cursor:
            cursor.execute(_marked(sql), tuple(parameters))
            return list(cursor.fetchall())

    def script(self, sql: str) -> None:
        with self._cursor() as cursor:
            for statement in statements(sql):
                cursor.execute(statement)

    def about(self) -> DatabaseAbout:
        (row,) = self.query("SELECT VERSION() AS version, UNIX_TIMESTAMP(SYSDATE(6)) AS clock")
        return DatabaseAbout("MariaDB", str(row["version"]), float(row["clock"]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("START TRANSACTION")
        self._inside = True
        try:
            yield
            self._inside = False
            self.execute("COMMIT")
        except BaseException as error:
            self._inside = False
            if _is_well(error):
                self.execute("ROLLBACK")  # the connection stays, and with it the named lock
            else:
                self._drop()  # closing rolls back, also when the server is gone
            raise

    def close(self) -> None:
        self._drop()

    @contextmanager
    def _cursor(self) -> Iterator[DictCursor]:
        try:
            with self._connected().cursor() as cursor:
                yield cursor
        except pymysql.DataError as error:
            raise DataRefused(f"MariaDB: {error.args[-1]}") from error
        except pymysql.Error as error:
            if error.args and error.args[0] == ER.NO_SUCH_TABLE:
                raise NoSchema(f"database: {error.args[1]}; run `raven migrate`, or load db.sql into it") from error
            if error.args and error.args[0] in LOCKED:
                raise RowLocked(f"MariaDB: {error.args[-1]}") from error
            self._drop()
            raise Unavailable(f"MariaDB: {tls.told(error.args[-1] if error.args else error)}") from error

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
                read_timeout=self._answer_seconds,
                write_timeout=self._answer_seconds,
                # times in rows are UTC; a quote in JSON needs no escape, which took longer than all else of a statement
                init_command="SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
            )
            with connection.cursor() as cursor:
                # snapshots must not hide the rows that clients insert meanwhile; the statement, as the name of its
                # variable changed in 11.1
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", (LOCKED_SECONDS,))
                if self._lock is not None:
                    self._be_alone(connection, cursor, self._lock)
            self._connection = connection
        return self._connection

    @staticmethod
    def _be_alone(connection: pymysql.Connection[DictCursor], cursor: DictCursor, lock: str) -> None:
        """Takes the lock. Raises Standby while another connection has it."""
        # a host that vanished does not say goodbye: the server ends its connection, and with it the lock
        cursor.execute("SET SESSION wait_timeout = %s", (SILENT_SECONDS,))
        cursor.execute("SELECT GET_LOCK(%s, 0) AS taken", (lock,))
        row = cursor.fetchone()
        if row is None or row["taken"] != 1:
            connection.close()
            raise Standby(f"another one has the lock {lock}")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except pymysql.Error:
                return  # it was broken already, which is why it is dropped


def _is_well(error: BaseException) -> bool:
    """Whether a server goes on that has met this: what is broken is a row, or the program that asks."""
    return isinstance(error, RowLocked) or (isinstance(error, Exception) and not isinstance(error, Unavailable))


def _tls(query: str) -> ssl.SSLContext | None:
    """By `tls=system` or `tls=FILE`, the authorities that are trusted, the connection is encrypted, and the server must
    be the one that the URL names; None for a connection in the clear. Raises ConfigError."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    trusted = asked.pop("tls", None)
    if asked or trusted == "":
        raise ConfigError(f"database: {FORM}")
    if trusted is None:
        return None
    return tls.trusting("database", trusted)


def _marked(sql: str) -> str:
    """The statement with the driver's marks: `?` becomes `%s`, and a percent sign of ours stays one."""
    return sql.replace("%", "%%").replace("?", "%s")
