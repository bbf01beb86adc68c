"""The checker over a finished task: what is stored with the manifests that are about to be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from raven import names
from raven.check.checker import Report, check
from raven.check.load import Known, load, read_ahead
from raven.check.paths import Resource
from raven.check.readers import StorageReader
from raven.errors import OutputRefused
from raven.media.presentation import Presentation, Track
from raven.ports import Storage
from raven.process import StopSignal

MANIFESTS = (names.MULTIVARIANT, names.MPD)
_TOLD = 3
"""Findings in the task's message; all of them would not be read there."""


def look_ahead(storage: Storage, prefix: str, so_far: Presentation, stop: StopSignal, known: Known) -> None:
    """Reads what the checker will want of the segments of a film under way, as far as it is not known yet."""
    read_ahead(StorageReader(storage, prefix, {}, stop.check), _segments(so_far), known)


def _segments(presentation: Presentation) -> Iterator[tuple[Resource, Resource]]:
    """The segments as the manifests will name them, each with its init segment."""
    tracks: list[tuple[str, Track]] = [(names.video_path(t.name), t) for t in presentation.video]
    tracks += [(names.audio_path(t.name), t) for t in presentation.audio]
    tracks += [(names.IFRAMES, presentation.iframes)] if presentation.iframes else []
    for path, track in tracks:
        for number in range(1, len(track.segments) + 1):
            yield Resource(f"{path}/{names.INIT}"), Resource(f"{path}/{names.segment_name(number)}")
    for frame in presentation.iframes.frames if presentation.iframes else ():
        place = Resource(f"{names.IFRAMES}/{names.segment_name(frame.segment)}", frame.offset, frame.bytes)
        yield Resource(f"{names.IFRAMES}/{names.INIT}"), place


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
