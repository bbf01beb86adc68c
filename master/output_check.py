"""The checker over a finished task: what is stored with the manifests that are about to be."""

from __future__ import annotations

import time
from collections.abc import Mapping

from raven import names
from raven.check.checker import Report, check
from raven.check.load import Known, load
from raven.check.readers import StorageReader
from raven.errors import OutputRefused
from raven.ports import Storage
from raven.process import StopSignal

MANIFESTS = (names.MULTIVARIANT, names.MPD)
_TOLD = 3
"""Findings in the task's message; all of them would not be read there."""


def look_ahead(storage: Storage, prefix: str, texts: Mapping[str, str], stop: StopSignal, known: Known) -> None:
    """Reads what the checker will want of the segments that `texts` name, the manifests of a film under way."""
    load(StorageReader(storage, prefix, texts, stop.check), MANIFESTS, prefix, known)


def check_output(
    storage: Storage, prefix: str, texts: Mapping[str, str], stop: StopSignal, known: Known | None = None
) -> dict[str, object]:
    """The checker's report as it stands in `task.json`; `texts` are the manifests by their path under `prefix`.

    `known`: segments that were read before. Raises OutputRefused on a broken must that is not the profile's choice.
    """
    begun = time.monotonic()
    reader = StorageReader(storage, prefix, texts, stop.check)
    report = check(load(reader, MANIFESTS, prefix, known))
    if report.faulty:
        raise OutputRefused(_sentence(report))
    return {**report.as_json(), "seconds": round(time.monotonic() - begun, 3)}


def _sentence(report: Report) -> str:
    told = "; ".join(str(finding) for finding in report.faulty[:_TOLD])
    more = f"; and {len(report.faulty) - _TOLD} more" if len(report.faulty) > _TOLD else ""
    return f"the output breaks the standards: {told}{more}"
