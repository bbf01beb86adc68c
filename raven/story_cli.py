"""`raven log ID`: what happened to a task."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.text import Text

from raven.config import Settings
from raven.settings_option import database_of, with_settings
from raven.story import Happening, story
from raven.terminal import plain

_COLOURS = {"done": "green", "failed": "bold red", "unusable": "bold red", "given up": "bold red"} | dict.fromkeys(
    ("retried", "lapsed", "stalled", "foreign", "stopped", "passed on", "tried again"), "yellow"
)
"""Of how a job came out, by the end of its event."""
_SEVERAL = ("encode", "second", "audio", "text")
"""Kinds of which a task has more than one job."""


@click.command("log")
@click.argument("task", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, times in UTC.")
@with_settings
def log_command(settings: Settings, task: int, as_json: bool) -> None:
    """Tells what happened to a task: when, where, what and why. Also of one whose row was deleted.

    Times are this host's. What a node is doing right now is in `raven watch` and `raven top`.
    """
    console = Console(highlight=False)
    with database_of(settings) as database:
        for line in story(database, task):
            if as_json:
                click.echo(json.dumps(line.as_json()))
            else:
                console.print(_told(line), soft_wrap=True)


def _told(line: Happening) -> Text:
    at = line.at.astimezone()
    colour = next((colour for outcome, colour in _COLOURS.items() if line.event.endswith(outcome)), "")
    several = line.event.partition(" ")[0] in _SEVERAL
    place = f" #{line.position + 1}" if several and line.position is not None else ""
    text = Text.assemble(
        (f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"),
        f"{plain(line.node or '-'):<16}  ",
        (f"{plain(line.event)}{place}", colour),
    )
    return text.append(f": {plain(' '.join(line.message.split()))}" if line.message else "")
