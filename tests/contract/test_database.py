"""What raven.ports.Database promises, on SQLite and on MariaDB."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from raven.adapters.mariadb import SILENT_SECONDS, MariaDatabase
from raven.adapters.sqlite import SqliteDatabase
from raven.config import Settings
from raven.errors import ConfigError, DataRefused, Standby, Unavailable
from raven.ports import Database
from raven.wiring import open_database
from tests.contract import databases
from tests.contract.databases import Connect
from tests.servers.fixtures import SCHEMA, load_schema, need
from tests.servers.mariadb import MariaDb
from tests.servers.process import ServerError, private_directory

INSERT = "INSERT INTO tasks (source) VALUES (?)"
TABLES = {"tasks", "jobs", "nodes", "history"}


@pytest.fixture(scope="module")
def own_server() -> Iterator[MariaDb]:
    """A durable MariaDB that tests may kill, and whose clock is not set to UTC."""
    need(MariaDb.missing())
    with private_directory() as directory:
        server = MariaDb.start(directory, durable=True)
        yield server
        server.close()


@pytest.fixture
def own_database(own_server: MariaDb) -> Iterator[Database]:
    """A connection of the schema's owner to a fresh database of that server."""
    name = f"raven-{uuid.uuid4().hex}"
    url = load_schema(own_server, own_server.create_database(name))
    database = open_database(Settings(database=url))
    yield database
    database.close()


def test_the_schema_can_be_loaded_again_over_rows_that_are_there(tmp_path: Path) -> None:
    """Whoever updates Raven loads db.sql again; that must not cost a row."""
    with closing(sqlite3.connect(tmp_path / "raven.db")) as connection:
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        connection.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
        connection.commit()
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        assert connection.execute("SELECT source FROM tasks").fetchall() == [("/srv/in/film.mkv",)]


@pytest.mark.servers
def test_the_owner_of_one_schema_loads_it_twice_and_can_do_nothing_beside_it(
    mariadb_server: MariaDb, mariadb_url: str
) -> None:
    """An administrator gives Raven one database and no more, so db.sql must need no more."""
    parts = urlsplit(load_schema(mariadb_server, mariadb_url))
    name, user, password = parts.path[1:], parts.username, parts.password
    mariadb_server.run_script(name, "INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')", user, password)
    mariadb_server.run_script(name, SCHEMA.read_text(encoding="utf-8"), user, password)
    found = mariadb_server.run_script(name, "SHOW TABLES; SELECT source FROM tasks", user, password).split()
    assert set(found) >= TABLES | {"/srv/in/film.mkv"}
    with pytest.raises(ServerError, match="denied"):
        mariadb_server.run_script(name, "CREATE DATABASE another", user, password)


def test_the_source_alone_is_enough_to_submit_a_task(database: Database) -> None:
    """The public promise of db.sql: every other column has a default."""
    assert database.execute(INSERT, ("/srv/in/film.mkv",)) == 1
    (row,) = database.query("SELECT * FROM tasks")
    assert row["created_at"] is not None
    given = {key: value for key, value in row.items() if value is not None and key not in ("created_at", "owner")}
    assert given == {
        "id": 1, "source": "/srv/in/film.mkv", "profile": "default", "priority": 0, "status": "new", "progress": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("kind", databases.BOTH)
def test_a_database_without_the_schema_says_how_to_load_it(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The first mistake of every installation; it is not a server that may come back."""
    url = request.getfixturevalue("mariadb_url") if kind == "mariadb" else f"sqlite://{tmp_path / 'empty.db'}"
    with _opened(url) as database:
        for call in (lambda: database.query("SELECT id FROM tasks"), lambda: database.execute("DELETE FROM jobs")):
            with pytest.raises(ConfigError, match=r"database: .*(tasks|jobs).*db\.sql"):
                call()


def test_text_comes_back_as_it_went_in(database: Database) -> None:
    """File names are anything: quotes, backslashes, format marks and letters of every plane."""
    text = '/srv/in/It\'s 100% "déjà" \\ ? %s {} 🎬\t;--.mkv'
    database.execute(INSERT, (text,))
    assert [row["source"] for row in database.query("SELECT source FROM tasks WHERE source = ?", (text,))] == [text]


def test_names_that_differ_in_case_or_accent_alone_are_different(database: Database) -> None:
    """A case-blind collation, MariaDB's default, would mix up nodes and sources."""
    database.execute(INSERT, ("/srv/in/Film.mkv",))
    assert database.query("SELECT id FROM tasks WHERE source IN (?, ?)", ("/srv/in/film.mkv", "/srv/in/Fílm.mkv")) == []


def test_a_percent_sign_in_a_statement_is_only_a_percent_sign(database: Database) -> None:
    """`?` is the one mark of a parameter, whatever marks the driver beneath uses."""
    database.execute(INSERT, ("/srv/in/film.mkv",))
    rows = database.query("SELECT id % 2 AS odd FROM tasks WHERE source LIKE '/srv/%' AND id = ?", (1,))
    assert [row["odd"] for row in rows] == [1]
    assert database.execute("UPDATE tasks SET priority = 7 WHERE source LIKE '/mnt/%'") == 0


def test_a_guarded_update_counts_the_rows_that_it_matched(database: Database) -> None:
    """Zero must mean "the guard forbade it", never "it was so already": a repeated report is not a late one."""
    for name in ("a", "b", "c"):
        database.execute(INSERT, (name,))
    fail = "UPDATE tasks SET status = 'failed' WHERE source <> ? AND status IN ('new', 'failed')"
    assert database.execute(fail, ("c",)) == 2
    assert database.execute(fail, ("c",)) == 2, "matched, though nothing was altered"
    assert database.execute("UPDATE tasks SET status = 'done' WHERE status = 'encoding'") == 0
    assert database.execute("DELETE FROM tasks WHERE status = 'failed'") == 2


def test_statements_of_a_transaction_count_together(connect: Connect) -> None:
    """Another program sees all of a committed transaction, and nothing of it before."""
    ours, other = connect(), connect()
    with ours.transaction():
        ours.execute(INSERT, ("a",))
        ours.execute(INSERT, ("b",))
        assert len(ours.query("SELECT id FROM tasks")) == 2
        assert other.query("SELECT id FROM tasks") == []
    assert len(other.query("SELECT id FROM tasks")) == 2


def test_a_transaction_that_breaks_off_leaves_nothing_and_the_database_usable(connect: Connect) -> None:
    """A fault between two statements of a plan must not leave half a plan."""
    ours, other = connect(), connect()
    ours.execute(INSERT, ("before",))

    def half_a_plan() -> None:
        with ours.transaction():
            ours.execute(INSERT, ("half",))
            ours.execute("UPDATE tasks SET priority = 1")
            raise KeyError("a fault of ours")

    with pytest.raises(KeyError):
        half_a_plan()
    for database in (ours, other):
        rows = database.query("SELECT source, priority FROM tasks")
        assert [(row["source"], row["priority"]) for row in rows] == [("before", 0)]
    with ours.transaction():
        ours.execute(INSERT, ("after",))
    assert len(other.query("SELECT id FROM tasks")) == 2


def test_a_commit_that_fails_leaves_nothing_and_the_database_usable(tmp_path: Path) -> None:
    """As where a disk is full: SQLite keeps such a transaction open, and would refuse to begin another one for ever."""
    with closing(SqliteDatabase(tmp_path / "raven.db")) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute(
            "CREATE TABLE a (id INTEGER PRIMARY KEY, of INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(Unavailable), database.transaction():
            database.execute("INSERT INTO a (of) VALUES (7)")
        with database.transaction():
            database.execute("INSERT INTO a (id) VALUES (1)")
        assert database.query("SELECT id FROM a") == [{"id": 1}]


@pytest.mark.parametrize("value", [2**70, 1e300])
def test_a_value_that_no_row_can_hold_is_the_value_s_fault_and_not_the_server_s(
    value: float, connect: Connect, database: Database
) -> None:
    if value == 1e300 and not databases.is_mariadb(database):
        pytest.skip("SQLite's columns take any number of its own")
    database.execute(INSERT, ("/srv/in/a.mkv",))
    with pytest.raises(DataRefused), database.transaction():
        database.execute("UPDATE tasks SET source = 'written'")
        database.execute("UPDATE tasks SET keep_hours = ?", (value,))
    assert connect().query("SELECT source FROM tasks") == [{"source": "/srv/in/a.mkv"}]
    database.execute(INSERT, ("/srv/in/b.mkv",))
    assert len(connect().query("SELECT id FROM tasks")) == 2


@pytest.mark.parametrize(
    "sql", ["INSERT INTO tasks (id, source) VALUES (1, '/b')", "SELECT FROM", "SELECT odd FROM tasks"]
)
def test_whatever_else_is_refused_is_the_database_s_trouble_and_no_single_value_s(sql: str, database: Database) -> None:
    """Tables of another make, or whose numbers have come to their end: who asks waits for an operator."""
    database.execute(INSERT, ("/a",))
    with pytest.raises(Unavailable), database.transaction():
        database.execute(sql)
    assert database.query("SELECT source FROM tasks") == [{"source": "/a"}]


def test_who_is_alone_stays_alone_over_a_value_that_no_row_can_hold(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """The connection is the lock: were it given up, another one could take it, and lose it by the same row."""
    url = load_schema(mariadb_server, mariadb_url)
    first = MariaDatabase(url, alone="watcher")
    (before,) = first.query("SELECT CONNECTION_ID() AS id")
    with pytest.raises(DataRefused), first.transaction():
        first.execute("UPDATE tasks SET keep_hours = 1 WHERE 1 = 0")
        first.execute("INSERT INTO tasks (source, keep_hours) VALUES ('/a', 1e300)")
    assert first.query("SELECT CONNECTION_ID() AS id") == [before]
    first.close()


def test_rows_that_others_insert_are_seen_by_the_next_query(connect: Connect) -> None:
    """The watcher holds one connection for weeks; a snapshot of it would hide new tasks."""
    watcher, client = connect(), connect()
    assert watcher.query("SELECT id FROM tasks") == []
    client.execute(INSERT, ("a",))
    assert len(watcher.query("SELECT id FROM tasks")) == 1
    client.execute("DELETE FROM tasks")
    assert watcher.query("SELECT id FROM tasks") == []


@pytest.mark.servers
def test_mariadb_shows_rows_of_others_within_a_transaction_too(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """Its default is a snapshot for each transaction, in which a plan would not see a row deleted meanwhile."""
    url = load_schema(mariadb_server, mariadb_url)
    with _opened(url) as ours, _opened(url) as other, ours.transaction():
        assert ours.query("SELECT id FROM tasks") == []
        other.execute(INSERT, ("a",))
        assert len(ours.query("SELECT id FROM tasks")) == 1


def test_clients_that_insert_side_by_side_lose_nothing(connect: Connect, database_url: str) -> None:
    """Clients know nothing of each other, and SQLite has one writer at a time: it must wait, not refuse."""
    clients, rows = 4, 10
    faults: list[BaseException] = []

    def insert(client: int) -> None:
        try:
            with _opened(database_url) as own:
                for number in range(rows):
                    own.execute(INSERT, (f"{client}/{number}",))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=insert, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = connect().query("SELECT id, source FROM tasks")
    assert faults == []
    assert {row["source"] for row in found} == {f"{c}/{n}" for c in range(clients) for n in range(rows)}
    assert len({row["id"] for row in found}) == clients * rows


def test_times_in_rows_are_utc(database: Database) -> None:
    """Clients compare them with their own clocks."""
    database.execute(INSERT, ("a",))
    _assert_utc_now(database.query("SELECT created_at FROM tasks")[0]["created_at"])


@pytest.mark.servers
def test_times_in_rows_are_utc_on_a_server_that_lives_elsewhere(own_server: MariaDb, own_database: Database) -> None:
    """Most servers run in their country's time; a session of Raven does not."""
    own_server.run_script("mysql", "SET GLOBAL time_zone = '+05:00'")
    name = own_database.query("SELECT DATABASE() AS name")[0]["name"]
    own_server.run_script(name, "INSERT INTO tasks (source) VALUES ('by a client there')")
    own_database.close()  # the next call connects again, now under the server's new zone
    own_database.execute("UPDATE tasks SET started_at = CURRENT_TIMESTAMP")
    (row,) = own_database.query("SELECT created_at, started_at FROM tasks")
    _assert_utc_now(row["created_at"])
    _assert_utc_now(row["started_at"])


@pytest.mark.servers
def test_a_connection_that_the_server_ends_is_opened_again(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """wait_timeout does this to every watcher that has nothing to do for eight hours."""
    with _opened(load_schema(mariadb_server, mariadb_url)) as database:
        connection = database.query("SELECT CONNECTION_ID() AS id")[0]["id"]
        mariadb_server.run_script("mysql", f"KILL {connection}")
        with pytest.raises(Unavailable):
            database.query("SELECT 1")
        assert database.execute(INSERT, ("a",)) == 1


@pytest.mark.servers
def test_a_killed_server_is_unavailable_and_then_works_again(own_server: MariaDb, own_database: Database) -> None:
    """The watcher lives through it: each call says Unavailable until the server is back, then rows are all there."""
    own_database.execute(INSERT, ("before",))
    own_server.kill()
    for _ in range(2):  # the broken connection, and none
        with pytest.raises(Unavailable, match="MariaDB"):
            own_database.query("SELECT id FROM tasks")
    own_server.restart()
    assert [row["source"] for row in own_database.query("SELECT source FROM tasks")] == ["before"]
    assert own_database.execute(INSERT, ("after",)) == 1


@pytest.mark.servers
def test_a_server_killed_within_a_transaction_has_nothing_of_it(own_server: MariaDb, own_database: Database) -> None:
    """The second half must not be committed alone on the new connection."""

    def interrupted() -> None:
        with own_database.transaction():
            own_database.execute(INSERT, ("first half",))
            own_server.kill()
            own_server.restart()
            try:
                own_database.execute(INSERT, ("on the dead connection",))
            except Unavailable:
                own_database.execute(INSERT, ("second half",))

    with pytest.raises(Unavailable):
        interrupted()
    assert own_database.query("SELECT source FROM tasks") == []
    with own_database.transaction():
        own_database.execute(INSERT, ("after",))
    assert len(own_database.query("SELECT id FROM tasks")) == 1


@pytest.mark.servers
def test_a_server_that_is_not_there_is_unavailable_at_once(mariadb_url: str) -> None:
    """A watcher that starts before its database waits for it."""
    parts = urlsplit(mariadb_url)
    nowhere = mariadb_url.replace(f":{parts.port}/", ":1/")
    with _opened(nowhere) as database, pytest.raises(Unavailable, match="MariaDB"):
        database.query("SELECT 1")


@pytest.mark.servers
def test_one_connection_alone_can_hold_a_word(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """It is the connection that writes which holds it, so who has lost it cannot write any more."""
    url = load_schema(mariadb_server, mariadb_url)
    with _opened(url, "raven-test") as first, _opened(url, "raven-test") as second, _opened(url) as other:
        first.execute(INSERT, ("first",))
        for _ in range(2):
            with pytest.raises(Standby):
                second.execute(INSERT, ("second",))
        other.execute(INSERT, ("another without the word",))
        mariadb_server.run_script("mysql", f"KILL {first.query('SELECT CONNECTION_ID() AS id')[0]['id']}")
        assert second.execute(INSERT, ("second",)) == 1
        with pytest.raises(Unavailable):
            first.execute(INSERT, ("too late",))
        with pytest.raises(Standby):
            first.execute(INSERT, ("too late",))
        assert {row["source"] for row in other.query("SELECT source FROM tasks")} == {
            "first", "second", "another without the word",
        }  # fmt: skip


@pytest.mark.servers
def test_who_falls_silent_loses_the_word(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """A host that vanished says no goodbye: the server ends its connection after some seconds."""
    with _opened(load_schema(mariadb_server, mariadb_url), "raven-test") as first:
        assert first.query("SELECT @@SESSION.wait_timeout AS seconds") == [{"seconds": SILENT_SECONDS}]


@contextmanager
def _opened(url: str, alone: str | None = None) -> Iterator[Database]:
    database = open_database(Settings(database=url), alone)
    try:
        yield database
    finally:
        database.close()


def _assert_utc_now(value: Any) -> None:
    """MariaDB's driver gives a datetime, SQLite the text that it stores; both without a zone."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    assert time.tzinfo is None
    assert abs(datetime.now(UTC) - time.replace(tzinfo=UTC)) < timedelta(minutes=2)
