"""What anybody writes into a row, a message or a film reaches an operator's terminal as text and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raven.cli import main
from raven.terminal import plain
from tests.servers.fixtures import SCHEMA

EVIL = "\x1b]52;c;aGE=\x07\x1b[2J\x9b31m\u202e\r\n     9  done       100.0 %  forged"
"""Sets the clipboard, clears the screen, turns the line around, and begins another one."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A farm of which every word is hostile."""
    with closing(sqlite3.connect(tmp_path / "raven.db")) as connection:
        connection.executescript(SCHEMA.read_text("utf-8"))
        for status in ("failed", "encoding"):
            task = "INSERT INTO tasks (source, status, message, url, owner, reference) VALUES (?, ?, ?, ?, ?, ?)"
            connection.execute(task, (EVIL, status, EVIL, EVIL, EVIL, EVIL))
        for position, state in enumerate(("running", "waiting")):
            connection.execute(
                "INSERT INTO jobs (task_id, kind, position, state, node, message, owner, lane)"
                " VALUES (2, 'encode', ?, ?, ?, ?, ?, 'worker')",
                (position, state, EVIL, EVIL, EVIL),
            )
        history = "INSERT INTO history (task_id, job_id, at, event, node, message) VALUES (1, 1, 0, ?, ?, ?)"
        connection.execute(history, (EVIL, EVIL, EVIL))
        node = (EVIL, "worker", "x", EVIL, EVIL, 2**41, EVIL)
        connection.execute(
            "INSERT INTO nodes (name, role, instance, slots, build, ffmpeg, seen_at, state)"
            " VALUES (?, ?, ?, 1, ?, ?, ?, ?)",
            node,
        )
        connection.execute(
            "INSERT INTO notices (task_id, event, url, host, body, created_at, due_at, until, message)"
            " VALUES (1, 'failed', ?, ?, '', 0, 0, 0, ?)",
            (EVIL, EVIL, EVIL),
        )
        connection.commit()
    yield f"sqlite://{tmp_path / 'raven.db'}"


def raven(url: str, *arguments: str) -> Result:
    environment = {"RAVEN_DATABASE": url, "RAVEN_CONFIG": "", "COLUMNS": "400"}
    return CliRunner().invoke(main, arguments, env=environment, color=True)  # else click drops what looks like colours


@pytest.mark.parametrize(
    "command",
    [("list",), ("status", "1"), ("status", "2"), ("watch", "1"), ("log", "1"), ("top",), ("nodes",), ("notices",)],
    ids=" ".join,
)
def test_a_command_shows_what_others_wrote_without_obeying_it(url: str, command: tuple[str, ...]) -> None:
    done = raven(url, *command)

    assert [c for c in done.output if not c.isprintable() and c != "\n"] == []
    assert "x1b" in done.output
    assert [line for line in done.output.splitlines() if line.lstrip().startswith("9  done")] == []


def test_an_error_that_quotes_others_does_so_too(tmp_path: Path) -> None:
    film = tmp_path / f"a{EVIL.replace('/', '')}"
    film.write_bytes(b"")
    said = raven("", "probe", str(film)).output
    assert "x1b" in said
    assert [c for c in said if not c.isprintable() and c != "\n"] == []


@pytest.mark.parametrize("text", ["/srv/in/Älteres Kätzchen  [b]日本.mkv", "a\\b"])
def test_names_of_films_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
