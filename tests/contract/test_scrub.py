"""scrub.py and a MariaDB that is set up as deploy/mariadb/raven.cnf says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from raven.adapters.directory import DirectoryStorage
from raven.config import Settings
from raven.wiring import open_database
from scrub import Scrubber, Waste
from tests.servers.fixtures import load_schema
from tests.servers.mariadb import MariaDb

IDLE = 1
"""Seconds, of ten in raven.cnf: a transaction that does nothing for so long is ended by the server."""


class Slow(DirectoryStorage):
    """As a gateway that is busy."""

    def delete(self, keys: Sequence[str]) -> None:
        time.sleep(2 * IDLE)
        super().delete(keys)


@pytest.mark.servers
def test_a_storage_that_is_slow_does_not_end_the_run(mariadb_server: MariaDb, mariadb_url: str, tmp_path: Path) -> None:
    """While a batch is removed its task's row is held, so that nobody tries it again; that is no client who sleeps."""
    url = load_schema(mariadb_server, mariadb_url)
    name = url.rpartition("/")[2]
    mariadb_server.run_script(name, "INSERT INTO tasks (id, source, status) VALUES (7, 'x', 'failed')")
    (tmp_path / "out/7").mkdir(parents=True)
    (tmp_path / "out/7/master.m3u8").write_bytes(b"12345")
    mariadb_server.run_script(name, f"SET GLOBAL idle_transaction_timeout = {IDLE}")
    database = open_database(Settings(database=url))
    try:
        assert database.query("SELECT @@idle_transaction_timeout AS seconds") == [{"seconds": IDLE}]
        scrubber = Scrubber(database, Slow(tmp_path), None, time.time())
        assert scrubber.remove(Waste("out/7/", "task failed", 1, 5)) == (1, 5)
    finally:
        mariadb_server.run_script(name, "SET GLOBAL idle_transaction_timeout = DEFAULT")
        database.close()
