"""Publisher confirms of one channel: what is in flight under which number, and what the broker said. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from itertools import takewhile
from typing import NamedTuple


class Message(NamedTuple):
    """What is published. `mandatory`: the broker returns it when no queue takes it."""

    exchange: str
    key: str
    body: bytes
    mandatory: bool = True


class Batch:
    """Messages that are published together. `answered` has a result once the broker has spoken of each of them."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.taken = [False] * len(messages)
        self.answered: Future[None] = Future()
        self._left = len(messages)

    def settle(self, place: int, taken: bool) -> None:
        """The broker has the message at `place` safely, or does not want it."""
        self.taken[place] = taken
        self._left -= 1
        if self._left == 0 and not self.answered.done():
            self.answered.set_result(None)


class Confirms:
    """The messages of one channel that wait for the broker's word, which may come for many of them at once."""

    def __init__(self) -> None:
        self.next = 1
        """The number that the broker gives to the next message."""
        self._in_flight: dict[int, tuple[Batch, int]] = {}  # in the order of their numbers
        self._returned: set[int] = set()

    def sent(self, batch: Batch, place: int) -> None:
        """The message at `place` is on its way, as number `next`."""
        self._in_flight[self.next] = batch, place
        self.next += 1

    def returned(self, number: int) -> None:
        """No queue takes it; the broker says so before it confirms that it has dealt with the message."""
        self._returned.add(number)

    def answered(self, number: int, multiple: bool, taken: bool) -> None:
        """An ack or nack: of this message, or of all up to it."""
        numbers = list(takewhile(lambda n: n <= number, self._in_flight)) if multiple else [number]
        for each in numbers:
            batch, place = self._in_flight.pop(each)
            batch.settle(place, taken and each not in self._returned)
            self._returned.discard(each)
