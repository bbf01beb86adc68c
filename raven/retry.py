"""Trying a failed task again, from what is already there: an operator's act, in the watcher's tables."""

from __future__ import annotations

from raven.errors import RowLocked, TaskError
from raven.ports import Database, Row


def retry(database: Database, task: int, now: int, node: str = "") -> bool:
    """Sets a failed task to new, and its failed jobs to waiting; `now` in ms. Whether its finished work could be kept.

    `node`: where a person has said so, for the history. Raises TaskError when there is no such task, when it has not
    failed, or when its objects are just being removed.
    """
    try:
        return _retry(database, task, now, node)
    except RowLocked as error:  # by scrub.py, which removes what it has left
        raise TaskError(f"task {task} is just being cleaned up or looked at; try again in a minute") from error


def _retry(database: Database, task: int, now: int, node: str) -> bool:
    with database.transaction():
        rows = database.query("SELECT status FROM tasks WHERE id = ?", (task,))
        if not rows:
            raise TaskError(f"there is no task {task}")
        if rows[0]["status"] != "failed":
            raise TaskError(f"task {task} is {rows[0]['status']}; only a failed task can be tried again")
        purges = _purges(database, task)
        done = any(row["state"] == "done" for row in purges)
        if any(row["state"] in ("queued", "running") or (not done and row["attempt"] > 1) for row in purges):
            raise TaskError(f"the objects of task {task} are just being removed; try again in a minute")
        kept = not done
        if kept:
            database.execute("DELETE FROM jobs WHERE task_id = ? AND kind IN ('purge', 'second')", (task,))
            database.execute(
                "UPDATE jobs SET state = 'waiting', attempt = attempt + 1, failures = 0, not_before = 0,"
                " faults = NULL, passes = 0, message = NULL, changed_at = ?"
                " WHERE task_id = ? AND state IN ('failed', 'cancelled', 'unusable')",
                (now, task),
            )
        else:
            database.execute("DELETE FROM jobs WHERE task_id = ?", (task,))
        database.execute(
            "UPDATE tasks SET status = 'new', progress = 0, message = NULL, finished_at = NULL WHERE id = ?", (task,)
        )
        database.execute(
            "INSERT INTO history (task_id, at, event, node, message) VALUES (?, ?, 'tried again', ?, ?)",
            (task, now, node, "what was done stays done" if kept else "from the beginning"),
        )
    return kept


def _purges(database: Database, task: int) -> list[Row]:
    return database.query("SELECT state, attempt FROM jobs WHERE task_id = ? AND kind = 'purge'", (task,))
