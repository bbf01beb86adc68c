"""The roll of nodes: signs of life come in, what holds a node goes out; jobs done become praise and blame."""

from __future__ import annotations

import structlog

from raven import names
from raven.alive import Alive, HoldNode
from raven.messages import JobReport
from watcher.health import PROVES, Fault, holding, quarantine, read_faults, to_blame
from watcher.nodes import ALIVE_MS, Nodes
from watcher.rows import JobRow

log = structlog.get_logger()


class Roll:
    """Of one batch of reports, within its transaction."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._alive: list[Alive] = []
        self._shaken: set[str] = set()  # roles of which somebody was blamed
        self._stained: set[tuple[str, str]] | None = None  # names and roles against which something stands, once read

    def seen(self, alive: Alive, now: int) -> None:
        """A sign of life."""
        self._nodes.seen(alive, now)
        if alive.instance:  # one of an older version obeys no hold
            self._alive.append(alive)

    def done(self, row: JobRow, report: JobReport) -> None:
        """`row`, as it was before: a node has done it, on which others may have failed."""
        role = names.role_of(row.kind)
        faults = read_faults(row.faults)
        for fault in to_blame(faults, report.node, report.instance):
            self._blame(role, fault, (row.message or "") if fault == faults[-1] else "another one since")
        if row.kind in PROVES:
            self._praise(report, role)

    def _praise(self, report: JobReport, role: str) -> None:
        """Of the many jobs that are done hardly one is done where there is anything to forgive."""
        if self._stained is None:
            self._stained = self._nodes.stained()
        if (report.node, role) in self._stained:
            self._nodes.praise(report.node, role, report.instance)

    def _blame(self, role: str, fault: Fault, message: str) -> None:
        if fault.how == "lapsed":
            self._nodes.lost(fault.node, role, fault.instance)
        else:
            self._nodes.blame(fault.node, role, fault.instance, message)
        self._stained = None
        self._shaken.add(role)

    def answers(self, now: int) -> list[HoldNode]:
        """Holds who is to be held, and tells those that do not know yet what holds them, or that nothing does."""
        if not self._alive and not self._shaken:
            return []
        holds = self._nodes.holds()
        for role in sorted(self._shaken):
            for hold in quarantine(role, self._nodes.standings(role, now - ALIVE_MS), holds):
                self._nodes.hold(hold, now)
                holds.append(hold)
                log.warning("node held", node=hold.name, role=role, instance=hold.instance, reason=hold.reason)
        wanted = [(alive, holding(holds, alive.node, alive.role, alive.instance)) for alive in self._alive]
        return [
            HoldNode(node=alive.node, role=alive.role, instance=alive.instance, hold=hold)
            for alive, hold in wanted
            if hold != alive.hold
        ]
