"""What the jobs that finish a task need of the machine."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from raven.check.load import Known
from raven.ports import Storage
from raven.process import StopSignal

FETCHES = 24  # side by side: as a gateway may take 40 ms for the smallest answer (Nagle), as RGW does by default


MOST_TASKS = 20
"""Films whose segments this master remembers: one of two hours and six rungs takes about 30 MB."""


class KnownSegments:
    """What announcing a film has read of its segments, so that publishing it need not read them again.

    A cache and no more: another master, or this one after a restart, reads them all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: OrderedDict[tuple[int, str], Known] = OrderedDict()

    def of(self, task: int, way: str) -> Known:
        """Of a task whose source came in this way: another way makes other bytes."""
        with self._lock:
            known = self._tasks.setdefault((task, way), {})
            self._tasks.move_to_end((task, way))
            while len(self._tasks) > MOST_TASKS:
                self._tasks.popitem(last=False)
            return known

    def forget(self, task: int) -> None:
        with self._lock:
            for key in [key for key in self._tasks if key[0] == task]:
                del self._tasks[key]


@dataclass(frozen=True)
class MediaTools:
    """Storage, ffmpeg, and a folder for temporary files, None for the system's."""

    storage: Storage
    ffmpeg: str
    temporary: Path | None
    known: KnownSegments = field(default_factory=KnownSegments)

    def fetch_all(self, wanted: Iterable[tuple[str, Path]], stop: StopSignal) -> None:
        """Copies objects into files, several side by side. Raises Cancelled between two of them when stopped."""

        def fetch(key: str, path: Path) -> None:
            stop.check()
            self.storage.fetch(key, path)

        with ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch") as pool:
            for future in [pool.submit(fetch, key, path) for key, path in wanted]:
                future.result()
