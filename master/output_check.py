"""The checker over a finished task: what is stored with the manifests that are about to be."""

from __future__ import annotations

import time
from collections.abc import Mapping

from raven import names
from raven.check.checker import Report, check
from raven.check.load import load
from raven.check.readers import StorageReader
from raven.errors import OutputWrong
from raven.ports import Storage
from raven.process import StopSignal

_TOLD = 3
"""Findings in the task's message; all of them would not be read there."""


def check_output(storage: Storage, prefix: str, texts: Mapping[str, str], stop: StopSignal) -> dict[str, object]:
    """The checker's report as it stands in `task.json`; `texts` are the manifests by their path under `prefix`.

    Raises OutputWrong on a broken must that is not the profile's choice.
    """
    begun = time.monotonic()
    reader = StorageReader(storage, prefix, texts, stop.check)
    report = check(load(reader, (names.MULTIVARIANT, names.MPD), prefix))
    if report.faulty:
        raise OutputWrong(_sentence(report))
    return {**report.as_json(), "seconds": round(time.monotonic() - begun, 3)}


def _sentence(report: Report) -> str:
    told = "; ".join(str(finding) for finding in report.faulty[:_TOLD])
    more = f"; and {len(report.faulty) - _TOLD} more" if len(report.faulty) > _TOLD else ""
    return f"the output breaks the standards: {told}{more}"
