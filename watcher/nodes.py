"""All SQL about nodes, which are known by their signs of life, and about what holds them."""

from __future__ import annotations

from raven import names
from raven.alive import Alive
from raven.ports import Database
from watcher.health import Hold, Standing

ALIVE_MS = 30_000
"""A node that was silent for so long has no slots."""
_ABOUT = ("slots", "light", "build", "ffmpeg", "cpus", "memory_total", "memory_free", "disk_free", "state")


class Nodes:
    """The watcher's view of the nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, alive: Alive, now: int) -> None:
        """Notes a node's sign of life."""
        columns = [*_ABOUT, "load_1m", "seen_at", "name", "role", "instance"]
        values = [getattr(alive, name) for name in _ABOUT]
        values += [alive.load, now, alive.node, alive.role, alive.instance]
        changes = ", ".join(f"{name} = ?" for name in columns[:-3])
        if not self._database.execute(
            f"UPDATE nodes SET {changes} WHERE name = ? AND role = ? AND instance = ?", values
        ):
            marks = ", ".join("?" for _ in columns)
            self._database.execute(f"INSERT INTO nodes ({', '.join(columns)}) VALUES ({marks})", values)

    def slots(self, since: int) -> dict[str, int]:
        """Slots of each lane, of the nodes seen since then."""
        rows = self._database.query(
            "SELECT role, SUM(slots) AS slots, SUM(light) AS light FROM nodes WHERE seen_at >= ? GROUP BY role",
            (since,),
        )
        heavy = {str(row["role"]): int(row["slots"]) for row in rows}
        return heavy | {names.light(str(row["role"])): int(row["light"]) for row in rows}

    def takers(self, lane: str, since: int) -> set[str]:
        """Names of the nodes seen since then that take jobs of this lane."""
        role, column = lane.partition(".")[0], "slots" if lane in names.ROLES else "light"
        rows = self._database.query(
            f"SELECT name FROM nodes WHERE role = ? AND seen_at >= ? AND {column} > 0", (role, since)
        )
        return {str(row["name"]) for row in rows}

    def forget(self, before: int) -> None:
        """Removes runs of daemons that have been silent since then, and what held nothing but them."""
        self._database.execute("DELETE FROM nodes WHERE seen_at < ?", (before,))
        self._database.execute(
            "DELETE FROM holds WHERE instance <> '' AND since < ? AND NOT EXISTS (SELECT 1 FROM nodes WHERE"
            " nodes.name = holds.name AND nodes.role = holds.role AND nodes.instance = holds.instance)",
            (before,),
        )

    # who is well, and who is held

    def standings(self, role: str, since: int) -> list[Standing]:
        """All runs of a role's daemons; those seen since then are alive."""
        rows = self._database.query(
            "SELECT name, instance, slots, blames, lost, fault, seen_at FROM nodes WHERE role = ? ORDER BY seen_at",
            (role,),
        )
        return [
            Standing(
                *(row["name"], row["instance"], int(row["blames"]), bool(row["lost"]), row["fault"]),
                alive=row["seen_at"] >= since,
                takes=row["seen_at"] >= since and row["slots"] > 0,
            )
            for row in rows
        ]

    def blame(self, name: str, role: str, instance: str, fault: str) -> None:
        """A job that failed there was done elsewhere."""
        self._database.execute(
            "UPDATE nodes SET blames = blames + 1, fault = ? WHERE name = ? AND role = ? AND instance = ?",
            (fault[:255], name, role, instance),
        )

    def lost(self, name: str, role: str, instance: str) -> None:
        """It fell silent over a job that was done elsewhere: with however many jobs, once."""
        self._database.execute(
            "UPDATE nodes SET lost = 1 WHERE name = ? AND role = ? AND instance = ?", (name, role, instance)
        )

    def stained(self) -> set[tuple[str, str]]:
        """Names and roles of those against which something stands."""
        rows = self._database.query("SELECT name, role FROM nodes WHERE blames > 0 OR lost > 0")
        return {(str(row["name"]), str(row["role"])) for row in rows}

    def praise(self, name: str, role: str, instance: str) -> None:
        """A job went well there."""
        self._database.execute(
            "UPDATE nodes SET lost = 0, blames = CASE WHEN instance = ? THEN 0 ELSE blames END"
            " WHERE name = ? AND role = ? AND (blames > 0 OR lost > 0)",
            (instance, name, role),
        )

    def holds(self) -> list[Hold]:
        rows = self._database.query("SELECT name, role, instance, reason FROM holds ORDER BY since")
        return [Hold(row["name"], row["role"], row["instance"], row["reason"]) for row in rows]

    def hold(self, hold: Hold, now: int) -> None:
        """Holds who is not held so already."""
        self._database.execute(
            "INSERT INTO holds (name, role, instance, reason, since) VALUES (?, ?, ?, ?, ?)",
            (hold.name, hold.role, hold.instance, hold.reason, now),
        )
