"""The client's commands for a farm: they touch the table `tasks` as any client may, by INSERT, SELECT and DELETE."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any

import click

from raven.config import Settings
from raven.display import JsonLines, choose_display, clock, summary_line
from raven.errors import TaskError
from raven.nodes_cli import table
from raven.ports import Database, Row
from raven.retry import retry
from raven.settings_option import database_of, with_settings
from raven.snapshot import Snapshot, read_snapshot
from raven.story import utc
from raven.terminal import plain, say

LOOK_SECONDS = 0.5
_LISTED = (
    "id, status, progress, profile, priority, owner, reference, source, message, url, duration, created_at, started_at,"
    " finished_at"
)
_TITLES = ("TASK", "STATUS", "DONE", "ADDED", "OWNER", "SOURCE")


def _task(database: Database, task: int) -> Snapshot:
    """Raises TaskError when there is no such row."""
    snapshot = read_snapshot(database, task, None)
    if snapshot.status == "cancelled":
        raise TaskError(f"there is no task {task}")
    return snapshot


def _as_json(row: Any) -> str:
    return json.dumps(dict(row), default=str)


@click.command()
@click.argument("source")
@click.option("--profile", default="default", show_default=True, help="Name of a profile of the farm.")
@click.option("--priority", default=0, show_default=True, help="-100 to 100, higher goes first.")
@click.option("--options", help='JSON object, such as {"thumbs": false}.')
@click.option("--reference", help="Your own id for it.")
@click.option("--callback-url", help="Told of its end; the farm must allow the host.")
@click.option("--notify-email", help="Gets a mail at its end; the farm must allow the domain.")
@click.option("--keep-hours", type=click.IntRange(0), help="How long the outputs are kept once done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def submit(settings: Settings, as_json: bool, **columns: Any) -> None:
    """Hands SOURCE, a path that the farm's master can reach, to the farm; prints the task's number."""
    with database_of(settings, client=True) as database:
        marks = ", ".join("?" for _ in columns)
        rows = database.query(
            f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks}) RETURNING id",  # noqa: S608 - names of options
            tuple(columns.values()),
        )
    click.echo(_as_json(rows[0]) if as_json else f"task {rows[0]['id']}")


@click.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def list_tasks(settings: Settings, limit: int, as_json: bool) -> None:
    """Lists the newest tasks. Times are this host's."""
    with database_of(settings, client=True) as database:
        rows = database.query(f"SELECT {_LISTED} FROM tasks ORDER BY id DESC LIMIT {int(limit)}")  # noqa: S608 - constants and an int
    if as_json:
        for row in rows:
            click.echo(_as_json(row))
    else:
        click.echo("\n".join(table([_TITLES, *map(_cells, rows)])))


def _cells(row: Row) -> tuple[str, ...]:
    share = f"{100 * row['progress']:5.1f} %"
    return str(row["id"]), row["status"], share, _local(row["created_at"]), row["owner"] or "-", row["source"]


def _local(at: datetime | str) -> str:
    """A time of a row as this host's."""
    return f"{utc(at).astimezone():%Y-%m-%d %H:%M:%S}"


@click.command()
@click.argument("task", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def status(settings: Settings, task: int, as_json: bool) -> None:
    """Says how far a task is. Exit code 1 if it failed."""
    with database_of(settings, client=True) as database:
        snapshot = _task(database, task)
        rows = database.query(f"SELECT {_LISTED} FROM tasks WHERE id = ?", (task,))  # noqa: S608 - constants
    if as_json:
        click.echo(_as_json(rows[0]))
    else:
        under_way = "" if snapshot.left is None or snapshot.ended else f", {clock(snapshot.left)} left"
        say(f"task {task}: {snapshot.status}, {100 * snapshot.progress:.1f} %{under_way}")
        _tell_row(rows[0])
        _tell_end(snapshot)
    sys.exit(1 if snapshot.status == "failed" else 0)


def _tell_row(row: Row) -> None:
    """What was inserted, and when what came of it."""
    names = {"source": "", "profile": "profile ", "owner": "of ", "reference": "reference "}
    say("  " + plain(", ".join(f"{word}{row[name]}" for name, word in names.items() if row[name])))
    times = {"created_at": "added", "started_at": "begun", "finished_at": "ended"}
    say("  " + ", ".join(f"{word} {_local(row[name])}" for name, word in times.items() if row[name] is not None))


def _tell_end(snapshot: Snapshot) -> None:
    for text in filter(None, (snapshot.message, snapshot.url)):
        say(f"  {' '.join(text.split())}")


@click.command()
@click.argument("task", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, whenever something has changed.")
@with_settings
def watch(settings: Settings, task: int, as_json: bool) -> None:
    """Follows a task to its end. Exit code 1 if it failed."""
    with database_of(settings, client=True) as database:
        snapshot = _task(database, task)
        with JsonLines() if as_json else choose_display(f"task {task}") as display:
            while not snapshot.ended:
                display.show(snapshot)
                time.sleep(LOOK_SECONDS)
                snapshot = read_snapshot(database, task, None)
            if as_json:
                display.show(snapshot)
    if not as_json:
        say(summary_line(snapshot))
        _tell_end(snapshot)
    sys.exit(0 if snapshot.status == "done" else 1)


@click.command()
@click.argument("task", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def cancel(settings: Settings, task: int, as_json: bool) -> None:
    """Deletes a task: what runs is stopped, its outputs are removed."""
    with database_of(settings, client=True) as database:
        if not database.execute("DELETE FROM tasks WHERE id = ?", (task,)):
            raise TaskError(f"there is no task {task}")
    click.echo(_as_json({"id": task, "status": "cancelled"}) if as_json else f"task {task} is cancelled")


@click.command("retry")
@click.argument("task", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def retry_task(settings: Settings, task: int, as_json: bool) -> None:
    """Tries a failed task again, from what is already there. For operators: a client's account may not."""
    with database_of(settings) as database:
        kept = retry(database, task, time.time_ns() // 1_000_000, settings.node)
    if as_json:
        click.echo(_as_json({"id": task, "status": "retried", "kept": kept}))
        return
    rest = "what was done stays done" if kept else "its objects were removed already, so it begins anew"
    click.echo(f"task {task} is tried again; {rest}")
