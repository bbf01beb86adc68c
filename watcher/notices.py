"""All SQL about notices, which MariaDB and SQLite both understand: what a task's callback_url and mails are to say."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

from raven.ports import Database, Row
from watcher.alarms import NOBODY
from watcher.callbacks import DAY_MS, ENDS, back_off, host_of, is_wanted, payload
from watcher.letters import MAIL

SLICE = 1000
"""Notices that are looked at in one go for tasks that are gone."""


@dataclass(frozen=True)
class NoticeRow:
    """A row of `notices`, as far as sending needs it. Times in ms since 1970."""

    id: int
    task_id: int
    event: str
    url: str
    host: str
    body: str
    attempts: int
    until: int


_COLUMNS = ", ".join(f"n.{f.name}" for f in fields(NoticeRow))


class Notices:
    """The watcher's view of the notices. `node`: whose attempts they are, for the history."""

    def __init__(self, database: Database, node: str = "") -> None:
        self._database, self._node = database, node

    def add(self, task: int, now: int, thumbnails: str | None = None) -> None:
        """Of a task that has just come to another state, for whom it names; within the transaction of that."""
        rows = self._database.query(
            "SELECT id, reference, status, message, url, duration, metadata, options, callback_url, notify_email"
            " FROM tasks WHERE id = ? AND COALESCE(NULLIF(callback_url, ''), NULLIF(notify_email, '')) IS NOT NULL",
            (task,),
        )
        for row in rows:
            if row["callback_url"] and is_wanted(row["options"], row["status"]):
                self._add(row, row["callback_url"], host_of(row["callback_url"]), thumbnails, now)
            if row["notify_email"] and row["status"] in ENDS:
                self._add(row, MAIL + row["notify_email"], MAIL, thumbnails, now)

    def _add(self, task: Row, url: str, host: str, thumbnails: str | None, now: int) -> None:
        self._database.execute(
            "INSERT INTO notices (task_id, event, url, host, body, created_at, due_at, until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (task["id"], task["status"], url, host, payload(task, thumbnails), now, now, now + DAY_MS),
        )

    def due(self, now: int, limit: int, under_way: Collection[int], hosts: Collection[str]) -> list[NoticeRow]:
        """Those to be sent now, but for those under way and those to these hosts; of a task to one place the oldest."""
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM notices AS n WHERE n.state = 'waiting' AND n.due_at <= ?"
            f" AND n.id NOT IN ({_marks(under_way)}) AND n.host NOT IN ({_marks(hosts)})"
            " AND NOT EXISTS (SELECT 1 FROM notices AS e"
            " WHERE e.task_id = n.task_id AND e.state = 'waiting' AND e.id < n.id AND e.url = n.url)"
            f" ORDER BY n.due_at, n.id LIMIT {int(limit)}",
            (now, *(under_way or [0]), *(hosts or ["-"])),
        )
        return [NoticeRow(**row) for row in rows]

    def is_wanted(self, row: NoticeRow) -> bool:
        """Whether the task is still there; else its notices are gone too."""
        if row.task_id == NOBODY or self._database.query("SELECT id FROM tasks WHERE id = ?", (row.task_id,)):
            return True
        self._database.execute("DELETE FROM notices WHERE task_id = ?", (row.task_id,))
        return False

    def sent(self, row: NoticeRow, code: int, now: int) -> None:
        self._note(
            row, "sent", "sent", code, f"{'the mail server' if row.host == MAIL else row.host} answers {code}", now, now
        )

    def refused(self, row: NoticeRow, message: str, now: int) -> None:
        """By our own rules: trying again cannot help, but another setting can, and then `raven notices again`."""
        self._note(row, "refused", "refused", None, message, now, now)

    def failed(self, row: NoticeRow, code: int | None, message: str, now: int) -> bool:
        """Whether it is tried again."""
        due = now + back_off(row.attempts + 1)
        again = due < row.until
        self._note(row, "waiting" if again else "given up", "failed" if again else "given up", code, message, now, due)
        return again

    def rest(self, host: str, until: int) -> None:
        """Nothing to this host is due before: what waits for one that does not answer would be read at each look."""
        self._database.execute(
            "UPDATE notices SET due_at = ? WHERE state = 'waiting' AND due_at < ? AND host = ?", (until, until, host)
        )

    def _note(self, row: NoticeRow, state: str, how: str, code: int | None, message: str, now: int, due: int) -> None:
        """What came of an attempt, in the row and in the task's history."""
        with self._database.transaction():
            noted = self._database.execute(
                "UPDATE notices SET state = ?, attempts = attempts + 1, due_at = ?, tried_at = ?, code = ?, message = ?"
                " WHERE id = ? AND state = 'waiting'",
                (state, due, now, code, message[:1000], row.id),
            )
            if noted and row.task_id != NOBODY:
                self._database.execute(
                    "INSERT INTO history (task_id, at, event, node, message) VALUES (?, ?, ?, ?, ?)",
                    (row.task_id, now, f"notice {how}", self._node, message[:1000]),
                )

    def forget_gone(self, after: int) -> int:
        """Removes, of the next notices after `after`, those of deleted tasks; where to go on, 0 at the end."""
        some = f"SELECT id, task_id FROM notices WHERE id > ? ORDER BY id LIMIT {SLICE}"
        rows = self._database.query(
            "SELECT n.id, n.task_id, t.id AS found"
            f" FROM ({some}) AS n LEFT JOIN tasks AS t ON t.id = n.task_id ORDER BY n.id",
            (after,),
        )
        for task in {int(row["task_id"]) for row in rows if row["found"] is None} - {NOBODY}:
            self._database.execute("DELETE FROM notices WHERE task_id = ?", (task,))
        return int(rows[-1]["id"]) if len(rows) == SLICE else 0


def _marks(values: Collection[object]) -> str:
    """One mark at least, as an empty list is no SQL."""
    return ", ".join("?" for _ in values) or "?"
