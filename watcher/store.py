"""All SQL about jobs, which MariaDB and SQLite both understand. Every transition is one guarded UPDATE."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields

from raven import names
from raven.errors import Unavailable
from raven.model import EncodeResult
from raven.ports import Database
from watcher.ledger import CHUNK, CONFORM, ENDED_BADLY, SECOND, UNTAKEN_MS, Ledger, counted
from watcher.plan import NewJob
from watcher.rows import HELD, OPEN, JobRow, JobState, Place, Transition, states
from watcher.transitions import BACK_OFF_MS
from watcher.updates import updates

_JOB_COLUMNS = ", ".join(f.name for f in fields(JobRow) if f.name != "result")
# results of chunks are large and wanted only when the manifests are ordered
LIGHT = (
    f"{_JOB_COLUMNS}, CASE WHEN kind IN ('prepare', 'announce', 'publish') OR state <> 'done' THEN result END AS result"
)
_MANY = f"'{CHUNK}', '{SECOND}', 'announce'"
"""Kinds of which a task may have thousands of jobs."""
_PURGES = names.lane_of("purge")


@dataclass(frozen=True)
class Event:
    """A line of history."""

    task: int
    job: int | None
    at: int
    event: str
    node: str | None
    message: str | None


def _standing(job: NewJob, place: Place, now: int) -> tuple[object, ...]:
    """Lane, owner, priority, deadline, not_before. What is put off is in no share: the index has it by its time."""
    if job.delay:
        return names.PUT_OFF, "", 0, now + job.delay, now + job.delay
    return names.lane_of(job.kind), place.owner, place.priority, place.deadline, 0


class Store:
    """The watcher's view of the jobs and their history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def jobs(self, ids: Sequence[int]) -> dict[int, JobRow]:
        """Those that exist, by id."""
        if not ids:
            return {}
        marks = ", ".join("?" for _ in ids)
        rows = self._jobs(f"SELECT {LIGHT} FROM jobs WHERE id IN ({marks})", tuple(ids))
        return {row.id: row for row in rows}

    def ledger(self, task: int, now: int) -> Ledger:
        """All jobs of a task, as the plan wants them."""
        counts = self._database.query(  # of thousands of chunks: from the index alone
            "SELECT kind, state, COUNT(*) AS n, MIN(position) AS first, MAX(position) AS top"
            " FROM jobs WHERE task_id = ? GROUP BY kind, state",
            (task,),
        )
        held = self._database.query(  # of as many as there are slots
            "SELECT kind, state, SUM(done) AS done, SUM(CASE WHEN changed_at < ? THEN 1 ELSE 0 END) AS old"
            f" FROM jobs WHERE task_id = ? AND state IN ({states(HELD)}) GROUP BY kind, state",
            (now - UNTAKEN_MS, task),
        )
        rows = {(row.kind, row.position): row for row in self._few(task, {row["kind"] for row in counts})}
        ended_badly = any(row["state"] in ENDED_BADLY for row in counts)
        return counted(counts, held, rows, self._fault(task) if ended_badly else None)

    def _few(self, task: int, kinds: Collection[str]) -> list[JobRow]:
        """Of the kinds that there are."""
        single = f"SELECT {LIGHT} FROM jobs WHERE task_id = ? AND kind NOT IN ({_MANY})"
        newest = f"SELECT {LIGHT} FROM jobs WHERE task_id = ? AND kind = 'announce' ORDER BY position DESC LIMIT 2"
        return [*self._jobs(single, (task,)), *(self._jobs(newest, (task,)) if "announce" in kinds else [])]

    def _fault(self, task: int) -> JobRow | None:
        rows = self._jobs(
            f"SELECT {LIGHT} FROM jobs WHERE task_id = ? AND kind NOT IN ('purge', '{SECOND}')"
            f" AND state IN ({states(ENDED_BADLY)}) AND NOT (kind = 'announce' AND state = '{JobState.CANCELLED}')"
            f" ORDER BY state <> '{JobState.UNUSABLE}', id LIMIT 1",
            (task,),
        )
        return rows[0] if rows else None

    def prepare(self, task: int) -> JobRow | None:
        """The job that knows what the source is."""
        rows = self._jobs(f"SELECT {LIGHT} FROM jobs WHERE task_id = ? AND kind = 'prepare'", (task,))
        return rows[0] if rows else None

    def chunks_open(self, task: int) -> bool:
        """Whether a chunk of the task is still to be encoded."""
        sql = f"SELECT id FROM jobs WHERE task_id = ? AND kind = '{CHUNK}' AND state IN ({states(OPEN)}) LIMIT 1"
        return bool(self._database.query(sql, (task,)))

    def runs(self, task: int, position: int) -> list[JobRow]:
        """The first and the second run of a chunk, as far as there are."""
        return self._jobs(
            f"SELECT {LIGHT} FROM jobs WHERE task_id = ? AND kind IN ('{CHUNK}', '{SECOND}') AND position = ?",
            (task, position),
        )

    def second_runs(self, tasks: Collection[int]) -> set[tuple[int, int]]:
        """Task and position of the chunks that were begun a second time."""
        if not tasks:
            return set()
        marks = ", ".join("?" for _ in tasks)
        sql = f"SELECT task_id, position FROM jobs WHERE kind = '{SECOND}' AND task_id IN ({marks})"
        return {(int(row["task_id"]), int(row["position"])) for row in self._database.query(sql, tuple(tasks))}

    def results_of(self, task: int) -> list[JobRow]:
        """All jobs of a task with their results."""
        return self._jobs(
            f"SELECT {_JOB_COLUMNS}, result FROM jobs WHERE task_id = ? AND kind <> '{SECOND}' ORDER BY kind, position",
            (task,),
        )

    def reference(self, task: int) -> EncodeResult | None:
        """The result of a chunk of the task that is done; None too where it is another version's and cannot be read."""
        rows = self._database.query(
            f"SELECT result FROM jobs WHERE task_id = ? AND kind = '{CHUNK}' AND state = 'done' LIMIT 1", (task,)
        )
        try:
            return EncodeResult.model_validate_json(rows[0]["result"] or "") if rows else None
        except ValueError:
            return None

    def pace(self, tasks: Collection[int]) -> dict[int, float]:
        """Seconds that a frame took in the chunks of these tasks that are done."""
        if not tasks:
            return {}
        marks = ", ".join("?" for _ in tasks)
        rows = self._database.query(
            f"SELECT task_id, SUM(seconds) AS seconds, SUM(frames) AS frames FROM jobs WHERE kind = '{CHUNK}'"
            f" AND state = 'done' AND task_id IN ({marks}) GROUP BY task_id",
            tuple(tasks),
        )
        return {int(row["task_id"]): float(row["seconds"]) / int(row["frames"]) for row in rows if row["frames"]}

    def in_state(self, state: JobState, column: str, before: int) -> list[JobRow]:
        """Jobs in `state` whose time `column` lies before `before`."""
        if column not in ("lease_until", "changed_at", "moved_at"):
            raise ValueError(column)
        return self._jobs(f"SELECT {LIGHT} FROM jobs WHERE state = ? AND {column} < ?", (state, before))

    def add(self, task: int, place: Place, new: Sequence[tuple[NewJob, int]], now: int) -> None:
        """Adds jobs, each with its number of frames, but for those that exist."""
        if not new:
            return
        kinds = sorted({job.kind for job, _ in new})
        marks = ", ".join("?" for _ in kinds)
        known = self._database.query(
            f"SELECT kind, position FROM jobs WHERE task_id = ? AND kind IN ({marks}) AND position >= ?",
            (task, *kinds, min(job.position for job, _ in new)),
        )
        there = {(row["kind"], row["position"]) for row in known}
        rows = [
            (task, job.kind, job.position, *_standing(job, place, now), now, frames)
            for job, frames in new
            if (job.kind, job.position) not in there
        ]
        columns = "task_id, kind, position, lane, owner, priority, deadline, not_before, changed_at, frames"
        self._insert("jobs", columns, rows)

    def add_second(self, first: JobRow, now: int) -> None:
        """A second run of a chunk, before all else of its share."""
        columns = "task_id, kind, position, lane, owner, priority, deadline, changed_at, frames"
        self._database.execute(
            f"INSERT INTO jobs ({columns}) SELECT task_id, '{SECOND}', position, lane, owner, priority, 0, ?, frames"
            f" FROM jobs WHERE id = ? AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.task_id = ?"
            f" AND other.kind = '{SECOND}' AND other.position = ?)",
            (now, first.id, first.task_id, first.position),
        )

    def apply(self, transition: Transition) -> bool:
        """One guarded UPDATE; False when the guard forbade it: a late report, counted and dropped."""
        (update,) = updates([transition])
        return bool(self._database.execute(update.sql, update.parameters))

    def apply_all(self, transitions: Iterable[Transition]) -> None:
        """Each with its guard, of each job one at most.

        Raises Unavailable when a row is not as it was read: nothing of the caller's transaction counts then.
        """
        for update in updates(transitions):
            if self._database.execute(update.sql, update.parameters) != update.rows:
                raise Unavailable("the rows of jobs have changed since they were read")

    def cancel_idle(self, task: int, now: int) -> int:
        """Cancels the jobs of a task, but purges, that nobody has, nor will take; their number."""
        return self._database.execute(
            "UPDATE jobs SET state = 'cancelled', changed_at = ? WHERE task_id = ? AND kind <> 'purge'"
            " AND (state = 'waiting' OR (state = 'queued' AND changed_at < ?))",
            (now, task, now - UNTAKEN_MS),
        )

    def hasten_purge(self, task: int) -> None:
        """A purge that was put off is due now."""
        self._database.execute(
            "UPDATE jobs SET lane = ?, not_before = 0, deadline = 0"
            " WHERE task_id = ? AND kind = 'purge' AND state = 'waiting'",
            (_PURGES, task),
        )

    def begin_purges(self, now: int) -> int:
        """Those that were put off until now; their number. Reads no others."""
        return self._database.execute(
            "UPDATE jobs SET lane = ? WHERE lane = ? AND state = 'waiting' AND priority = 0 AND owner = ''"
            " AND deadline <= ?",
            (_PURGES, names.PUT_OFF, now),
        )

    def purge_again(self, task: int, position: int, now: int) -> None:
        """A purge that has begun, or is done, begins anew."""
        self._database.execute(
            "UPDATE jobs SET state = 'waiting', attempt = attempt + 1, not_before = 0, changed_at = ?"
            " WHERE task_id = ? AND kind = 'purge' AND position = ? AND state IN ('queued', 'running', 'done')",
            (now, task, position),
        )

    def begin_leases(self, now: int, until: int) -> None:
        """After a gap in which nobody was heard every running job gets a new lease.

        An earlier watcher's clock may have been ahead: what it put off, but for purges, is due after a back-off.
        """
        self._database.execute("UPDATE jobs SET lease_until = ?, moved_at = ? WHERE state = 'running'", (until, now))
        held = f"state IN ({states(HELD)})"
        self._database.execute(f"UPDATE jobs SET changed_at = ? WHERE {held} AND changed_at > ?", (now, now))
        # each back-off began with a line of history: no such line, and nothing that waits need be read
        if not self._database.query("SELECT 1 AS one FROM history WHERE at > ? LIMIT 1", (now,)):
            return
        self._database.execute("UPDATE jobs SET changed_at = ? WHERE state = 'waiting' AND changed_at > ?", (now, now))
        self._database.execute(
            "UPDATE jobs SET not_before = ? WHERE state = 'waiting' AND kind <> 'purge' AND not_before > ?",
            (now, now + BACK_OFF_MS[-1]),
        )

    def release_all(self, now: int) -> None:
        """Queued and running jobs are nobody's: for a farm that was one process and has ended."""
        self._database.execute(
            "UPDATE jobs SET state = 'waiting', attempt = attempt + 1, not_before = 0, changed_at = ?"
            f" WHERE state IN ({states(HELD)})",
            (now,),
        )

    def forget(self, task: int) -> None:
        """Removes the job rows of a deleted task whose objects are gone."""
        self._database.execute("DELETE FROM jobs WHERE task_id = ?", (task,))

    def prune(self, task: int) -> None:
        """Removes the work of an ended task; its purge job stays, so that a later deletion of the row is noticed."""
        self._database.execute("DELETE FROM jobs WHERE task_id = ? AND kind <> 'purge'", (task,))

    def begin_anew(self, task: int, known: str, now: int) -> None:
        """Puts a job that conforms the source, of which this much is known, in place of all that was done.

        What has been announced stays. The new job comes before the others go: its number is above theirs, so none of
        those is ever given again, and late reports find no job.
        """
        self._database.execute(
            "INSERT INTO jobs (task_id, kind, position, lane, owner, priority, deadline, changed_at, result)"
            " SELECT task_id, kind, ?, lane, owner, priority, deadline, ?, ? FROM jobs"
            " WHERE task_id = ? AND kind = 'prepare'",
            (CONFORM, now, known, task),
        )
        self._database.execute(
            "DELETE FROM jobs WHERE task_id = ? AND NOT (kind = 'prepare' AND position = ?)"
            " AND NOT (kind = 'announce' AND state = 'done')",
            (task, CONFORM),
        )

    # history

    def record(self, events: Sequence[Event]) -> None:
        """Lines of history, for people."""
        rows = [(e.task, e.job, e.at, e.event[:32], e.node, e.message) for e in events]
        self._insert("history", "task_id, job_id, at, event, node, message", rows)

    def _insert(self, table: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Many rows in few statements; each is far shorter than what a server takes."""
        for start in range(0, len(rows), 100):
            some = rows[start : start + 100]
            marks = ", ".join("(" + ", ".join("?" for _ in row) + ")" for row in some)
            values = tuple(value for row in some for value in row)
            self._database.execute(f"INSERT INTO {table} ({columns}) VALUES {marks}", values)

    def _jobs(self, sql: str, parameters: tuple[object, ...]) -> list[JobRow]:
        return [JobRow(**row) for row in self._database.query(sql, parameters)]
