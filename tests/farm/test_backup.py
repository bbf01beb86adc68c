"""A database that was lost is restored from a dump, under nodes and objects that have gone on since."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from raven.cli import main
from raven.config import Settings
from raven.restored import MARGIN
from raven.wiring import open_database
from scrub import scrub
from tests.farm.aftermath import differences, until_nothing_is_left
from tests.farm.farm import Farm, Gate, Servers
from tests.media import ffmpeg
from tests.servers.mariadb import MariaDb

pytestmark = pytest.mark.servers


def test_after_a_restore_films_under_way_are_done_and_those_inserted_since_are_forgotten(
    tmp_path: Path, mariadb_server: MariaDb, servers: Servers, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in servers.aws.items():
        monkeypatch.setenv(name, value)
    gate, database = Gate(tmp_path, ffmpeg()), urlsplit(servers.database).path[1:]
    with closing(Farm(tmp_path, servers, RAVEN_FFMPEG=str(gate.program), RAVEN_LEASE_SECONDS="3")) as farm:
        for role in ("watcher", "master", "worker"):
            farm.start(role, role)
        farm.until_seen()
        source = Path(shutil.copy(film, farm.sources / "film.ts"))

        # Given a backup from when one film was done and another one was being encoded
        gate.open()
        done = farm.submit(source, profile="test")
        farm.done(done)
        gate.shut()
        under_way = farm.submit(source, profile="test")
        farm.until(lambda: farm.jobs(under_way, kind="encode", state="running"), "a chunk is being encoded")
        backup = mariadb_server.dump(database)

        # and a database that was lost after that other one, and a third, had been done too
        gate.open()
        farm.done(under_way)
        later = farm.submit(source, profile="test")
        farm.done(later)
        farm.daemons.pop("watcher").kill()
        mariadb_server.drop_database(database)

        # When it is restored as documented, and the watcher is started again
        mariadb_server.create_database(database)
        mariadb_server.run_script(database, backup)
        settings = {"RAVEN_DATABASE": servers.database, "RAVEN_STORAGE": servers.storage, "RAVEN_CONFIG": ""}
        said = CliRunner().invoke(main, ["migrate", "--restored"], env=settings, catch_exceptions=False).output
        farm.database.close()
        farm.database = open_database(Settings(database=servers.database))
        assert farm.task(under_way)["status"] == "encoding"
        farm.start("watcher", "watcher")

        # Then what was under way is done again, and a new film has a number of its own
        farm.done(under_way)
        new = farm.submit(source, profile="test")
        farm.done(new)
        assert f"the next task gets number {new}" in said
        assert new > later
        assert min(job["id"] for job in farm.jobs(new)) > MARGIN
        for task in (under_way, new):
            assert differences(farm.outputs(task), farm.outputs(done)) == []
        # and what nobody knows any more is waste
        assert farm.keys(f"out/{later}/")
        scrub(Settings(database=servers.database, storage=servers.storage, temporary=farm.temporary), dry_run=False)
        until_nothing_is_left(farm, {done, under_way, new})
        assert farm.complaints() == []
