"""What came of a run of scrub.py, for Prometheus: a file that node_exporter's textfile collector shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raven.errors import ConfigError

FILE = "raven_scrub.prom"


@dataclass
class Outcome:
    """Of a run; filled while it goes on."""

    objects: int = 0
    bytes: int = 0
    succeeded: bool = False


@contextmanager
def told(folder: Path | None) -> Iterator[Outcome]:
    """Leaves in `folder`, if there is one, what comes of the run within; also where it breaks. Raises ConfigError."""
    outcome, begun = Outcome(), time.monotonic()
    try:
        yield outcome
        outcome.succeeded = True
    finally:
        if folder is not None:
            _write(folder, outcome, time.monotonic() - begun)


def _write(folder: Path, outcome: Outcome, seconds: float) -> None:
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile  # noqa: PLC0415 - where it is asked for

    registry = CollectorRegistry()
    values = {
        "succeeded": ("1 where the last run ended well, else 0.", float(outcome.succeeded)),
        "ended_timestamp_seconds": ("When it ended.", time.time()),
        "seconds": ("How long it took.", seconds),
        "removed_objects": ("Objects that it removed.", outcome.objects),
        "removed_bytes": ("Bytes of these.", outcome.bytes),
    }
    for name, (what, value) in values.items():
        Gauge(f"raven_scrub_{name}", what, registry=registry).set(value)
    try:
        write_to_textfile(str(folder / FILE), registry)  # whole or not at all
    except OSError as error:
        raise ConfigError(f"metrics_folder: {folder / FILE} cannot be written: {error.strerror}") from error
