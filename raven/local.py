"""The whole farm in one process: the same watcher, master and worker, over SQLite, in-process queues and a folder.

Its state lives in `OUTPUT/.raven` until the film is done, so that the same command resumes it after any end.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog

import master.daemon
import worker.daemon
from master.ahead import CutterAhead
from raven import names
from raven.agent import Agent
from raven.config import Settings, ffmpeg_path
from raven.errors import TaskError, Unavailable, UsageError
from raven.film import MADE_FROM, PARTS, STATE, Finished, film_in, made_from
from raven.ports import Broker, Database
from raven.profile import known_profile, load_profiles
from raven.schema import migrate
from raven.snapshot import Snapshot, read_snapshot
from raven.wiring import open_broker, open_database, open_storage
from watcher.store import Store
from watcher.watcher import Watcher

TASK = 1  # a state folder holds one task
log = structlog.get_logger()


def default_workers() -> int:
    """Encodes side by side: each uses about two cores, and a second one fills the gaps between chunks."""
    return max(2, (os.cpu_count() or 1) // 2)


class LocalFarm:
    """One film on its way into one folder."""

    def __init__(
        self,
        settings: Settings,
        source: Path,
        output: Path,
        profile: str,
        workers: int,
        *,
        anew: bool = False,
        strict: bool = False,
    ) -> None:
        self._state = output / STATE
        self._source, self._output, self._profile, self._anew = source, output, profile, anew
        self._strict = strict
        self._made_from = made_from(source, known_profile(settings.profiles, profile))  # as they are at the beginning
        self._settings = settings.model_copy(
            update={
                "database": f"sqlite://{quote(str(self._state.absolute()))}/raven.db",
                "broker": "local:",
                "storage": f"file://{quote(str(self._state.absolute()))}/objects",
                "sources": "/",
                "temporary": (self._state / "tmp").absolute(),
                "slots": workers,
                "early_playback": False,  # a film appears in its folder when it is whole
                "node": "local",
                "poll_seconds": 1.0,  # nobody else changes a row; what is reported wakes the watcher at once
                "heartbeat_seconds": 0.5,
                "attempts": min(settings.attempts, 3),  # a person waits
                "away_hours": 0,
            }
        )
        self._stop = threading.Event()
        self._over = threading.Event()
        """The film is done or failed, or the farm broke."""
        self._began = time.monotonic()
        self._fault: BaseException | None = None
        self._collected = False
        self._broker: Broker
        self._agents: tuple[Agent, ...] = ()
        self._view: Database
        """A connection of its own for those who look on."""

    @contextmanager
    def running(self, ahead: CutterAhead | None = None) -> Iterator[None]:
        """The farm at work; when this ends it has stopped, and a film that is not done can be resumed.

        `ahead`: opens the source, if that is still to be done.
        """
        ffmpeg_path(self._settings)  # a setting that cannot be used shows before anything is made
        film_in(self._output)
        created = not self._output.exists()
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(f"another raven encodes into {self._output} right now") from error
            self._begin()
            with closing(open_database(self._settings)) as self._view:
                thread = self._start(ahead)
                try:
                    yield
                finally:
                    self._stop.set()
                    for agent in self._agents:
                        agent.stop()
                    self._broker.close()  # so that all who wait for something to do see it at once
                    thread.join()
                    self._tidy(created)

    def _lock_file(self) -> IO[str]:
        try:
            (self._state / "objects").mkdir(parents=True, exist_ok=True)
            return (self._state / "lock").open("w")
        except OSError as error:
            raise UsageError(f"the folder {self._output} cannot be written: {error.strerror}") from error

    def _begin(self) -> None:
        """A fresh state, or the one of this very source and profile."""
        (self._state / "created").touch()
        shutil.rmtree(self._state / "tmp", ignore_errors=True)  # of a run that was killed
        (self._state / "tmp").mkdir()
        database = open_database(self._settings)
        migrate(database)
        mark = self._fingerprint()
        rows = database.query("SELECT reference, status FROM tasks WHERE id = ?", (TASK,))
        if rows and (self._anew or rows[0]["reference"] != mark or rows[0]["status"] == "failed"):
            self._cleared.unlink(missing_ok=True)
            database.execute("UPDATE tasks SET reference = NULL")  # if this is killed, it is of no source any more
            shutil.rmtree(self._state / "objects")
            (self._state / "objects").mkdir()
            database.execute("DELETE FROM jobs")
            database.execute("DELETE FROM tasks")
            rows = []
        if rows:
            Store(database).release_all(0)
        else:
            database.execute(
                "INSERT INTO tasks (id, source, profile, options, reference) VALUES (?, ?, ?, ?, ?)",
                (TASK, str(self._source), self._profile, json.dumps({"strict": self._strict}), mark),
            )
        database.close()

    def _fingerprint(self) -> str:
        """What a resumed film must have in common with the one begun."""
        about = self._made_from
        mark = f"{self._source}:{about['source']}:{self._profile}:{self._strict}:{about['profile']}"
        return mark[-255:]

    def _start(self, ahead: CutterAhead | None) -> threading.Thread:
        self._broker, storage = open_broker(self._settings), open_storage(self._settings)
        profiles = load_profiles(self._settings.profiles)
        self._agents = (
            master.daemon.build_agent(self._settings, self._broker, storage, ahead=ahead),
            worker.daemon.build_agent(self._settings, self._broker, storage),
        )
        database = open_database(self._settings)
        watcher = Watcher(self._settings, database, self._broker, profiles)
        for agent in self._agents:
            agent.start()
        thread = threading.Thread(target=self._watch, args=(watcher, database), name="watcher")
        thread.start()
        return thread

    def _watch(self, watcher: Watcher, database: Database) -> None:
        """The watcher's life, and with it that of the agents."""
        try:
            while not self._stop.is_set():
                self._turn(watcher, database)
                for agent in self._agents:
                    if agent.fault is not None:
                        raise agent.fault
            for agent in self._agents:
                agent.join()
            self._turn(watcher, database)  # what was done before the stop is not done again
        except BaseException as error:
            self._fault = error
            self._over.set()
            for agent in self._agents:
                agent.stop()
        finally:
            database.close()

    def _turn(self, watcher: Watcher, database: Database) -> None:
        try:
            watcher.turn()
            if database.query("SELECT 1 FROM tasks WHERE id = ? AND status IN ('done', 'failed')", (TASK,)):
                self._over.set()
        except Unavailable as error:
            log.warning("waiting", fault=str(error))
            time.sleep(0.2)

    def snapshot(self) -> Snapshot:
        """How far it is. Raises what broke the watcher, if something did."""
        if self._fault is not None:
            raise self._fault
        return read_snapshot(self._view, TASK, time.monotonic() - self._began)

    def wait(self, seconds: float) -> None:
        """For the end of the film, so long at most."""
        self._over.wait(seconds)

    def collect(self) -> Finished:
        """Moves the finished film into the output folder, what players open last. Raises TaskError if it failed."""
        snapshot = self.snapshot()
        if snapshot.status != "done":
            raise TaskError(snapshot.message or f"the film is {snapshot.status}")
        if not self._cleared.exists():  # else a move that was interrupted goes on
            for name in reversed(PARTS):
                _remove(self._output / name)
            self._cleared.touch()
        made = self._state / "objects" / names.out_prefix(TASK)
        if (made / names.TASK_JSON).exists():
            self._mark(made / names.TASK_JSON)
        for name in PARTS:
            if (made / name).exists():
                (made / name).replace(self._output / name)
        film = Finished(self._output, json.loads((self._output / names.TASK_JSON).read_text("utf-8")))
        self._collected = True
        return film

    def _mark(self, file: Path) -> None:
        """Has task.json say what the film is made from, so that the same command knows it again."""
        marked = self._state / "tmp" / names.TASK_JSON
        task = json.loads(file.read_text("utf-8")) | {MADE_FROM: self._made_from}
        marked.write_text(json.dumps(task, indent=2) + "\n", encoding="utf-8")
        marked.replace(file)

    @property
    def _cleared(self) -> Path:
        """Is there once the film that was there before is gone."""
        return self._state / "cleared"

    def _tidy(self, created: bool) -> None:
        """Nothing is left of a film that has been collected or that cannot be done."""
        if not self._collected and (self._fault is not None or self.snapshot().status != "failed"):
            return
        shutil.rmtree(self._state)
        if created and not any(self._output.iterdir()):
            self._output.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
