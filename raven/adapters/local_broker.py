"""The broker port inside one process: the embedded farm's. What is queued is gone with the process."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import compress

from raven import names
from raven.errors import Unavailable
from raven.ports import Consumer


# not SimpleQueue, whose get(timeout) can wait for ever when another thread snatches what woke it (CPython 3.11)
class _Queue(queue.Queue["bytes | None"]):
    """Ends with None once the broker is closed."""

    def put_back(self, bodies: Sequence[bytes]) -> None:
        """To where they were: before all else."""
        with self.mutex:
            self.queue.extendleft(reversed(bodies))
            self.not_empty.notify(len(bodies))


KNOWN = frozenset([*names.QUEUES, *map(names.dead_letters, names.QUEUES)])


class _Held:
    """A delivery; it comes again only if its consumer is closed, as a process does not lose its own threads."""

    def __init__(self, body: bytes, owner: _Consumer) -> None:
        self.body = body
        self._owner = owner

    def ack(self) -> None:
        self._owner.settle(self)

    def reject(self) -> None:
        if self._owner.settle(self):
            self._owner.dead.put(self.body)


class _Consumer:
    def __init__(self, source: _Queue, dead: _Queue, prefetch: int, *, needs_ack: bool = True) -> None:
        self._source, self.dead = source, dead
        self._free = threading.Semaphore(prefetch)
        self._held: dict[_Held, None] = {}
        self._needs_ack = needs_ack

    def take(self, timeout: float) -> _Held | None:
        deadline = time.monotonic() + max(timeout, 0.001)
        if not self._free.acquire(timeout=max(timeout, 0.001)):
            return None
        body = self._next(deadline)
        if body is None:
            self._free.release()
            return None
        held = _Held(body, self)
        if self._needs_ack:
            self._held[held] = None
        return held

    def settle(self, held: _Held) -> bool:
        """Whether it was still held."""
        if held not in self._held:
            return False
        del self._held[held]
        self._free.release()
        return True

    def _next(self, deadline: float) -> bytes | None:
        try:
            body = self._source.get(timeout=max(deadline - time.monotonic(), 0.001))
            if body is None:  # the end is for all who wait; what was published after it still comes
                self._source.put(None)
                body = self._source.get_nowait()
        except queue.Empty:
            return None
        if body is None:
            self._source.put(None)
        return body

    def pause(self) -> None:
        """Nothing is handed over but by `take`."""

    def close(self) -> None:
        held, self._held = self._held, {}
        self._source.put_back([delivery.body for delivery in held])


class LocalBroker:
    """Queues of one process, shared by all its threads."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = defaultdict(_Queue)
        self._listeners: list[_Queue] = []
        self._lock = threading.Lock()
        self._since = time.monotonic()

    def publish(self, queue: str, body: bytes) -> None:
        if queue not in KNOWN:
            raise Unavailable(f"there is no queue {queue}")
        with self._lock:
            self._queues[queue].put(body)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        taken = [queue in KNOWN for queue, _ in messages]
        for message in compress(messages, taken):
            self.publish(*message)
        return taken

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        with self._lock:
            return _Consumer(self._queues[queue], self._queues[names.dead_letters(queue)], prefetch)

    def broadcast(self, body: bytes) -> None:
        with self._lock:
            for listener in self._listeners:
                listener.put(body)

    def listener(self) -> Consumer:
        with self._lock:
            own = _Queue()
            self._listeners.append(own)
            return _Consumer(own, _Queue(), sys.maxsize, needs_ack=False)

    def depth(self, queue: str) -> int:
        return self._queues[queue].qsize()

    def connected_since(self) -> float | None:
        return self._since

    def close(self) -> None:
        """Nobody waits any more for a job or a report: who takes gets what is there, or None at once.

        Listeners wait on: they hear to the very end, and ask again and again.
        """
        with self._lock:
            for waited in self._queues.values():
                waited.put(None)
