"""The farm as a whole in numbers, as the watcher at work has last seen it: a scrape asks no database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

KEPT_SECONDS = 60.0
"""What is older is not shown: no number is better than a wrong one."""


@dataclass(frozen=True)
class FarmNumbers:
    """At one moment."""

    slots: Mapping[str, int]
    """By lane."""
    queued: Mapping[str, int]
    waiting: Mapping[str, int]
    running: Mapping[tuple[str, str], int]
    """By kind and node."""
    speeds: Mapping[str, float]
    """Of running encodes, summed by node."""
    nodes: Mapping[tuple[str, str, str], int]
    """By name, role and state."""
    tasks: Mapping[str, int]
    """Not at an end, by status."""


class FarmCollector(Collector):
    """Shows the numbers that were noted last."""

    def __init__(self) -> None:
        self._noted: tuple[float, FarmNumbers] | None = None

    def note(self, numbers: FarmNumbers | None) -> None:
        """None: this watcher is not at work, another one tells."""
        self._noted = None if numbers is None else (time.monotonic(), numbers)

    def describe(self) -> Iterator[Metric]:
        """The names, for who registers it."""
        yield from _metrics(FarmNumbers({}, {}, {}, {}, {}, {}, {}))

    def collect(self) -> Iterator[Metric]:
        noted = self._noted
        if noted is not None and time.monotonic() - noted[0] < KEPT_SECONDS:
            yield from _metrics(noted[1])


FARM = FarmCollector()
"""A watcher's one."""


def _metrics(farm: FarmNumbers) -> Iterator[Metric]:
    yield _gauge("slots", "Slots of the nodes that take jobs now.", ["lane"], farm.slots)
    yield _gauge("jobs_queued", "Window: jobs handed to the broker that no node has taken.", ["lane"], farm.queued)
    yield _gauge("jobs_waiting", "Jobs in the database, counted up to 10000.", ["lane"], farm.waiting)
    yield _gauge("jobs_running", "Jobs that nodes have.", ["kind", "node"], farm.running)
    yield _gauge("encode_speed", "Of the running encodes together, multiple of real time.", ["node"], farm.speeds)
    yield _gauge("nodes", "Daemons by what they do or why they take no jobs.", ["node", "role", "state"], farm.nodes)
    yield _gauge("tasks", "Tasks that are not at an end, counted up to 10000.", ["status"], farm.tasks)


def _gauge(name: str, what: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    """`values`: by the label's value, or by those of all labels."""
    found = GaugeMetricFamily(f"raven_farm_{name}", what, labels=labels)
    for key, value in values.items():
        found.add_metric([key] if isinstance(key, str) else list(key), value)
    return found
