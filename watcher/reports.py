"""Taking reports: what nodes say becomes rows, a batch of reports in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from raven import messages, names
from raven.alive import Alive, HoldNode
from raven.messages import BadMessage, CancelJob, ConfirmJob, JobReport, Passed, Progress, Started
from raven.model import EncodeResult
from raven.ports import Delivery
from watcher.ledger import CHUNK, SECOND
from watcher.nodes import Nodes
from watcher.plan import unclean
from watcher.roll import Roll
from watcher.rows import JobRow, JobState, Transition
from watcher.store import Event, Store
from watcher.tasks import Tasks
from watcher.transitions import Limits, cancelled, on_lapse, on_report, on_stall, settled
from watcher.trouble import SHARED

log = structlog.get_logger()


@dataclass
class Touched:
    """What a batch has brought."""

    soon: set[int] = field(default_factory=set)
    """Tasks whose plan may wait a little: one of many chunks advances."""
    now: set[int] = field(default_factory=set)
    """Tasks that can go on."""
    controls: list[CancelJob | ConfirmJob | HoldNode] = field(default_factory=list)
    """For nodes whose job is not theirs any more, that ask before they purge, or that do not know what holds them."""
    unreadable: list[Delivery] = field(default_factory=list)

    def refuse(self, delivery: Delivery, error: Exception) -> None:
        """It goes to the dead letters."""
        log.warning("message dead-lettered", queue=names.REPORTS, fault=str(error))
        self.unreadable.append(delivery)

    def joined(self, later: Touched) -> Touched:
        """What two batches have brought."""
        return Touched(
            self.soon | later.soon,
            self.now | later.now,
            self.controls + later.controls,
            self.unreadable + later.unreadable,
        )


class _Batch:
    """Rows and results that one batch of reports needs, read once, and what becomes of them, written once."""

    def __init__(self, store: Store, roll: Roll, rows: Mapping[int, JobRow], done: Collection[JobReport] = ()) -> None:
        self._store, self.roll = store, roll
        self.rows = dict(rows)
        self._twins = store.second_runs({report.task for report in done})
        self._references: dict[int, EncodeResult | None] = {}
        self._changes: dict[int, Transition] = {}
        self.events: list[Event] = []
        self.purges: list[tuple[int, int]] = []
        """Tasks and positions of purges that have to run once more."""

    def apply(self, row: JobRow, transition: Transition) -> JobRow | None:
        """The row afterwards, None when the guard forbids it."""
        after = transition.applied(row)
        if after is not None:
            before = self._changes.get(row.id)
            self._changes[row.id] = transition if before is None else before.then(transition)
            self.rows[row.id] = after
        return after

    def write(self, now: int) -> None:
        """Raises Unavailable when somebody else has written the rows meanwhile."""
        self._store.apply_all(self._changes.values())
        for task, position in self.purges:
            self._store.purge_again(task, position, now)
        self._store.record(self.events)

    def reference(self, task: int) -> EncodeResult | None:
        """The result of a chunk that is done, by which another is judged."""
        if task not in self._references:
            self._references[task] = self._store.reference(task)
        return self._references[task]

    def judged(self, row: JobRow) -> None:
        """A chunk is done: those after it are judged by it where it is the first."""
        if self._references.get(row.task_id) is None and row.result is not None:
            self._references[row.task_id] = EncodeResult.model_validate_json(row.result)

    def other_run(self, row: JobRow) -> JobRow | None:
        """The first run of a second one and the other way round."""
        if (row.task_id, row.position) not in self._twins:
            return None
        other = next((other for other in self._store.runs(row.task_id, row.position) if other.id != row.id), None)
        return None if other is None else self.rows.get(other.id, other)


class Reports:
    """Applies reports to rows; one that is late, by the guard of its transition, is noted and dropped."""

    def __init__(self, tasks: Tasks, store: Store, nodes: Nodes, limits: Limits) -> None:
        self._tasks, self._store, self._nodes, self._limits = tasks, store, nodes, limits

    def take(self, deliveries: Sequence[Delivery], now: int) -> Touched:
        """A batch of reports, in one transaction. Raises what is shared trouble, and all will be said again.

        Where something else goes wrong, by what nobody has foreseen, the halves are tried, down to the one report.
        """
        try:
            with self._store.transaction():
                return self._take_all(deliveries, now)
        except SHARED:
            raise
        except Exception as error:
            if len(deliveries) == 1:
                log.exception("report cannot be taken")
                touched = Touched()
                touched.refuse(deliveries[0], error)
                return touched
        half = len(deliveries) // 2
        return self.take(deliveries[:half], now).joined(self.take(deliveries[half:], now))

    def _take_all(self, deliveries: Sequence[Delivery], now: int) -> Touched:
        touched, roll, reports = Touched(), Roll(self._nodes), list[tuple[Delivery, JobReport]]()
        for delivery in deliveries:
            try:
                report = messages.read_report(delivery.body)
            except BadMessage as error:
                touched.refuse(delivery, error)
                continue
            if isinstance(report, Alive):
                roll.seen(report, now)
            else:
                reports.append((delivery, report))
        done = [report for _, report in reports if report.type == "done"]
        batch = _Batch(self._store, roll, self._store.jobs([report.job for _, report in reports]), done)
        for delivery, report in reports:
            try:
                self._take(report, batch, touched, now)
            except BadMessage as error:
                touched.refuse(delivery, error)
        batch.write(now)
        touched.controls += roll.answers(now)
        touched.now |= {task for task in touched.soon if not self._store.chunks_open(task)}
        return touched

    def take_away(self, rows: Sequence[JobRow], now: int) -> Touched:
        """Takes jobs away from nodes that have fallen silent, or that say that they live and get nowhere."""
        touched, batch = Touched(), _Batch(self._store, Roll(self._nodes), {row.id: row for row in rows})
        for row in rows:
            lapsed = row.lease_until < now
            transition = (on_lapse if lapsed else on_stall)(row, now, self._limits)
            if self._apply(batch, row, transition, now, row.node) is not None:
                log.warning("lease lapsed" if lapsed else "no progress", task=row.task_id, job=row.id, node=row.node)
                touched.now.add(row.task_id)
                touched.controls.append(CancelJob(job=row.id, below=row.attempt + 1))
        batch.write(now)
        return touched

    def overtake(self, rows: Sequence[JobRow], now: int) -> list[CancelJob]:
        """Jobs that are not waited for: what waits is not handed out any more, what runs is told to stop."""
        for row in rows:
            if row.state == JobState.WAITING:
                self._store.apply(cancelled(row, now))
        return [CancelJob(job=row.id, below=row.attempt + 1) for row in rows if row.state == JobState.RUNNING]

    def _take(self, report: JobReport, batch: _Batch, touched: Touched, now: int) -> None:
        row = batch.rows.get(report.job)
        if row is None or row.task_id != report.task:
            log.info("late report", task=report.task, job=report.job, report=report.type)
            self._late(report, None, batch, touched)
            return
        judged = row.kind in (CHUNK, SECOND) and report.type == "done"
        reference = batch.reference(row.task_id) if judged else None
        after = self._apply(batch, row, on_report(row, report, reference, now, self._limits), now, report.node)
        if after is None:
            self._late(report, row.kind, batch, touched)
            return
        if row.kind == "purge" and isinstance(report, Progress):
            touched.controls.append(ConfirmJob(job=row.id, attempt=report.attempt, done=report.done))
        if after.state == JobState.DONE:
            batch.roll.done(row, report)
        if judged and after.state == JobState.DONE:
            batch.judged(after)
            self._settle(after, report, batch, touched, now)
        usual = row.kind == CHUNK and after.state in (JobState.RUNNING, JobState.DONE)
        (touched.soon if usual else touched.now).add(row.task_id)

    def _late(self, report: JobReport, kind: str | None, batch: _Batch, touched: Touched) -> None:
        """From a node that was cut off: it is called off, and what it stored for an ended task is removed."""
        if isinstance(report, Started | Progress):
            touched.controls.append(CancelJob(job=report.job, below=report.attempt + 1))
        if isinstance(report, Started | Progress | Passed):
            return
        task = self._tasks.task(report.task)
        purge = unclean(task, kind)
        if purge is not None and (task is not None or self._tasks.known(report.task)):
            batch.purges.append((report.task, purge))
            touched.now.add(report.task)  # of a forgotten task the plan orders a new one

    def _settle(self, row: JobRow, report: JobReport, batch: _Batch, touched: Touched, now: int) -> None:
        """The first good result of a chunk wins; its other run, if there is one, is stopped."""
        other = batch.other_run(row)
        after = self._apply(batch, other, settled(other, row, now), now, row.node) if other is not None else None
        if after is not None and other is not None:
            batch.roll.done(other, report)  # also where it had failed before it was begun a second time
            touched.controls.append(CancelJob(job=after.id, below=after.attempt + 1))

    def _apply(self, batch: _Batch, row: JobRow, transition: Transition, now: int, node: str | None) -> JobRow | None:
        """Applies a transition and notes it for the history; the row afterwards, None when the guard forbade it."""
        about: Mapping[str, object] = {"task": row.task_id, "job": row.id, "kind": row.kind, "chunk": row.position}
        after = batch.apply(row, transition)
        if after is None:
            log.info("late report", **about, report=transition.event, attempt=transition.attempt)
            return None
        if transition.event != "progress":
            message = transition.values.get("message")
            batch.events.append(Event(row.task_id, row.id, now, f"{row.kind} {transition.event}", node, message))
            log.debug("job changed", **about, event_name=transition.event, node=node, fault=message)
        return after
