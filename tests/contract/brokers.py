"""The two brokers under contract, and a way to cut one off."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from raven.config import Settings
from raven.ports import Broker
from raven.wiring import open_broker
from tests.servers.process import HOST
from tests.waiting import wait_until

BOTH = [pytest.param("local"), pytest.param("rabbitmq", marks=pytest.mark.servers)]
Join = Callable[[], Broker]


def joining(kind: str, request: pytest.FixtureRequest) -> Iterator[Join]:
    """A function that gives one more program its broker: its own connection, or the one of the process."""
    if kind == "local":
        shared = open_broker(Settings(broker="local:"))
        yield lambda: shared
        return
    url = request.getfixturevalue("rabbitmq_url")
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(connected(url))


@contextlib.contextmanager
def connected(url: str) -> Iterator[Broker]:
    """A connection to RabbitMQ that stands."""
    broker = open_broker(Settings(broker=url))
    try:
        wait_until(lambda: broker.connected_since() is not None, "the broker is connected")
        yield broker
    finally:
        broker.close()


class Relay:
    """A TCP relay on a port of its own, which can be cut and mended as a cable, or swallow what is sent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._whole = threading.Event()
        self._whole.set()
        self._passes = True
        self.swallowed = 0
        """Bytes that went in and did not come out."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self) -> None:
        """Breaks all connections; new ones are closed as soon as they come."""
        self._whole.clear()
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def swallow(self) -> None:
        """Takes all connections and all that is sent, and passes nothing on, as a dead machine behind a live router."""
        self._passes = False

    def mend(self) -> None:
        """Relays new connections again."""
        self._passes = True
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                near, _ = self._listener.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection((HOST, self._target))
                self._pairs.append((near, far))
                threading.Thread(target=self._copy, args=(near, far), name="relay", daemon=True).start()

    def _copy(self, near: socket.socket, far: socket.socket) -> None:
        """Carries bytes both ways until one end is closed; once it has swallowed some, it never passes anything."""
        ends, dead = [near, far], False
        with near, far, contextlib.suppress(OSError):
            while True:
                for end in select.select(ends, [], [])[0]:
                    data = _received(end)
                    dead = dead or not self._passes
                    if not data and (end is near or not dead):
                        return
                    if not data:
                        ends.remove(far)  # near must not learn of it
                    elif dead:
                        self.swallowed += len(data)
                    else:
                        (far if end is near else near).sendall(data)


def _received(end: socket.socket) -> bytes:
    """Some bytes, or none at its end, however it came to it."""
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""
