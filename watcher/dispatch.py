"""Handing out: a short window of jobs in the queues, the rest waits in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog

from raven import messages, names
from raven.errors import OptionInvalid, Unavailable
from raven.model import PrepareResult, Rendition
from raven.ports import Broker
from raven.profile import Profile
from raven.values import Value
from watcher.health import avoided
from watcher.nodes import ALIVE_MS, Nodes
from watcher.orders import (
    announce_order,
    film_renditions,
    order,
    publish_order,
    purge_order,
    settled_profile,
    task_profile,
)
from watcher.plan import prepared
from watcher.rows import JobRow, TaskRow
from watcher.schedule import Share, Turns, Window, share_out
from watcher.store import Store
from watcher.tasks import Tasks
from watcher.transitions import PASS_MS, again, unqueued
from watcher.waiting import InUse, Waiting

FINISHING = {"announce": announce_order, "publish": publish_order}
LOST_SECONDS = 20  # a queued job this old that is not in its queue has lost its message

log = structlog.get_logger()


UNREADABLE = (ValueError, LookupError)
"""What rows raise that another version, or somebody by hand, has written; pydantic's errors are among them."""


@dataclass(frozen=True)
class Film:
    """A task with what its orders need: the profile as it is cut, and what is known of the source."""

    task: TaskRow
    profile: Profile
    state: PrepareResult | None

    @cached_property
    def renditions(self) -> tuple[Rendition, ...] | None:
        return film_renditions(self.state, self.profile) if self.state is not None else None


class Dispatcher:
    """Keeps the window of each lane's queue full."""

    def __init__(
        self,
        tables: tuple[Tasks, Store, Waiting, Nodes],
        broker: Broker,
        profiles: Mapping[str, Profile],
        weights: Mapping[str, float],
    ) -> None:
        self._tasks, self._store, self._waiting, self._nodes = tables
        self._broker, self._profiles, self._weights = broker, profiles, weights
        self._turns = {lane: Turns() for lane in names.LANES}
        self._windows = {lane: Window() for lane in names.LANES}
        self._slots: Mapping[str, int] = {}

    def fill(self, now: int) -> set[int]:
        """Queues waiting jobs up to the window; tasks of which none can be made. Raises Unavailable."""
        self._slots = self._nodes.slots(now - ALIVE_MS)
        strange: set[int] = set()
        for lane, use in self._waiting.in_use().items():
            strange |= self._fill(lane, use, now)
        return strange

    def _fill(self, lane: str, use: InUse, now: int) -> set[int]:
        slots, turns = self._slots.get(lane, 0), self._turns[lane]
        room = self._windows[lane].room(slots, use.running, use.queued, now)
        if room <= 0:
            return set()
        turns.see(self._waiting.shares(lane), now)

        def due(share: Share, limit: int) -> Sequence[JobRow]:
            return self._waiting.due(lane, share, now, limit)

        rows = share_out(turns, use.owners, self._weights, room, now, due)
        self._windows[lane].filled(use.queued + len(rows))
        return self._hand_out(lane, rows, now)

    def _hand_out(self, lane: str, rows: Sequence[JobRow], now: int) -> set[int]:
        films: dict[int, Film | None] = {}
        bodies = {row.id: body for row in rows if (body := self._message(row, films, now)) is not None}
        sent = self._waiting.queue([row for row in rows if row.id in bodies], now)
        taken = self._broker.publish_all([(names.lane_queue(lane), bodies[row.id]) for row in sent])
        left = [row for row, is_taken in zip(sent, taken, strict=True) if not is_taken]
        for row in left:
            self._store.apply(unqueued(row, now))
        if left:
            raise Unavailable(f"the broker did not take {len(left)} of {len(sent)} jobs")
        return {row.task_id for row in rows if row.id not in bodies}

    def _message(self, row: JobRow, films: dict[int, Film | None], now: int) -> bytes | None:
        """The order of a job, or None when its task is gone or can no longer be read: the plan deals with that."""
        try:
            found = self._order(row, films)
        except UNREADABLE as error:
            self.give_up(row.task_id, error)
            return None
        if found is None:
            return None
        if row.faults and row.passes < len(PASS_MS):
            takers = self._nodes.takers(names.lane_of(row.kind), now - ALIVE_MS)
            found = found.model_copy(update={"avoid": avoided(row.faults, takers)})
        return messages.encode(found)

    def give_up(self, task: int, error: Exception) -> None:
        """Fails a task whose rows cannot be read; a deleted one stays for `scrub.py`, and is logged."""
        log.error("rows cannot be read", task=task, fault=str(error))
        message = f"the rows of this task cannot be read, were they written by another version? {error}"
        with self._store.transaction():
            if self._tasks.fail(task, message):
                log.warning("task failed", task=task, fault=message)

    def _order(self, row: JobRow, films: dict[int, Film | None]) -> Value | None:
        if row.kind == "purge":
            return purge_order(row.task_id, row)
        if row.task_id not in films:
            films[row.task_id] = self._film(row.task_id)
        film = films[row.task_id]
        if film is None:
            return None
        finishing = FINISHING.get(row.kind)
        if finishing is not None and film.state is not None:
            return finishing(film.task, row, film.state, self._store.results_of(row.task_id), film.profile)
        slots = self._slots.get("worker", 0)
        return order(film.task, row, film.state, film.profile, slots, film.renditions)

    def _film(self, number: int) -> Film | None:
        task = self._tasks.task(number)
        if task is None:
            return None
        try:
            profile = task_profile(task, self._profiles)
        except OptionInvalid:
            return None
        state = prepared(self._store.prepare(number))
        return Film(task, settled_profile(profile, state), state)

    def idle(self) -> int:
        """Slots for chunks that have nothing to do, and for which nothing waits."""
        use = self._waiting.in_use()["worker"]
        idle = self._slots.get("worker", 0) - use.running - use.queued
        return idle if idle > 0 and not self._waiting.shares("worker") else 0

    def recover_lost(self, now: int) -> None:
        """Jobs whose message the broker has lost go back to waiting; the next attempt fences the message.

        A queue hands out in order, so of the jobs that no node has taken the oldest are not in it any more.
        """
        for lane, use in self._waiting.in_use().items():
            stale = self._waiting.untaken(lane, now - LOST_SECONDS * 1000)
            if not stale:
                continue
            lost = use.queued - self._broker.depth(names.lane_queue(lane))
            for row in stale[: max(0, lost)]:
                self._store.apply(again(row, now, row.attempt, "lost", delay=0))
                log.warning("message lost", task=row.task_id, job=row.id, lane=lane)
