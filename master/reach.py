"""From what a row names to a local file: a path, a URL, or a replay of several, each under the master's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from master.fetch import fetch
from master.replay import assemble, is_replay
from master.sources import allow, is_remote, resolve
from raven.limits import Limits
from raven.process import StopSignal


@dataclass
class Reach:
    """Brings sources into `folder` where they are not files already."""

    roots: str | None
    folder: Path
    limits: Limits
    stop: StopSignal
    _last: Path | None = field(default=None, init=False)
    _place: str = field(default="", init=False)

    def path(self, source: str) -> str:
        """The local file, or pipe, of a source. Raises SourceRefused, SourceUnreadable, LimitExceeded, Unavailable."""
        if is_replay(source):
            whole = assemble(source, self.folder / "replay", self._bring, self.limits.check_bytes)
            self._forget()
            return str(whole)
        if is_remote(source):
            return str(self._fetch(source, "source"))
        return resolve(source, self.roots)

    def _bring(self, place: str) -> Path:
        """A playlist or piece as a file; the one before is gone, so that one at a time takes room."""
        if not is_remote(place):
            return Path(resolve(place, self.roots))
        if place != self._place or self._last is None:  # byte ranges name one file again and again
            self._forget()
            self._last, self._place = self._fetch(place, "piece"), place
        return self._last

    def _forget(self) -> None:
        if self._last is not None:
            self._last.unlink()
            self._last = None

    def _fetch(self, url: str, name: str) -> Path:
        ending = re.search(r"\.[A-Za-z0-9]{1,5}$", url.partition("?")[0].partition("#")[0])
        target = self.folder / (name + (ending[0] if ending else ""))  # some formats are known by it
        return fetch(url, target, lambda place: allow(place, self.roots), self.limits, self.stop)
