"""History has an end: old lines go, step by step, whatever else is done to the table."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from raven.history import STEP, count_old, forget
from raven.ports import Database
from tests.contract.databases import Connect, is_mariadb

BEFORE = 1_000_000


def happen(database: Database, *times: int) -> None:
    for start in range(0, len(times), 100):
        some = times[start : start + 100]
        marks = ", ".join("(1, ?, 'encode done')" for _ in some)
        database.execute(f"INSERT INTO history (task_id, at, event) VALUES {marks}", some)  # noqa: S608


def times(database: Database) -> list[int]:
    return [row["at"] for row in database.query("SELECT at FROM history ORDER BY at, id")]


def test_what_is_old_goes_and_what_is_young_stays(database: Database) -> None:
    happen(database, 0, BEFORE - 1, BEFORE, BEFORE + 1, BEFORE - 1)

    assert count_old(database, BEFORE) == 3
    assert sum(forget(database, BEFORE)) == 3
    assert times(database) == [BEFORE, BEFORE + 1]
    assert (count_old(database, BEFORE), list(forget(database, BEFORE))) == (0, [])


def test_it_goes_in_steps_also_where_much_happened_at_once(database: Database) -> None:
    """The reports of one batch have one time."""
    happen(database, *[5] * (2 * STEP + 1), 4, 6)

    assert list(forget(database, BEFORE)) == [STEP, STEP, 3]
    assert times(database) == []


def test_when_it_is_stopped_the_oldest_have_gone(database: Database) -> None:
    happen(database, *range(3 * STEP, 0, -1))

    assert sum(islice(forget(database, BEFORE), 2)) == 2 * STEP
    assert times(database) == list(range(2 * STEP + 1, 3 * STEP + 1))


def test_several_may_do_it_while_more_happens(connect: Connect) -> None:
    """Nothing goes twice, and nothing new goes."""
    first = connect()
    happen(first, *range(4 * STEP))
    cleaners, writer = [connect(), connect()], connect()

    with ThreadPoolExecutor(3) as pool:
        gone = [pool.submit(lambda by: sum(forget(by, BEFORE)), database) for database in cleaners]
        pool.submit(happen, writer, *range(BEFORE, BEFORE + 2 * STEP)).result()
        assert sum(future.result() for future in gone) == 4 * STEP

    assert times(first) == list(range(BEFORE, BEFORE + 2 * STEP))


def test_it_reads_no_more_than_it_removes(database: Database) -> None:
    """However much stays."""
    if not is_mariadb(database):
        pytest.skip("SQLite does not tell what it reads")
    happen(database, *range(BEFORE, BEFORE + 3000), *range(STEP + 10))

    def reads() -> int:
        return sum(int(row["Value"]) for row in database.query("SHOW SESSION STATUS LIKE 'Handler_read%'"))

    before = reads()
    assert sum(forget(database, BEFORE)) == STEP + 10
    assert reads() - before < 3 * STEP  # each is found by its age, and by its number
