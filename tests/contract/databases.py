"""The two databases under contract, each with the schema as its operator would load it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raven.config import Settings
from raven.ports import Database
from raven.wiring import open_database
from tests.servers.fixtures import SCHEMA, load_schema

BOTH = [pytest.param("sqlite"), pytest.param("mariadb", marks=pytest.mark.servers)]
Connect = Callable[[], Database]


def new_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a database with db.sql in it: by sqlite3's executescript, or by the plain `mariadb` client."""
    if kind == "mariadb":
        return load_schema(request.getfixturevalue("mariadb_server"), request.getfixturevalue("mariadb_url"))
    file = folder / "raven.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
    return f"sqlite://{file}"


def connecting(url: str) -> Iterator[Connect]:
    """A function that opens one more connection; all are closed afterwards."""
    opened: list[Database] = []

    def connect() -> Database:
        opened.append(open_database(Settings(database=url)))
        return opened[-1]

    yield connect
    for database in opened:
        database.close()


def is_mariadb(database: Database) -> bool:
    return type(database).__name__ == "MariaDatabase"
