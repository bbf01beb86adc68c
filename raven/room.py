"""Who of a daemon's slots may take a job, so that what they run at once fits into the host.

One slot at a time takes from the queue, and it runs what it has got as soon as there is room: until then no other one
takes any, so a large job is not starved by small ones, and a node never holds back more than one job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raven.capacity import USUAL, Share, fits, how_many
from raven.errors import Cancelled
from raven.process import StopSignal


class Room:
    """Of one lane. Safe to use from all threads."""

    def __init__(self, whole: Share | None, slots: int, tell: Callable[[], None]) -> None:
        """`whole`: what the host has; None where somebody has said how many slots there are, whatever their jobs take.

        `tell` is called when the number of slots is another one.
        """
        self._whole, self._most, self._tell = whole, slots, tell
        self._changed = threading.Condition()
        self._taken: list[Share] = []
        self._last = USUAL
        self._taker: int | None = None
        """The thread whose turn it is to take a job."""
        self._waits = self._closed = False
        """Whether it has one, for which there is no room yet."""
        self._told = self.slots

    @property
    def slots(self) -> int:
        """What runs or is about to, and how many more jobs like the last one would fit."""
        if self._whole is None:
            return self._most
        with self._changed:
            waiting = len(self._taken) + self._waits
            more = 0 if self._waits else how_many(self._whole, self._taken, self._last)
            return min(self._most, waiting + more)

    def turn(self, seconds: float) -> bool:
        """Whether the caller may take a job now; it may then until it enters with one, or passes its turn."""
        if self._whole is None:
            return True
        whole, me = self._whole, threading.get_ident()

        def free() -> bool:
            return self._closed or self._taker == me or (self._taker is None and fits(whole, self._taken, self._last))

        with self._changed:
            if self._changed.wait_for(free, seconds) and not self._closed:
                self._taker = me
            return self._taker == me

    def pass_turn(self) -> None:
        """The caller takes no job for now."""
        with self._changed:
            if self._taker == threading.get_ident():
                self._taker = None
                self._changed.notify_all()

    @contextmanager
    def entered(self, share: Share, stop: StopSignal) -> Iterator[None]:
        """With room for this, as soon as there is. Raises Cancelled when it is stopped, or the room closed, before."""
        if self._whole is None:
            yield
            return
        self._enter(self._whole, share, stop)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(share)
                self._changed.notify_all()
            self._say()

    def _enter(self, whole: Share, share: Share, stop: StopSignal) -> None:
        try:
            with self._changed:
                self._waits = True
                self._changed.wait_for(lambda: stop or self._closed or fits(whole, self._taken, share))
                self._waits = False
                if stop or (self._closed and not fits(whole, self._taken, share)):
                    raise Cancelled("stopped")
                self._last = share
                self._taken.append(share)
        finally:
            self.pass_turn()
            self._say()

    def _say(self) -> None:
        slots = self.slots
        with self._changed:
            is_news, self._told = slots != self._told, slots
        if is_news:
            self._tell()

    def look(self) -> None:
        """Something was stopped: it may be what waits here."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes a job any more, and what waits for room is given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
