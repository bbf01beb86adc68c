"""`raven notices`: what was told to the callback_url of tasks, and telling it again."""

from __future__ import annotations

import json
import time
from datetime import datetime

import click

from raven.config import Settings
from raven.nodes_cli import table
from raven.notices import Notice, read_notices, send_again
from raven.settings_option import database_of, with_settings

_TITLES = ("ID", "TASK", "EVENT", "STATE", "TRIES", "LAST", "NEXT", "CODE", "URL", "MESSAGE")


def _numbers(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> tuple[bool, int | None]:
    """Whether one is to be sent again, and the number that was given."""
    again = words[:1] == ("again",)
    numbers = words[1:] if again else words
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers) or (again and not numbers):
        raise click.BadParameter("write nothing, the number of a task, or `again` and the number of a notice")
    return again, int(numbers[0]) if numbers else None


@click.command("notices")
@click.argument("wanted", nargs=-1, metavar="[TASK | again ID]", callback=_numbers)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, times in UTC.")
@with_settings
def notices_command(settings: Settings, wanted: tuple[bool, int | None], limit: int, as_json: bool) -> None:
    """Lists what was told to the callback_url and notify_email of tasks, or of TASK; with `again` tells ID once more.

    Times are this host's. Clients see their own; sending again is for operators. What came of each attempt is in `raven
    log`. Mails to operators are of task 0.
    """
    again, number = wanted
    with database_of(settings, client=not again) as database:
        if again and number is not None:
            send_again(database, number, time.time_ns() // 1_000_000)
            click.echo(json.dumps({"id": number, "state": "waiting"}) if as_json else f"notice {number} is sent again")
            return
        notices = read_notices(database, number, limit)
    if as_json:
        for notice in notices:
            click.echo(json.dumps(notice.as_json()))
    else:
        click.echo("\n".join(table([_TITLES, *map(_cells, notices)])))


def _cells(notice: Notice) -> tuple[str, ...]:
    due = notice.due_at if notice.state == "waiting" else None
    return (
        *(str(notice.id), str(notice.task_id), notice.event, notice.state, str(notice.attempts)),
        *(_local(notice.tried_at), _local(due), str(notice.code or "-"), notice.url),
        " ".join((notice.message or "").split()),
    )


def _local(at: int | None) -> str:
    return "-" if at is None else f"{datetime.fromtimestamp(at / 1000).astimezone():%Y-%m-%d %H:%M:%S}"
