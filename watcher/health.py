"""Whose fault it is when jobs fail: which nodes a job shall avoid, and which nodes are to be held. Pure.

A node is blamed only for a job that failed on it and was then done by another: a chunk that fails everywhere blames
none. It is held after some blames in a row, without a job of its own that went well in between, and never the last one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from raven.values import parse_json

BLAMES = 5
"""Jobs in a row that failed on a node and were done elsewhere, after which it is held."""
CRASHES = 3
"""Runs of a daemon in a row that fell silent over such a job: each cost all its jobs a lease."""
FAULTS_KEPT = 8
"""Of one job: more of them say nothing new."""
PROVES = frozenset({"prepare", "encode", "second", "audio", "publish"})
"""Kinds of jobs whose success shows that a node is sound; the others hardly ask anything of it."""
How = Literal["failed", "lapsed", "foreign"]


@dataclass(frozen=True)
class Fault:
    """A job went wrong on a node. `foreign`: its output fits no other's, and which of the two is odd nobody knows."""

    node: str
    instance: str
    how: How = "failed"


def read_faults(text: str | None) -> list[Fault]:
    """Of the column `faults`; none where another version, or somebody by hand, wrote what this one cannot read."""
    try:
        return [Fault(**entry) for entry in parse_json(text or "[]")]
    except (ValueError, TypeError):
        return []


def with_fault(text: str | None, fault: Fault) -> str:
    """The column with one more; the oldest are forgotten."""
    return json.dumps([asdict(entry) for entry in [*read_faults(text), fault][-FAULTS_KEPT:]])


def avoided(faults: str | None, takers: Collection[str]) -> tuple[str, ...]:
    """The nodes that a job shall avoid: those on which it went wrong, as long as another one takes jobs."""
    names = {fault.node for fault in read_faults(faults)}
    return tuple(sorted(names)) if set(takers) - names else ()


def to_blame(faults: Iterable[Fault], node: str, instance: str) -> list[Fault]:
    """What others did wrong that this run of a node has now done right."""
    return [fault for fault in faults if fault.how != "foreign" and (fault.node, fault.instance) != (node, instance)]


@dataclass(frozen=True)
class Standing:
    """One run of a daemon, as the table `nodes` knows it."""

    name: str
    instance: str
    blames: int
    lost: bool
    fault: str
    alive: bool
    takes: bool
    """Whether it is alive and takes heavy jobs."""


@dataclass(frozen=True)
class Hold:
    """Keeps from taking jobs; empty `role` and `instance` mean all of that name."""

    name: str
    role: str
    instance: str
    reason: str

    def binds(self, name: str, role: str, instance: str) -> bool:
        return self.name == name and self.role in ("", role) and self.instance in ("", instance)


def holding(holds: Iterable[Hold], name: str, role: str, instance: str) -> str:
    """What holds this run of a daemon, empty for nothing; an operator's word comes first."""
    found = [hold for hold in holds if hold.binds(name, role, instance)]
    return min(found, key=lambda hold: (hold.instance, hold.role)).reason if found else ""


def quarantine(role: str, standings: Sequence[Standing], holds: Iterable[Hold]) -> list[Hold]:
    """Who of a role is to be held from now on; one of those that take jobs is always left.

    One run of a daemon is held for its failures, and the next one may try again, which has passed its self-test. But
    where runs fall silent one after the other, a new start is the trouble itself: there all runs of that name are held.
    """
    found: list[Hold] = []
    known = list(holds)
    free = [s for s in standings if not holding(known, s.name, role, s.instance)]
    for one in sorted(free, key=lambda s: (-s.blames, s.name, s.instance)):
        crashes = sum(1 for s in standings if s.name == one.name and s.lost)
        if crashes < CRASHES and (one.blames < BLAMES or not one.alive):
            continue
        hold = _hold(role, one, crashes)
        bound = [*known, *found, hold]
        if not holding([*known, *found], one.name, role, one.instance) and any(
            s.takes and not holding(bound, s.name, role, s.instance) for s in standings
        ):
            found.append(hold)
    return found


def _hold(role: str, one: Standing, crashes: int) -> Hold:
    if crashes >= CRASHES:
        reason = f"quarantined: it fell silent {crashes} times in a row over jobs that others did"
        return Hold(one.name, role, "", reason)
    reason = f"quarantined: {one.blames} jobs in a row failed here and were done elsewhere, the last one: {one.fault}"
    return Hold(one.name, role, one.instance, reason[:255])
