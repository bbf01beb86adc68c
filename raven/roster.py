"""The nodes as an operator sees them, and an operator's word on them: who is drained, and who may go on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from raven.errors import TaskError
from raven.ports import Database

SILENT_MS = 30_000
"""A node that was not heard of for so long is lost, or was stopped."""
DRAINED = "drained"
_COLUMNS = (
    "name, role, instance, build AS version, slots, light, load_1m, cpus, memory_free, memory_total, disk_free,"
    " ffmpeg, state, blames, seen_at"
)


@dataclass(frozen=True)
class Node:
    """One run of a daemon, or a name that is held and was not seen within a day; sizes in bytes."""

    name: str
    role: str
    instance: str
    version: str
    slots: int
    light: int
    running: int
    load: float
    cpus: int
    memory_free: int
    memory_total: int
    disk_free: int
    ffmpeg: str
    blames: int
    """Jobs in a row that failed there and were done elsewhere."""
    seen_seconds: float | None
    """Since it was heard of last; None for never."""
    state: str
    """`ready`, or a word and maybe a sentence on why it takes no jobs."""

    @property
    def live(self) -> bool:
        return self.seen_seconds is not None and self.seen_seconds * 1000 <= SILENT_MS

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def read_nodes(database: Database, now: int) -> list[Node]:
    """All runs of daemons of a day, and names that are held; `now` in ms."""
    held = database.query("SELECT name, role, instance, reason FROM holds ORDER BY instance, role")
    rows = database.query(f"SELECT {_COLUMNS} FROM nodes ORDER BY name, role, seen_at")  # noqa: S608 - constants
    counts = database.query(
        "SELECT node, instance, lane, COUNT(*) AS n FROM jobs WHERE state = 'running' GROUP BY node, instance, lane"
    )
    running: dict[tuple[str, str, str], int] = {}
    for count in counts:
        who = (count["node"], count["lane"].partition(".")[0], count["instance"] or "")
        running[who] = running.get(who, 0) + int(count["n"])
    nodes = [_node(dict(row), held, running, now) for row in rows]
    known = {node.name for node in nodes}
    return nodes + [_unseen(row["name"], row["reason"]) for row in held if row["name"] not in known]


def _node(row: dict[str, Any], held: list[Any], running: dict[tuple[str, str, str], int], now: int) -> Node:
    who = (row["name"], row["role"], row["instance"])
    silence = max(0, now - row.pop("seen_at"))
    row["load"] = row.pop("load_1m")
    said, reasons = row.pop("state"), [hold["reason"] for hold in held if _binds(hold, *who)]
    if silence > SILENT_MS:
        said, reasons = "", ["stopped" if said == "stopping" else "silent", *reasons]
    state = "; ".join(reasons) or said or "ready"
    return Node(**row, running=running.get(who, 0), seen_seconds=round(silence / 1000, 1), state=state)


def _binds(hold: Any, name: str, role: str, instance: str) -> bool:
    return hold["name"] == name and hold["role"] in ("", role) and hold["instance"] in ("", instance)


def _unseen(name: str, reason: str) -> Node:
    return Node(name, "", "", "", 0, 0, 0, 0.0, 0, 0, 0, 0, "", 0, None, reason)


def current(nodes: list[Node]) -> list[Node]:
    """Without the runs that have ended, where the name has a later one in that role."""
    last = {(node.name, node.role): node for node in nodes}  # in order of when they were seen
    return [node for node in nodes if node.live or last[node.name, node.role] is node]


def drain(database: Database, name: str, now: int) -> bool:
    """From now on nodes of this name take no jobs, whenever they are started. Whether one has been seen."""
    with database.transaction():
        database.execute("DELETE FROM holds WHERE name = ? AND role = '' AND instance = ''", (name,))
        database.execute("INSERT INTO holds (name, reason, since) VALUES (?, ?, ?)", (name, DRAINED, now))
        return bool(database.query("SELECT name FROM nodes WHERE name = ? LIMIT 1", (name,)))


def resume(database: Database, name: str) -> None:
    """Nodes of this name take jobs again, whatever held them; nothing is held against them any more.

    Raises TaskError when nothing holds them.
    """
    with database.transaction():
        if not database.execute("DELETE FROM holds WHERE name = ?", (name,)):
            raise TaskError(f"nothing holds a node called {name}")
        database.execute("UPDATE nodes SET blames = 0, lost = 0 WHERE name = ?", (name,))


def forget(database: Database, name: str, now: int) -> None:
    """Forgets the runs of this name that are silent, and where none is left what held the name.

    Raises TaskError when there is nothing to forget.
    """
    with database.transaction():
        gone = database.execute("DELETE FROM nodes WHERE name = ? AND seen_at < ?", (name, now - SILENT_MS))
        if database.query("SELECT name FROM nodes WHERE name = ? LIMIT 1", (name,)):
            if not gone:
                raise TaskError(f"{name} lives; only nodes that are silent or stopped are forgotten")
        elif not database.execute("DELETE FROM holds WHERE name = ?", (name,)) and not gone:
            raise TaskError(f"there is no node called {name}")
