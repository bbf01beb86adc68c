"""The commands that show: `raven log`, `raven top`, and `--json` on all that shows something."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raven.cli import main
from tests.servers.fixtures import SCHEMA
from tests.servers.process import clean_environment
from tests.waiting import DEADLINE

ROWS = """
INSERT INTO tasks (source, status, progress, owner, metadata, url, duration)
  VALUES ('/srv/in/[b]film.mkv', 'done', 1, 'news', NULL, 'https://host/1/master.m3u8', 60);
INSERT INTO tasks (source, status, progress, owner, metadata)
  VALUES ('/srv/in/other.mkv', 'encoding', 0.25, 'news', '{"duration": 90.0, "video": {"rate": "25"}}');
INSERT INTO jobs (task_id, kind, position, state, node, speed, done, lane)
  VALUES (2, 'encode', 4, 'running', 'worker-7', 1.5, 250, 'worker');
INSERT INTO jobs (task_id, kind, position, state, owner, lane) VALUES (2, 'encode', 5, 'waiting', 'news', 'worker');
INSERT INTO history (task_id, job_id, at, event, node, message)
  VALUES (2, 1, 1800000000123, 'encode retried', 'worker-3', 'the disk
 is full');
INSERT INTO nodes (name, role, instance, slots, light, build, seen_at) VALUES ('worker-7', 'worker', 'x', 2, 1, '1', 0);
"""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A farm's rows in a file."""
    with closing(sqlite3.connect(tmp_path / "raven.db")) as connection:
        connection.executescript(SCHEMA.read_text("utf-8") + ROWS)
    yield f"sqlite://{tmp_path / 'raven.db'}"


def raven(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"RAVEN_DATABASE": url, "RAVEN_CONFIG": "", "COLUMNS": "200"})


def objects(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_log_tells_a_task_s_events_a_line_each(url: str) -> None:
    done = raven(url, "log", "2")

    assert done.exit_code == 0
    first, retried = done.stdout.splitlines()
    assert first.endswith("inserted by news: /srv/in/other.mkv")
    assert " ".join(retried.split()[2:]) == "worker-3 encode retried #5: the disk is full"
    assert ".123  " in retried


def test_log_numbers_what_there_are_several_of_alone(url: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as connection:
        connection.executescript(
            "INSERT INTO jobs (id, task_id, kind, position, lane) VALUES (50, 2, 'prepare', 0, 'master');"
            "INSERT INTO history (task_id, job_id, at, event, node) VALUES (2, 50, 9, 'prepare done', 'boss')"
        )
        connection.commit()
    assert raven(url, "log", "2").stdout.splitlines()[-1].endswith("  prepare done")


def test_log_shows_names_as_they_are_whatever_they_mean_to_a_terminal(url: str) -> None:
    assert "/srv/in/[b]film.mkv" in raven(url, "log", "1").stdout


def test_log_as_json_has_times_of_utc(url: str) -> None:
    lines = objects(raven(url, "log", "2", "--json"))

    assert lines[1] == {
        "at": "2027-01-15T08:00:00.123Z", "event": "encode retried", "node": "worker-3", "position": 4,
        "message": "the disk\n is full",
    }  # fmt: skip


def test_log_of_no_task_is_an_error(url: str) -> None:
    done = raven(url, "log", "9", "--json")

    assert done.exit_code == 1
    assert objects(done)[0]["status"] == "failed"
    assert "no task 9" in done.stderr


def test_top_shows_the_farm_once_where_there_is_no_terminal(url: str) -> None:
    done = raven(url, "top")

    assert done.exit_code == 0
    words = [line.split() for line in done.stdout.splitlines()]
    assert ["worker", "0", "1", "0", "1", "(news,", "0)"] in words
    assert ["task", "2", "encode", "5", "worker-7", "1.50x"] in [line[:6] for line in words]
    ends = [line[-6:] for line in words if line[:2] == ["2", "encoding"]]
    assert ends == [["%", "1", "1.50x", "0:45", "news", "/srv/in/other.mkv"]]
    assert raven(url, "top", "--once").stdout.split()[:2] == ["LANE", "SLOTS"]


def test_top_on_a_narrow_terminal_cuts_the_last_column_alone(url: str) -> None:
    environment = {"RAVEN_DATABASE": url, "RAVEN_CONFIG": "", "COLUMNS": "80"}
    with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as connection:
        connection.execute("UPDATE tasks SET source = ? WHERE id = 2", (f"/srv/in/{'a long name ' * 20}.mkv",))
        connection.commit()
    shown = CliRunner().invoke(main, ["top"], env=environment).stdout.splitlines()

    assert [line.split()[:8] for line in shown if line.startswith("TASK ")] == [
        ["TASK", "STATUS", "DONE", "JOBS", "SPEED", "LEFT", "OWNER", "SOURCE"]
    ]
    (row,) = (line for line in shown if " news " in line and "/srv" in line)
    assert row.split()[:2] == ["2", "encoding"]
    assert row.rstrip().endswith("…")
    assert max(map(len, shown)) <= 80


def test_top_as_json_is_one_object(url: str) -> None:
    (farm,) = objects(raven(url, "top", "--json"))

    assert farm.keys() == {"nodes", "lanes", "running", "tasks", "new"}
    assert farm["tasks"] == [
        {
            "id": 2, "source": "/srv/in/other.mkv", "owner": "news", "priority": 0, "status": "encoding",
            "progress": 0.25, "running": 1, "speed": 1.5, "left": 45.0,
        }
    ]  # fmt: skip


def test_top_on_a_terminal_goes_on_until_it_is_interrupted(url: str, tmp_path: Path) -> None:
    """What is inserted meanwhile is seen."""
    ours, theirs = pty.openpty()
    environment = clean_environment(tmp_path) | {
        "RAVEN_DATABASE": url,
        "TERM": "xterm",
        "COLUMNS": "160",
        "LINES": "40",
    }
    command = [sys.executable, "-m", "raven", "top", "--seconds", "0.2"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as top:
        os.close(theirs)
        _until(ours, b"other.mkv")
        with closing(sqlite3.connect(tmp_path / "raven.db")) as connection:
            connection.execute("INSERT INTO tasks (source, status) VALUES ('/srv/in/third.mkv', 'preparing')")
            connection.commit()
        _until(ours, b"third.mkv")
        top.send_signal(signal.SIGINT)
        assert top.wait(DEADLINE) == 0
    os.close(ours)


def _until(terminal: int, words: bytes) -> None:
    """Reads what is shown until these words come."""
    shown = b""
    while words not in shown:
        assert select.select([terminal], [], [], DEADLINE)[0], shown
        shown += os.read(terminal, 1 << 16)


def test_list_and_status_say_whose_a_task_is_and_when_it_came(url: str) -> None:
    titles, *rows = (line.split() for line in raven(url, "list").stdout.splitlines())
    assert titles == ["TASK", "STATUS", "DONE", "ADDED", "OWNER", "SOURCE"]
    assert [(row[0], row[1], row[-2], row[-1]) for row in rows] == [
        ("2", "encoding", "news", "/srv/in/other.mkv"),
        ("1", "done", "news", "/srv/in/[b]film.mkv"),
    ]

    first, row, times = raven(url, "status", "2").stdout.splitlines()
    assert first == "task 2: encoding, 25.0 %, 0:45 left"
    assert row == "  /srv/in/other.mkv, profile default, of news"
    assert re.fullmatch(r"  added \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", times)


def test_submit_writes_each_column_of_a_client_s(url: str) -> None:
    given = {
        "profile": "hevc", "priority": "7", "options": '{"early": false}', "reference": "r-1",
        "callback_url": "https://news.example/x", "notify_email": "desk@news.example", "keep_hours": "48",
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    (told,) = objects(raven(url, "submit", "/srv/in/third.mkv", *words, "--json"))

    with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as connection:
        (row,) = connection.execute(f"SELECT source, {', '.join(given)} FROM tasks WHERE id = ?", (told["id"],))  # noqa: S608
    assert tuple(map(str, row)) == ("/srv/in/third.mkv", *given.values())


def test_watch_as_json_tells_each_state_once_and_ends_with_the_task(url: str) -> None:
    (end,) = objects(raven(url, "watch", "1", "--json"))

    assert (end["status"], end["progress"], end["url"]) == ("done", 1.0, "https://host/1/master.m3u8")
    assert raven(url, "watch", "1").stdout.splitlines()[0].startswith("100.0 %  done")


@pytest.mark.parametrize(
    "command",
    [["list"], ["status", "1"], ["watch", "1"], ["nodes"], ["profiles"], ["log", "1"], ["top"], ["check", "--rules"],
     ["doctor", "--role", "client"], ["migrate", "--check"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_every_command_that_shows_something_can_say_it_as_json(command: list[str], url: str) -> None:
    done = raven(url, *command, "--json")

    assert done.exit_code == 0, done.output
    assert done.stdout
    assert all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["cancel", "2"], {"id": 2, "status": "cancelled"}),
        (["retry", "3"], {"id": 3, "status": "retried", "kept": True}),
        (["nodes", "drain", "spare"], {"node": "spare", "state": "drained"}),
        (["nodes", "resume", "held"], {"node": "held", "state": "resumed"}),
        (["nodes", "forget", "worker-7"], {"node": "worker-7", "state": "forgotten"}),
    ],
    ids=lambda value: value[-2] if isinstance(value, list) else "",
)
def test_every_command_that_changes_something_says_so_as_json(
    command: list[str], said: dict[str, object], url: str
) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite://"))) as connection:
        connection.executescript(
            "INSERT INTO tasks (id, source, status) VALUES (3, '/a', 'failed');"
            "INSERT INTO jobs (task_id, kind, position, state, lane) VALUES (3, 'encode', 0, 'failed', 'worker');"
            "INSERT INTO holds (name, reason, since) VALUES ('held', 'drained', 0);"
        )

    assert objects(raven(url, *command, "--json")) == [said]
