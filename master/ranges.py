"""A remote source of which only what is looked at is fetched: a file with holes, filled as they are asked for.

For a task that wants no more than a film's metadata. Whoever reads the file asks before each hole (`raven/intake.py`),
so what is found out is what the whole file would tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from master.fetch import BLOCK, Allow, Broken, answered, object_size, of_source, patiently, room, tag_of
from raven.errors import ProcessFailed, SourceUnreadable, Unavailable
from raven.intake import PIECE_BYTES
from raven.limits import Limits
from raven.process import StopSignal
from raven.wiring import open_bucket

MOST_AHEAD = 16
"""Pieces fetched at once where one after the other is asked for."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass
class Ranges:
    """A file as long as the source. `get`: the bytes from a place on."""

    path: Path
    size: int
    get: Callable[[int, int], bytes]
    here: set[int] = field(default_factory=set)
    _next: int = 0
    _ahead: int = 1

    def __post_init__(self) -> None:
        self.path.touch()
        with self.path.open("r+b") as file:
            file.truncate(self.size)

    def bring(self, piece: int) -> None:
        """Makes this piece be there. Raises ProcessFailed for one that the source does not have."""
        if not 0 <= piece * PIECE_BYTES < self.size:
            raise ProcessFailed(f"the cutter asks for piece {piece} of a source of {self.size} bytes")
        if piece in self.here:
            return
        self._ahead = min(2 * self._ahead, MOST_AHEAD) if piece == self._next else 1
        start, self._next = piece * PIECE_BYTES, piece + self._ahead
        length = min(self._ahead * PIECE_BYTES, self.size - start)
        room(self.path, length)
        content = self.get(start, length)
        if len(content) != length:
            raise Unavailable(f"the source changed while it was looked at: {len(content)} of {length} bytes came")
        with self.path.open("r+b") as file:
            file.seek(start)
            file.write(content)
        self.here.update(range(piece, self._next))


def ranges(url: str, target: Path, allow: Allow, limits: Limits, stop: StopSignal) -> Ranges | None:
    """An allowed http(s) or s3 URL in pieces; None where its server gives none.

    Raises SourceRefused, SourceUnreadable, LimitExceeded, Unavailable, Cancelled.
    """
    place = allow(url)
    if urlsplit(place).scheme == "s3":
        bucket, key = open_bucket(place)
        with of_source():
            size = object_size(bucket, key, place)
        limits.check_bytes(size)

        def get(start: int, length: int) -> bytes:
            with of_source():
                return bucket.get(key, start, length)

        return Ranges(target, size, get) if size else None
    server = _Server(url, allow, stop)
    with suppress(SourceUnreadable):  # the whole file may be given, or tell better what is wrong
        patiently(url, server.look, stop)
    if not server.size or server.tag is None:  # without a tag the pieces might be of two versions
        return None
    limits.check_bytes(server.size)
    return Ranges(target, server.size, server.get)


@dataclass
class _Server:
    """An http(s) server, asked for pieces of one version of a file."""

    url: str
    allow: Allow
    stop: StopSignal
    size: int = 0
    tag: str | None = None

    def look(self) -> None:
        """Whether it gives pieces, and of how large a file. Raises Broken."""
        with answered(self.url, {"Range": "bytes=0-0"}, self.allow) as answer:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status == 206 and found and (found[1], found[2]) == ("0", "0"):
                self.size, self.tag = int(found[3]), tag_of(answer)

    def get(self, start: int, length: int) -> bytes:
        content = bytearray()

        def go_on() -> None:
            first, last = start + len(content), start + length - 1
            headers = {"Range": f"bytes={first}-{last}", "If-Range": self.tag or ""}
            with answered(self.url, headers, self.allow) as answer:
                if answer.status != 206 or answer.headers.get("Content-Range") != f"bytes {first}-{last}/{self.size}":
                    raise Unavailable("the source changed while it was looked at")
                while len(content) < length and (block := answer.read(min(BLOCK, length - len(content)))):
                    self.stop.check()
                    content.extend(block)
            if len(content) < length:
                raise Broken(f"it ended after {len(content)} of {length} bytes")

        patiently(self.url, go_on, self.stop, lambda: len(content))
        return bytes(content)
