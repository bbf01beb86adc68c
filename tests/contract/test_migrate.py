"""`raven migrate` on SQLite and MariaDB: from every schema that there was to the one that db.sql makes."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from raven.cli import main
from raven.config import Settings
from raven.errors import NoSchema, SchemaDiffers, Unavailable
from raven.migrations import STEPS
from raven.ports import Database
from raven.profile import load_profiles
from raven.schema import LOCK, VERSION, check, check_closely, migrate, version
from raven.wiring import open_broker, open_database
from tests.contract import databases
from tests.servers.fixtures import SCHEMA
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment
from tests.waiting import DEADLINE, wait_until
from watcher.watcher import Watcher

OLD = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
OLDEST, UNVERSIONED = OLD[0], [file for file in OLD if file.stem.startswith("unversioned")][-1]
SOURCE = "/srv/in/film.mkv"
NEWER = f"INSERT INTO schema_version (version) VALUES ({VERSION + 1});"  # noqa: S608 - a number of ours


class Place:
    """A database, and its administrator's way to load a script into it."""

    def __init__(self, url: str, server: MariaDb | None) -> None:
        self.url, self._server = url, server
        self._path = urlsplit(url).path

    def load(self, script: str) -> None:
        if self._server is None:
            with closing(sqlite3.connect(self._path)) as connection:
                connection.executescript(script)
        else:
            self._server.run_script(self._path[1:], script)

    def shape(self) -> set[tuple[Any, ...]]:
        """Columns with type and default, and indexes with their columns."""
        database = open_database(Settings(database=self.url))
        try:
            return _mariadb_shape(database) if self._server else _sqlite_shape(database)
        finally:
            database.close()


def _mariadb_shape(database: Database) -> set[tuple[Any, ...]]:
    columns = database.query(
        "SELECT table_name, column_name, column_type, is_nullable, column_default, collation_name, extra"
        " FROM information_schema.columns WHERE table_schema = DATABASE()"
    )
    indexes = database.query(
        "SELECT table_name, index_name, seq_in_index, column_name, non_unique"
        " FROM information_schema.statistics WHERE table_schema = DATABASE()"
    )
    tables = {("table", row["table_name"]) for row in columns}
    return tables | {tuple(row.values()) for row in (*columns, *indexes)}


def _sqlite_shape(database: Database) -> set[tuple[Any, ...]]:
    found: set[tuple[Any, ...]] = set()
    for table in database.query("SELECT name FROM sqlite_master WHERE type = 'table'"):
        name = table["name"]
        found.add(("table", name))
        for row in database.query(f"PRAGMA table_info({name})"):
            # a column without a default cannot be added to a table of SQLite
            default = None if row["name"] == "lane" else row["dflt_value"]
            # to SQLite the same, which changes no type of a column
            kind = row["type"].replace("MEDIUMTEXT", "TEXT").replace("BIGINT", "INTEGER")
            found.add((name, row["name"], kind, row["notnull"], default, row["pk"]))
    for index in database.query("SELECT name FROM sqlite_master WHERE type = 'index'"):
        columns = [row["name"] for row in database.query(f"PRAGMA index_info({index['name']})")]
        found.add((index["name"], *columns))
    return found


@pytest.fixture(params=databases.BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database."""
    if request.param == "sqlite":
        return Place(f"sqlite://{tmp_path / 'raven.db'}", None)
    return Place(request.getfixturevalue("mariadb_url"), request.getfixturevalue("mariadb_server"))


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = open_database(Settings(database=place.url), LOCK)
    yield opened
    opened.close()


@pytest.fixture
def fresh(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> set[tuple[Any, ...]]:
    """The shape that db.sql gives an empty database; the place is empty again afterwards."""
    place.load(SCHEMA.read_text("utf-8"))
    shape = place.shape()
    place.load("".join(f"DROP TABLE {row[1]};\n" for row in shape if row[0] == "table"))
    return shape


def raven(*arguments: str, url: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"RAVEN_DATABASE": url, "RAVEN_CONFIG": ""})


# versions


def test_db_sql_makes_the_version_that_this_raven_needs(place: Place, database: Database) -> None:
    """Whoever adds a step and forgets the last line of db.sql hears of it here."""
    place.load(SCHEMA.read_text("utf-8"))

    check(database)
    check_closely(database)
    assert version(database) == VERSION == len(STEPS)


def test_an_empty_database_gets_all_tables(place: Place, database: Database, fresh: set[tuple[Any, ...]]) -> None:
    assert version(database) is None

    assert migrate(database) == (None, VERSION)

    assert place.shape() == fresh
    assert migrate(database) == (VERSION, VERSION)


@pytest.mark.parametrize("script", OLD, ids=lambda path: path.stem)
def test_a_database_of_an_older_db_sql_gets_the_shape_of_the_newest_and_keeps_its_rows(
    script: Path, place: Place, fresh: set[tuple[Any, ...]], database: Database
) -> None:
    place.load(script.read_text("utf-8"))
    database.execute("INSERT INTO tasks (source) VALUES (?)", (SOURCE,))
    job = "INSERT INTO jobs (task_id, kind, position) VALUES (1, 'audio', 0);"
    with_lane = "INSERT INTO jobs (task_id, kind, position, lane) VALUES (1, 'audio', 0, 'worker.light');"
    place.load(job if script == OLDEST else with_lane)  # the first one knew no lanes

    had = 0 if script.stem.startswith("unversioned") else int(script.stem.removeprefix("v"))
    assert version(database) == had
    assert migrate(database) == (had, VERSION)

    assert place.shape() == fresh
    check_closely(database)
    assert [row["source"] for row in database.query("SELECT source FROM tasks")] == [SOURCE]
    assert [row["lane"] for row in database.query("SELECT lane FROM jobs")] == ["worker.light"]


def test_clients_go_on_inserting_while_the_database_is_migrated(place: Place, database: Database) -> None:
    """Their statements may wait for a moment; none fails, and no row is lost."""
    place.load(OLDEST.read_text("utf-8"))
    over = threading.Event()

    def insert() -> int:
        client, count = open_database(Settings(database=place.url)), 0
        try:
            while not over.is_set() or count == 0:
                count += client.execute("INSERT INTO tasks (source) VALUES (?)", (SOURCE,))
        finally:
            client.close()
        return count

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(insert) for _ in range(2)]
        wait_until(lambda: database.query("SELECT id FROM tasks LIMIT 1"), "clients insert")
        try:
            assert migrate(database) == (0, VERSION)
        finally:
            over.set()
        inserted = sum(client.result() for client in clients)

    check_closely(database)
    assert [row["n"] for row in database.query("SELECT COUNT(*) AS n FROM tasks")] == [inserted]


def test_what_a_killed_migration_has_left_is_gone_on_with(
    place: Place, fresh: set[tuple[Any, ...]], database: Database
) -> None:
    """MariaDB keeps each change of a table by itself, SQLite none of them."""
    place.load(OLDEST.read_text("utf-8"))

    class Killed(Exception):
        pass

    def killed(database: Database) -> None:
        database.execute("ALTER TABLE jobs ADD COLUMN lane VARCHAR(16) NOT NULL DEFAULT ''")
        database.execute("DROP TABLE nodes")
        database.script("CREATE TABLE holds (name VARCHAR(255) NOT NULL, reason VARCHAR(255) NOT NULL);")
        database.script("DROP TABLE holds;")
        raise Killed

    with pytest.raises(Killed):
        migrate(database, (killed,))

    assert migrate(database)[1] == VERSION
    assert place.shape() == fresh


def test_an_old_database_over_which_the_newest_db_sql_was_loaded_is_not_believed(
    place: Place, database: Database
) -> None:
    """`CREATE TABLE IF NOT EXISTS` leaves the old tables, and the file then says the newest version of them."""
    place.load(OLD[1].read_text("utf-8"))
    place.load(SCHEMA.read_text("utf-8"))

    with pytest.raises(SchemaDiffers, match="raven migrate"):
        check_closely(database)
    assert migrate(database) == (0, VERSION)
    check_closely(database)


def test_a_database_of_a_newer_raven_is_left_alone(place: Place, database: Database) -> None:
    place.load(SCHEMA.read_text("utf-8") + NEWER)
    shape = place.shape()

    for call in (check, check_closely, migrate):
        with pytest.raises(SchemaDiffers, match=f"version {VERSION + 1}, .* update Raven"):
            call(database)
    assert place.shape() == shape


def test_the_next_step_is_taken_alone_and_its_version_noted(place: Place, database: Database) -> None:
    """How the next version will come: by one more function."""
    place.load(SCHEMA.read_text("utf-8"))

    def step(database: Database) -> None:
        database.execute("CREATE TABLE IF NOT EXISTS tags (name VARCHAR(16) PRIMARY KEY)")

    assert migrate(database, (*STEPS, step)) == (VERSION, VERSION + 1)
    assert migrate(database, (*STEPS, step)) == (VERSION + 1, VERSION + 1)
    assert database.query("SELECT name FROM tags") == []
    with pytest.raises(SchemaDiffers):
        check(database)


def test_a_step_that_fails_leaves_the_version_as_it_was(place: Place, database: Database) -> None:
    place.load(SCHEMA.read_text("utf-8"))

    def step(_: Database) -> None:
        raise Unavailable("the server went away")

    with pytest.raises(Unavailable):
        migrate(database, (*STEPS, step))
    assert version(database) == VERSION


def test_without_tables_the_way_to_them_is_told(database: Database) -> None:
    for call in (check, check_closely):
        with pytest.raises(NoSchema, match="raven migrate"):
            call(database)


# the command


def test_the_command_migrates_says_so_and_does_nothing_more(place: Place) -> None:
    place.load(OLDEST.read_text("utf-8"))

    checked, first, second = (raven("migrate", *more, url=place.url) for more in (["--check"], [], ["--json"]))

    assert (checked.exit_code, first.exit_code, second.exit_code) == (1, 0, 0), first.output
    assert "a schema from before versions" in checked.output
    assert f"has version {VERSION} now" in first.output
    assert json.loads(second.stdout) == {"before": VERSION, "needed": VERSION, "migrated": False}
    assert raven("migrate", "--check", url=place.url).exit_code == 0


@pytest.mark.servers
def test_two_cannot_migrate_one_database_at_once(mariadb_url: str) -> None:
    first = open_database(Settings(database=mariadb_url), LOCK)
    assert version(first) is None

    second = raven("migrate", url=mariadb_url)

    assert second.exit_code == 1
    assert "another `raven migrate` is at work" in second.output
    first.close()
    assert raven("migrate", url=mariadb_url).exit_code == 0


@pytest.mark.servers
def test_the_documented_backup_brings_an_upgraded_database_back(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """The one way back from a migration."""
    name = urlsplit(mariadb_url).path[1:]
    for script in (OLDEST.read_text("utf-8"), "INSERT INTO tasks (source) VALUES ('/srv/in/a.mkv')"):
        mariadb_server.run_script(name, script)
    backup = mariadb_server.dump(name)
    assert raven("migrate", url=mariadb_url).exit_code == 0

    mariadb_server.drop_database(name)
    mariadb_server.create_database(name)
    mariadb_server.run_script(name, backup)

    assert raven("migrate", "--check", url=mariadb_url).exit_code == 1
    assert mariadb_server.run_script(name, "SELECT source FROM tasks").split() == ["source", "/srv/in/a.mkv"]


# daemons


def started(role: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {f"RAVEN_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", role], env=clean_environment(folder) | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_watcher_that_finds_another_version_says_what_to_do_and_ends_with_1(place: Place, tmp_path: Path) -> None:
    """It does not wait for a broker that is away, nor take anything from one that is there."""
    place.load(UNVERSIONED.read_text("utf-8"))

    done = started("watcher", tmp_path, database=place.url, broker="amqp://bob:secret@127.0.0.1:1/")

    assert done.returncode == 1, done.stderr
    assert "raven-watcher: the database has a schema from before versions" in done.stderr
    assert "raven migrate" in done.stderr


def test_a_watcher_is_ready_for_its_service_manager_before_its_database_is(tmp_path: Path) -> None:
    """After a power failure hosts come up in any order; a manager that hears nothing would end it."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with manager, tempfile.TemporaryDirectory() as short:  # a socket's path has at most 107 characters
        manager.bind(f"{short}/notify")
        manager.settimeout(DEADLINE)
        nowhere = {
            "RAVEN_DATABASE": "mysql://bob:secret@127.0.0.1:1/raven", "RAVEN_BROKER": "amqp://bob:secret@127.0.0.1:1/",
            "NOTIFY_SOCKET": f"{short}/notify",
        }  # fmt: skip
        command = [sys.executable, "-m", "watcher"]
        with subprocess.Popen(command, env=clean_environment(tmp_path) | nowhere, stderr=subprocess.DEVNULL) as watcher:
            assert manager.recv(100) == b"READY=1"
            watcher.terminate()
            assert watcher.wait(DEADLINE) == 0


def test_scrub_touches_nothing_where_the_schema_is_another_s(place: Place, tmp_path: Path) -> None:
    place.load(UNVERSIONED.read_text("utf-8"))
    (tmp_path / "objects/out/1").mkdir(parents=True)
    (tmp_path / "objects/out/1/master.m3u8").touch()

    done = started("scrub", tmp_path, database=place.url, storage=f"file://{tmp_path}/objects")

    assert done.returncode == 1
    assert "raven migrate" in done.stderr
    assert (tmp_path / "objects/out/1/master.m3u8").exists()


def test_a_watcher_at_work_stops_when_another_raven_migrates_its_database(place: Place, database: Database) -> None:
    """It looks at each turn, by the question that asks whether the server is there."""
    place.load(SCHEMA.read_text("utf-8"))
    broker = open_broker(Settings())
    watcher = Watcher(Settings(poll_seconds=0.01), database, broker, load_profiles())
    watcher.turn()

    place.load(NEWER)

    with pytest.raises(SchemaDiffers, match="update Raven"):
        watcher.turn()
    broker.close()
