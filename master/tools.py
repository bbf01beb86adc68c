"""What the jobs that finish a task need of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from raven.ports import Storage
from raven.process import StopSignal

FETCHES = 8  # side by side; more gains nothing


@dataclass(frozen=True)
class MediaTools:
    """Storage, ffmpeg, and a folder for temporary files, None for the system's."""

    storage: Storage
    ffmpeg: str
    temporary: Path | None

    def fetch_all(self, wanted: Iterable[tuple[str, Path]], stop: StopSignal) -> None:
        """Copies objects into files, several side by side. Raises Cancelled between two of them when stopped."""

        def fetch(key: str, path: Path) -> None:
            stop.check()
            self.storage.fetch(key, path)

        with ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch") as pool:
            for future in [pool.submit(fetch, key, path) for key, path in wanted]:
                future.result()
