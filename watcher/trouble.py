"""Whose trouble an error is: one task's, which ends by it alone, or everybody's, which is waited out."""

from __future__ import annotations

import structlog

from raven.errors import DataRefused, SchemaDiffers, Unavailable, UsageError
from raven.values import encodable
from watcher.store import Store
from watcher.tasks import Tasks

SHARED = (Unavailable, SchemaDiffers, UsageError, MemoryError)
"""No single task's: a server is away, another schema, a full machine. All others come of what one task's rows are."""
UNREADABLE = (ValueError, LookupError)
"""What rows raise that another version, or somebody by hand, has written; pydantic's errors are among them."""

log = structlog.get_logger()


def told(error: Exception) -> str:
    """What the client is told."""
    if isinstance(error, DataRefused):
        return f"what is known of this task is beyond what a row can hold: {error}"
    if isinstance(error, UNREADABLE):
        return f"the rows of this task cannot be read, were they written by another version? {error}"
    return f"the rows of this task are such that it cannot be planned: {type(error).__name__}: {error}"


def give_up(tasks: Tasks, store: Store, task: int, error: Exception) -> bool:
    """Fails a task that cannot go on by its rows; whether it had no end yet.

    A deleted one stays for `scrub.py`, and is logged.
    """
    message = encodable(told(error))
    log.error("rows cannot be read", task=task, fault=message, exc_info=None if _is_foreseen(error) else error)
    with store.transaction():
        failed = tasks.fail(task, message)
    if failed:
        log.warning("task failed", task=task, fault=message)
    return failed


def _is_foreseen(error: Exception) -> bool:
    return isinstance(error, DataRefused | ValueError | LookupError)
