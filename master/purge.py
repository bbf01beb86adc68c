"""The purge job: removes the objects that nobody needs any more."""

from __future__ import annotations

from raven.context import Context
from raven.messages import PurgeJob
from raven.model import PurgeResult
from raven.ports import Storage
from raven.recheck import Recheck


def purge(job: PurgeJob, context: Context, storage: Storage) -> PurgeResult:
    """Removes all objects under the job's prefixes; safe to repeat.

    The watcher has to confirm it first: the order may be from before its task was tried again. And again after a
    while: a master that hung meanwhile may have been given up, and its task tried again.
    """
    check = Recheck(context.confirm)
    removed = sum(storage.delete_prefix(prefix, check) for prefix in job.prefixes)
    context.notes["objects"] = removed
    return PurgeResult(objects=removed)
