"""What was true when it was asked may have changed while a process stood still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SECONDS = 5.0
"""Far less than a lease, so that nobody else has the job yet; far more than a request takes."""


def awake() -> float:
    """Seconds since the machine started, those in which it slept or the process was stopped included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Recheck:
    """Calls `ask`, which raises when the work is not wanted any more, at once and whenever `seconds` have gone by.

    To be called right before each act that cannot be undone: a process that hung between the question and the act
    asks again. Safe to use from several threads, each of which may ask.
    """

    ask: Callable[[], None]
    seconds: float = SECONDS
    clock: Callable[[], float] = awake
    _asked: float | None = field(default=None, init=False)

    def __call__(self) -> None:
        now = self.clock()
        if self._asked is None or now - self._asked > self.seconds:
            self.ask()
            self._asked = now
