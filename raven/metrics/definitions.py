"""Every metric that a daemon counts itself. Labels are of few values: no task, no job, no chunk, no client."""

from __future__ import annotations

from collections.abc import Iterable

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.registry import Collector

from raven import names
from raven.metrics.farm import FARM

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, read by nobody

_JOB_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_SPEEDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
_DATABASE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STORAGE_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


LEVELS = ("debug", "info", "warning", "error", "critical")
REPORTS = ("started", "progress", "done", "failed")
REASONS = ("silence", "no progress", "message lost")
OUTCOMES = ("sent", "failed", "refused", "given up")


def _counter(name: str, what: str, *labels: str, known: Iterable[str] = ()) -> Counter:
    """`known`: values of its one label that are shown from the start, as an increase from nothing is none."""
    counter = Counter(f"raven_{name}", what, labels, registry=None)
    for value in known:
        counter.labels(value)
    return counter


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"raven_{name}", what, labels, registry=None)


def _histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"raven_{name}", what, labels, registry=None, buckets=buckets)


BUILD = Info("raven_build", "Version and role of the daemon.", registry=None)
LOG_LINES = _counter(
    "log_lines", "Events by level, also those that `log_level` keeps out of the log.", "level", known=LEVELS
)
BROKER_CONNECTED = _gauge("broker_connected", "1 while messages can arrive, 0 while the broker is away.")
REFUSED = _counter("messages_refused", "Messages that could not be read and went to the dead letters.")
COMMON = (BUILD, LOG_LINES, BROKER_CONNECTED, REFUSED)

# watcher

AT_WORK = _gauge("watcher_at_work", "1 for the watcher at work, 0 for one that stands by or has just begun.")
CHANGES = _counter("job_changes", "What happened to jobs: started, done, retried, failed and so on.", "kind", "change")
LATE = _counter(
    "late_reports", "Reports of attempts that do not count any more, by what they report.", "report", known=REPORTS
)
TAKEN_AWAY = _counter(
    "jobs_taken_away", "Jobs whose node or message was lost: they are tried again.", "reason", known=REASONS
)
SECOND_RUNS = _counter("second_runs", "Slow chunks that were begun a second time.")
QUARANTINES = _counter("quarantines", "Nodes that were quarantined.", "role", known=names.ROLES)
TASKS_ENDED = _counter("tasks_ended", "Tasks that came to an end.", "status", known=("done", "failed"))
PUBLISHED_BYTES = _counter("published_bytes", "Bytes of the media of done tasks.")
NOTICES = _counter("notices", "Attempts to tell a callback_url, by what came of them.", "outcome", known=OUTCOMES)
DATABASE_SECONDS = _histogram("database_seconds", "How long the database took.", _DATABASE_SECONDS, "operation")
DATABASE_ERRORS = _counter(
    "database_errors", "What the database did not do.", "error", known=("Unavailable", "RowLocked")
)
WATCHER = (
    *(AT_WORK, CHANGES, LATE, TAKEN_AWAY, SECOND_RUNS, QUARANTINES, TASKS_ENDED, PUBLISHED_BYTES, NOTICES),
    *(DATABASE_SECONDS, DATABASE_ERRORS, FARM),
)

# master and worker

JOBS_RUNNING = _gauge("jobs_running", "Jobs that this daemon runs now.", "kind")
JOBS = _counter("jobs", "Jobs that this daemon has ended: done, failed or stopped.", "kind", "outcome")
JOB_SECONDS = _histogram("job_seconds", "How long done jobs took.", _JOB_SECONDS, "kind")
STORAGE_SECONDS = _histogram(
    "storage_seconds", "How long the storage took; of a listing its first page.", _STORAGE_SECONDS, "operation"
)
STORAGE_ERRORS = _counter(
    "storage_errors", "What the storage did not do.", "error", known=("Unavailable", "StorageAway")
)
STORAGE_BYTES = _counter("storage_bytes", "Bytes stored and read.", "operation")
MASTER = (JOBS_RUNNING, JOBS, JOB_SECONDS, STORAGE_SECONDS, STORAGE_ERRORS, STORAGE_BYTES)

# worker

FRAMES = _counter("encoded_frames", "Frames of films that were encoded, in however many renditions.")
FILM_SECONDS = _counter("encoded_film_seconds", "Seconds of films that were encoded: its rate is the speed.")
SPEED = _histogram("encode_speed_ratio", "Speed of done encodes, as multiple of real time.", _SPEEDS)
WORKER = (*MASTER, FRAMES, FILM_SECONDS, SPEED)

OF_ROLE: dict[str, tuple[Collector, ...]] = {
    "watcher": (*COMMON, *WATCHER),
    "master": (*COMMON, *MASTER),
    "worker": (*COMMON, *WORKER),
}
