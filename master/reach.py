"""From what a row names to a local file: a path, a URL, or a replay of several, each under the master's rules."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from master.fetch import fetch
from master.ranges import Ranges, ranges
from master.replay import AHEAD, Beside, Replay, is_replay
from master.sources import allow, is_remote, resolve
from raven.errors import SourceRefused
from raven.limits import Limits
from raven.process import StopSignal, run
from raven.sandbox import Box


@dataclass
class Reach:
    """Brings sources into `folder` where they are not files already."""

    roots: str | None
    folder: Path
    limits: Limits
    stop: StopSignal
    ffmpeg: str
    box: Box
    """Of an ffmpeg that works on a source's bytes."""
    stall_seconds: float
    _last: Path | None = field(default=None, init=False)
    _place: str = field(default="", init=False)

    def path(self, source: str, *, with_video: bool = True) -> tuple[str, Beside]:
        """The local file, or pipe, of a source, and what goes with it.

        Raises SourceRefused, SourceUnreadable, LimitExceeded, Unavailable, ProcessFailed.
        """
        if is_replay(source):
            replay = Replay(self.folder, self._bring, self.limits, self._remux)
            whole, beside = replay.assemble(source, with_video=with_video)
            self._forget()
            return str(whole), beside
        if is_remote(source):
            return str(self._fetch(source, "source")), Beside()
        return resolve(source, self.roots), Beside()

    def pieces(self, source: str) -> Ranges | None:
        """A remote source of which only what is read is fetched; None for what has to be there whole.

        Raises SourceRefused, SourceUnreadable, LimitExceeded, Unavailable.
        """
        if is_replay(source) or not is_remote(source):
            return None
        return ranges(source, self._target(source, "pieces"), self._allow, self.limits, self.stop)

    def _remux(self, source: Path, target: Path) -> None:
        """Makes MPEG-TS of fMP4. Raises SourceRefused where that has no name for a codec."""
        command = [
            self.ffmpeg, "-hide_banner", "-nostdin", "-y", "-loglevel", "warning", "-progress", "pipe:1",
            "-protocol_whitelist", "file,pipe", "-f", "mov", "-enable_drefs", "0",  # one file, and what is in it
            "-copyts", "-i", str(source),  # the sounds that lie apart have the same clock
            "-map", "0:v?", "-map", "0:a?", "-c", "copy",
            "-f", "mpegts", "-mpegts_copyts", "1", "-output_ts_offset", str(AHEAD), str(target),
        ]  # fmt: skip
        said = run(command, self.stop, None, self.box, self.stall_seconds)
        if "private data stream" in said:
            raise SourceRefused("the playlist changes its init segment or clock, and its codec cannot be joined there")

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
        return fetch(url, self._target(url, name), self._allow, self.limits, self.stop)

    def _target(self, url: str, name: str) -> Path:
        ending = re.search(r"\.[A-Za-z0-9]{1,5}$", url.partition("?")[0].partition("#")[0])
        return self.folder / (name + (ending[0] if ending else ""))  # some formats are known by it

    def _allow(self, place: str) -> str:
        return allow(place, self.roots)
