"""The broker port over RabbitMQ 3.10 and newer. Many messages are on their way at once; each is confirmed.

Queues and exchanges are declared by whose account may: at least the watcher's. All others look for them, and wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, cast

import pika
import structlog
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.exchange_type import ExchangeType
from pika.spec import Basic

from raven import names
from raven.adapters import rabbitmq_link
from raven.adapters.confirms import Batch, Confirms, Message
from raven.adapters.rabbitmq_consumer import RabbitConsumer, declare
from raven.adapters.rabbitmq_link import Link
from raven.errors import Unavailable
from raven.ports import Consumer

REFUSED = 403  # AMQP's access-refused
KINDS = {names.JOBS: ExchangeType.direct, names.ANSWERS: ExchangeType.direct, names.CONTROL: ExchangeType.fanout}

log = structlog.get_logger()


class RabbitBroker:
    """Publishes on the main channel of a link, and gives consumers their own. Whoever hears Unavailable tries again."""

    def __init__(self, url: str) -> None:
        self._confirms = Confirms()
        self._channel: Channel  # while the link is ready
        self._may_declare, self._restoring = True, False
        self._link = Link(url, self._set_up)

    def publish(self, queue: str, body: bytes) -> None:
        self._publish(Message(names.exchange_of(queue), queue, body))

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        batch = Batch([Message(names.exchange_of(queue), queue, body) for queue, body in messages])
        try:
            self._deliver(batch)
        except Unavailable as error:
            log.warning("messages not published", fault=str(error))
        return list(batch.taken)

    def broadcast(self, body: bytes) -> None:
        self._publish(Message(names.CONTROL, "", body, mandatory=False))

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        return RabbitConsumer(self._link, queue, prefetch, self._declare)

    def listener(self) -> Consumer:
        listener = RabbitConsumer(self._link, "", 100, self._declare)
        listener.take(0)
        listener.began.wait(rabbitmq_link.ANSWER)  # without a broker nobody says anything that could be missed
        return listener

    def depth(self, queue: str) -> int:
        count: Future[int] = Future()

        def declared(frame: Any) -> None:
            if not count.done():
                count.set_result(frame.method.message_count)

        return self._link.ask(count, lambda: self._channel.queue_declare(queue, passive=True, callback=declared))

    def connected_since(self) -> float | None:
        return self._link.since

    def close(self) -> None:
        self._link.close()

    def _publish(self, message: Message) -> None:
        batch = Batch([message])
        self._deliver(batch)
        if not all(batch.taken):
            raise Unavailable(f"RabbitMQ did not take a message for {message.key or message.exchange}")

    def _deliver(self, batch: Batch) -> None:
        """Returns when the broker has spoken of each message. Raises Unavailable."""
        if batch.messages:
            self._link.ask(batch.answered, lambda: self._write(batch))

    # on the link's thread

    def _set_up(self, channel: Channel) -> None:
        self._channel, self._confirms = channel, Confirms()
        channel.confirm_delivery(self._answered)
        channel.add_on_return_callback(self._returned)
        channel.add_on_close_callback(self._closed)
        self._declare_all(channel)

    def _declare_all(self, channel: Channel) -> None:
        for name, kind in KINDS.items():
            channel.exchange_declare(
                name, cast("Any", kind), passive=not self._may_declare, durable=True
            )  # the stub lags
        for name in names.QUEUES if self._may_declare else ():
            declare(channel, names.dead_letters(name))
            declare(channel, name)
        channel.exchange_declare(names.CONTROL, passive=True, callback=lambda _: self._declared())

    def _declared(self) -> None:
        if self._link.since is None:
            self._link.ready()

    def _declare(self, channel: Channel, name: str) -> None:
        if self._may_declare:
            declare(channel, name)
        else:
            channel.queue_declare(name, passive=True)

    def _closed(self, _: Channel, reason: Exception) -> None:
        """An account that may declare nothing learns it at its first attempt."""
        refused = isinstance(reason, ChannelClosedByBroker) and reason.reply_code == REFUSED
        if refused and self._may_declare and self._link.since is None:
            self._may_declare = False
            log.info("this account may not declare queues: the watcher's does")

    def _write(self, batch: Batch) -> None:
        for place, (exchange, key, body, mandatory) in enumerate(batch.messages):
            properties = pika.BasicProperties(
                content_type="application/json", delivery_mode=2, message_id=str(self._confirms.next)
            )
            self._channel.basic_publish(exchange, key, body, properties, mandatory)
            self._confirms.sent(batch, place)

    def _returned(self, _: Channel, __: Any, properties: pika.BasicProperties, ___: bytes) -> None:
        self._confirms.returned(int(properties.message_id or 0))
        if self._may_declare and not self._restoring:  # somebody deleted a queue whose consumers may not declare it
            self._restoring = True
            self._link.later(self._restore)

    def _restore(self) -> None:
        self._restoring = False
        if self._channel.is_open:  # else the next one declares all anyway
            self._declare_all(self._channel)

    def _answered(self, frame: Any) -> None:
        method = frame.method
        self._confirms.answered(method.delivery_tag, method.multiple, isinstance(method, Basic.Ack))
