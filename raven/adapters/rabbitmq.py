"""The broker port over RabbitMQ 3.10 and newer. One thread owns the connection; all others talk to it by a queue."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import AMQPError, NackError, UnroutableError
from pika.exchange_type import ExchangeType

from raven import names
from raven.errors import ConfigError, Unavailable
from raven.ports import Consumer

FORM = "write it as amqp://user:password@host:5672/ (or amqps://)"
HEARTBEAT = 15  # s; below 5 gives false alarms, and a dead peer is noticed within two of them
ANSWER = 20.0  # s that a caller waits for the broker before it hears Unavailable
RECONNECT = 1.0  # s between attempts to connect
QUORUM = {"x-queue-type": "quorum"}  # survives a node of the broker
IDLE = 1  # s that the connection thread sleeps at most between looks at its consumers

log = structlog.get_logger()


def _parameters(url: str) -> list[pika.URLParameters]:
    """One set per listed host: amqp://user:password@host1:5672,host2:5672/vhost."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in ("amqp", "amqps") or not hosts:
        raise ConfigError(f"broker: {FORM}")
    found = []
    for host in hosts.split(","):
        netloc = f"{login}@{host}" if login else host
        try:
            parameters = pika.URLParameters(urlunsplit((parts.scheme, netloc, parts.path, parts.query, "")))
        except ValueError as error:
            raise ConfigError(f"broker: {host}: {error}; {FORM}") from error
        parameters.heartbeat = HEARTBEAT
        parameters.blocked_connection_timeout = 60
        parameters.socket_timeout = parameters.stack_timeout = 10
        found.append(parameters)
    return found


class _Delivery:
    def __init__(self, owner: _RabbitConsumer, channel: BlockingChannel | None, tag: int, body: bytes) -> None:
        self.body = body
        self._owner, self._channel, self._tag = owner, channel, tag

    def ack(self) -> None:
        self._owner.answer(self._channel, lambda c: c.basic_ack(self._tag))

    def reject(self) -> None:
        self._owner.answer(self._channel, lambda c: c.basic_reject(self._tag, requeue=False))


class _RabbitConsumer:
    """A consumer on a channel of its own. `queue` None listens to the control exchange."""

    def __init__(self, broker: RabbitBroker, queue_name: str | None, prefetch: int) -> None:
        self._broker, self._queue, self._prefetch = broker, queue_name, prefetch
        self._arrived: queue.Queue[_Delivery] = queue.Queue()
        self._wanted = False
        self._tag = ""
        self._channel: BlockingChannel | None = None

    def take(self, timeout: float) -> _Delivery | None:
        if not self._wanted:
            self._wanted = True
            self._broker.submit(lambda _: self.revive())
        try:
            return self._arrived.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return None

    def pause(self) -> None:
        self._wanted = False
        with contextlib.suppress(Unavailable):  # without a connection nothing can be delivered either
            self._broker.call(lambda _: self._stop())

    def close(self) -> None:
        self._wanted = False
        self._broker.forget(self)
        with contextlib.suppress(Unavailable):  # without a connection there is no channel either
            self._broker.call(lambda _: self._end())

    def answer(self, channel: BlockingChannel | None, how: Callable[[BlockingChannel], None]) -> None:
        """Acks or rejects on the channel that delivered; after a reconnection the tag is dead and nothing is said."""

        def on_thread(_: BlockingChannel) -> None:
            if channel is not None and channel is self._channel and channel.is_open:
                how(channel)

        self._broker.submit(on_thread)

    def revive(self) -> None:
        """On the connection's thread: consumes, if it should and does not."""
        if not self._wanted or (self._channel is not None and self._channel.is_open and self._tag):
            return
        if self._channel is None or not self._channel.is_open:
            self._undelivered()  # of the lost channel: they come again
            self._channel = self._broker.open_channel()
            self._channel.basic_qos(prefetch_count=self._prefetch)
            self._channel.add_on_cancel_callback(self._cancelled)
        name, control = self._queue, self._queue is None
        if name is None:
            name = str(self._channel.queue_declare("", exclusive=True, auto_delete=True).method.queue)
            self._channel.queue_bind(name, names.CONTROL)
        self._tag = self._channel.basic_consume(name, partial(self._on_message, control), auto_ack=control)

    def lost(self) -> None:
        """On the connection's thread: the connection is gone."""
        self._channel, self._tag = None, ""

    def _cancelled(self, _: Any) -> None:
        self._tag = ""  # the broker ended the consumer (queue moved or gone): revive consumes again

    def _on_message(self, control: bool, channel: BlockingChannel, method: Any, _: Any, body: bytes) -> None:
        self._arrived.put(_Delivery(self, None if control else channel, method.delivery_tag, body))

    def _undelivered(self) -> list[_Delivery]:
        """Empties what has arrived and was not taken; never waits, as a taker may be quicker."""
        found: list[_Delivery] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._arrived.get_nowait())
        return found

    def _stop(self) -> None:
        if self._channel is not None and self._channel.is_open and self._tag:
            self._channel.basic_cancel(self._tag)
            for delivery in self._undelivered():
                self._channel.basic_nack(delivery._tag, requeue=True)
        self._tag = ""

    def _end(self) -> None:
        if self._channel is not None and self._channel.is_open:
            self._channel.close()  # gives back what it holds


_Work = tuple[Callable[[BlockingChannel], Any], "Future[Any]"]


class RabbitBroker:
    """A connection with its thread, and the consumers on it. Reconnects for ever; callers hear Unavailable."""

    def __init__(self, url: str) -> None:
        self._hosts = _parameters(url)
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._consumers: list[_RabbitConsumer] = []
        self._connection: BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._since: float | None = None
        self._stopping = False
        self._fault = "not connected yet"
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()

    def publish(self, queue: str, body: bytes) -> None:
        self.call(lambda channel: self._publish(channel, "", queue, body, mandatory=True))

    def broadcast(self, body: bytes) -> None:
        self.call(lambda channel: self._publish(channel, names.CONTROL, "", body, mandatory=False))

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        return self._added(_RabbitConsumer(self, queue, prefetch))

    def listener(self) -> Consumer:
        listener = self._added(_RabbitConsumer(self, None, 100))
        listener.take(0)
        with contextlib.suppress(Unavailable):  # from now on: what was asked for before this answer has been done
            self.call(lambda _: None)
        return listener

    def depth(self, queue: str) -> int:
        return int(self.call(lambda channel: channel.queue_declare(queue, passive=True).method.message_count))

    def connected_since(self) -> float | None:
        return self._since

    def close(self) -> None:
        self._stopping = True
        self._wake()
        self._thread.join(timeout=10)

    def call(self, function: Callable[[BlockingChannel], Any]) -> Any:
        """Runs `function` on the connection's thread and returns its result. Raises Unavailable."""
        future = self.submit(function)
        try:
            return future.result(timeout=ANSWER)
        except FutureTimeout as error:
            future.cancel()
            raise Unavailable(f"RabbitMQ does not answer: {self._fault}") from error
        except (AMQPError, OSError) as error:
            raise Unavailable(f"RabbitMQ: {str(error) or type(error).__name__}") from error

    def submit(self, function: Callable[[BlockingChannel], Any]) -> Future[Any]:
        """The same without waiting; what is submitted while the broker is away waits for it."""
        future: Future[Any] = Future()
        self._work.put((function, future))
        self._wake()
        return future

    def forget(self, consumer: _RabbitConsumer) -> None:
        """Drops a closed consumer."""
        self._consumers.remove(consumer)

    def open_channel(self) -> BlockingChannel:
        """A channel of its own for a consumer."""
        if self._connection is None:
            raise Unavailable("RabbitMQ is away")
        return self._connection.channel()

    def _added(self, consumer: _RabbitConsumer) -> _RabbitConsumer:
        self._consumers.append(consumer)
        return consumer

    def _wake(self) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(AMQPError):  # closing: the loop looks at the queue anyway
                connection.add_callback_threadsafe(lambda: None)

    @staticmethod
    def _publish(channel: BlockingChannel, exchange: str, key: str, body: bytes, *, mandatory: bool) -> None:
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        try:
            channel.basic_publish(exchange, key, body, properties, mandatory=mandatory)
        except (NackError, UnroutableError) as error:
            raise Unavailable(f"RabbitMQ did not take a message for {key or exchange}") from error

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._connect()
                while not self._stopping:
                    self._turn()
            except (AMQPError, OSError, Unavailable) as error:
                self._fault = str(error) or type(error).__name__
                log.warning("broker lost", fault=self._fault)
            finally:
                self._disconnect()
            if not self._stopping:
                time.sleep(RECONNECT)

    def _connect(self) -> None:
        self._connection = BlockingConnection(self._hosts)
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.exchange_declare(names.CONTROL, ExchangeType.fanout, durable=True)  # type: ignore[arg-type]  # the stub lags
        for name in names.QUEUES:
            self._channel.queue_declare(names.dead_letters(name), durable=True, arguments=QUORUM)
            dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": names.dead_letters(name)}
            self._channel.queue_declare(name, durable=True, arguments=QUORUM | dead)
        self._since = time.monotonic()
        log.info("broker connected")

    def _turn(self) -> None:
        """One round: what others want, consumers that ended, then the network until something happens."""
        connection, channel = self._connection, self._channel
        if connection is None or channel is None or not channel.is_open:
            raise Unavailable("RabbitMQ closed the channel")
        while not self._work.empty():
            self._do(channel, *self._work.get())
        for consumer in list(self._consumers):
            consumer.revive()
        connection.process_data_events(time_limit=IDLE)

    @staticmethod
    def _do(channel: BlockingChannel, function: Callable[[BlockingChannel], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function(channel))
        except Unavailable as error:
            future.set_exception(error)
        except BaseException as error:
            future.set_exception(error)
            raise

    def _disconnect(self) -> None:
        connection, self._connection, self._channel, self._since = self._connection, None, None, None
        for consumer in self._consumers:
            consumer.lost()
        if connection is not None and connection.is_open:
            with contextlib.suppress(AMQPError, OSError):  # it is given up either way
                connection.close()
