"""What can happen to messages: whoever can reach the broker can take, double, hold back, mix up and invent them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from raven import names

GARBAGE = (b"", b"\x00\xff{", b"{}", b'{"kind": "encode", "version": 99}', b'{"type": "done", "task": 1e400}')

VERSION, OTHER_VERSION = b'"version":1,', b'"version":0,'


class Post:
    """A connection to the broker of its own, and a memory of what it has seen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: list[tuple[str, bytes]] = []
        self.garbage: Counter[str] = Counter()
        """Messages that nobody can read, by queue."""

    def drop(self, queue: str, some: int) -> int:
        """Takes up to `some` messages that wait, for good; their number."""
        return self._rearrange(queue, some, lambda bodies: [])

    def double(self, queue: str, some: int) -> int:
        """Puts up to `some` messages that wait a second time behind the others."""
        return self._rearrange(queue, some, lambda bodies: bodies * 2)

    def mix(self, queue: str, some: int, dice: random.Random) -> int:
        """Changes the order of up to `some` messages that wait."""
        return self._rearrange(queue, some, lambda bodies: dice.sample(bodies, len(bodies)))

    def outdate(self, queue: str, some: int) -> int:
        """Gives up to `some` messages that wait a version that nobody here reads, as an update would; their number."""
        changed = self._rearrange(queue, some, lambda bodies: [body.replace(VERSION, OTHER_VERSION) for body in bodies])
        self.garbage[queue] += changed
        return changed

    def purge(self, queue: str) -> int:
        """Removes all that waits, as an administrator might; its number."""
        with self._channel() as channel:
            return int(channel.queue_purge(queue).method.message_count or 0)

    def replay(self, some: int, dice: random.Random) -> int:
        """Sends once more what was seen long ago; how many messages."""
        chosen = [dice.choice(self._seen) for _ in range(some)] if self._seen else []
        with self._channel() as channel:
            for queue, body in chosen:
                self._publish(channel, queue, body)
        return len(chosen)

    def litter(self, queue: str) -> int:
        """Publishes what nobody can read; how many messages."""
        with self._channel() as channel:
            for body in GARBAGE:
                self._publish(channel, queue, body)
            channel.basic_publish(names.CONTROL, "", GARBAGE[1])
        self.garbage[queue] += len(GARBAGE)
        return len(GARBAGE)

    def _rearrange(self, queue: str, some: int, how: Callable[[list[bytes]], list[bytes]]) -> int:
        with self._channel() as channel:
            bodies, tag = list[bytes](), 0
            while len(bodies) < some:
                found: Any = channel.basic_get(queue)  # the stub says str
                if found[0] is None:
                    break
                bodies.append(found[2])
                tag = found[0].delivery_tag
            self._seen += [(queue, body) for body in bodies if body not in GARBAGE]
            after = how(bodies)
            for body in after:
                self._publish(channel, queue, body)
            self.garbage[queue] += max(0, sum(b in GARBAGE for b in after) - sum(b in GARBAGE for b in bodies))
            if tag:
                channel.basic_ack(tag, multiple=True)
        return len(bodies)

    @staticmethod
    def _publish(channel: BlockingChannel, queue: str, body: bytes) -> None:
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        """With confirms, on a connection for it alone."""
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            if connection.is_open:
                connection.close()
