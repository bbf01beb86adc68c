"""One look at RabbitMQ for the doctor: whether it lets us in, its version, its queues, and what we may do there."""

from __future__ import annotations

import secrets
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

from raven import names
from raven.adapters.rabbitmq_consumer import arguments
from raven.adapters.rabbitmq_link import parameters, words
from raven.errors import Unavailable
from raven.ports import BrokerAbout

NOT_FOUND = 404
_ANSWER = 10.0  # s that a broker may let us wait


def ask(url: str, *, declares: bool) -> BrokerAbout:
    """By the first host that lets us in. `declares`: whether this account is to declare queues, as a watcher's.

    Raises Unavailable with what each of the hosts said, ConfigError for no URL.
    """
    faults = []
    for one in parameters(url):
        one.blocked_connection_timeout = _ANSWER
        try:
            connection = pika.BlockingConnection(one)
        except (AMQPError, OSError) as error:
            faults.append(f"{one.host}: {words(error)}")
            continue
        try:
            return _look(connection, one.host, declares=declares)
        except (AMQPError, OSError) as error:
            faults.append(f"{one.host}: {words(error)}")
        finally:
            if connection.is_open:
                connection.close()
    raise Unavailable(f"RabbitMQ: {'; '.join(faults)}")


def _look(connection: pika.BlockingConnection, host: str, *, declares: bool) -> BrokerAbout:
    outer: Any = connection
    version = outer._impl.server_properties.get("version", b"")  # pika shows the server's properties nowhere else
    queues: dict[str, int | None] = {}
    faults: list[str] = []
    for queue in (*names.QUEUES, *map(names.dead_letters, names.QUEUES)):
        channel = connection.channel()
        try:
            queues[queue] = channel.queue_declare(queue, passive=True).method.message_count
            if declares:  # as a daemon does, so it changes nothing
                channel.queue_declare(queue, durable=True, arguments=arguments(queue))
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                queues[queue] = None
            else:
                faults.append(error.reply_text)
        if channel.is_open:
            channel.close()
    attempts = (
        _use(connection.channel()) if declares else _listen(connection.channel()),
        _publish(connection.channel(), names.JOBS if declares else names.ANSWERS),
    )
    faults += filter(None, attempts)
    return BrokerAbout(host, version if isinstance(version, str) else version.decode(), queues, tuple(faults))


def _publish(channel: BlockingChannel, exchange: str) -> str:
    """Whether a message may go by this exchange: one for a queue that is none, so it goes nowhere."""
    try:
        channel.confirm_delivery()
        channel.basic_publish(exchange, "raven.doctor", b"{}")
    except ChannelClosedByBroker as error:
        return "" if error.reply_code == NOT_FOUND else str(error.reply_text)  # who declares the queues declares it too
    return ""


def _listen(channel: BlockingChannel) -> str:
    """Whether a queue can be had for what all daemons are told: by the broker's own name for it."""
    try:
        channel.queue_declare("", exclusive=True, auto_delete=True)
    except ChannelClosedByBroker as error:
        return str(error.reply_text)
    return ""


def _use(channel: BlockingChannel) -> str:
    """Whether a queue can be declared, filled and emptied: on one of our own, which goes with the connection."""
    name = f"raven.doctor.{secrets.token_hex(8)}"
    answer: Any  # the stub lags
    try:
        channel.queue_declare(name, exclusive=True, auto_delete=True)
        channel.confirm_delivery()
        channel.basic_publish("", name, b"{}", mandatory=True)
        answer = channel.basic_get(name, auto_ack=True)
    except ChannelClosedByBroker as error:
        return str(error.reply_text)
    except UnroutableError:
        return "a message to a queue that was just declared could not be delivered"
    return "" if answer[2] == b"{}" else "a message that was confirmed is not in its queue"
