"""What a handler has besides its job: how to hear of a stop, say how far it is, and note facts for the log."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from raven.errors import Unavailable
from raven.model import PrepareResult
from raven.process import StopSignal

CONFIRM_SECONDS = 60.0
"""The question is asked again with each heartbeat meanwhile."""


@dataclass
class Context:
    """Of one run of a job."""

    stop: StopSignal = field(default_factory=StopSignal)
    done: int = 0
    speed: float = 0.0
    so_far: PrepareResult | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    changed: threading.Event = field(default_factory=threading.Event)
    """Set when there is something to report at once; whoever reports may share one among all runs."""
    _confirmed: threading.Event = field(default_factory=threading.Event)
    """Set by the watcher's word on the newest question."""

    def progress(self, done: int, speed: float = 0.0) -> None:
        """`done` frames or samples so far, at `speed` times real time."""
        self.done, self.speed = done, speed

    def prepared(self, so_far: PrepareResult) -> None:
        """More of a source is cut; reported at once, as chunks can be encoded."""
        self.so_far = so_far
        self.changed.set()

    def confirm(self, seconds: float = CONFIRM_SECONDS) -> None:
        """Asks the watcher whether this order still counts: one that was delayed may do harm that nothing undoes.

        Each question has a number, which is `done`: the answer to an earlier one, heard late, is none to this.

        Raises Cancelled when it does not, Unavailable when there was no word for `seconds`.
        """
        if self._confirmed.is_set():
            self.done += 1
            self._confirmed.clear()
        self.changed.set()  # a sign of life, which is the question
        until = time.monotonic() + seconds
        while not self._confirmed.wait(0.1):
            self.stop.check()
            if time.monotonic() > until:
                raise Unavailable(f"the watcher has not confirmed the order within {seconds:g} s")
        self.stop.check()

    def answered(self, question: int) -> None:
        """The watcher has confirmed the question of this number."""
        if question == self.done:
            self._confirmed.set()
