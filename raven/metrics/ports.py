"""Database and storage with a stop-watch: what they do is what those behind them do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Histogram

from raven.errors import Standby, Unavailable
from raven.metrics import definitions as counted
from raven.ports import Broker, Database, DatabaseAbout, Entry, Row, Storage, nothing


class _Watch:
    """Measures operations of one server."""

    def __init__(self, seconds: Histogram, errors: Counter, *operations: str) -> None:
        self._errors = errors
        self._seconds = {operation: seconds.labels(operation) for operation in operations}

    @contextmanager
    def time(self, operation: str) -> Iterator[None]:
        """Also what fails takes its time. That another watcher is at work is no fault of the server."""
        begun = time.perf_counter()
        try:
            yield
        except Standby:
            raise
        except Unavailable as error:
            self._errors.labels(type(error).__name__).inc()
            raise
        finally:
            self._seconds[operation].observe(time.perf_counter() - begun)


def watch_broker(broker: Broker) -> None:
    """Each scrape shows whether it is connected; a process has one broker."""
    counted.BROKER_CONNECTED.set_function(lambda: broker.connected_since() is not None)


class MeteredDatabase:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._watch = _Watch(
            counted.DATABASE_SECONDS, counted.DATABASE_ERRORS, "execute", "query", "begin", "commit", "script"
        )

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._watch.time("execute"):
            return self._database.execute(sql, parameters)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._watch.time("query"):
            return self._database.query(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Of the time within one, the statements are measured by themselves."""
        inner = self._database.transaction()
        with self._watch.time("begin"):
            inner.__enter__()
        try:
            yield
        except BaseException:
            if not inner.__exit__(*sys.exc_info()):
                raise
        else:
            with self._watch.time("commit"):
                inner.__exit__(None, None, None)

    def script(self, sql: str) -> None:
        with self._watch.time("script"):
            self._database.script(sql)

    def about(self) -> DatabaseAbout:
        return self._database.about()

    def close(self) -> None:
        self._database.close()


class MeteredStorage:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._watch = _Watch(
            counted.STORAGE_SECONDS, counted.STORAGE_ERRORS, "put", "get", "fetch", "list", "delete", "leftovers"
        )
        self._bytes = {operation: counted.STORAGE_BYTES.labels(operation) for operation in ("put", "get", "fetch")}

    def put(self, key: str, content: bytes | Path) -> None:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        with self._watch.time("put"):
            self._storage.put(key, content)
        self._bytes["put"].inc(size)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        with self._watch.time("get"):
            content = self._storage.get(key, start, length)
        self._bytes["get"].inc(len(content))
        return content

    def fetch(self, key: str, path: Path) -> None:
        with self._watch.time("fetch"):
            self._storage.fetch(key, path)
        self._bytes["fetch"].inc(path.stat().st_size)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        found = self._storage.entries(prefix, after)
        with self._watch.time("list"):
            first = next(found, None)
        if first is not None:
            yield first
            yield from found

    def delete(self, keys: Sequence[str]) -> None:
        with self._watch.time("delete"):
            self._storage.delete(keys)

    def delete_prefix(self, prefix: str, check: Callable[[], None] = nothing) -> int:
        with self._watch.time("delete"):
            return self._storage.delete_prefix(prefix, check)

    def leftovers(self, seconds: float, *, remove: bool) -> int:
        with self._watch.time("leftovers"):
            return self._storage.leftovers(seconds, remove=remove)

    def url(self, key: str) -> str:
        return self._storage.url(key)
