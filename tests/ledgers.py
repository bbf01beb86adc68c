"""The ledger counted row by row: what the store's SQL must come to, and what plans are tried on."""

from __future__ import annotations

from collections.abc import Iterable

from watcher.ledger import CHUNK, ENDED_BADLY, SECOND, UNTAKEN_MS, Chunks, Ledger
from watcher.rows import HELD, OPEN, JobRow, JobState


def ledger_of(rows: Iterable[JobRow], now: int) -> Ledger:
    """From all rows of a task."""
    every = list(rows)
    chunks = {row.position: row for row in every if row.kind == CHUNK}
    done = [position for position, row in chunks.items() if row.state == JobState.DONE]
    work = [row for row in every if row.kind != "purge"]
    opened = [row for row in work if row.state in OPEN]
    idle = [row for row in opened if is_idle(row, now)]
    counted = Chunks(
        known=len(chunks),
        top=max(chunks, default=-1),
        ready=next(n for n in range(len(chunks) + 1) if n not in done),
        done=len(done),
        frames=sum(row.done for row in chunks.values() if row.state in HELD),
    )
    others = {(row.kind, row.position): row for row in every if row.kind not in (CHUNK, SECOND)}
    faults = [row for row in work if row.kind != SECOND and row.state in ENDED_BADLY and not was_overtaken(row)]
    fault = min(faults, key=lambda row: row.state != JobState.UNUSABLE, default=None)
    return Ledger(counted, others, len(opened) - len(idle), len(idle), fault)


def was_overtaken(row: JobRow) -> bool:
    """Whether this is an announcement that was not waited for, as the whole film is there."""
    return row.kind == "announce" and row.state == JobState.CANCELLED


def is_idle(row: JobRow, now: int) -> bool:
    """Whether nobody works on an open job, nor will."""
    untaken = row.state == JobState.QUEUED and now - row.changed_at > UNTAKEN_MS
    return row.state == JobState.WAITING or untaken
