"""Where a tree's bytes come from: a folder, a web server, Raven's storage. Nothing outside of the tree is read."""

from __future__ import annotations

import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from raven.check.tree import Served
from raven.errors import ObjectMissing
from raven.ports import Storage

TIMEOUT_SECONDS = 20.0
MAX_TEXT = 16 << 20
"""Bytes of a playlist or MPD: a day of 2 s segments has under 4 MB."""

SMALL = 256 << 10
"""Bytes of a file that is fetched whole: a request costs more than they do, and a segment is asked for in pieces."""


class ReadError(Exception):
    """A file of the tree cannot be read; the message says why."""


class Redirected(ReadError):
    """The server names another place for it."""


class Reader(Protocol):
    """A tree of files under relative paths. Raises ReadError for what cannot be read."""

    origin: str | None
    """`scheme://host:port` for a tree on the net."""
    parallel: int
    """How many reads side by side make sense."""

    def read(self, path: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`, less at the end of the file."""

    def size(self, path: str) -> int: ...

    def expect(self, paths: Collection[str]) -> None:
        """These are going to be read."""

    def names(self) -> tuple[str, ...]:
        """Files at the root, where the kind of tree can list them."""

    def served(self) -> Mapping[str, Served]:
        """How the files that were read are delivered, where that is known."""


class DirectoryReader:
    """A folder; links that lead out of it are not followed."""

    origin: str | None = None
    parallel = 1

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def _file(self, path: str) -> Path:
        file = (self._root / path).resolve()
        if not file.is_relative_to(self._root):
            raise ReadError("lies outside of the folder")
        if not file.is_file():
            raise ReadError("there is no such file")
        return file

    def read(self, path: str, start: int, length: int) -> bytes:
        try:
            with self._file(path).open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            raise ReadError(str(error.strerror)) from error

    def size(self, path: str) -> int:
        try:
            return self._file(path).stat().st_size
        except OSError as error:
            raise ReadError(str(error.strerror)) from error

    def expect(self, paths: Collection[str]) -> None:
        pass

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(f.name for f in self._root.iterdir() if f.is_file()))

    def served(self) -> Mapping[str, Served]:
        return {}


class StorageReader:
    """A prefix of Raven's storage, under texts that are not stored yet.

    Sizes come from listings: of a long film that was read ahead only the last objects of each folder are wanted.
    """

    origin: str | None = None
    parallel = 24  # a gateway with Nagle's algorithm, RGW's default, takes 40 ms for the smallest answer

    def __init__(self, storage: Storage, prefix: str, texts: Mapping[str, str], stop: Callable[[], None]) -> None:
        self._storage = storage
        self._prefix = prefix
        self._texts = {path: text.encode() for path, text in texts.items()}
        self._sizes: dict[str, int] = {}
        self._stop = stop
        self._small = lru_cache(maxsize=4 * self.parallel)(self._beginning)

    def expect(self, paths: Collection[str]) -> None:
        stored = sorted((path for path in paths if path not in self._texts), reverse=True)
        first = {path.rpartition("/")[0]: path for path in stored}
        with ThreadPoolExecutor(self.parallel) as pool:
            for sizes in pool.map(self._listed_from, first.values()):
                self._sizes |= sizes

    def _listed_from(self, path: str) -> dict[str, int]:
        """Sizes in its folder from this path on."""
        self._stop()
        folder = path[: path.rfind("/") + 1]
        found = self._storage.entries(self._prefix + folder, self._prefix + path[:-1])
        return {entry.key.removeprefix(self._prefix): entry.bytes for entry in found}

    def read(self, path: str, start: int, length: int) -> bytes:
        self._stop()
        if path in self._texts:
            return self._texts[path][start : start + length]
        size = self.size(path)
        if start >= size:
            return b""
        if size <= SMALL:
            return self._small(path)[start : start + length]
        return self._get(path, start, length)

    def _beginning(self, path: str) -> bytes:
        """A small file as a whole; of another more than a small one has."""
        return self._get(path, 0, SMALL + 1)

    def _get(self, path: str, start: int, length: int) -> bytes:
        try:
            return self._storage.get(self._prefix + path, start, length)
        except ObjectMissing as error:
            raise ReadError("there is no such object") from error

    def size(self, path: str) -> int:
        if path in self._texts:
            return len(self._texts[path])
        if path not in self._sizes:
            found = len(self._small(path))
            self._sizes |= {path: found} if found <= SMALL else self._listed_from(path)
        return self._sizes[path]

    def names(self) -> tuple[str, ...]:
        stored = (entry.key.removeprefix(self._prefix) for entry in self._storage.entries(self._prefix))
        return tuple(sorted(name for name in {*self._texts, *stored} if "/" not in name))

    def served(self) -> Mapping[str, Served]:
        return {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Apple 8.18 forbids redirects; and one could lead to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class HttpReader:
    """One web server by range requests, with http and https alone and without redirects."""

    parallel = 8

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.origin: str | None = f"{parts.scheme}://{parts.netloc}"
        self._opener = urllib.request.OpenerDirector()
        handlers = (urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.ProxyHandler, _NoRedirect)
        errors = (urllib.request.HTTPErrorProcessor, urllib.request.HTTPDefaultErrorHandler)
        for handler in (*handlers, *errors):
            self._opener.add_handler(handler())
        self._sizes: dict[str, int] = {}
        self._served: dict[str, Served] = {}

    def _open(self, path: str, headers: dict[str, str], method: str = "GET") -> HTTPResponse:
        request = urllib.request.Request(f"{self.origin}/{path}", headers=headers, method=method)  # noqa: S310 - http(s) only
        try:
            response: HTTPResponse = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            answer = f"the server answers {error.code} {error.reason}"
            if error.code // 100 == 3:
                raise Redirected(f"{answer} to {error.headers.get('Location', '')[:80]}") from error
            raise ReadError(answer) from error
        except (OSError, HTTPException, ValueError) as error:
            raise ReadError(f"the server does not answer: {getattr(error, 'reason', error)}") from error
        if response.status // 100 != 2:
            response.close()
            raise ReadError(f"the server answers {response.status}")
        return response

    def read(self, path: str, start: int, length: int) -> bytes:
        text = _is_text(path)
        headers = {"Accept-Encoding": "gzip"} if text else {"Range": f"bytes={start}-{start + length - 1}"}
        with self._open(path, headers) as response:
            gzip = response.headers.get("Content-Encoding", "") == "gzip"
            self._served[path] = Served(response.headers.get_content_type(), gzip)
            try:
                body = _body(response, start if response.status == 200 else 0, length, gzip=gzip)
            except (OSError, HTTPException, zlib.error) as error:
                raise ReadError(f"the answer breaks off: {error}") from error
            self._note_size(path, response, len(body) if text else None)
        return body

    def _note_size(self, path: str, response: HTTPResponse, known: int | None) -> None:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        size = total if response.status == 206 else response.headers.get("Content-Length", "")
        if known is not None:
            self._sizes[path] = known
        elif size.isdecimal():
            self._sizes[path] = int(size)

    def size(self, path: str) -> int:
        if path not in self._sizes:
            self.read(path, 0, MAX_TEXT if _is_text(path) else 1)
        if path not in self._sizes:
            raise ReadError("the server does not tell its size")
        return self._sizes[path]

    def expect(self, paths: Collection[str]) -> None:
        pass

    def names(self) -> tuple[str, ...]:
        return ()

    def served(self) -> Mapping[str, Served]:
        return self._served


def _is_text(path: str) -> bool:
    """Whether a file is read whole, and may come compressed."""
    return path.partition("?")[0].endswith((".m3u8", ".m3u", ".mpd", ".vtt"))


def _body(response: HTTPResponse, skip: int, length: int, *, gzip: bool) -> bytes:
    """`length` bytes after the first `skip`, however much the server would send."""
    if not gzip:
        while skip > 0:
            skip -= len(response.read(min(skip, 1 << 20)) or b" " * skip)
        return response.read(length)
    unzip = zlib.decompressobj(wbits=31)
    body = b""
    while len(body) < skip + length and (piece := response.read(1 << 16)):
        body += unzip.decompress(piece, skip + length - len(body))
    return body[skip : skip + length]
