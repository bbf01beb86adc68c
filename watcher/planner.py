"""Planning tasks one after the other: what the plan wants is written, and no task's trouble is another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from raven.alive import HoldNode
from raven.config import Settings
from raven.errors import OptionInvalid, RowLocked
from raven.messages import CancelJob, ConfirmJob
from raven.profile import Profile
from watcher.due import Due
from watcher.ledger import CHUNK
from watcher.orders import early_chunks, settled_profile, task_profile
from watcher.plan import Ending, NewJob, Plan, plan, plan_deleted, prepared
from watcher.reports import Reports
from watcher.rows import ENDED, TaskRow, TaskState
from watcher.show import Shown, chunk_frames, place, shown
from watcher.store import Store
from watcher.tasks import Tasks
from watcher.trouble import SHARED, give_up

MOST_LOCKED = 2  # rows of one owner that a turn waits for; its other tasks have to wait then
MAX_STEPS = 5  # plans of one task in a row; two are needed at most, more would be a circle
HOUR_MS = 3_600_000

log = structlog.get_logger()


class Planner:
    """Knows which tasks are to be planned, and what nodes are to be told since."""

    def __init__(
        self,
        settings: Settings,
        tables: tuple[Tasks, Store],
        taking: Reports,
        profiles: Mapping[str, Profile],
        clock: Callable[[], int],
    ) -> None:
        self._settings, self._profiles, self._clock = settings, profiles, clock
        (self._tasks, self._store), self._taking = tables, taking
        self.due = Due()
        self.stopping: set[int] = set()
        self.controls: list[CancelJob | ConfirmJob | HoldNode] = []

    def clear(self) -> None:
        """Another watcher plans now."""
        self.due.clear()
        self.stopping.clear()
        self.controls = []

    def plan_due(self, beat: Callable[[], None]) -> None:
        """Plans all that is due. Who has locked his rows waits alone for most of them, whatever their number."""
        locked = Counter[str]()
        for task in self.due.now():
            beat()
            if locked and locked[self._tasks.owner(task)] >= MOST_LOCKED:
                continue  # it stays due
            self.due.take(task)
            try:
                self._advance(task)
            except RowLocked as error:
                self._put_off(task, error)
                locked[self._tasks.owner(task)] += 1
            except SHARED:
                self.due.touch([task])  # else it would wait for the next look at all tasks
                raise

    def _advance(self, task: int) -> None:
        """Plans a task. One that cannot be planned ends alone, and no other waits for it. Raises RowLocked."""
        try:
            with self._store.transaction():
                for _ in range(MAX_STEPS):
                    if not self._step(task):
                        break
                else:
                    log.error("a plan goes in circles", task=task)
            self.due.went_well(task)
        except SHARED:
            raise
        except Exception as error:
            self.give_up(task, error)

    def give_up(self, task: int, error: Exception) -> None:
        """Fails a task that cannot go on; then it is planned once more, as its objects are to be removed."""
        if self.due.is_put_off(task):
            return
        try:
            if give_up(self._tasks, self._store, task, error):
                self.due.touch([task])
        except RowLocked as locked:
            self._put_off(task, locked)
        except SHARED:
            raise
        except Exception:
            log.exception("a task cannot even fail", task=task)
            self.due.put_off(task)

    def _put_off(self, task: int, error: RowLocked) -> None:
        """Its client has locked its row, and alone is to wait for it."""
        wait = self.due.put_off(task)
        log.warning("a task's row is locked by another program", task=task, seconds=wait, fault=str(error))

    def _step(self, task: int) -> bool:
        """One plan of a task; whether another can follow."""
        now = self._clock()
        row, ledger = self._tasks.task(task), self._store.ledger(task, now)
        self.stopping.discard(task)
        if row is None:
            return self._carry_out(TaskRow(task, ""), plan_deleted(ledger, now), None)
        keep = round(self._settings.keep_failed_hours * HOUR_MS)
        if row.status in ENDED:
            return self._carry_out(row, plan(row, ledger, keep_failed=keep), None)
        try:
            profile = task_profile(row, self._profiles)
        except OptionInvalid as error:
            return self._end(row, Ending(TaskState.FAILED, str(error)), None)
        state = prepared(ledger.prepare)
        seen = shown(ledger, state, settled_profile(profile, state)) if state is not None else None
        self._show(row, seen)
        early = early_chunks(row, seen.profile if seen else profile, self._settings.early_playback)
        return self._carry_out(row, plan(row, ledger, early), seen)

    def _show(self, row: TaskRow, seen: Shown | None) -> None:
        """Progress and facts for the client."""
        if seen is None:
            return
        self._tasks.set_facts(row.id, seen.metadata)
        self._tasks.set_progress(row.id, seen.progress)
        if seen.url is not None:
            self._tasks.set_url(row.id, seen.url)

    def _carry_out(self, row: TaskRow, step: Plan, seen: Shown | None) -> bool:
        self._add(row, step.new_jobs, seen)
        if step.cancel:
            self._store.cancel_idle(row.id, self._clock())
        self.controls += self._taking.overtake(step.overtaken, self._clock())
        if step.anew is not None:
            self._store.begin_anew(row.id, step.anew.model_dump_json(), self._clock())
            log.warning("chunks cannot be used, the source is conformed", task=row.id)
        if step.hasten:
            self._store.hasten_purge(row.id)
        if step.stop:
            self.stopping.add(row.id)
        if step.prune:
            self._store.prune(row.id)
        if step.forget:
            self._store.forget(row.id)
            log.info("task forgotten", task=row.id)
        if step.status is not None and self._tasks.set_status(row.id, step.status):
            log.info("task advances", task=row.id, status=step.status)
        if step.ending is not None:
            return self._end(row, step.ending, seen)
        return step.cancel

    def _add(self, row: TaskRow, new: tuple[NewJob, ...], seen: Shown | None) -> None:
        now = self._clock()
        frames = [chunk_frames(job.position, seen) if seen and job.kind == CHUNK else 0 for job in new]
        self._store.add(row.id, place(row, seen, now), list(zip(new, frames, strict=True)), now)

    def _end(self, row: TaskRow, ending: Ending, seen: Shown | None) -> bool:
        if ending.status == TaskState.FAILED or seen is None:
            log.warning("task failed", task=row.id, fault=ending.message)
            return self._tasks.fail(row.id, ending.message or "failed")
        made = ending.published
        url, downloads, size = (made.url, made.downloads, made.bytes) if made else (None, (), 0)
        log.info("task done", task=row.id, url=url, bytes=size)
        metadata, thumbnails = seen.metadata_with(downloads), seen.thumbnails(url)
        return self._tasks.finish(row.id, url, seen.seconds, metadata, ending.message, thumbnails)
