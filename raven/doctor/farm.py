"""The doctor's look at the farm itself: whether a watcher is at work, and masters and workers that take jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from raven.config import Settings
from raven.doctor.findings import Area, Finding
from raven.errors import RavenError, Standby
from raven.names import ROLES
from raven.roster import DRAINED, Node, current, read_nodes
from raven.wiring import WATCHER_LOCK, open_database

_AREA = Area("farm")
_TOLD = 5
"""Nodes that one line names."""


def farm(settings: Settings) -> Iterator[Finding]:
    try:
        database = open_database(settings)
        try:
            nodes = current(read_nodes(database, time.time_ns() // 1_000_000))
            lock = database.about().clock is not None
        finally:
            database.close()
    except RavenError as error:
        yield _AREA.skipped("all", f"the database does not tell: {error}")
        return
    yield _watcher(settings) if lock else _AREA.skipped("watcher", "this database has no lock that would tell")
    for role in ROLES:
        yield judge_nodes(role, [node for node in nodes if node.role == role])


def _watcher(settings: Settings) -> Finding:
    """Asks for the lock of the watcher at work, and gives it back at once."""
    database = open_database(settings, WATCHER_LOCK)
    try:
        database.query("SELECT 1 AS one")
    except Standby:
        return _AREA.ok("watcher", "one is at work")
    except RavenError as error:
        return _AREA.skipped("watcher", f"the database does not tell: {error}")
    finally:
        database.close()
    return _AREA.warning("watcher", "none is at work, so tasks stay as they are", "start raven-watcher, or see its log")


def judge_nodes(role: str, nodes: Sequence[Node]) -> Finding:
    """Of one role; those that were drained stand aside by somebody's will."""
    live = [node for node in nodes if node.live]
    taking = [node for node in live if node.state == "ready"]
    odd = [node for node in nodes if node.state not in ("ready", DRAINED, "stopped")]
    said = f"{len(taking)} of {len(live)} take jobs"
    if odd:
        more = ", …" if odd[_TOLD:] else ""
        said += f"; {', '.join(f'{node.name} is {node.state}' for node in odd[:_TOLD])}{more}"
    if not live:
        return _AREA.warning(f"{role}s", "none lives" + said.partition(" jobs")[2], f"start raven-{role} on some host")
    if odd or not taking:
        return _AREA.warning(f"{role}s", said, "see `raven nodes`, and what its states mean in docs/operations.md")
    return _AREA.ok(f"{role}s", said)
