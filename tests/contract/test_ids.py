"""No number of a row comes to its end: they have 63 bits in both databases, from whatever schema the database comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.alive import Alive
from raven.config import Settings
from raven.errors import RavenError
from raven.messages import Started
from raven.ports import Database
from raven.profile import load_profiles
from raven.schema import LOCK, migrate
from raven.wiring import open_database
from tests.servers.mariadb import MariaDb
from watcher.watcher import Watcher

OLD = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
END = (1 << 31) - 1
"""What four bytes can count to, as the ids of MariaDB's tables did until version 3 of the schema."""
_LAST = {
    "tasks": "INSERT INTO tasks (id, source, status) VALUES (END, '/srv/in/film.mkv', 'done')",
    "jobs": "INSERT INTO jobs (id, task_id, kind, position, lane) VALUES (END, END, 'audio', 0, 'worker.light')",
    "history": "INSERT INTO history (id, task_id, job_id, at, event) VALUES (END, END, END, 1, 'audio done')",
    "notices": "INSERT INTO notices (id, task_id, event, url, host, body, created_at, due_at, until, state)"
    " VALUES (END, END, 'done', 'https://news.example/', 'news.example', 'x', 1, 1, 1, 'sent')",
}
TABLES = tuple(_LAST)


def last(table: str, number: int = END) -> str:
    """The statement that inserts the last row that a table had room for, or one of another number."""
    return _LAST[table].replace("END", str(number))


def next_ids(database: Database) -> Iterator[int]:
    """Of one more row in each table, for the last task of all."""
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/next.mkv')")
    (task,) = (row["id"] for row in database.query("SELECT MAX(id) AS id FROM tasks"))
    yield int(task)
    job = "INSERT INTO jobs (task_id, kind, position, lane) VALUES (?, 'audio', 0, 'worker.light') RETURNING id"
    (row,) = database.query(job, (task,))
    yield int(row["id"])
    happened = "INSERT INTO history (task_id, job_id, at, event) VALUES (?, ?, 2, 'audio done') RETURNING id"
    yield int(database.query(happened, (task, row["id"]))[0]["id"])
    notice = (
        "INSERT INTO notices (task_id, event, url, host, body, created_at, due_at, until)"
        " VALUES (?, 'done', 'https://news.example/', 'news.example', 'x', 1, 1, 1) RETURNING id"
    )
    yield int(database.query(notice, (task,))[0]["id"])


def test_a_farm_goes_on_past_what_four_bytes_can_count(database: Database) -> None:
    """Once each report there failed, and with it all of its batch, for ever."""
    for table in TABLES:
        database.execute(last(table))
    broker = LocalBroker()
    watcher = Watcher(Settings(poll_seconds=0.001), database, broker, load_profiles())
    database.execute("INSERT INTO tasks (source) VALUES ('/srv/in/film.mkv')")
    broker.publish(names.REPORTS, messages.encode(Alive(node="a", role="master", slots=1, build="1")))
    watcher.turn()

    broker.publish(names.REPORTS, messages.encode(Started(task=END + 1, job=END + 1, attempt=1, node="a")))
    watcher.turn()

    (job,) = database.query("SELECT id, state, node FROM jobs WHERE task_id = ?", (END + 1,))
    assert job == {"id": END + 1, "state": "running", "node": "a"}
    (line,) = database.query("SELECT id, job_id, event FROM history WHERE task_id = ?", (END + 1,))
    assert line == {"id": END + 1, "job_id": END + 1, "event": "prepare started"}
    assert broker.depth(names.dead_letters(names.REPORTS)) == 0
    broker.close()


@pytest.mark.servers
@pytest.mark.parametrize("script", OLD, ids=lambda path: path.stem)
def test_numbers_that_have_come_to_their_end_go_on_after_a_migration(
    script: Path, mariadb_server: MariaDb, mariadb_url: str
) -> None:
    text = script.read_text("utf-8")
    mariadb_server.run_script(urlsplit(mariadb_url).path[1:], text)
    database = open_database(Settings(database=mariadb_url), LOCK)
    try:
        there = [table for table in TABLES if f"CREATE TABLE IF NOT EXISTS {table} " in text]
        for table in there:
            statement = last(table)
            if table == "jobs" and "lane " not in text:  # the first schema knew none
                statement = statement.replace(", lane)", ")").replace(", 'worker.light')", ")")
            database.execute(statement)
        with pytest.raises(RavenError, match="Out of range"):
            next(next_ids(database))

        migrate(database)

        assert set(next_ids(database)) <= {END + 1, 1}, "1: notices, where the table is new"
        for table in there:
            assert database.query(f"SELECT COUNT(*) AS n FROM {table} WHERE id = ?", (END,)) == [{"n": 1}]  # noqa: S608
    finally:
        database.close()


def test_numbers_may_grow_to_the_end_of_63_bits(database: Database) -> None:
    """And whatever refers to them."""
    for table in TABLES:
        database.execute(last(table, (1 << 62) - 1))

    assert list(next_ids(database)) == [1 << 62] * 4
    (line,) = database.query("SELECT task_id, job_id FROM history WHERE at = 2")
    assert line == {"task_id": 1 << 62, "job_id": 1 << 62}
    assert database.query("SELECT task_id FROM notices WHERE state = 'waiting'") == [{"task_id": 1 << 62}]
