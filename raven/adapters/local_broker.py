"""The broker port inside one process: the embedded farm's. What is queued is gone with the process."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict, deque

from raven.ports import Consumer


class _Held:
    """A delivery; a rejected one goes to the dead letters."""

    def __init__(self, body: bytes, dead: deque[bytes]) -> None:
        self.body = body
        self._dead = dead

    def ack(self) -> None:
        """Taken for good when it was handed out: a process does not lose its own threads."""

    def reject(self) -> None:
        self._dead.append(self.body)


class _Consumer:
    def __init__(self, source: queue.SimpleQueue[bytes], dead: deque[bytes]) -> None:
        self._source, self._dead = source, dead

    def take(self, timeout: float) -> _Held | None:
        try:
            return _Held(self._source.get(timeout=max(timeout, 0.001)), self._dead)
        except queue.Empty:
            return None

    def pause(self) -> None:
        """Nothing is handed over but by `take`."""

    def close(self) -> None:
        """Nothing to release."""


class LocalBroker:
    """Queues of one process, shared by all its threads."""

    def __init__(self) -> None:
        self._queues: dict[str, queue.SimpleQueue[bytes]] = defaultdict(queue.SimpleQueue)
        self._dead: dict[str, deque[bytes]] = defaultdict(deque)
        self._listeners: list[queue.SimpleQueue[bytes]] = []
        self._lock = threading.Lock()
        self._since = time.monotonic()

    def publish(self, queue: str, body: bytes) -> None:
        with self._lock:
            self._queues[queue].put(body)

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        with self._lock:
            return _Consumer(self._queues[queue], self._dead[queue])

    def broadcast(self, body: bytes) -> None:
        with self._lock:
            for listener in self._listeners:
                listener.put(body)

    def listener(self) -> Consumer:
        with self._lock:
            own: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            self._listeners.append(own)
            return _Consumer(own, deque())

    def depth(self, queue: str) -> int:
        return self._queues[queue].qsize()

    def connected_since(self) -> float | None:
        return self._since

    def close(self) -> None:
        """Nothing to release."""
