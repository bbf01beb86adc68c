"""Fetching remote sources into the master's own space: http(s) with resume, s3. The child that cuts has no network."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from raven.errors import FULL, NoRoom, SourceAway, SourceUnreadable, StorageAway, Unavailable
from raven.limits import Limits
from raven.ports import Storage
from raven.process import StopSignal
from raven.wiring import open_bucket

TIMEOUT = 30.0
"""Seconds without a byte before the connection counts as broken."""
RETRIES = 5  # in a row without a byte; each waits twice as long
FIRST_WAIT = 0.5
BLOCK = 1 << 18
SPARE_BYTES = 256 << 20
"""Of disk that a download leaves free: the chunks need room too."""
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})

Allow = Callable[[str], str]
"""Gives an allowed URL back, raises SourceRefused for any other."""


class Broken(Exception):
    """The connection broke; what has come stays."""


class _Redirects(HTTPRedirectHandler):
    """Follows only to where a source may lie."""

    def __init__(self, allow: Allow) -> None:
        self._allow = allow

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            self._allow(newurl)
        except BaseException:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def patiently(url: str, go_on: Callable[[], None], stop: StopSignal, have: Callable[[], int] = lambda: 0) -> None:
    """Calls `go_on` until it does not raise Broken; `have` grows where it has brought something all the same.

    Raises Unavailable after several tries in a row without a byte.
    """
    failures = 0
    while True:
        before = have()
        try:
            return go_on()
        except Broken as error:
            failures = 0 if have() > before else failures + 1
            if failures >= RETRIES:
                raise Unavailable(f"the source's server {_host(url)} does not answer: {error}") from error
            stop.wait(FIRST_WAIT * 2**failures)
            stop.check()


@contextmanager
def answered(url: str, headers: dict[str, str], allow: Allow) -> Iterator[Any]:
    """What the server says. Raises Broken, SourceUnreadable, SourceRefused."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "raven", **headers}
    try:
        with _opener(allow).open(Request(url, headers=headers), timeout=TIMEOUT) as answer:  # noqa: S310
            yield answer
    except HTTPError as error:
        error.close()
        if error.code in _LATER:
            raise Broken(f"status {error.code}") from error
        said = f"{_host(url)} says {error.code} {error.reason}"
        raise SourceUnreadable(f"the source cannot be fetched: {said}") from error
    except (URLError, http.client.HTTPException, OSError) as error:
        raise Broken(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _opener(allow: Allow) -> OpenerDirector:
    opener = OpenerDirector()  # no handler for file:, ftp: and data:
    handlers = (ProxyHandler(), HTTPHandler(), HTTPSHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor())
    for handler in (*handlers, _Redirects(allow)):
        opener.add_handler(handler)
    return opener


def tag_of(answer: Any) -> str | None:
    """The server's name for this very content, for If-Range."""
    etag = str(answer.headers.get("ETag", ""))
    return (etag if not etag.startswith("W/") else "") or answer.headers.get("Last-Modified")


@dataclass
class Download:
    """One URL on its way into one file."""

    url: str
    target: Path
    allow: Allow
    limits: Limits
    stop: StopSignal
    tag: str | None = None
    """The server's name for this very content, so that a resumed download never joins two versions."""

    def run(self) -> Path:
        """The file, whole. Raises SourceRefused, SourceUnreadable, LimitExceeded, Unavailable or Cancelled."""
        self.allow(self.url)
        self.target.touch()
        patiently(self.url, self._go_on, self.stop, lambda: self._size)
        return self.target

    @property
    def _size(self) -> int:
        return self.target.stat().st_size

    def _go_on(self) -> None:
        """From the first missing byte to the end. Raises Broken when the connection does not last so long."""
        have = self._size
        headers = {"Range": f"bytes={have}-", "If-Range": self.tag} if have and self.tag else {}
        with answered(self.url, headers, self.allow) as answer:
            self._take(answer, have)

    def _take(self, answer: Any, have: int) -> None:
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        resumed = answer.status == 206 and start is not None and int(start[1]) == have
        if answer.status == 206 and not resumed:
            self.tag = None  # then all of it is asked for
            raise Broken("it gives another piece than was asked for")
        length = answer.headers.get("Content-Length", "")
        at = have if resumed else 0
        end = at + int(length) if length.isdigit() else None
        self.tag = tag_of(answer)
        self.limits.check_bytes(end or at)
        with _room_kept(self.target), self.target.open("r+b") as file:
            file.truncate(at)
            file.seek(at)
            room(self.target, (end or at) - at)
            while block := answer.read(BLOCK):
                self.stop.check()
                at += len(block)
                self.limits.check_bytes(at)
                room(self.target, len(block))
                file.write(block)
        if end is not None and at < end:
            raise Broken(f"it ended after {at} of {end} bytes")


@contextmanager
def _room_kept(target: Path) -> Iterator[None]:
    """A full disk is no fault of the connection. Raises NoRoom."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise NoRoom(f"no room for the source in {target.parent}: {error.strerror}") from error
        raise


def room(target: Path, size: int) -> None:
    if shutil.disk_usage(target.parent).free < size + SPARE_BYTES:
        raise Unavailable(f"no room for the source in {target.parent}: {size} bytes and {SPARE_BYTES} more are needed")


def fetch(url: str, target: Path, allow: Allow, limits: Limits, stop: StopSignal) -> Path:
    """The content of an allowed http(s) or s3 URL as the file `target`."""
    place = allow(url)
    if urlsplit(place).scheme == "s3":
        return _fetch_object(place, target, limits)
    return Download(url, target, allow, limits, stop).run()


def _fetch_object(url: str, target: Path, limits: Limits) -> Path:
    bucket, key = open_bucket(url)
    with of_source():
        size = object_size(bucket, key, url)
        limits.check_bytes(size)
        room(target, size)
        bucket.fetch(key, target)
    return target


@contextmanager
def of_source() -> Iterator[None]:
    """Whoever has a source: one that is away must not look like the storage, without which this node can do nothing."""
    try:
        yield
    except StorageAway as error:
        raise SourceAway(str(error)) from error


def object_size(bucket: Storage, key: str, url: str) -> int:
    """Raises SourceUnreadable."""
    size = next((entry.bytes for entry in bucket.entries(key) if entry.key == key), None)
    if size is None:
        raise SourceUnreadable(f"the source {url.partition('?')[0]} does not exist")
    return size
