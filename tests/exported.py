"""What daemons and the cleaner export: names of series, each with its labels."""

from __future__ import annotations

import tempfile
from pathlib import Path

from raven.metrics import scrub
from raven.metrics.definitions import OF_ROLE
from raven.metrics.farm import FarmCollector
from tests.scrape import read

ENDS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


def exported() -> dict[str, set[str]]:
    """By the definitions, as some have no series before something happens."""
    found: dict[str, set[str]] = {}
    for metric in {metric for metrics in OF_ROLE.values() for metric in metrics}:
        families = metric.describe() if isinstance(metric, FarmCollector) else metric.collect()
        for family in families:
            labels = set(getattr(family, "_labelnames", ()) or getattr(metric, "_labelnames", ()))
            labels |= {label for sample in family.samples for label in sample.labels}
            found |= {family.name + end: labels for end in ENDS[family.type]}
    return found | {name: set() for name in _of_the_cleaner()}


def _of_the_cleaner() -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        with scrub.told(Path(folder)):
            pass
        return read((Path(folder) / scrub.FILE).read_text()).names
