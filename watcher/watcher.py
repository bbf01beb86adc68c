"""The watcher: takes reports, plans tasks, hands jobs out. All that it knows is in the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from raven import messages, names
from raven.config import Settings
from raven.errors import Unavailable
from raven.messages import CancelTask
from raven.ports import Broker, Database, Delivery
from raven.profile import Profile
from raven.schema import check
from watcher.dispatch import LOST_SECONDS, Dispatcher
from watcher.ledger import CHUNK, SECOND
from watcher.nodes import Nodes
from watcher.planner import Planner
from watcher.reports import Reports, Touched
from watcher.rows import JobState
from watcher.schedule import Run, stragglers
from watcher.store import Store
from watcher.tasks import Tasks
from watcher.transitions import AWAY_MS, Limits, stalls
from watcher.waiting import Waiting

REPORT_BATCH = 500  # reports in one transaction
GATHER_SECONDS = 0.05  # between batches of reports where many come: together they cost less; a single one does not wait
CARE_SECONDS = 5.0  # between looks at leases, lost messages and tasks that nothing has touched
CARE_TASKS = 100  # tasks in one such look; a farm with more of them has as many nodes that report
HOUR_MS = 3_600_000
NODE_KEPT_MS = 24 * HOUR_MS  # a run of a daemon that was silent for so long is not shown any more

log = structlog.get_logger()


def steady_clock() -> Callable[[], int]:
    """Milliseconds since 1970 that never jump: the system's time of this call, and what has passed since then.

    Somebody may set the system's clock by an hour; leases and back-offs must not see it.
    """
    origin = time.time_ns() - time.monotonic_ns()
    return lambda: (origin + time.monotonic_ns()) // 1_000_000


class Watcher:
    """One turn after the other; `clock` gives milliseconds since 1970, and does not jump."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        broker: Broker,
        profiles: Mapping[str, Profile],
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._settings, self._database, self._broker = settings, database, broker
        self._profiles, self._clock = profiles, clock or steady_clock()
        self._tasks, self._store, self._nodes = Tasks(database, self._clock), Store(database), Nodes(database)
        self._limits = Limits(
            round(settings.lease_seconds * 1000),
            settings.attempts,
            round(settings.away_hours * HOUR_MS / AWAY_MS),
            round(settings.stall_seconds * 1000),
        )
        self._taking = Reports(self._tasks, self._store, self._nodes, self._limits)
        self._planner = Planner(settings, (self._tasks, self._store), self._taking, profiles, self._clock)
        tables = (self._tasks, self._store, Waiting(database), self._nodes)
        self._dispatcher = Dispatcher(tables, broker, profiles, settings.owner_weights)
        self._reports = broker.consumer(names.REPORTS, prefetch=REPORT_BATCH)
        self._looked = self._cared = self._said = self._gathered = float("-inf")
        self._hears_since: int | None = None  # all that nodes say is heard at once
        self._heard = 0
        self._consumes = False
        self._connected: float | None = None
        self._held: list[Delivery] = []  # taken, but not in the database yet
        self._cared_until = self._searched_until = self._pruned_until = (
            0  # numbers of tasks: where the next slices begin
        )

    def turn(self, beat: Callable[[], None] = lambda: None) -> None:
        """Takes what is reported, looks at the rows when it is time, hands out jobs. Raises Unavailable; Standby, or
        SchemaDiffers after a migration, before it takes anything from the broker that is another watcher's. `beat` is
        called often, as a turn may be long."""
        self._check()
        self._mind_gaps(self._take_reports())
        now = time.monotonic()
        if now - self._cared >= CARE_SECONDS:
            self._care()
            self._cared = now
        if now - self._looked >= self._settings.poll_seconds:
            self._look()
            self._looked = now
        self._planner.plan_due(beat)
        self._stop_running()
        for task, error in self._dispatcher.fill(self._clock()).items():
            self._planner.due.touch([task]) if error is None else self._planner.give_up(task, error)

    def _check(self) -> None:
        """That the database answers, and to this watcher. Raises Unavailable, SchemaDiffers."""
        try:
            check(self._database)
        except Unavailable:
            if self._consumes:
                self._let_go()
            raise
        self._consumes = True

    def _let_go(self) -> None:
        """What this one has taken and not written goes back to the broker: another watcher may be at work, or soon.

        It may be this one alone that has lost the database, and reports that it kept would be heard by nobody.
        """
        self._consumes = False
        self._reports.close()
        self._reports = self._broker.consumer(names.REPORTS, prefetch=REPORT_BATCH)
        self._held, self._hears_since = [], None
        self._planner.clear()

    # reports

    def _patience(self) -> float:
        """Seconds that this turn may wait for a report: up to the next task that is to be planned."""
        if self._held:
            return 0
        return max(0, min(self._planner.due.patience(), self._settings.poll_seconds))

    def _take_reports(self) -> int:
        """Applies a batch of reports. They are acknowledged once they are in the database."""
        delivery = self._reports.take(self._patience())
        while delivery is not None:
            self._held.append(delivery)
            left = self._gathered + GATHER_SECONDS - time.monotonic()
            delivery = self._reports.take(max(0, left)) if len(self._held) < REPORT_BATCH else None
        self._gathered = time.monotonic()
        if not self._held:
            return 0
        touched = self._taking.take(self._held, self._clock())
        batch, self._held = self._held, []
        for delivery in batch:
            delivery.reject() if delivery in touched.unreadable else delivery.ack()
        self._note(touched)
        return len(batch)

    def _mind_gaps(self, taken: int) -> None:
        """Notes since when all is heard that nodes say: after a gap silence is no sign, and all leases begin anew.

        The broker was away, or the database, or the watcher itself; or more has been said than it could read yet.
        """
        now, connected = self._clock(), self._broker.connected_since()
        if connected is None or connected != self._connected or now - self._heard > self._limits.lease_ms / 2:
            self._hears_since = None
        self._connected, self._heard = connected, now
        if connected is not None and self._hears_since is None:
            self._store.begin_leases(now, now + self._limits.lease_ms)
            self._hears_since = now
        elif self._hears_since is not None and taken == REPORT_BATCH:
            self._hears_since = now

    def _note(self, touched: Touched) -> None:
        self._planner.controls += touched.controls
        self._planner.due.touch(touched.now)
        self._planner.due.touch(touched.soon, 2 * self._settings.poll_seconds)

    # planning

    def _look(self) -> None:
        """Rows that clients have written or deleted."""
        gone, self._searched_until = self._tasks.deleted(self._searched_until)
        self._planner.due.touch({*self._tasks.new_tasks(), *self._tasks.abandoned(), *gone})

    # care

    def _care(self) -> None:
        """What no event brings: lapsed leases, lost messages, stragglers, a watcher or broker that was away."""
        now = self._clock()
        heard = 0 if self._hears_since is None else now - self._hears_since
        tasks = self._tasks.live_tasks(self._cared_until, CARE_TASKS)
        self._cared_until = tasks[-1] if len(tasks) == CARE_TASKS else 0
        for number, task in enumerate(tasks):
            later = CARE_SECONDS * number / CARE_TASKS  # in one turn they would hold up all else
            self._planner.due.touch([task], later)
        left, self._pruned_until = self._tasks.unpruned(self._pruned_until)
        self._planner.due.touch(left)
        self._store.begin_purges(now)
        if heard >= self._limits.lease_ms:
            with self._store.transaction():
                lapsed = self._store.in_state(JobState.RUNNING, "lease_until", now)
                slow = self._store.in_state(JobState.RUNNING, "moved_at", now - self._limits.stall_ms)
                stuck = [row for row in slow if row.lease_until >= now and stalls(row, now, self._limits)]
                self._note(self._taking.take_away([*lapsed, *stuck], now))
        self._nodes.forget(now - NODE_KEPT_MS)
        if heard >= LOST_SECONDS * 1000:
            self._dispatcher.recover_lost(now)
        if self._connected is not None:
            self._run_stragglers_again(now)

    def _run_stragglers_again(self, now: int) -> None:
        """Where slots have nothing to do, chunks that are slow are begun a second time; the first good result wins."""
        idle = self._dispatcher.idle() if self._settings.second_runs else 0
        running = self._store.in_state(JobState.RUNNING, "changed_at", now) if idle else []
        runs = [Run(row, (now - row.changed_at) / 1000) for row in running if row.kind == CHUNK]
        again = {(row.task_id, row.position) for row in running if row.kind == SECOND}
        runs = [run for run in runs if (run.row.task_id, run.row.position) not in again]
        for row in stragglers(runs, self._store.pace({run.row.task_id for run in runs}), idle):
            self._store.add_second(row, now)
            log.info("second run", task=row.task_id, chunk=row.position, node=row.node)

    def _stop_running(self) -> None:
        """Said again until the jobs have stopped, or at each of their reports: a broadcast may be lost."""
        now = time.monotonic()
        again = self._planner.stopping if now - self._said >= self._settings.poll_seconds else set()
        self._said = now if again else self._said
        controls, self._planner.controls = self._planner.controls, []
        for control in [*(CancelTask(task=task) for task in again), *controls]:
            try:
                self._broker.broadcast(messages.encode(control))
            except Unavailable as error:
                log.warning("control not sent yet", **control.model_dump(), fault=str(error))
                return  # each of the others would be waited for as long
