"""When tasks are to be planned: what is waiting to be, and what is put off because it went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable

PUT_OFF_SECONDS, LONGEST_SECONDS = 10.0, 600.0
"""How long a task is put off at first, and at most: each time in a row is twice the one before."""
_NEVER = (float("-inf"), 0.0)


class Due:
    """Tasks to plan. Of one that is put off nothing is done before its time, whatever happens."""

    def __init__(self) -> None:
        self._at: dict[int, float] = {}
        self._put_off: dict[int, tuple[float, float]] = {}  # until when, and for how long that was

    def touch(self, tasks: Iterable[int], later: float = 0.0) -> None:
        """Notes that tasks are to be planned, `later` s from now, or as soon as was noted before."""
        due = time.monotonic() + later
        for task in tasks:
            self._at[task] = max(min(due, self._at.get(task, due)), self._put_off.get(task, _NEVER)[0])

    def put_off(self, task: int) -> float:
        """Seconds until it is due again."""
        _, before = self._put_off.get(task, _NEVER)
        wait = min(max(PUT_OFF_SECONDS, 2 * before), LONGEST_SECONDS)
        self._put_off[task] = (time.monotonic() + wait, wait)
        self.touch([task])
        return wait

    def is_put_off(self, task: int) -> bool:
        return self._put_off.get(task, _NEVER)[0] > time.monotonic()

    def now(self) -> list[int]:
        """Those whose time has come, in order of their numbers."""
        now = time.monotonic()
        return sorted(task for task, due in self._at.items() if due <= now)

    def take(self, task: int) -> None:
        """It is planned now."""
        del self._at[task]

    def went_well(self, task: int) -> None:
        self._put_off.pop(task, None)

    def patience(self) -> float:
        """Seconds up to the next one."""
        return min(self._at.values(), default=float("inf")) - time.monotonic()

    def clear(self) -> None:
        self._at.clear()
        self._put_off.clear()
