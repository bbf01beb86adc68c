"""The state folder of `raven encode`: rows and objects in it are of one film, whenever it is killed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from raven.adapters.local_broker import LocalBroker
from raven.adapters.sqlite import SqliteDatabase
from raven.config import Settings
from raven.local import LocalFarm
from raven.names import out_prefix


def begin(output: Path, profile: str) -> None:
    """What `raven encode` does before anybody works."""
    farm = LocalFarm(Settings(), output.parent / "film.mkv", output, profile, 1)
    with farm._lock_file():
        farm._begin()


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the change of rows or folders that has this number."""
    steps = iter(range(step))

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_die(*arguments: Any, **more: Any) -> Any:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            return change(*arguments, **more)

        return change_or_die

    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    monkeypatch.setattr(Path, "mkdir", counted(Path.mkdir))
    monkeypatch.setattr(SqliteDatabase, "execute", counted(SqliteDatabase.execute))


@pytest.mark.parametrize("then", ["default", "hevc"])
@pytest.mark.parametrize("step", range(16))
def test_no_object_of_a_film_is_left_for_another_wherever_a_beginning_is_killed(
    step: int, then: str, tmp_path: Path
) -> None:
    """Nor is a chunk held for done whose objects are gone."""
    output = tmp_path / "out"
    made = output / ".raven" / "objects" / out_prefix(1) / "segment.m4s"
    begin(output, "default")
    made.parent.mkdir(parents=True)
    made.touch()
    with closing(SqliteDatabase(output / ".raven" / "raven.db")) as database:
        database.execute(
            "INSERT INTO jobs (task_id, kind, position, state, lane) VALUES (1, 'encode', 0, 'done', 'worker')"
        )
        with pytest.MonkeyPatch.context() as monkeypatch, contextlib.suppress(KeyboardInterrupt):
            killed_at(step, monkeypatch)
            begin(output, "hevc")

        begin(output, then)

        assert bool(database.query("SELECT id FROM jobs")) == made.exists()
        assert then == "default" or not made.exists()


def test_who_waits_for_a_job_is_told_to_stop_before_the_queues_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all slots ask closed queues again and again, in the way of what is still to be done."""
    farm = LocalFarm(Settings(), tmp_path / "film.mkv", tmp_path / "out", "default", 1)
    draining: list[bool] = []
    close = LocalBroker.close

    def watched(broker: LocalBroker) -> None:
        draining.extend(agent._draining.is_set() for agent in farm._agents)
        close(broker)

    monkeypatch.setattr(LocalBroker, "close", watched)
    with farm.running():
        pass

    assert draining == [True, True]
