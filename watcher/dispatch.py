"""Handing out: a short window of jobs in the queues, the rest waits in the database."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from raven import messages, names
from raven.errors import OptionInvalid, Unavailable
from raven.model import Value
from raven.ports import Broker
from raven.profile import Profile
from watcher.orders import announce_order, order, publish_order, purge_order, task_profile
from watcher.plan import prepared
from watcher.rows import JobRow, JobState
from watcher.store import Store
from watcher.transitions import again, queued, unqueued

LANES = {
    "master": (names.JOBS_MASTER, ("prepare", "announce", "publish", "purge")),
    "worker": (names.JOBS_WORKER, ("encode", "audio", "text")),
}
FINISHING = {"announce": announce_order, "publish": publish_order}
SPARE = 2  # jobs in a queue beyond the free slots, so that no slot waits for the watcher's next turn
NODE_SECONDS = 30  # a node that was silent for so long has no slots
LOST_SECONDS = 20  # a queued job this old, with its queue empty, has lost its message

log = structlog.get_logger()


UNREADABLE = (ValueError, LookupError)
"""What rows raise that another version, or somebody by hand, has written; pydantic's errors are among them."""


def give_up(store: Store, task: int, error: Exception) -> None:
    """Fails a task whose rows cannot be read; a deleted one stays for `scrub.py`, and is logged."""
    log.error("rows cannot be read", task=task, fault=str(error))
    store.fail(task, f"the rows of this task cannot be read, were they written by another version? {error}")


class Dispatcher:
    """Keeps the window of each queue full."""

    def __init__(self, store: Store, broker: Broker, profiles: Mapping[str, Profile]) -> None:
        self._store, self._broker, self._profiles = store, broker, profiles

    def fill(self, now: int) -> None:
        """Queues waiting jobs up to the window. Raises Unavailable when the broker does not take one."""
        for role, (queue, kinds) in LANES.items():
            slots = self._store.slots(role, now - NODE_SECONDS * 1000)
            free = max(0, slots - self._store.count(kinds, JobState.RUNNING))
            room = free + SPARE - self._store.count(kinds, JobState.QUEUED)
            for row in self._store.waiting(kinds, now, room) if room > 0 else ():
                self._queue(row, queue, now)

    def _queue(self, row: JobRow, queue: str, now: int) -> None:
        message = self._message(row)
        if message is None or not self._store.apply(queued(row, now)):
            return
        try:
            self._broker.publish(queue, messages.encode(message))
        except Unavailable:
            self._store.apply(unqueued(row, now))
            raise
        log.debug("job queued", task=row.task_id, job=row.id, kind=row.kind, chunk=row.position)

    def _message(self, row: JobRow) -> Value | None:
        """The order of a job, or None when its task is gone or can no longer be read: the plan deals with that."""
        try:
            return self._order(row)
        except UNREADABLE as error:
            give_up(self._store, row.task_id, error)
            return None

    def _order(self, row: JobRow) -> Value | None:
        if row.kind == "purge":
            return purge_order(row.task_id, row)
        task = self._store.task(row.task_id)
        if task is None:
            return None
        try:
            profile = task_profile(task, self._profiles)
        except OptionInvalid:
            return None
        finishing = FINISHING.get(row.kind)
        jobs = self._store.results_of(row.task_id) if finishing else self._store.jobs_of(row.task_id)
        state = next((prepared(job) for job in jobs if job.kind == "prepare"), None)
        if finishing is not None and state is not None:
            return finishing(task, row, state, jobs, profile)
        return order(task, row, state, profile)

    def recover_lost(self, now: int) -> None:
        """Jobs whose message the broker has lost go back to waiting; the next attempt fences the message."""
        stale = self._store.in_state(JobState.QUEUED, "changed_at", now - LOST_SECONDS * 1000)
        for queue, kinds in LANES.values():
            ours = [row for row in stale if row.kind in kinds]
            if ours and self._broker.depth(queue) == 0:
                for row in ours:
                    self._store.apply(again(row, now, row.attempt, "lost", delay=0))
                    log.warning("message lost", task=row.task_id, job=row.id, queue=queue)
