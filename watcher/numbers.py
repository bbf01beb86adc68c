"""The farm in numbers for its metrics, looked at now and then: its cost does not grow with what waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import structlog

from raven import names
from raven.errors import Unavailable
from raven.metrics.farm import FarmCollector, FarmNumbers
from raven.ports import Database
from raven.roster import current, read_nodes
from watcher.ledger import CHUNK
from watcher.rows import ENDED, TaskState

SECONDS = 5.0
MANY = 10_000
"""Counting ends here, which the database does in some ms."""
STOPPED = "stopped"
"""Nodes that ended as they were told are of no interest, and where they come and go by themselves there are many."""
_LANES = ", ".join(f"'{lane}'" for lane in names.LANES)

log = structlog.get_logger()


def read_numbers(database: Database, now: int) -> FarmNumbers:
    """`now` in ms."""
    nodes = current(read_nodes(database, now))
    live = [node for node in nodes if node.live]
    running = database.query(
        "SELECT kind, node, COUNT(*) AS n, SUM(speed) AS speed FROM jobs WHERE state = 'running' GROUP BY kind, node"
    )
    queued = database.query(
        f"SELECT lane, COUNT(*) AS n FROM jobs WHERE lane IN ({_LANES}) AND state = 'queued' GROUP BY lane"
    )
    slots = Counter(dict.fromkeys(names.LANES, 0))
    for node in live:
        slots[node.role] += node.slots
        slots[names.light(node.role)] += node.light
    states = [(node.name, node.role, _word(node.state)) for node in nodes]
    return FarmNumbers(
        slots=dict(slots),
        queued=dict.fromkeys(names.LANES, 0) | {row["lane"]: int(row["n"]) for row in queued},
        waiting={lane: _count(database, "jobs WHERE lane = ? AND state = 'waiting'", lane) for lane in names.LANES},
        running={(row["kind"], row["node"] or ""): int(row["n"]) for row in running},
        speeds={row["node"] or "": float(row["speed"]) for row in running if row["kind"] == CHUNK},
        nodes=Counter(state for state in states if state[-1] != STOPPED),
        tasks={
            status: _count(database, "tasks WHERE status = ?", status) for status in TaskState if status not in ENDED
        },
    )


def _word(state: str) -> str:
    """Of `disk: 5 MB free …` or `drained; quarantined: …` the first: figures would make a series each."""
    return state.partition(":")[0].partition(";")[0]


def _count(database: Database, some: str, value: str) -> int:
    rows = database.query(f"SELECT COUNT(*) AS n FROM (SELECT id FROM {some} LIMIT {MANY}) AS some", (value,))
    return int(rows[0]["n"])


def keep_noting(
    farm: FarmCollector,
    database: Database,
    at_work: threading.Event,
    stop: threading.Event,
    clock: Callable[[], int],
    seconds: float = SECONDS,
) -> None:
    """In a thread of its own, through any outage of the database: of several watchers the one at work tells."""
    while not stop.wait(seconds):
        try:
            farm.note(read_numbers(database, clock()) if at_work.is_set() else None)
        except Unavailable as error:  # what was noted last is shown until it is old
            log.debug("the farm was not counted", fault=str(error))
        except Exception:  # a fault here must not end all metrics of the farm
            log.exception("the farm was not counted")
    database.close()
