"""Whether a node takes jobs, and if not why not: asked before each job, told to the watcher in each sign of life."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from raven import names
from raven.alive import STATE_LENGTH, Alive
from raven.config import Settings
from raven.errors import ClockWrong, NoRoom, RavenError, SourceAway, StorageAway
from raven.machine import Machine, ffmpeg_build, look, size

ALIVE_SECONDS = 5.0
JOIN_SECONDS = 30.0
"""Without a word from the watcher for so long a node takes jobs all the same: what is queued waits for nobody."""
FULL_SECONDS = 30.0
"""A node that ran out of room looks again after so long: what filled the disk was the job, and is gone with it."""
RESTS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds that a node takes no job after the storage did not answer it, the first time and so on until a job is done.
It may be this node alone that does not reach it, and would fail all jobs of the farm as fast as they come."""
NO_ANSWER = "storage: it does not answer this node"
WRONG_CLOCK = "clock: the storage refuses this host's time; set it (timedatectl set-ntp true)"
TEST_AGAIN_SECONDS = 300.0
ROOMLESS = (names.light("master"),)
"""Lanes whose jobs go on without room: playlists are small, and purges may be what makes room."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Reserve:
    """Bytes that must be free before a job is taken; 0 asks for none."""

    disk: int = 0
    memory: int = 0


def shortage(machine: Machine, reserve: Reserve) -> str:
    """What there is too little of, as a sentence; empty when there is enough."""
    if machine.disk_free < reserve.disk:
        return f"disk: {size(machine.disk_free)} free of {size(reserve.disk)} wanted"
    if machine.memory_total and machine.memory_free < reserve.memory:
        return f"memory: {size(machine.memory_free)} free of {size(reserve.memory)} wanted"
    return ""


class Readiness:
    """Of one node. By itself it is ready; a daemon's asks for more. Safe to use from all threads."""

    def __init__(
        self,
        folder: Path | None = None,
        reserve: Reserve | None = None,
        ffmpeg: str = "",
        *,
        joins: bool = False,
    ) -> None:
        """`folder`: where temporary files lie. `ffmpeg`: the version line of the node's, for the watcher to know.

        `joins`: no job before the watcher has said whether this node is held.
        """
        self._folder, self._reserve, self.ffmpeg = folder, reserve or Reserve(), ffmpeg
        self.hold: str | None = None if joins else ""
        """What the watcher holds this node by, empty for nothing; None until it has said so."""
        self._asked_at: float | None = None
        self._fault = ""
        self._full_until = self._rests_until = 0.0
        self._rests = 0
        self._rests_for = ""
        self._leaves = False
        self._words: dict[str, str] = {}
        self.changed = threading.Event()
        """Set when a sign of life would say something new."""
        self.wake = threading.Event()
        """Set with it: the same one for all that whoever gives signs of life waits for."""

    def machine(self) -> Machine:
        """The host as it is now. Raises OSError when its temporary folder cannot be reached."""
        return look(self._folder)

    @property
    def alive_seconds(self) -> float:
        """Between two signs of life; the watcher's answer to the first ones may be lost."""
        return ALIVE_SECONDS if self.hold is not None else 1.0

    def completed(self, alive: Alive) -> Alive:
        """The sign of life with what is known here; slots that take no jobs now are left out."""
        lanes = {"slots": alive.role, "light": names.light(alive.role)}
        closed = {slots: 0 for slots, lane in lanes.items() if self.obstacle(lane)}
        about = {"ffmpeg": self.ffmpeg, "hold": self.hold, "state": self.obstacle(alive.role)[:STATE_LENGTH]}
        with contextlib.suppress(OSError):  # the state says so
            about |= vars(self.machine())
        return alive.model_copy(update=closed | about)

    def obstacle(self, lane: str) -> str:
        """Why no job of this lane is taken now, a word and maybe a sentence; empty when there is no reason."""
        found = self._obstacle(lane)
        word = found.partition(":")[0]  # figures change all the time
        if self._words.setdefault(lane, word) != word:
            self._words[lane] = word
            self.tell()
        return found

    def _obstacle(self, lane: str) -> str:
        standing = "stopping" if self._leaves else self.hold or self._joining() or self._fault
        return standing or self._resting() or ("" if lane in ROOMLESS else self._short())

    def _joining(self) -> str:
        waits = self.hold is None and (self._asked_at is None or time.monotonic() - self._asked_at < JOIN_SECONDS)
        return "joining" if waits else ""

    def _resting(self) -> str:
        return self._rests_for if time.monotonic() < self._rests_until else ""

    def _short(self) -> str:
        if time.monotonic() < self._full_until:
            return f"disk: it ran full within the last {FULL_SECONDS:g} s"
        if self._reserve == Reserve():
            return ""
        try:
            return shortage(self.machine(), self._reserve)
        except OSError as error:
            return f"disk: {error}"

    # what changes it

    def tell(self) -> None:
        """A sign of life now: there is something new to say."""
        self.changed.set()
        self.wake.set()

    def asked(self) -> None:
        """The watcher has been told of this node, and answers."""
        self._asked_at = self._asked_at or time.monotonic()

    def obey(self, hold: str) -> None:
        """The watcher's word: what this node is held by, empty for nothing."""
        if hold != self.hold:
            log.info("held" if hold else "takes jobs", reason=hold)
            self.hold = hold
            self.tell()

    def leave(self) -> None:
        """The daemon ends."""
        self._leaves = True
        self.tell()

    def ran_out(self) -> None:
        """A job found no room for its files."""
        self._full_until = time.monotonic() + FULL_SECONDS
        self.tell()

    def met(self, error: RavenError) -> None:
        """A job ended by this: it may tell of the node."""
        if isinstance(error, NoRoom):
            self.ran_out()
        now = time.monotonic()
        is_ours = isinstance(error, StorageAway) and not isinstance(error, SourceAway)
        if is_ours and now >= self._rests_until:  # other slots meet the same
            self._rests_for = WRONG_CLOCK if isinstance(error, ClockWrong) else NO_ANSWER
            self._rests_until = now + RESTS[min(self._rests, len(RESTS) - 1)]
            self._rests += 1
            self.tell()

    def did(self) -> None:
        """A job went well."""
        self._rests = 0

    def keep_testing(self, test: Callable[[], str], again: float = TEST_AGAIN_SECONDS) -> None:
        """Until the test passes, in a thread of its own. `test` returns what is wrong, empty when nothing is."""

        def tests() -> None:
            while fault := test():
                log.warning("self-test failed", fault=fault, again_seconds=again)
                self._judged(f"unfit: {fault}")
                time.sleep(again)
            self._judged("")

        self._judged("testing")
        threading.Thread(target=tests, name="self-test", daemon=True).start()

    def _judged(self, fault: str) -> None:
        self._fault = fault
        self.tell()


def readiness_of(settings: Settings, ffmpeg: str) -> Readiness:
    """A daemon's: it asks the watcher first, and watches its disk and memory."""
    reserve = Reserve(settings.reserve_disk, settings.reserve_memory)
    return Readiness(settings.temporary, reserve, ffmpeg_build(ffmpeg), joins=True)
