"""A database with the rights of deploy/mariadb is migrated, and restored on a new server, as the manual says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from raven.cli import main
from raven.config import Settings
from raven.doctor.examine import examine
from raven.doctor.findings import Level
from raven.wiring import open_database
from tests.deploy.rights import ACCOUNTS, RIGHTS, url
from tests.servers.mariadb import MariaDb

pytestmark = pytest.mark.servers
BEFORE = Path(__file__).parents[1] / "contract" / "schemas" / "v2.sql"
"""The first version whose database has all tables that rights are given on."""


@pytest.fixture
def server(mariadb_server: MariaDb) -> Iterator[MariaDb]:
    """With a database of the version before, its rights and its accounts."""
    mariadb_server.create_database("raven")
    load(mariadb_server, BEFORE, RIGHTS, ACCOUNTS)
    yield mariadb_server
    mariadb_server.drop_database("raven_public")
    mariadb_server.drop_database("raven")


def load(server: MariaDb, *files: Path) -> None:
    for file in files:
        server.run_script("raven", file.read_text("utf-8"))


def insert(server: MariaDb, source: str) -> list[str]:
    """By a client; its rows afterwards."""
    with closing(open_database(Settings(database=url(server, "news", "raven_public")))) as client:
        client.execute("INSERT INTO tasks (source) VALUES (?)", (source,))
        return [str(row["source"]) for row in client.query("SELECT source FROM tasks ORDER BY id")]


def faults(server: MariaDb, role: str, account: str, database: str = "raven") -> list[str]:
    found = examine({"RAVEN_DATABASE": url(server, account, database)}, None, (role,))
    return [f"{one.what}: {one.said}" for one in found if (one.area, one.level) == ("database", Level.FAULT)]


def test_the_schema_s_owner_migrates_under_rights_and_triggers(server: MariaDb) -> None:
    assert insert(server, "/srv/in/a.mkv") == ["/srv/in/a.mkv"]

    done = CliRunner().invoke(main, ["migrate"], env={"RAVEN_DATABASE": url(server, "raven_owner", "raven")})
    assert done.exit_code == 0, done.output
    load(server, RIGHTS)

    assert insert(server, "/srv/in/b.mkv") == ["/srv/in/a.mkv", "/srv/in/b.mkv"]
    roles = (("watcher", "raven_watcher"), ("scrub", "raven_scrub"), ("operator", "alice"))
    assert [fault for role, account in roles for fault in faults(server, role, account)] == []
    assert faults(server, "client", "news", "raven_public") == []


def test_a_backup_comes_back_on_a_server_that_knows_no_account_of_raven(server: MariaDb) -> None:
    insert(server, "/srv/in/a.mkv")
    backup = server.dump("raven")
    names = ("raven_definer@localhost", "raven_watchers", "raven_clients")
    server.drop_database("raven_public")
    server.drop_database("raven")
    server.run_script("mysql", f"DROP USER {names[0]}; DROP ROLE {names[1]}, {names[2]}; DROP USER news@'%'")

    server.create_database("raven")
    server.run_script("raven", backup)
    load(server, RIGHTS, ACCOUNTS)

    assert insert(server, "/srv/in/b.mkv") == ["/srv/in/a.mkv", "/srv/in/b.mkv"]
    with closing(open_database(Settings(database=url(server, "news", "raven_public")))) as client:
        assert client.execute("DELETE FROM tasks") == 2
