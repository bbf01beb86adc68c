"""The watcher: takes reports, plans tasks, hands jobs out. All that it knows is in the database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

import structlog

from raven import messages, names
from raven.config import Settings
from raven.errors import OptionInvalid, Unavailable
from raven.messages import Alive, BadMessage, CancelJob, CancelTask, JobReport, Progress, Started
from raven.model import PrepareResult, PublishResult, SourceFacts
from raven.ports import Broker, Database, Delivery
from raven.profile import Profile
from watcher.dispatch import UNREADABLE, Dispatcher, give_up
from watcher.orders import audio_samples, early_chunks, task_profile
from watcher.plan import Ending, Plan, plan, plan_deleted, prepared
from watcher.rows import ENDED, JobRow, JobState, TaskRow, TaskState, Transition
from watcher.store import Store
from watcher.transitions import Limits, on_lapse, on_report

REPORT_BATCH = 200  # reports in one transaction
CARE_SECONDS = 5.0  # between looks at leases, lost messages and tasks that nothing has touched
MAX_STEPS = 5  # plans of one task in a row; two are needed at most, more would be a circle

log = structlog.get_logger()


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Watcher:
    """One turn after the other; `clock` gives milliseconds since 1970."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        broker: Broker,
        profiles: Mapping[str, Profile],
        clock: Callable[[], int] = _wall_ms,
    ) -> None:
        self._settings, self._broker, self._profiles, self._clock = settings, broker, profiles, clock
        self._store = Store(database)
        self._limits = Limits(round(settings.lease_seconds * 1000), settings.attempts)
        self._dispatcher = Dispatcher(self._store, broker, profiles)
        self._reports = broker.consumer(names.REPORTS, prefetch=REPORT_BATCH)
        self._looked = self._cared = float("-inf")
        self._greeted = False
        self._stopping: set[int] = set()
        self._strays: list[CancelJob] = []
        self._held: list[Delivery] = []  # taken, but not in the database yet

    def turn(self) -> None:
        """Takes what is reported, looks at the rows when it is time, hands out jobs. Raises Unavailable."""
        touched = self._take_reports()
        now = time.monotonic()
        if now - self._cared >= CARE_SECONDS:
            touched |= self._care()
            self._cared = now
        if now - self._looked >= self._settings.poll_seconds:
            touched |= {*self._store.unplanned_tasks(), *self._store.unfinished_business()}
            self._looked = now
        for task in sorted(touched):
            self._advance(task)
        self._stop_running()
        self._dispatcher.fill(self._clock())

    # reports

    def _take_reports(self) -> set[int]:
        """Applies a batch of reports in one transaction; the tasks that they touch."""
        delivery = self._reports.take(0 if self._held else self._settings.poll_seconds)
        while delivery is not None:
            self._held.append(delivery)
            delivery = self._reports.take(0) if len(self._held) < REPORT_BATCH else None
        if not self._held:
            return set()
        touched: set[int] = set()
        unreadable: list[Delivery] = []
        with self._store.transaction():
            for delivery in self._held:
                try:
                    touched |= self._take_report(delivery)
                except BadMessage as error:
                    log.warning("message dead-lettered", queue=names.REPORTS, fault=str(error))
                    unreadable.append(delivery)
        batch, self._held = self._held, []
        for delivery in batch:
            delivery.reject() if delivery in unreadable else delivery.ack()
        return touched

    def _take_report(self, delivery: Delivery) -> set[int]:
        report = messages.read_report(delivery.body)
        if isinstance(report, Alive):
            self._store.seen(report, self._clock())
            return set()
        row = self._store.job(report.job)
        if row is None or row.task_id != report.task:
            log.info("late report", task=report.task, job=report.job, report=report.type)
            self._call_off(report)
            return set()
        reference = self._store.reference(row.task_id) if row.kind == "encode" and report.type == "done" else None
        if not self._apply(row, on_report(row, report, reference, self._clock(), self._limits), report):
            self._call_off(report)
        return {row.task_id}

    def _call_off(self, report: JobReport) -> None:
        """Notes a node that works on a job that is not its own any more: it was cut off when the cancel was said."""
        if isinstance(report, Started | Progress):
            self._strays.append(CancelJob(job=report.job, below=report.attempt + 1))

    def _apply(self, row: JobRow, transition: Transition, report: JobReport | None = None) -> bool:
        """Applies a transition and writes its line of history; a late one is noted and dropped."""
        about = {"task": row.task_id, "job": row.id, "kind": row.kind, "chunk": row.position}
        if not self._store.apply(transition):
            log.info("late report", **about, report=transition.event, attempt=transition.attempt)
            return False
        if transition.event != "progress":
            message = transition.values.get("message")
            node = report.node if report else row.node
            self._store.record(row, transition.event, node, message, self._clock())
            log.debug("job changed", **about, event_name=transition.event, node=node, fault=message)
        return True

    # planning

    def _advance(self, task: int) -> None:
        """Plans a task. One whose rows cannot be read ends alone, and no other waits for it."""
        try:
            self._plan_out(task)
        except UNREADABLE as error:
            give_up(self._store, task, error)

    def _plan_out(self, task: int) -> None:
        """Plans until nothing more is to do now, in one transaction."""
        with self._store.transaction():
            for _ in range(MAX_STEPS):
                if not self._step(task):
                    return
        log.error("a plan goes in circles", task=task)

    def _step(self, task: int) -> bool:
        """One plan of a task; whether another can follow."""
        row, rows, now = self._store.task(task), self._store.jobs_of(task), self._clock()
        self._stopping.discard(task)
        if row is None:
            return self._carry_out(task, plan_deleted(rows, now), None, rows)
        if row.status not in ENDED:
            try:
                profile = task_profile(row, self._profiles)
            except OptionInvalid as error:
                return self._end(row, Ending(TaskState.FAILED, str(error)), None)
            self._show(row, rows, profile)
            early = early_chunks(row, profile, self._settings.early_playback)
            return self._carry_out(task, plan(row, rows, now, early), row, rows)
        return self._carry_out(task, plan(row, rows, now), row, rows)

    def _carry_out(self, task: int, step: Plan, row: TaskRow | None, rows: list[JobRow]) -> bool:
        by_id = {job.id: job for job in rows}
        for new in step.new_jobs:
            self._store.add(task, new, self._clock())
        for transition in step.transitions:
            self._apply(by_id[transition.job], transition)
        if step.stop:
            self._stopping.add(task)
        if step.prune:
            self._store.prune(task)
        if step.forget:
            self._store.forget(task)
            log.info("task forgotten", task=task)
        if row is None:
            return bool(step.transitions)
        if step.status is not None and self._store.set_status(task, step.status):
            log.info("task advances", task=task, status=step.status)
        if step.ending is not None:
            state = next((prepared(job) for job in rows if job.kind == "prepare"), None)
            return self._end(row, step.ending, state)
        return bool(step.transitions)

    def _end(self, row: TaskRow, ending: Ending, state: PrepareResult | None) -> bool:
        if ending.published is None or state is None:
            log.warning("task failed", task=row.id, fault=ending.message)
            return self._store.fail(row.id, ending.message or "failed")
        profile = task_profile(row, self._profiles)
        video = state.facts.video
        rate = profile.sample_rate
        duration = float(state.frames / video.rate) if video else audio_samples(state, profile) / rate
        log.info("task done", task=row.id, url=ending.published.url, bytes=ending.published.bytes)
        metadata = _metadata(state.facts, ending.published.downloads)
        return self._store.finish(row.id, ending.published.url, duration, metadata, ending.message)

    def _show(self, row: TaskRow, rows: list[JobRow], profile: Profile) -> None:
        """Progress and facts for the client."""
        state = next((prepared(job) for job in rows if job.kind == "prepare"), None)
        if state is None:
            return
        self._store.set_facts(row.id, _metadata(state.facts))
        self._store.set_progress(row.id, progress(state, rows, profile))
        announced = next((job.result for job in rows if job.kind == "announce" and job.result), None)
        if announced is not None:
            self._store.set_url(row.id, PublishResult.model_validate_json(announced).url)

    # care

    def _care(self) -> set[int]:
        """What no event brings: lapsed leases, lost messages, a watcher or broker that was away."""
        now = self._clock()
        since = self._broker.connected_since()
        away = since is None or time.monotonic() - since < self._settings.lease_seconds
        if away and (not self._greeted or since is None):
            self._store.extend_leases(now + self._limits.lease_ms)  # nobody could report meanwhile
        touched = set(self._store.live_tasks())
        self._greeted = since is not None
        if not away:
            touched |= self._lapse(now)
        if since is not None:
            self._dispatcher.recover_lost(now)
        return touched

    def _lapse(self, now: int) -> set[int]:
        lapsed = self._store.in_state(JobState.RUNNING, "lease_until", now)
        for row in lapsed:
            if self._apply(row, on_lapse(row, now, self._limits)):
                log.warning("lease lapsed", task=row.task_id, job=row.id, node=row.node)
                self._broker.broadcast(messages.encode(CancelJob(job=row.id, below=row.attempt + 1)))
        return {row.task_id for row in lapsed}

    def _stop_running(self) -> None:
        """Said again each turn until the jobs have stopped, or at each of their reports: a broadcast may be lost."""
        strays, self._strays = self._strays, []
        for control in [*(CancelTask(task=task) for task in self._stopping), *strays]:
            try:
                self._broker.broadcast(messages.encode(control))
            except Unavailable as error:
                log.warning("cancel not sent yet", **control.model_dump(), fault=str(error))


def progress(state: PrepareResult, rows: list[JobRow], profile: Profile) -> float:
    """How much of a task is done, 0 to 1: frames that are encoded, or samples where there is no video."""
    video = state.facts.video
    if video is not None:
        guess = int((state.facts.duration or 0) * float(video.rate))
        total = state.frames if state.complete else max(state.frames, guess)
        grid = profile.cutting.grid(video.rate)
        frames = state.frames if state.complete else None
        done = sum(
            grid.chunk_span(row.position, frames).frames if row.state == JobState.DONE else row.done
            for row in rows
            if row.kind == "encode"
        )
    else:
        total = max([*state.samples.values(), 1]) * max(1, len(state.facts.audio))
        done = sum(total if row.state == JobState.DONE else row.done for row in rows if row.kind == "audio")
    return round(min(0.99, 0.99 * done / total), 4) if total > 0 else 0.0


def _metadata(facts: SourceFacts, downloads: tuple[str, ...] = ()) -> str:
    more = {"downloads": downloads} if downloads else {}
    return json.dumps(facts.model_dump(mode="json") | more, separators=(",", ":"))
