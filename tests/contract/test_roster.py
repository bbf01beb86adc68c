"""Forgetting nodes, on SQLite and on MariaDB."""

from __future__ import annotations

import pytest

from raven.errors import TaskError
from raven.ports import Database
from raven.roster import DRAINED, SILENT_MS, drain, forget, read_nodes

NOW = 1_800_000_000_000


def add(database: Database, name: str, instance: str = "x", *, silent: bool, state: str = "") -> None:
    database.execute(
        "INSERT INTO nodes (name, role, instance, slots, build, state, seen_at) VALUES (?, 'worker', ?, 1, '1', ?, ?)",
        (name, instance, state, NOW - SILENT_MS - 1 if silent else NOW),
    )


def hold(database: Database, name: str, instance: str = "", reason: str = "quarantined: it fell silent") -> None:
    database.execute(
        "INSERT INTO holds (name, role, instance, reason, since) VALUES (?, 'worker', ?, ?, 0)",
        (name, instance, reason),
    )


def seen(database: Database) -> dict[str, str]:
    return {node.name: node.state for node in read_nodes(database, NOW)}


def test_a_node_that_is_gone_for_good_is_forgotten_with_all_that_held_it(database: Database) -> None:
    add(database, "gone", silent=True)
    add(database, "gone", "y", silent=True, state="stopping")
    hold(database, "gone")
    hold(database, "gone", "x")
    add(database, "other", silent=True)

    forget(database, "gone", NOW)

    assert seen(database) == {"other": "silent"}
    assert database.query("SELECT name FROM holds") == []


def test_of_a_name_that_lives_only_its_silent_runs_are_forgotten(database: Database) -> None:
    add(database, "one", "old", silent=True)
    add(database, "one", "new", silent=False)
    drain(database, "one", NOW)

    forget(database, "one", NOW)

    assert [(node.instance, node.state) for node in read_nodes(database, NOW)] == [("new", DRAINED)]
    with pytest.raises(TaskError, match="one lives"):
        forget(database, "one", NOW)


def test_a_name_that_is_only_held_is_forgotten_too(database: Database) -> None:
    hold(database, "never-seen")
    forget(database, "never-seen", NOW)
    assert seen(database) == {}


def test_who_is_not_there_is_not_forgotten(database: Database) -> None:
    with pytest.raises(TaskError, match="there is no node called gone"):
        forget(database, "gone", NOW)
