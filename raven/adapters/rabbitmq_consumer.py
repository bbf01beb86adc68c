"""Consumers on RabbitMQ: each has a channel of its own, and a new one after any loss."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

import structlog
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from raven import names
from raven.adapters.rabbitmq_link import Link

QUORUM = {"x-queue-type": "quorum"}  # survives a node of the broker

log = structlog.get_logger()


Declare = Callable[[Channel, str], None]
"""Sees to it that a queue is there, or closes the channel."""


def arguments(name: str) -> dict[str, Any]:
    """Of a queue: one for work sends what is rejected to its dead letters."""
    dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": names.dead_letters(name)}
    return QUORUM | dead if name in names.QUEUES else QUORUM


def declare(channel: Channel, name: str) -> None:
    """A durable queue; one for work is bound to its exchange."""
    channel.queue_declare(name, durable=True, arguments=arguments(name))
    if exchange := names.exchange_of(name):
        channel.queue_bind(name, exchange, routing_key=name)


class _Delivery:
    def __init__(self, owner: RabbitConsumer, channel: Channel, tag: int, body: bytes) -> None:
        self.body = body
        self.tag = tag
        self._owner, self._channel = owner, channel

    def ack(self) -> None:
        self._owner.answer(self._channel, lambda channel: channel.basic_ack(self.tag))

    def reject(self) -> None:
        self._owner.answer(self._channel, lambda channel: channel.basic_reject(self.tag, requeue=False))


class RabbitConsumer:
    """Takes from the queue `name`; without a name, what the control exchange says, which needs no ack."""

    def __init__(self, link: Link, name: str, prefetch: int, declare: Declare) -> None:
        self._link, self._name, self._prefetch, self._declare = link, name, prefetch, declare
        self._control = not name
        self._arrived: queue.Queue[_Delivery] = queue.Queue()
        self._wanted = self._used = False
        self._asked = False  # the link will look at what is wanted; asked but once, as its broker may be away for long
        self._channel: Channel | None = None
        self._tag = ""  # of the consumer on the channel, if there is one
        self.began = threading.Event()
        """Set once it has consumed for the first time."""

    def take(self, timeout: float) -> _Delivery | None:
        if not self._wanted:
            self._want(True)
        try:
            return self._arrived.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return None

    def pause(self) -> None:
        """Does not wait: the broker hears it before any ack that is given later, so it hands out nothing more."""
        if self._wanted:
            self._want(False)

    def close(self) -> None:
        self._wanted = False
        if self._used:
            self._link.submit(self._end)

    def _want(self, wanted: bool) -> None:
        self._wanted, self._used = wanted, True
        if not self._asked:
            self._asked = True
            self._link.submit(self._adjust)

    def answer(self, channel: Channel, how: Callable[[Channel], None]) -> None:
        """Acks or rejects on the channel that delivered; once that is lost, the tag is dead and nothing is said."""

        def on_thread() -> None:
            if not self._control and channel is self._channel and channel.is_open:
                how(channel)

        self._link.submit(on_thread)

    # on the link's thread

    def _adjust(self) -> None:
        self._asked = False  # before it looks, so that no later wish is missed
        if self._wanted:
            self.revive()
        else:
            self._stop()

    def revive(self) -> None:
        """Consumes, if it should and does not."""
        if not self._wanted or self._tag:
            return
        if self._channel is None:
            self._channel = self._link.channel(self._opened, self._lost)
        elif self._channel.is_open and self._name:
            self._tag = self._channel.basic_consume(
                self._name, self._on_message, auto_ack=self._control, callback=lambda _: self.began.set()
            )

    def _opened(self, channel: Channel) -> None:
        channel.add_on_cancel_callback(self._cancelled)
        channel.basic_qos(prefetch_count=self._prefetch)
        if self._control:
            channel.queue_declare("", exclusive=True, auto_delete=True, callback=self._named)
        else:
            self._declare(channel, self._name)  # somebody may have deleted it
            self.revive()

    def _named(self, frame: Any) -> None:
        self._name = str(frame.method.queue)
        if self._channel is not None:
            self._channel.queue_bind(self._name, names.CONTROL)
        self.revive()

    def _cancelled(self, frame: Any) -> None:
        """The broker has ended a consumer, as its queue was moved or deleted."""
        if frame.method.consumer_tag == self._tag:
            self._tag = ""
            self._link.later(self.revive)

    def _lost(self, _: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByBroker):
            log.warning("consumer lost", queue=self._name or names.CONTROL, fault=str(reason))
        self._undelivered()  # the broker hands them out again
        self._channel, self._tag = None, ""
        self._name = "" if self._control else self._name
        self._link.later(self.revive)

    def _on_message(self, channel: Channel, method: Any, _: Any, body: bytes) -> None:
        self._arrived.put(_Delivery(self, channel, method.delivery_tag, body))

    def _undelivered(self) -> list[_Delivery]:
        """Empties what has arrived and was not taken; never waits, as a taker may be quicker."""
        found: list[_Delivery] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._arrived.get_nowait())
        return found

    def _stop(self) -> None:
        if self._channel is None or not self._channel.is_open or not self._tag:
            return
        self._channel.basic_cancel(self._tag, callback=lambda _: None)  # pika gives back what comes until then
        self._tag = ""
        for delivery in self._undelivered():
            self._channel.basic_nack(delivery.tag, requeue=True)

    def _end(self) -> None:
        if self._channel is not None and not self._channel.is_closing:
            self._channel.close()  # gives back what it holds
