"""A farm in which each role has its own accounts, of the least rights that deploy/ documents, does all its work."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import boto3
import pytest

from raven.config import Settings
from raven.doctor.examine import examine
from raven.doctor.findings import Level
from raven.ports import Database
from raven.wiring import open_database
from tests.deploy import accounts, bucket, rights
from tests.farm.farm import ROOT, Farm, fresh_servers
from tests.media import generate_clip
from tests.scrape import scrape
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.process import HOST, clean_environment, free_port, run
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def storage(ceph_server: CephRgw) -> Iterator[bucket.Bucket]:
    with bucket.made(ceph_server) as storage:
        yield storage


@pytest.fixture(scope="module")
def port() -> int:
    """Of the watcher's metrics."""
    return free_port()


@pytest.fixture(scope="module")
def farm(
    tmp_path_factory: pytest.TempPathFactory,
    mariadb_server: MariaDb,
    rabbitmq_server: RabbitMq,
    ceph_server: CephRgw,
    storage: bucket.Bucket,
    port: int,
) -> Iterator[Farm]:
    """A watcher, a master and a worker. What the test itself looks at, it looks at as an administrator."""
    with (
        rights.installed(mariadb_server) as mariadb,
        accounts.imported(rabbitmq_server) as rabbitmq,
        fresh_servers(mariadb_server, rabbitmq_server, ceph_server) as servers,
    ):
        administrator = f"mysql://{mariadb.user}:{mariadb.password}@{mariadb.host}:{mariadb.port}/raven"
        own = replace(servers, database=administrator, storage=storage.url)
        with closing(Farm(tmp_path_factory.mktemp("roles"), own)) as farm:
            farm.s3 = storage.client("raven_owner")
            database = rights.url(mariadb, "raven_watcher", "raven")
            watchers = {"RAVEN_DATABASE": database, "RAVEN_BROKER": accounts.url(rabbitmq, "raven_watcher")}
            farm.start("watcher", "watcher", RAVEN_METRICS=f"{HOST}:{port}", **watchers)
            for node in ("master", "worker"):
                keys = storage.environment(f"raven_{node}")
                farm.start(node, node, RAVEN_BROKER=accounts.url(rabbitmq, f"raven_{node}"), **keys)
            farm.until_seen()
            yield farm
            assert farm.complaints() == []


@pytest.fixture
def client(farm: Farm, mariadb_server: MariaDb) -> Iterator[Database]:
    """A client application's own connection."""
    with closing(open_database(Settings(database=rights.url(mariadb_server, "news", "raven_public")))) as database:
        yield database


@pytest.fixture(scope="module")
def film(farm: Farm) -> Path:
    return generate_clip(farm.sources / "film.ts", 3 * 25)


def submit(client: Database, source: Path) -> int:
    sql = "INSERT INTO tasks (source, profile) VALUES (?, 'tiny') RETURNING id"
    return int(client.query(sql, (str(source),))[0]["id"])


def test_a_film_goes_from_a_clients_row_to_its_outputs_and_is_deleted(farm: Farm, client: Database, film: Path) -> None:
    task = submit(client, film)
    farm.done(task)

    (row,) = client.query("SELECT status, url, owner FROM tasks")
    assert (row["status"], row["owner"]) == ("done", "news")
    assert f"out/{task}/master.m3u8" in farm.keys(f"out/{task}/")
    client.execute("DELETE FROM tasks")
    farm.until(lambda: not farm.keys(f"out/{task}/") and not farm.jobs(task), "all of the task is removed")


def test_the_watcher_counts_the_farm_for_prometheus(farm: Farm, port: int) -> None:
    wait_until(lambda: scrape(port)("raven_farm_slots", lane="worker") == 1, "it shows the worker's slot")


def test_a_running_film_is_cancelled(farm: Farm, client: Database, film: Path) -> None:
    """Which goes by the exchange that tells all nodes."""
    long = shutil.copy(film, farm.sources / "long.ts")
    task = submit(client, Path(long))
    farm.until(lambda: farm.jobs(task), "it is begun")

    client.execute("DELETE FROM tasks WHERE id = ?", (task,))

    farm.until(lambda: not farm.jobs(task), "all of the task is removed")
    assert farm.keys(f"tmp/{task}/") == farm.keys(f"out/{task}/") == []


def test_a_film_that_cannot_be_read_fails_for_its_client(farm: Farm, client: Database) -> None:
    nothing = farm.sources / "nothing.ts"
    nothing.write_bytes(b"no film")
    task = submit(client, nothing)

    farm.until(lambda: client.query("SELECT 1 AS x FROM tasks WHERE id = ? AND status = 'failed'", (task,)), "it fails")


def test_the_cleaner_cleans_with_rights_of_its_own(farm: Farm, mariadb_server: MariaDb, storage: bucket.Bucket) -> None:
    """It reads the database, and removes objects."""
    farm.put("out/999999/seg-000001.m4s")
    settings = {
        "RAVEN_DATABASE": rights.url(mariadb_server, "raven_scrub", "raven"),
        "RAVEN_STORAGE": farm.servers.storage,
        "RAVEN_TEMPORARY": str(farm.temporary),
    }

    said = run(
        ["sh", "-c", f"exec {sys.executable} {ROOT / 'scrub.py'} 2>&1"],
        clean_environment(farm.folder) | settings | storage.environment("raven_scrub"),
    )

    assert "removing out/999999/: task deleted, 1 objects" in said
    assert farm.keys("out/999999/") == []
    assert "the storage has films of numbers that are still to come" in said, "is the database an old one?"


@pytest.mark.parametrize("role", ["watcher", "master", "worker", "scrub", "client", "operator"])
def test_the_doctor_finds_no_fault_in_a_roles_accounts(
    role: str,
    farm: Farm,
    mariadb_server: MariaDb,
    rabbitmq_server: RabbitMq,
    storage: bucket.Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    databases = {
        "watcher": ("raven_watcher", "raven"),
        "scrub": ("raven_scrub", "raven"),
        "client": ("news", "raven_public"),
        "operator": ("alice", "raven"),
    }
    settings = {"RAVEN_TEMPORARY": str(farm.temporary)}
    if role in databases:
        settings["RAVEN_DATABASE"] = rights.url(mariadb_server, *databases[role])
    if role in ("watcher", "master", "worker"):
        settings["RAVEN_BROKER"] = accounts.url(rabbitmq_server, f"raven_{role}")
    if role in ("master", "worker", "scrub"):
        settings |= {"RAVEN_STORAGE": storage.url, "RAVEN_SOURCES": str(farm.sources) if role == "master" else ""}
        settings |= storage.environment(f"raven_{role}")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the first keys that it has found

    servers = ("configuration", "versions", "database", "broker", "storage")
    findings = takewhile(lambda finding: finding.area in servers, examine(settings, None, (role,)))

    asked = [finding for finding in findings if finding.area in servers[2:]]
    assert [finding for finding in asked if finding.level == Level.FAULT] == []
    assert {finding.level for finding in asked} >= {Level.OK}
