"""What operators are told by mail: troubles that need them, together and seldom, and when they are over."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from raven.ports import Database
from raven.roster import Node, current, read_nodes
from watcher.callbacks import DAY_MS
from watcher.letters import MAIL, alarm

SETTLE_MS = 60_000
"""A trouble that is over sooner needs nobody; nor is one over that comes back sooner."""
NOBODY = 0
"""The task of notices that are about none."""
KEPT_MS = 30 * DAY_MS
_TROUBLES = ("quarantined", "unfit", "disk", "memory", "silent")
"""How states of nodes begin that do not come by an operator's own word."""
_WAITING = {"master": "'new', 'preparing', 'publishing'", "worker": "'encoding'"}
"""By the role that such tasks wait for: a site that only wants metadata has no workers."""
REPEATED = 3
"""Attempts of a job that end by the storage before it counts as away: a single refusal is nobody's trouble."""
MOST_SAID = 300
"""Characters of its words."""
KEPT_AWAY_MS = 600_000
"""The lease of a run that ended longer ago is not looked for."""
FRESH_MS = 120_000
"""A run that is older has fetched what it needs: what it failed by before is over."""
STORAGE = "storage: "
_NO_STORAGE = (
    "SELECT message FROM jobs WHERE state = ? AND lease_until > ? AND changed_at > ? AND attempt >= ?"
    " AND message LIKE 'storage: %' AND message NOT LIKE 'storage: no object%' LIMIT 1"
)
"""By the index `jobs_state`: jobs that wait for their first run have no lease, and are not looked at."""
FAILED = "failed task "
"""How names of troubles begin that are over at once: they are told once, and neither as still there nor as over."""
MOST_FAILED = 20
"""Tasks that one mail tells of; and the newest failed ones, MOST_LOOKED, are looked at."""
MOST_LOOKED = 200
_OURS = re.compile(
    r"(?!the source)(internal error: |the output breaks the standards|the rows of this task |"
    r".*\(after \d+ attempts\)$)",
    re.DOTALL,
)
"""What a task fails with for no fault of its source or its row: by Raven, a node or a server."""
_ALIKE = ("disk", "memory")
"""What follows these changes from minute to minute."""


@dataclass
class Alarms:
    """The troubles, and what was told of them. What was told last is in the database, so a restart tells nothing anew.

    `away`: troubles that are not in the database, by name and sentence.
    """

    database: Database
    operators: tuple[str, ...]
    interval_ms: int
    away: Callable[[], Mapping[str, str]] = dict
    _since: dict[str, int] = field(default_factory=dict)
    _gone: dict[str, int] = field(default_factory=dict)

    def look(self, now: int) -> bool:
        """Notes what is wrong; whether it has written a mail. Raises Unavailable."""
        if not self.operators:
            return False
        troubles = self.troubles(now)
        self._since = {name: self._since.get(name, now) for name in troubles}
        told, at = self._told()
        failed = {name for name in told if name.startswith(FAILED)}
        self._gone = {name: self._gone.get(name, now) for name in told if name not in troubles and name not in failed}
        new = {name for name, since in self._since.items() if name not in told and now - since >= SETTLE_MS}
        over = {name for name, since in self._gone.items() if now - since >= SETTLE_MS}
        if not (new or over) or now - at < self.interval_ms:
            return False
        still = {name: text for name, text in told.items() if name not in over and name not in failed}
        text = alarm([troubles[name] for name in new], still.values(), [told[name] for name in over])
        known = {name: told[name] for name in failed if name in troubles}
        self._write(text, still | known | {name: troubles[name] for name in new}, now)
        return True

    def troubles(self, now: int) -> dict[str, str]:
        """By a name that stays while the trouble does."""
        found = dict(self.away())
        nodes = current(read_nodes(self.database, now))
        for node in nodes:
            for state in node.state.split("; "):
                word = state.partition(":")[0].strip()
                if word in _TROUBLES and not ("quarantined" in node.state and word == "silent"):
                    found[f"{word} {node.role} {node.name}"] = (
                        f"{node.role or 'node'} {node.name}: {word if word in _ALIKE else state}"
                    )
        for role, states in _WAITING.items():
            waiting = self.database.query(f"SELECT id FROM tasks WHERE status IN ({states}) LIMIT 1")  # noqa: S608 - constants
            if waiting and (fault := _standstill(role, [node for node in nodes if node.live and node.role == role])):
                found[f"no {role}"] = fault
        return found | self._storage(now) | dict(self._failed(now))

    def _storage(self, now: int) -> dict[str, str]:
        """The watcher has none of its own: jobs tell."""
        for state in ("waiting", "queued", "running"):
            rows = self.database.query(_NO_STORAGE, (state, now - KEPT_AWAY_MS, now - FRESH_MS, REPEATED))
            if rows:
                said = str(rows[0]["message"]).removeprefix(STORAGE)
                return {"storage away": f"the storage does not answer, or refuses: {said[:MOST_SAID]}"}
        return {}

    def _failed(self, now: int) -> Iterator[tuple[str, str]]:
        """Tasks that failed within a day though their clients have done nothing wrong."""
        rows = self.database.query(
            "SELECT id, message, finished_at FROM tasks WHERE status = 'failed' ORDER BY id DESC LIMIT ?",
            (MOST_LOOKED,),
        )
        ours = [
            row for row in rows if _OURS.match(row["message"] or "") and 0 <= now - _ms(row["finished_at"]) < DAY_MS
        ]
        for row in ours[:MOST_FAILED]:
            yield f"{FAILED}{row['id']}", f"task {row['id']} failed: {row['message'][:MOST_SAID]}"

    def _told(self) -> tuple[dict[str, str], int]:
        """What stood in the last mail as being there, and when that was."""
        rows = self.database.query(
            "SELECT body, created_at FROM notices WHERE task_id = ? ORDER BY id DESC LIMIT 1", (NOBODY,)
        )
        if not rows:
            return {}, 0
        return dict(json.loads(rows[0]["body"])["troubles"]), int(rows[0]["created_at"])

    def _write(self, text: dict[str, str], troubles: dict[str, str], now: int) -> None:
        body = json.dumps(text | {"troubles": troubles})
        with self.database.transaction():
            self.database.execute("DELETE FROM notices WHERE task_id = ? AND created_at < ?", (NOBODY, now - KEPT_MS))
            for operator in self.operators:
                self.database.execute(
                    "INSERT INTO notices (task_id, event, url, host, body, created_at, due_at, until)"
                    " VALUES (?, 'alarm', ?, ?, ?, ?, ?, ?)",
                    (NOBODY, MAIL + operator, MAIL, body, now, now, now + DAY_MS),
                )


def _ms(at: object) -> int:
    """Of a time of the database, in UTC; 0 for none."""
    return round(datetime.fromisoformat(str(at)).replace(tzinfo=UTC).timestamp() * 1000) if at is not None else 0


def _standstill(role: str, live: Sequence[Node]) -> str | None:
    """Why nobody of a role takes jobs; None where somebody does."""
    if not live:
        return f"no {role} is heard of, and tasks wait"
    if any(node.slots or node.state.startswith(STORAGE.strip()) for node in live):
        return None  # of a storage that does not answer jobs tell
    words = Counter(node.state.partition(":")[0].strip() for node in live)
    why = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
    return f"no {role} takes jobs, and tasks wait ({why})"
