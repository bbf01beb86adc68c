"""The three ports and their promises. Adapters move bytes and rows and know no policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DatabaseAbout:
    """What a database says of itself."""

    name: str
    version: str
    clock: float | None
    """Seconds since 1970; None where it has no clock of its own."""


class Database(Protocol):
    """SQL that MariaDB and SQLite both understand; `?` marks a parameter.

    Every method raises Unavailable when the server does not answer; the next call connects again.
    """

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs one statement; the number of rows that it changed (matched, not only altered)."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT, by column name."""

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside count together or not at all."""

    def script(self, sql: str) -> None:
        """Runs a script in which each statement ends with a line."""

    def about(self) -> DatabaseAbout:
        """Its name, version and clock."""

    def close(self) -> None: ...


class Delivery(Protocol):
    """One message taken from a queue, held until `ack` or `reject`; else the queue hands it out again."""

    body: bytes

    def ack(self) -> None:
        """Never raises: after a lost connection the message comes again, which every reader must bear."""

    def reject(self) -> None:
        """To the queue's dead letters."""


class Consumer(Protocol):
    """Takes messages. At most `prefetch` are held unacknowledged."""

    def take(self, timeout: float) -> Delivery | None:
        """The next message, or None after `timeout` seconds or while the broker is away."""

    def pause(self) -> None:
        """No message is handed to this consumer until the next `take`; none is hoarded during long work."""

    def close(self) -> None:
        """What it holds goes back to the queue, and what is still said of that counts no more."""


@dataclass(frozen=True)
class BrokerAbout:
    """What a broker that lets us in says of itself."""

    host: str
    version: str
    queues: Mapping[str, int | None]
    """Messages ready in each of Raven's queues; None for one that is not there."""
    faults: tuple[str, ...]
    """What it did not let us do, in its own words."""


class Broker(Protocol):
    """Durable queues with dead letters, and one fan-out for controls."""

    def publish(self, queue: str, body: bytes) -> None:
        """Returns when the broker has the message safely. Raises Unavailable."""

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        """The same for many, queue and body of each, in their order: which of them the broker has safely."""

    def consumer(self, queue: str, prefetch: int) -> Consumer: ...

    def broadcast(self, body: bytes) -> None:
        """To all who listen now. Raises Unavailable."""

    def listener(self) -> Consumer:
        """Takes what is broadcast from now on; its deliveries need no ack."""

    def depth(self, queue: str) -> int:
        """Messages ready in `queue`. Raises Unavailable."""

    def connected_since(self) -> float | None:
        """Monotonic time since when messages can arrive, None while the broker is away."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Entry:
    """One stored object."""

    key: str
    bytes: int


DELETE_BATCH = 1000
"""Keys that are removed at once."""


def nothing() -> None:
    """The check of whoever has nothing to ask."""


class Storage(Protocol):
    """Objects under keys. Raises Unavailable when the store does not answer, ObjectMissing for an absent key."""

    def put(self, key: str, content: bytes | Path) -> None:
        """Atomic: readers see the whole object or none; an object of that key is replaced."""

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start`, or all the rest."""

    def fetch(self, key: str, path: Path) -> None:
        """Copies the object into the file `path`. Raises NoRoom when that one's disk is full."""

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """All objects whose keys start with `prefix` and come after `after`, in order of keys."""

    def delete(self, keys: Sequence[str]) -> None:
        """Removes these objects, whether they are there or not; at most DELETE_BATCH."""

    def delete_prefix(self, prefix: str, check: Callable[[], None] = nothing) -> int:
        """Removes all objects under `prefix` and returns their number; finishes or raises, safe to repeat.

        `check` is called before each request that removes some, DELETE_BATCH at most; what it raises ends the removal.
        """

    def leftovers(self, seconds: float, *, remove: bool) -> int:
        """Parts of Raven's objects that killed writers left longer ago than `seconds`, to be removed or not; their
        number."""

    def url(self, key: str) -> str:
        """Where a client finds the object."""
