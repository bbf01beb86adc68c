"""Waiting for a condition: no test sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
DEADLINE = 60.0
"""Seconds; generous, as a busy machine is slow, and never spent when all is well."""


def wait_until(
    condition: Callable[[], T | None], what: str | Callable[[], str], timeout: float = DEADLINE, pause: float = 0.05
) -> T:
    """Return the condition's first true value; fail with `what` when there is none in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
    return value
