"""All SQL about tasks, the rows that clients write, which MariaDB and SQLite both understand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import islice, zip_longest

from raven.ports import Database
from watcher.notices import Notices
from watcher.rows import ENDED, HELD, TaskRow, TaskState, states

_COLUMNS = ", ".join(f.name for f in fields(TaskRow))
SLICE = 5_000
"""Tasks that are looked at in one go for rows that a client has deleted."""
GONE = 200
"""Of those, that are planned in one turn: a client may delete a hundred thousand at once."""
PRUNE_SLICE = 500
"""Tasks that are looked at in one go for job rows that a watcher has left behind: hardly ever is there one."""


NEW_SLICE = 5_000
"""New tasks that are looked through at once for other owners'."""


def shared(owners: Mapping[int, str], limit: int) -> list[int]:
    """The oldest tasks, of each owner as many, by the owners of tasks."""
    tasks: dict[str, list[int]] = {}
    for task, owner in sorted(owners.items()):
        tasks.setdefault(owner, []).append(task)
    rounds = zip_longest(*tasks.values())
    return list(islice((task for each in rounds for task in each if task is not None), limit))


def _now() -> int:
    return time.time_ns() // 1_000_000


class Tasks:
    """The watcher's view of the tasks; `clock` gives milliseconds since 1970."""

    def __init__(self, database: Database, clock: Callable[[], int] = _now) -> None:
        self._database, self._notices, self._clock = database, Notices(database), clock
        self._searched = 0  # up to this new task it was looked for those of other owners

    def task(self, task: int) -> TaskRow | None:
        rows = self._database.query(f"SELECT {_COLUMNS} FROM tasks WHERE id = ?", (task,))
        return TaskRow(**{**rows[0], "progress": float(rows[0]["progress"])}) if rows else None

    def owner(self, task: int) -> str:
        """Whose it is; nobody's when it is gone."""
        rows = self._database.query("SELECT owner FROM tasks WHERE id = ?", (task,))
        return str(rows[0]["owner"]) if rows else ""

    def new_tasks(self, limit: int = 200) -> list[int]:
        """The oldest tasks that nothing was done for yet, of each owner as many.

        Where more wait than are taken, others are looked for behind those of an owner that has inserted a hundred
        thousand: slice by slice, as no index has the owners of new tasks.
        """
        oldest = self._new(0, limit)
        if len(oldest) < limit:
            return [task for task, _ in oldest]
        further = self._new(self._searched, NEW_SLICE)
        self._searched = further[-1][0] if len(further) == NEW_SLICE else 0
        return shared(dict(oldest + further), limit)

    def _new(self, after: int, limit: int) -> list[tuple[int, str]]:
        rows = self._database.query(
            f"SELECT id, owner FROM tasks WHERE status = 'new' AND id > ? ORDER BY id LIMIT {int(limit)}", (after,)
        )
        return [(int(row["id"]), str(row["owner"])) for row in rows]

    def live_tasks(self, after: int, limit: int) -> list[int]:
        """The next tasks after `after` that are not at an end; a status that no client may write counts as none."""
        live = sorted({"", *self._statuses()} - ENDED)  # tasks at an end are many, and not looked at
        each = " UNION ALL ".join(
            f"SELECT id FROM (SELECT id FROM tasks WHERE status = ? AND id > ? ORDER BY id LIMIT {int(limit)})"
            f" AS some{number}"
            for number in range(len(live))
        )
        parameters = tuple(value for status in live for value in (status, after))
        return self._ids(f"{each} ORDER BY id LIMIT {int(limit)}", parameters)

    def _statuses(self) -> list[str]:
        """Those that tasks have, each the first entry of the index after the one before."""
        found = [""]
        while rows := self._database.query(
            "SELECT status FROM tasks WHERE status > ? ORDER BY status LIMIT 1", (found[-1],)
        ):
            found.append(str(rows[0]["status"]))
        return found

    def abandoned(self) -> list[int]:
        """Tasks that are gone or at an end although nodes have, or may take, jobs of theirs."""
        return self._ids(
            "SELECT DISTINCT jobs.task_id AS id FROM jobs LEFT JOIN tasks ON tasks.id = jobs.task_id"
            f" WHERE jobs.state IN ({states(HELD)}) AND jobs.kind <> 'purge'"
            f" AND (tasks.id IS NULL OR tasks.status IN ({states(ENDED)}))",
            (),
        )

    def unpruned(self, after: int, limit: int = PRUNE_SLICE) -> tuple[list[int], int]:
        """Of the next tasks after `after` that have a prepare job, those at an end that have been cleaned up but for
        their job rows: a watcher may die between the two. And where to go on, 0 at the end.
        """
        some = f"SELECT task_id FROM jobs WHERE kind = 'prepare' AND task_id > ? ORDER BY task_id LIMIT {int(limit)}"
        rows = self._database.query(
            f"SELECT some.task_id AS id, tasks.status AS status FROM ({some}) AS some"
            " LEFT JOIN tasks ON tasks.id = some.task_id ORDER BY some.task_id",
            (after,),
        )
        ended = sorted({int(row["id"]) for row in rows if row["status"] in ENDED})
        return self._cleaned(ended), int(rows[-1]["id"]) if len(rows) == limit else 0

    def _cleaned(self, tasks: list[int]) -> list[int]:
        """Of these the ones whose purge is done."""
        if not tasks:
            return []
        marks = ", ".join("?" for _ in tasks)
        return self._ids(
            "SELECT DISTINCT task_id AS id FROM jobs"
            f" WHERE kind = 'purge' AND state = 'done' AND task_id IN ({marks}) ORDER BY task_id",
            tuple(tasks),
        )

    def deleted(self, after: int, limit: int = SLICE) -> tuple[list[int], int]:
        """Of the next tasks after `after` that have jobs, those whose row is gone; and where to go on, 0 at the end.

        No more than are planned within a second or two, as all else waits for that. Every task that has jobs has one of
        two kinds of which there are few: chunks are not looked at.
        """
        some = " UNION ".join(
            f"SELECT task_id FROM (SELECT task_id FROM jobs WHERE kind = '{kind}' AND task_id > ? ORDER BY task_id"
            f" LIMIT {int(limit)}) AS {kind}s"
            for kind in ("prepare", "purge")
        )
        rows = self._database.query(
            f"SELECT some.task_id AS id, tasks.id AS found FROM ({some} ORDER BY task_id LIMIT {int(limit)}) AS some"
            " LEFT JOIN tasks ON tasks.id = some.task_id ORDER BY some.task_id",
            (after, after),
        )
        gone = [int(row["id"]) for row in rows if row["found"] is None]
        if len(gone) > GONE:
            return gone[:GONE], gone[GONE - 1]
        return gone, int(rows[-1]["id"]) if len(rows) == limit else 0

    def known(self, task: int) -> bool:
        """Whether a task, maybe gone by now, was worked on, not longer ago than history is kept."""
        return bool(self._database.query("SELECT 1 AS one FROM history WHERE task_id = ? LIMIT 1", (task,)))

    def set_status(self, task: int, status: TaskState) -> bool:
        """Whether it had another one. With a notice where that is wanted, so in a transaction."""
        changed = self._database.execute(
            "UPDATE tasks SET status = ?, started_at = COALESCE(started_at, CURRENT_TIMESTAMP)"
            f" WHERE id = ? AND status <> ? AND status NOT IN ({states(ENDED)})",
            (status, task, status),
        )
        if changed:
            self._notices.add(task, self._clock())
        return bool(changed)

    def set_facts(self, task: int, metadata: str) -> None:
        self._database.execute(
            "UPDATE tasks SET metadata = ? WHERE id = ? AND metadata IS NULL",
            (metadata, task),
        )

    def set_url(self, task: int, url: str) -> None:
        """Where a task can be played although it is not done."""
        self._database.execute(
            f"UPDATE tasks SET url = ? WHERE id = ? AND url IS NULL AND status NOT IN ({states(ENDED)})", (url, task)
        )

    def set_progress(self, task: int, progress: float) -> None:
        """Never backwards."""
        self._database.execute(
            f"UPDATE tasks SET progress = ? WHERE id = ? AND progress < ? AND status NOT IN ({states(ENDED)})",
            (progress, task, progress),
        )

    def finish(
        self,
        task: int,
        url: str | None,
        duration: float | None,
        metadata: str,
        message: str | None,
        thumbnails: str | None = None,
    ) -> bool:
        """Whether it had no end yet. With a notice, so in a transaction; `thumbnails`: the URL of their track."""
        ended = self._database.execute(
            "UPDATE tasks SET status = 'done', progress = 1, url = ?, duration = ?, metadata = ?, message = ?,"
            f" finished_at = CURRENT_TIMESTAMP WHERE id = ? AND status NOT IN ({states(ENDED)})",
            (url, duration, metadata, message, task),
        )
        if ended:
            self._notices.add(task, self._clock(), thumbnails)
        return bool(ended)

    def fail(self, task: int, message: str) -> bool:
        """Whether it had no end yet. With a notice, so in a transaction."""
        ended = self._database.execute(
            "UPDATE tasks SET status = 'failed', message = ?, url = NULL, finished_at = CURRENT_TIMESTAMP"
            f" WHERE id = ? AND status NOT IN ({states(ENDED)})",
            (message[:4000], task),
        )
        if ended:
            self._notices.add(task, self._clock())
        return bool(ended)

    def _ids(self, sql: str, parameters: tuple[object, ...]) -> list[int]:
        return [int(row["id"]) for row in self._database.query(sql, parameters)]
