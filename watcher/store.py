"""All SQL of the watcher, which MariaDB and SQLite both understand. Every transition is one guarded UPDATE."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import fields

from raven.messages import Alive
from raven.model import EncodeResult
from raven.ports import Database, Row
from watcher.plan import NewJob
from watcher.rows import ENDED, OPEN, JobRow, JobState, TaskRow, TaskState, Transition

_TASK_COLUMNS = ", ".join(f.name for f in fields(TaskRow))
_JOB_COLUMNS = ", ".join(f.name for f in fields(JobRow) if f.name != "result")
# results of chunks are large and wanted only when the manifests are ordered
_LIGHT = f"{_JOB_COLUMNS}, CASE WHEN kind IN ('prepare', 'announce', 'publish') THEN result END AS result"
_FIRST = (
    "CASE kind WHEN 'purge' THEN 0 WHEN 'publish' THEN 1 WHEN 'announce' THEN 1 WHEN 'text' THEN 2 WHEN 'audio' THEN 3"
    " ELSE 4 END"
)
"""Light jobs never wait behind encodes."""


def _states(states: Iterable[str]) -> str:
    """States as a SQL list: constants of ours, never a client's text."""
    return ", ".join(f"'{state}'" for state in sorted(states))


class Store:
    """The watcher's view of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    # tasks

    def task(self, task: int) -> TaskRow | None:
        rows = self._database.query(f"SELECT {_TASK_COLUMNS} FROM tasks WHERE id = ?", (task,))
        return _task(rows[0]) if rows else None

    def live_tasks(self) -> list[int]:
        """Tasks that are not at an end; a status that no client may write counts as not at an end."""
        return self._ids(f"SELECT id FROM tasks WHERE status NOT IN ({_states(ENDED)}) ORDER BY id")

    def unplanned_tasks(self) -> list[int]:
        """Tasks that have no job yet: the new ones."""
        return self._ids(
            f"SELECT id FROM tasks WHERE status NOT IN ({_states(ENDED)})"
            " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.task_id = tasks.id) ORDER BY id"
        )

    def unfinished_business(self) -> list[int]:
        """Tasks whose row is gone but whose jobs are not, and ended ones with open jobs."""
        return self._ids(
            "SELECT DISTINCT jobs.task_id AS id FROM jobs LEFT JOIN tasks ON tasks.id = jobs.task_id"
            f" WHERE tasks.id IS NULL OR (tasks.status IN ({_states(ENDED)}) AND jobs.state IN ({_states(OPEN)}))"
        )

    def set_status(self, task: int, status: TaskState) -> bool:
        return bool(
            self._database.execute(
                "UPDATE tasks SET status = ?, started_at = COALESCE(started_at, CURRENT_TIMESTAMP)"
                f" WHERE id = ? AND status <> ? AND status NOT IN ({_states(ENDED)})",
                (status, task, status),
            )
        )

    def set_facts(self, task: int, metadata: str) -> None:
        self._database.execute(
            "UPDATE tasks SET metadata = ? WHERE id = ? AND metadata IS NULL",
            (metadata, task),
        )

    def set_url(self, task: int, url: str) -> None:
        """Where a task can be played although it is not done."""
        self._database.execute(
            f"UPDATE tasks SET url = ? WHERE id = ? AND url IS NULL AND status NOT IN ({_states(ENDED)})", (url, task)
        )

    def set_progress(self, task: int, progress: float) -> None:
        """Never backwards."""
        self._database.execute(
            f"UPDATE tasks SET progress = ? WHERE id = ? AND progress < ? AND status NOT IN ({_states(ENDED)})",
            (progress, task, progress),
        )

    def finish(self, task: int, url: str, duration: float, metadata: str, message: str | None) -> bool:
        return bool(
            self._database.execute(
                "UPDATE tasks SET status = 'done', progress = 1, url = ?, duration = ?, metadata = ?, message = ?,"
                f" finished_at = CURRENT_TIMESTAMP WHERE id = ? AND status NOT IN ({_states(ENDED)})",
                (url, duration, metadata, message, task),
            )
        )

    def fail(self, task: int, message: str) -> bool:
        return bool(
            self._database.execute(
                "UPDATE tasks SET status = 'failed', message = ?, url = NULL, finished_at = CURRENT_TIMESTAMP"
                f" WHERE id = ? AND status NOT IN ({_states(ENDED)})",
                (message[:4000], task),
            )
        )

    # jobs

    def job(self, job: int) -> JobRow | None:
        rows = self._database.query(f"SELECT {_LIGHT} FROM jobs WHERE id = ?", (job,))
        return _job(rows[0]) if rows else None

    def jobs_of(self, task: int) -> list[JobRow]:
        """All jobs of a task; results of the prepare and publish jobs only."""
        return self._jobs(f"SELECT {_LIGHT} FROM jobs WHERE task_id = ? ORDER BY id", (task,))

    def results_of(self, task: int) -> list[JobRow]:
        """All jobs of a task with their results."""
        return self._jobs(
            f"SELECT {_JOB_COLUMNS}, result FROM jobs WHERE task_id = ? ORDER BY kind, position",
            (task,),
        )

    def reference(self, task: int) -> EncodeResult | None:
        """The result of a chunk of the task that is done."""
        rows = self._database.query(
            "SELECT result FROM jobs WHERE task_id = ? AND kind = 'encode' AND state = 'done' LIMIT 1", (task,)
        )
        return EncodeResult.model_validate_json(rows[0]["result"]) if rows else None

    def waiting(self, kinds: tuple[str, ...], now: int, limit: int) -> list[JobRow]:
        """Jobs to queue next: by the task's priority, light ones first, older tasks first."""
        marks = ", ".join("?" for _ in kinds)
        return self._jobs(
            f"SELECT {_columns_of('jobs')} FROM jobs LEFT JOIN tasks ON tasks.id = jobs.task_id"
            f" WHERE jobs.state = 'waiting' AND kind IN ({marks}) AND not_before <= ?"
            f" ORDER BY COALESCE(priority, 0) DESC, {_FIRST}, task_id, position LIMIT {int(limit)}",
            (*kinds, now),
        )

    def count(self, kinds: tuple[str, ...], state: JobState) -> int:
        marks = ", ".join("?" for _ in kinds)
        rows = self._database.query(
            f"SELECT COUNT(*) AS n FROM jobs WHERE state = ? AND kind IN ({marks})",
            (state, *kinds),
        )
        return int(rows[0]["n"])

    def in_state(self, state: JobState, column: str, before: int) -> list[JobRow]:
        """Jobs in `state` whose time `column` lies before `before`."""
        if column not in ("lease_until", "changed_at"):
            raise ValueError(column)
        return self._jobs(f"SELECT {_LIGHT} FROM jobs WHERE state = ? AND {column} < ?", (state, before))

    def add(self, task: int, job: NewJob, now: int) -> None:
        """Adds a job unless it exists."""
        self._database.execute(
            "INSERT INTO jobs (task_id, kind, position, changed_at) SELECT ?, ?, ?, ? FROM (SELECT 1 AS one) AS source"
            " WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE task_id = ? AND kind = ? AND position = ?)",
            (task, job.kind, job.position, now, task, job.kind, job.position),
        )

    def apply(self, transition: Transition) -> bool:
        """One guarded UPDATE; False when the guard forbade it: a late report, counted and dropped."""
        columns = ", ".join(f"{name} = ?" for name in transition.values)
        guard = "" if transition.attempt is None else " AND attempt = ?"
        extra = () if transition.attempt is None else (transition.attempt,)
        return bool(
            self._database.execute(
                f"UPDATE jobs SET {columns} WHERE id = ? AND state IN ({_states(transition.states)}){guard}",
                (*transition.values.values(), transition.job, *extra),
            )
        )

    def extend_leases(self, until: int) -> None:
        """After the watcher or the broker was away nobody could report: every running job gets a new lease."""
        self._database.execute("UPDATE jobs SET lease_until = ? WHERE state = 'running'", (until,))

    def release_all(self, now: int) -> None:
        """Queued and running jobs are nobody's: for a farm that was one process and has ended."""
        self._database.execute(
            "UPDATE jobs SET state = 'waiting', attempt = attempt + 1, not_before = 0, changed_at = ?"
            " WHERE state IN ('queued', 'running')",
            (now,),
        )

    def forget(self, task: int) -> None:
        """Removes the job rows of a deleted task whose objects are gone."""
        self._database.execute("DELETE FROM jobs WHERE task_id = ?", (task,))

    def prune(self, task: int) -> None:
        """Removes the work of an ended task; its purge job stays, so that a later deletion of the row is noticed."""
        self._database.execute("DELETE FROM jobs WHERE task_id = ? AND kind <> 'purge'", (task,))

    # beside

    def seen(self, alive: Alive, now: int) -> None:
        """Notes a node's sign of life."""
        values = (alive.slots, alive.build, now, alive.node, alive.role)
        if not self._database.execute("UPDATE nodes SET slots=?, build=?, seen_at=? WHERE name=? AND role=?", values):
            self._database.execute(
                "INSERT INTO nodes (slots, build, seen_at, name, role) VALUES (?, ?, ?, ?, ?)", values
            )

    def slots(self, role: str, since: int) -> int:
        """Slots of the nodes seen since then."""
        rows = self._database.query(
            "SELECT COALESCE(SUM(slots), 0) AS n FROM nodes WHERE role = ? AND seen_at >= ?", (role, since)
        )
        return int(rows[0]["n"])

    def record(self, row: JobRow, event: str, node: str | None, message: str | None, now: int) -> None:
        """A line of history, for people."""
        self._database.execute(
            "INSERT INTO history (task_id, job_id, at, event, node, message) VALUES (?, ?, ?, ?, ?, ?)",
            (row.task_id, row.id, now, f"{row.kind} {event}"[:32], node, message),
        )

    def _ids(self, sql: str) -> list[int]:
        return [int(row["id"]) for row in self._database.query(sql)]

    def _jobs(self, sql: str, parameters: tuple[object, ...]) -> list[JobRow]:
        return [_job(row) for row in self._database.query(sql, parameters)]


def _columns_of(table: str) -> str:
    names = [f"{table}.{f.name}" for f in fields(JobRow) if f.name != "result"]
    return ", ".join([*names, "NULL AS result"])


def _task(row: Row) -> TaskRow:
    return TaskRow(**{**row, "progress": float(row["progress"])})


def _job(row: Row) -> JobRow:
    return JobRow(**row)
