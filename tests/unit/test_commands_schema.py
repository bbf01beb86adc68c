"""Every command that uses the database says so where it is of another Raven, before it reads or writes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from raven.adapters.sqlite import SqliteDatabase
from raven.cli import main
from raven.schema import VERSION

SCHEMA = Path(__file__).parents[2] / "db.sql"
CLIENTS = ("submit /a", "list", "status 1", "watch 1", "cancel 1", "notices")
COMMANDS = (
    *CLIENTS, "retry 1", "log 1", "top --once", "top --json", "nodes", "nodes drain a", "nodes resume a",
    "notices again 1",
)  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    found = SqliteDatabase(tmp_path / "raven.db")
    found.script(SCHEMA.read_text("utf-8"))
    found.execute("INSERT INTO tasks (source, status) VALUES ('/a', 'failed')")
    return found


def said(folder: Path, command: str) -> tuple[int, str]:
    ended = CliRunner().invoke(main, command.split(), env={"RAVEN_DATABASE": f"sqlite://{folder}/raven.db"})
    return ended.exit_code, ended.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_a_newer_raven_is_left_alone(command: str, database: SqliteDatabase, tmp_path: Path) -> None:
    database.execute("INSERT INTO schema_version (version) VALUES (?)", (VERSION + 1,))

    code, words = said(tmp_path, command)

    assert code == 1
    assert f"schema version {VERSION + 1}, this Raven needs version {VERSION}: update Raven on this host" in words
    assert database.query("SELECT status FROM tasks") == [{"status": "failed"}]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_this_raven_is_worked_with(command: str, database: SqliteDatabase, tmp_path: Path) -> None:
    assert "schema" not in said(tmp_path, command)[1]


@pytest.mark.parametrize("command", CLIENTS)
def test_a_client_need_not_see_the_version(command: str, database: SqliteDatabase, tmp_path: Path) -> None:
    """As where the rights of an older release are loaded."""
    database.execute("DROP TABLE schema_version")
    assert "schema" not in said(tmp_path, command)[1]
