"""`raven top`: the farm at a glance."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raven.config import Settings
from raven.display import clock
from raven.errors import Unavailable
from raven.machine import size
from raven.overview import MANY, Lane, Overview, read_overview
from raven.ports import Database
from raven.roster import Node
from raven.settings_option import database_of, with_settings
from raven.terminal import cell


@click.command("top")
@click.option("--once", is_flag=True, help="One picture, then end. [default where the output is no terminal]")
@click.option("--seconds", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Between two looks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, then end.")
@with_settings
def top_command(settings: Settings, once: bool, seconds: float, as_json: bool) -> None:
    """Shows the farm at a glance: tasks, running jobs, what waits, nodes. Ctrl-C ends it."""
    console = Console(highlight=False)
    with suppress(KeyboardInterrupt), database_of(settings) as database:
        if as_json:
            click.echo(json.dumps(read_overview(database, _now()).as_json()))
        elif once or not console.is_terminal:
            console.print(picture(read_overview(database, _now())))
        else:
            _live(console, database, seconds)


def _live(console: Console, database: Database, seconds: float) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                live.update(picture(read_overview(database, _now())), refresh=True)
            except Unavailable as error:
                live.update(cell(f"waiting for the database: {error}", "yellow"), refresh=True)
            time.sleep(seconds)


def _now() -> int:
    return time.time_ns() // 1_000_000


def picture(farm: Overview) -> RenderableType:
    """Tasks first: of what does not fit a screen the end is cut off."""
    return Group(_lanes(farm), Text(), _tasks(farm), Text(), _running(farm), Text(), _nodes(farm.nodes))


def _table(*titles: str) -> Table:
    """Where the screen is narrow the last column is cut, and no other."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(cell(titles[-1]))
    return table


def _lanes(farm: Overview) -> Table:
    table = _table("LANE", "SLOTS", "RUNNING", "QUEUED", "WAITING (owner, priority)")
    for lane in farm.lanes:
        table.add_row(lane.name, str(lane.slots), str(lane.running), _many(lane.queued), cell(_shares(lane)))
    return table


def _shares(lane: Lane) -> str:
    return ", ".join(f"{_many(share.jobs)} ({share.owner or '-'}, {share.priority})" for share in lane.waiting) or "0"


def _many(count: int) -> str:
    return f"{count}+" if count >= MANY else str(count)


def _tasks(farm: Overview) -> Table:
    table = _table("TASK", "STATUS", "", "DONE", "JOBS", "SPEED", "LEFT", "OWNER", f"SOURCE ({_many(farm.new)} new)")
    for task in farm.tasks:
        bar = ProgressBar(total=1.0, completed=task.progress, width=10)
        left = "-" if task.left is None else clock(task.left)
        cells = (str(task.running), _speed(task.speed), left, task.owner or "-", task.source)
        table.add_row(str(task.id), task.status, bar, f"{100 * task.progress:5.1f} %", *map(cell, cells))
    return table


def _speed(speed: float | None) -> str:
    return f"{speed:.2f}x" if speed else "-"


def _running(farm: Overview) -> Table:
    table = _table("RUNNING", "JOB", "NODE", "SPEED", "FOR")
    for job in farm.running:
        table.add_row(
            f"task {job.task}", f"{job.kind} {job.position + 1}", cell(job.node), _speed(job.speed), clock(job.seconds)
        )
    return table


def _nodes(nodes: tuple[Node, ...]) -> Table:
    table = _table("NODE", "ROLE", "SLOTS", "RUNNING", "LOAD", "MEMORY", "DISK", "STATE")
    for node in nodes:
        state = cell(node.state, "green" if node.state == "ready" else "yellow")
        load = f"{node.load:.1f}/{node.cpus}"
        free = (size(node.memory_free), size(node.disk_free))
        table.add_row(cell(node.name), node.role, f"{node.slots}+{node.light}", str(node.running), load, *free, state)
    return table
