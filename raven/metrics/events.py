"""From the log to metrics: each event that counts, and what it counts. A processor of structlog, before all others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from structlog.typing import EventDict

from raven.metrics import definitions as counted

Fields = Mapping[str, Any]


def _begun(fields: Fields) -> None:
    counted.JOBS_RUNNING.labels(fields["kind"]).inc()


def _ended(outcome: str) -> Callable[[Fields], None]:
    def count(fields: Fields) -> None:
        counted.JOBS_RUNNING.labels(fields["kind"]).dec()
        counted.JOBS.labels(fields["kind"], outcome).inc()

    return count


def _done(fields: Fields) -> None:
    _ended("done")(fields)
    counted.JOB_SECONDS.labels(fields["kind"]).observe(fields["seconds"])
    if fields["kind"] == "encode":
        counted.FRAMES.inc(fields["frames"])
        counted.FILM_SECONDS.inc(fields["film_seconds"])
        counted.SPEED.observe(fields["speed"])


def _taken_away(reason: str) -> Callable[[Fields], None]:
    return lambda _: counted.TAKEN_AWAY.labels(reason).inc()


def _task(status: str) -> Callable[[Fields], None]:
    def count(fields: Fields) -> None:
        counted.TASKS_ENDED.labels(status).inc()
        counted.PUBLISHED_BYTES.inc(fields.get("bytes", 0))

    return count


def _notice(outcome: str) -> Callable[[Fields], None]:
    return lambda _: counted.NOTICES.labels(outcome).inc()


EVENTS: Mapping[str, Callable[[Fields], None]] = {
    "job begun": _begun,
    "job done": _done,
    "job failed": _ended("failed"),
    "job stopped": _ended("stopped"),
    "job changed": lambda fields: counted.CHANGES.labels(fields["kind"], fields["event_name"]).inc(),
    "late report": lambda fields: counted.LATE.labels(fields["report"]).inc(),
    "lease lapsed": _taken_away("silence"),
    "no progress": _taken_away("no progress"),
    "message lost": _taken_away("message lost"),
    "message dead-lettered": lambda _: counted.REFUSED.inc(),
    "second run": lambda _: counted.SECOND_RUNS.inc(),
    "node held": lambda fields: counted.QUARANTINES.labels(fields["role"]).inc(),
    "this watcher is at work": lambda _: counted.AT_WORK.set(1),
    "this watcher stands by": lambda _: counted.AT_WORK.set(0),
    "task done": _task("done"),
    "task failed": _task("failed"),
    "notice sent": _notice("sent"),
    "notice failed": _notice("failed"),
    "notice refused": _notice("refused"),
    "notice given up": _notice("given up"),
}


def count(_: object, level: str, event: EventDict) -> EventDict:
    """Counts an event and passes it on. What goes wrong here is told, and harms nobody."""
    counted.LOG_LINES.labels(level).inc()
    counts = EVENTS.get(str(event.get("event")))
    if counts is not None:
        try:
            counts(event)
        except Exception:  # whoever logs must not break by it
            logging.getLogger(__name__).exception("an event was not counted: %s", event)
    return event
