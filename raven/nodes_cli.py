"""The operator's commands for nodes: `raven nodes`, and `drain NAME`, `resume NAME`, `forget NAME` behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import click

from raven.config import Settings
from raven.machine import size
from raven.roster import Node, current, drain, forget, read_nodes, resume
from raven.settings_option import database_of, with_settings
from raven.terminal import plain

_TITLES = ("NAME", "ROLE", "RUN", "VERSION", "SLOTS", "RUNNING", "LOAD", "MEMORY", "DISK", "FFMPEG", "SEEN", "STATE")


_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


def _say(name: str, state: str, words: str, as_json: bool) -> None:
    click.echo(json.dumps({"node": name, "state": state}) if as_json else f"{name} {words}")


def _now() -> int:
    return time.time_ns() // 1_000_000


@click.group("nodes", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, ended runs of a day too.")
@with_settings
def nodes_command(settings: Settings, as_json: bool) -> None:
    """Lists the nodes: what they have, what they do, and why they take no jobs. For operators."""
    if click.get_current_context().invoked_subcommand is not None:
        return
    with database_of(settings) as database:
        nodes = read_nodes(database, _now())
    if as_json:
        for node in nodes:
            click.echo(json.dumps(node.as_json()))
    else:
        click.echo("\n".join(table([_TITLES, *map(_cells, current(nodes))])))


def _cells(node: Node) -> tuple[str, ...]:
    return (
        *(node.name, node.role, node.instance, node.version, f"{node.slots}+{node.light}", str(node.running)),
        f"{node.load:.1f}/{node.cpus}",
        f"{size(node.memory_free)} of {size(node.memory_total)}",
        *(size(node.disk_free), node.ffmpeg.removeprefix("ffmpeg version "), _ago(node.seen_seconds), node.state),
    )


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their longest cell; the last one is free."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@nodes_command.command("drain")
@click.argument("name")
@_JSON
@with_settings
def drain_node(settings: Settings, name: str, as_json: bool) -> None:
    """Lets the nodes called NAME end their jobs and take no more, also after a restart."""
    with database_of(settings) as database:
        seen = drain(database, name, _now())
    _say(
        name, "drained", "takes no more jobs" + ("" if seen else "; no node of that name has been seen so far"), as_json
    )


@nodes_command.command("resume")
@click.argument("name")
@_JSON
@with_settings
def resume_node(settings: Settings, name: str, as_json: bool) -> None:
    """Lets the nodes called NAME take jobs again, whether they were drained or quarantined."""
    with database_of(settings) as database:
        resume(database, name)
    _say(name, "resumed", "takes jobs again", as_json)


@nodes_command.command("forget")
@click.argument("name")
@_JSON
@with_settings
def forget_node(settings: Settings, name: str, as_json: bool) -> None:
    """Forgets the nodes called NAME that are gone for good; by itself that takes a day."""
    with database_of(settings) as database:
        forget(database, name, _now())
    _say(name, "forgotten", "is forgotten", as_json)
