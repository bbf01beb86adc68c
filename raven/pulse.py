"""Signs of life: of a node every few seconds, of each of its running jobs with every heartbeat."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import structlog

from raven import __version__
from raven.alive import Alive
from raven.errors import Unavailable
from raven.messages import Progress
from raven.readiness import Readiness
from raven.runs import Run, Runs, Who
from raven.values import Value

log = structlog.get_logger()


class Pulse:
    """Beats in a thread of its own until it is ended, and at once when there is something new to say."""

    def __init__(
        self,
        who: Who,
        slots: Callable[[], tuple[int, int]],
        seconds: float,
        watched: tuple[Runs, Readiness],
        publish: Callable[[Value], None],
    ) -> None:
        """`slots`: heavy and light ones. `publish` raises Unavailable; a lease bears missing beats."""
        self._who, self._slots, self._seconds, self._publish = who, slots, seconds, publish
        self._runs, self._readiness = watched
        self._wake = self._readiness.wake
        self._over = threading.Event()

    def end(self) -> None:
        self._over.set()
        self._wake.set()

    def beat(self) -> None:
        """The thread's whole life."""
        alive_at = 0.0
        while True:
            self._wake.clear()  # before all looks, or what comes meanwhile would wait for the next beat
            if self._over.is_set():
                break
            now = time.monotonic()
            try:
                if now - alive_at >= self._readiness.alive_seconds or self._readiness.changed.is_set():
                    alive_at = 0.0
                    self._node_lives()
                    alive_at = now
                for run in self._runs.now():
                    self._job_lives(run)
            except Unavailable as error:
                log.debug("no sign of life given", fault=str(error))
            self._wake.wait(max(0.0, now + self._seconds - time.monotonic()))
        if self._readiness.changed.is_set():  # idle slots may end before anybody was told that they do
            with contextlib.suppress(Unavailable):
                self._node_lives()

    def _node_lives(self) -> None:
        self._readiness.changed.clear()
        heavy, light = self._slots()
        own = Alive(
            node=self._who.node,
            role=self._who.role,
            instance=self._who.instance,
            slots=heavy,
            light=light,
            build=__version__,
        )
        self._publish(self._readiness.completed(own))
        self._readiness.asked()

    def _job_lives(self, run: Run) -> None:
        told = {"done": run.context.done, "speed": run.context.speed, "so_far": run.context.so_far}
        self._publish(Progress(**self._who.about(run.job), **told))
