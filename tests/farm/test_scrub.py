"""scrub.py beside a farm at work: again and again, several at once, killed anywhere, and no film misses anything."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raven.config import Settings
from raven.errors import TaskError
from raven.retry import retry
from scrub import scrub
from tests.farm.aftermath import left_over
from tests.farm.farm import ROOT, Farm, Servers
from tests.media import generate_clip
from tests.servers.process import clean_environment
from watcher.watcher import steady_clock

pytestmark = pytest.mark.servers
FILMS = 4


@pytest.fixture
def farm(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """It keeps nothing of failed tasks, so that all of them are waste at once; who vanishes is missed soon."""
    for name, value in servers.aws.items():
        monkeypatch.setenv(name, value)
    settings = {"RAVEN_KEEP_FAILED_HOURS": "0", "RAVEN_LEASE_SECONDS": "3", "RAVEN_HEARTBEAT_SECONDS": "0.5"}
    with closing(Farm(tmp_path, servers, **settings)) as farm:
        for role in ("watcher", "master", "worker"):
            farm.start(role, role)
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


class Cleaners:
    """Two that clean all the time, and a third that is killed again and again."""

    def __init__(self, farm: Farm) -> None:
        self._farm, self._over, self.runs = farm, threading.Event(), 0
        self.faults: list[str] = []
        servers = farm.servers
        self._settings = Settings(database=servers.database, storage=servers.storage, temporary=farm.temporary)
        works = (self._clean, self._clean, self._kill)
        self._threads = [threading.Thread(target=work) for work in works]
        for thread in self._threads:
            thread.start()

    def _clean(self) -> None:
        try:
            while not self._over.is_set():
                scrub(self._settings, dry_run=False)
                self.runs += 1
        except Exception as error:
            self.faults.append(repr(error))

    def _kill(self) -> None:
        chance = random.Random(5)  # noqa: S311 - of a test
        environment = self._farm.environment("master", "scrub") | {"RAVEN_DATABASE": self._farm.servers.database}
        while not self._over.is_set():
            command = [sys.executable, str(ROOT / "scrub.py"), "--most", "100"]
            with subprocess.Popen(
                command,
                env=clean_environment(self._farm.folder) | environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as run:
                self._over.wait(1 + chance.random())
                run.kill()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_films_under_way_miss_nothing_however_often_it_is_cleaned(farm: Farm) -> None:
    """Some are deleted, some fail and are tried again, while others are cut, encoded and published.

    And each daemon is killed in the middle of it, so that jobs are done again over what the first attempt has left.
    """
    film = generate_clip(farm.sources / "film.ts", 75)
    late = farm.sources / "late.ts"
    with closing(Cleaners(farm)) as cleaners:
        failed = farm.submit(late, profile="tiny")
        assert farm.ended(failed)["status"] == "failed"
        tasks = [farm.submit(film, profile="tiny") for _ in range(FILMS)]
        shutil.copy(film, late)
        farm.until(lambda: tried_again(farm, failed), "it can be tried again")
        for task in tasks[::3]:
            farm.delete(task)
        for role, kind in (("worker", "encode"), ("master", "prepare"), ("watcher", "encode")):
            farm.until(lambda: busy(farm, kind), f"something is at work that the {role} has to do with")  # noqa: B023
            farm.daemons.pop(role).kill()
            farm.start(role, role)
        kept = [failed, *(task for task in tasks if task not in tasks[::3])]
        outputs = {task: (farm.done(task, 180), len(farm.keys(f"out/{task}/")))[1] for task in kept}
        runs = cleaners.runs
        farm.until(lambda: cleaners.runs > runs + 2, "it is cleaned once more")

    assert cleaners.faults == []
    assert len(set(outputs.values())) == 1  # the same film
    assert {task: len(farm.keys(f"out/{task}/")) for task in kept} == outputs
    scrub(cleaners._settings, dry_run=False)
    farm.until(lambda: left_over(farm, kept) == [], "nothing is left over")


def busy(farm: Farm, kind: str) -> bool:
    """Whether such a job runs; or none is left, on a machine that is quick."""
    rows = farm.database.query("SELECT state FROM jobs WHERE kind = ?", (kind,))
    states = {row["state"] for row in rows}
    return "running" in states or (bool(states) and not states & {"waiting", "queued"})


def tried_again(farm: Farm, task: int) -> bool:
    try:
        retry(farm.database, task, steady_clock()())
    except TaskError:  # its objects are just being removed
        return False
    return True
