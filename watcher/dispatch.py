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
from watcher.trouble import SHARED
from watcher.waiting import InUse, Waiting

FINISHING = {"announce": announce_order, "publish": publish_order}
LOST_SECONDS = 20  # a queued job this old that is not in its queue has lost its message

log = structlog.get_logger()


Strange = dict[int, Exception | None]
"""Tasks whose jobs cannot be ordered, and what their rows raise; None where the plan knows what to do."""


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

    def fill(self, now: int) -> Strange:
        """Queues waiting jobs up to the window. Raises Unavailable."""
        self._slots = self._nodes.slots(now - ALIVE_MS)
        strange: Strange = {}
        for lane, use in self._waiting.in_use().items():
            strange |= self._fill(lane, use, now)
        return strange

    def _fill(self, lane: str, use: InUse, now: int) -> Strange:
        slots, turns = self._slots.get(lane, 0), self._turns[lane]
        room = self._windows[lane].room(slots, use.running, use.queued, now)
        if room <= 0:
            return {}
        turns.see(self._waiting.shares(lane), now)

        def due(share: Share, limit: int) -> Sequence[JobRow]:
            return self._waiting.due(lane, share, now, limit)

        rows = share_out(turns, use.owners, self._weights, room, now, due)
        self._windows[lane].filled(use.queued + len(rows))
        return self._hand_out(lane, rows, now)

    def _hand_out(self, lane: str, rows: Sequence[JobRow], now: int) -> Strange:
        bodies, strange = self._messages(rows, now)
        sent = self._waiting.queue([row for row in rows if row.id in bodies], now)
        taken = self._broker.publish_all([(names.lane_queue(lane), bodies[row.id]) for row in sent])
        left = [row for row, is_taken in zip(sent, taken, strict=True) if not is_taken]
        for row in left:
            self._store.apply(unqueued(row, now))
        if left:
            raise Unavailable(f"the broker did not take {len(left)} of {len(sent)} jobs")
        return strange

    def _messages(self, rows: Sequence[JobRow], now: int) -> tuple[dict[int, bytes], Strange]:
        """The orders of jobs, by job."""
        films: dict[int, Film | None] = {}
        bodies: dict[int, bytes] = {}
        strange: Strange = {}
        for row in rows:
            try:
                body = None if row.task_id in strange else self._message(row, films, now)
            except SHARED:
                raise
            except Exception as error:
                strange[row.task_id] = error
                continue
            if body is not None:
                bodies[row.id] = body
            else:
                strange.setdefault(row.task_id)
        return bodies, strange

    def _message(self, row: JobRow, films: dict[int, Film | None], now: int) -> bytes | None:
        """The order of a job, or None when its task is gone: the plan deals with that."""
        found = self._order(row, films)
        if found is None:
            return None
        if row.faults and row.passes < len(PASS_MS):
            takers = self._nodes.takers(names.lane_of(row.kind), now - ALIVE_MS)
            found = found.model_copy(update={"avoid": avoided(row.faults, takers)})
        return messages.encode(found)

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
