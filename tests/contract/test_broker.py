"""What raven.ports.Broker promises, in process and on RabbitMQ."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pika.adapters.select_connection import SelectConnection

import raven.adapters.rabbitmq_link
from raven import names
from raven.adapters.rabbitmq import RabbitBroker
from raven.config import Settings
from raven.errors import Unavailable
from raven.ports import Broker, Consumer, Delivery
from raven.wiring import open_broker
from tests.contract.brokers import Join, Relay, connected
from tests.servers.process import HOST
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

QUEUE = names.lane_queue("worker")
NOWHERE = "raven.nowhere"
SOON = 20.0
"""Seconds in which a message must have arrived on any machine."""
LITTLE = 0.3
"""Seconds in which one arrives on most machines: for asserting that none comes. Too short misses a fault, never
invents one."""


def taken(consumer: Consumer, timeout: float = SOON) -> Delivery:
    """The next message, which must come."""
    delivery = consumer.take(timeout)
    assert delivery is not None
    return delivery


def bodies(consumer: Consumer, count: int) -> list[bytes]:
    """The next `count` messages, each acknowledged, and no more after them."""
    found = []
    for _ in range(count):
        delivery = taken(consumer)
        found.append(delivery.body)
        delivery.ack()
    assert consumer.take(LITTLE) is None
    return found


def test_messages_come_once_each_and_in_order(join: Join) -> None:
    """The watcher applies the reports of a job in the order in which the job said them."""
    sender, taker = join(), join().consumer(QUEUE, 1)
    for number in range(5):
        sender.publish(QUEUE, b"%d" % number)
    assert bodies(taker, 5) == [b"0", b"1", b"2", b"3", b"4"]
    assert sender.depth(QUEUE) == 0


def test_many_messages_at_once_come_in_their_order(join: Join) -> None:
    """The watcher hands out in the order of priority what has become free in one turn."""
    broker = join()
    sent = [b"%d" % number for number in range(100)]
    assert broker.publish_all([(QUEUE, body) for body in sent]) == [True] * 100
    assert bodies(broker.consumer(QUEUE, 10), 100) == sent
    assert broker.publish_all([]) == []


def test_of_many_messages_exactly_those_are_refused_that_have_no_queue(join: Join) -> None:
    """A job that is told to be queued waits for ever if nobody can take it; one that is not told so runs twice."""
    broker = join()
    mixed = [(QUEUE, b"0"), (NOWHERE, b"1"), (names.REPORTS, b"2"), (NOWHERE, b"3"), (QUEUE, b"4")]
    assert broker.publish_all(mixed) == [True, False, True, False, True]
    with pytest.raises(Unavailable, match=NOWHERE):
        broker.publish(NOWHERE, b"x")
    assert bodies(broker.consumer(QUEUE, 1), 2) == [b"0", b"4"]
    assert bodies(broker.consumer(names.REPORTS, 1), 1) == [b"2"]


def test_threads_that_publish_at_once_do_not_mix_up_their_answers(join: Join) -> None:
    """Slots and beats of a node share one broker: each has to know of its own messages, and of all of them."""
    broker = join()

    def speak(who: int) -> list[bool]:
        taken = broker.publish_all([(QUEUE if n % 3 else NOWHERE, b"%d %d" % (who, n)) for n in range(30)])
        broker.publish(QUEUE, b"%d end" % who)
        return taken

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(speak, range(8))) == [[bool(n % 3) for n in range(30)]] * 8
    found = bodies(broker.consumer(QUEUE, 50), 8 * 21)
    for who in range(8):
        said = [b"%d %d" % (who, n) for n in range(30) if n % 3] + [b"%d end" % who]
        assert [body for body in found if body.split()[0] == b"%d" % who] == said


def test_a_message_waits_for_someone_to_take_it(join: Join) -> None:
    """Queues are durable: jobs are published before the first worker is switched on."""
    join().publish(QUEUE, b"early")
    assert bodies(join().consumer(QUEUE, 1), 1) == [b"early"]


def test_queues_are_apart(join: Join) -> None:
    """A master must never be handed a worker's job."""
    broker = join()
    for queue in names.QUEUES:
        broker.publish(queue, queue.encode())
    for queue in names.QUEUES:
        assert bodies(broker.consumer(queue, 1), 1) == [queue.encode()]


def test_any_bytes_arrive_as_they_were_sent(join: Join) -> None:
    """The adapter must not look into a message: one that nobody can read is the reader's to reject."""
    broker = join()
    sent = [b"", b"\x00\xff\xfe garbage", bytes(range(256)) * 8192]
    for body in sent:
        broker.publish(QUEUE, body)
    assert bodies(broker.consumer(QUEUE, 1), 3) == sent


def test_a_rejected_message_goes_to_the_dead_letters_and_does_not_come_again(join: Join) -> None:
    """Lost would hide a fault, and coming again would be a loop."""
    broker = join()
    consumer = broker.consumer(QUEUE, 1)
    broker.publish(QUEUE, b"poison")
    taken(consumer).reject()
    assert consumer.take(LITTLE) is None
    dead = broker.consumer(names.dead_letters(QUEUE), 1)
    assert bodies(dead, 1) == [b"poison"]


def test_no_more_messages_are_handed_out_than_may_be_held(join: Join) -> None:
    """Prefetch 2: the third message is for whoever is free, not for a consumer that holds two."""
    broker = join()
    consumer = broker.consumer(QUEUE, 2)
    for number in range(3):
        broker.publish(QUEUE, b"%d" % number)
    first, second = taken(consumer), taken(consumer)
    assert (first.body, second.body) == (b"0", b"1")
    assert consumer.take(LITTLE) is None
    second.ack()
    third = taken(consumer)
    assert third.body == b"2"
    assert consumer.take(LITTLE) is None
    first.reject()
    broker.publish(QUEUE, b"3")
    assert taken(consumer).body == b"3"


def test_what_one_consumer_does_not_take_another_gets(join: Join) -> None:
    """With prefetch 1 a worker busy with a long chunk never holds the next one back."""
    busy, free = join().consumer(QUEUE, 1), join().consumer(QUEUE, 1)
    sender = join()
    sender.publish(QUEUE, b"long")
    assert taken(busy).body == b"long"
    sender.publish(QUEUE, b"next")
    assert taken(free).body == b"next"


def test_a_paused_consumer_hoards_nothing(join: Join) -> None:
    """A worker that has acknowledged its job and encodes for an hour must not be handed a second one meanwhile."""
    busy, free = join().consumer(QUEUE, 1), join().consumer(QUEUE, 1)
    sender = join()
    sender.publish(QUEUE, b"long")
    job = taken(busy)
    busy.pause()
    job.ack()
    for number in range(3):
        sender.publish(QUEUE, b"%d" % number)
    assert bodies(free, 3) == [b"0", b"1", b"2"]
    sender.publish(QUEUE, b"later")
    free.pause()
    assert taken(busy).body == b"later", "take ends the pause"


def test_pausing_twice_or_before_the_first_take_is_harmless(join: Join) -> None:
    """An agent pauses whenever it stops taking, whatever it did before."""
    broker = join()
    consumer = broker.consumer(QUEUE, 1)
    consumer.pause()
    consumer.pause()
    broker.publish(QUEUE, b"x")
    assert bodies(consumer, 1) == [b"x"]


@pytest.mark.servers
def test_what_had_arrived_at_a_paused_consumer_goes_back(rabbitmq_url: str) -> None:
    """Between two looks a message may be on its way already; the pause must give it back."""
    with connected(rabbitmq_url) as one, connected(rabbitmq_url) as other:
        idle = one.consumer(QUEUE, 1)
        assert idle.take(0.001) is None
        one.publish(QUEUE, b"x")
        wait_until(lambda: other.depth(QUEUE) == 0, "the message is on its way to the idle consumer")
        idle.pause()
        assert taken(other.consumer(QUEUE, 1)).body == b"x"


def test_a_closed_consumer_is_handed_nothing_more(join: Join) -> None:
    """What it would get nobody would ever look at."""
    closed, other = join().consumer(QUEUE, 1), join().consumer(QUEUE, 1)
    assert closed.take(LITTLE) is None
    closed.close()
    sender = join()
    for number in range(4):
        sender.publish(QUEUE, b"%d" % number)
    assert bodies(other, 4) == [b"0", b"1", b"2", b"3"]


def test_what_a_closed_consumer_holds_goes_back_and_what_it_has_answered_does_not(join: Join) -> None:
    """A watcher that has lost its database gives up what it cannot write; another one takes it."""
    closed, sender = join().consumer(QUEUE, 10), join()
    for number in range(4):
        sender.publish(QUEUE, b"%d" % number)
    first, *others = [taken(closed) for _ in range(4)]
    first.ack()
    closed.close()
    for delivery in others:
        delivery.ack()
    other = join().consumer(QUEUE, 10)
    assert sorted(bodies(other, 3)) == [b"1", b"2", b"3"]


def test_a_broadcast_reaches_all_who_listen_each_once(join: Join) -> None:
    """A cancel is for every node, and a listener has no ack to give: it must not stop after the first ones."""
    listeners = [join().listener() for _ in range(3)]
    sender, said = join(), [b"%d" % number for number in range(150)]
    for body in said:
        sender.broadcast(body)
    for listener in listeners:
        assert [taken(listener).body for _ in said] == said
        assert listener.take(LITTLE) is None


def test_a_broadcast_that_nobody_hears_is_no_fault(join: Join) -> None:
    """Nobody runs a job of the cancelled task: fine."""
    broker = join()
    broker.broadcast(b"cancel")
    assert broker.listener().take(LITTLE) is None, "a listener takes what is said from then on"


@pytest.mark.servers
def test_a_listener_hears_from_its_first_moment_on(rabbitmq_url: str) -> None:
    """An agent that has begun a job must not miss the cancel of the next millisecond."""
    with connected(rabbitmq_url) as sender:
        for number in range(5):
            fresh = open_broker(Settings(broker=rabbitmq_url))
            try:
                listener = fresh.listener()
                sender.broadcast(b"%d" % number)
                assert taken(listener, timeout=5).body == b"%d" % number
            finally:
                fresh.close()


def test_depth_counts_what_waits(join: Join) -> None:
    """The watcher tells a lost message by an empty queue; what is held by somebody does not wait."""
    broker = join()
    assert broker.depth(QUEUE) == 0
    for _ in range(3):
        broker.publish(QUEUE, b"x")
    assert broker.depth(QUEUE) == 3
    consumer = broker.consumer(QUEUE, 1)
    delivery = taken(consumer)
    assert broker.depth(QUEUE) == 2
    consumer.pause()
    delivery.ack()
    assert broker.depth(QUEUE) == 2


def test_take_returns_after_its_time(join: Join) -> None:
    """A slot looks up between two takes whether it shall stop."""
    consumer = join().consumer(QUEUE, 1)
    begun = time.monotonic()
    assert consumer.take(0.2) is None
    assert 0.2 <= time.monotonic() - begun < SOON


def test_a_connected_broker_says_since_when(join: Join) -> None:
    """From then on silence means that nobody speaks."""
    broker = join()
    since = broker.connected_since()
    assert since is not None
    assert since <= time.monotonic()
    assert broker.connected_since() == since


# what only a broker on another machine can do


@pytest.fixture
def relay(rabbitmq_server: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A way to RabbitMQ that can be cut; callers wait a second for an answer, not twenty."""
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "ANSWER", 1.0)
    relay = Relay(rabbitmq_server.port)
    yield relay
    relay.close()


@pytest.fixture
def cut_off(relay: Relay, rabbitmq_server: RabbitMq, rabbitmq_url: str) -> Iterator[Broker]:
    """A broker behind the relay."""
    with connected(rabbitmq_url.replace(f":{rabbitmq_server.port}/", f":{relay.port}/")) as broker:
        yield broker


@pytest.mark.servers
def test_the_queues_survive_a_node_of_the_broker(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    """Only quorum queues do on RabbitMQ 3.10 as on 4; and none may drop what nobody can read."""
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    with connected(rabbitmq_url):
        for name in names.QUEUES:
            info = rabbitmq_server.queue_info(vhost, name)
            assert (info["type"], info["durable"]) == ("quorum", True)
            assert info["arguments"]["x-dead-letter-exchange"] == ""
            assert info["arguments"]["x-dead-letter-routing-key"] == names.dead_letters(name)
            dead = rabbitmq_server.queue_info(vhost, names.dead_letters(name))
            assert (dead["type"], dead["durable"]) == ("quorum", True)


@pytest.mark.servers
def test_a_user_with_rights_on_ravens_own_names_is_enough(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    """An administrator gives Raven its own names and those that the broker makes up, and no more."""
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    own = r"^(raven\..*|amq\.gen.*)$"
    write = r"^(raven\..*|amq\.gen.*|amq\.default)$"
    url = rabbitmq_server.create_user(vhost, "raven-only", "s/e:c@r", own, write, own)
    with connected(url) as broker:
        listener = broker.listener()
        broker.broadcast(b"all")
        assert taken(listener).body == b"all"
        broker.publish(QUEUE, b"one")
        taken(broker.consumer(QUEUE, 1)).reject()
        assert taken(broker.consumer(names.dead_letters(QUEUE), 1)).body == b"one"


@pytest.mark.servers
def test_a_message_held_by_a_lost_program_comes_again(rabbitmq_url: str) -> None:
    """kill -9 between take and ack: another worker gets the job."""
    with connected(rabbitmq_url) as survivor:
        with connected(rabbitmq_url) as lost:
            lost.publish(QUEUE, b"job")
            assert taken(lost.consumer(QUEUE, 1)).body == b"job"
        assert taken(survivor.consumer(QUEUE, 1)).body == b"job"


@pytest.mark.servers
def test_an_ack_on_a_lost_connection_is_harmless_and_the_message_comes_again(cut_off: Broker, relay: Relay) -> None:
    """Acks never raise; and one on the new connection would hit a foreign message or close the channel."""
    consumer = cut_off.consumer(QUEUE, 1)
    cut_off.publish(QUEUE, b"job")
    held = taken(consumer)
    relay.cut()
    wait_until(lambda: cut_off.connected_since() is None, "the loss is noticed")
    held.ack()
    relay.mend()
    again = taken(consumer)
    assert again.body == b"job"
    held.reject()
    again.ack()
    assert consumer.take(LITTLE) is None
    assert cut_off.depth(names.dead_letters(QUEUE)) == 0


@pytest.mark.servers
def test_while_the_broker_is_away_callers_hear_unavailable(cut_off: Broker, relay: Relay) -> None:
    """Each has to know that its message is not safe; and all works again without a restart of anything."""
    listener, consumer = cut_off.listener(), cut_off.consumer(QUEUE, 1)
    before = cut_off.connected_since()
    assert before is not None
    relay.cut()
    for call in (lambda: cut_off.publish(QUEUE, b"x"), lambda: cut_off.broadcast(b"x"), lambda: cut_off.depth(QUEUE)):
        with pytest.raises(Unavailable, match="RabbitMQ"):
            call()
    assert consumer.take(0.01) is None
    consumer.pause()
    assert cut_off.connected_since() is None
    relay.mend()
    after = wait_until(cut_off.connected_since, "connected again")
    assert after > before
    cut_off.publish(QUEUE, b"after")
    assert b"after" in {taken(consumer).body for _ in range(cut_off.depth(QUEUE) or 1)}
    wait_until(lambda: _hears(cut_off, listener), "the listener listens again")


def test_while_the_broker_is_away_nothing_piles_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be away for days, while each report is tried again and again and a held node pauses twice a second."""
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "ANSWER", 0.01)
    with socket.socket() as deaf:
        deaf.bind((HOST, 0))  # a port where nobody listens
        broker = RabbitBroker(f"amqp://bob:bob@{HOST}:{deaf.getsockname()[1]}/")
        try:
            consumer = broker.consumer(QUEUE, 1)
            for _ in range(10):
                with pytest.raises(Unavailable):
                    broker.publish(QUEUE, b"x")
                consumer.pause()
                broker.consumer(QUEUE, 1).close()
            assert len(broker._link._work) == 0
            for _ in range(10):
                consumer.take(0)
                consumer.pause()
            assert len(broker._link._work) == 1, "the link looks once at what is wanted"
        finally:
            broker.close()


def _hears(broker: Broker, listener: Consumer) -> bool:
    broker.broadcast(b"again")
    delivery = listener.take(0.1)
    return delivery is not None and delivery.body == b"again"


@pytest.mark.servers
def test_nobody_waits_for_a_lost_connection_to_answer(
    cut_off: Broker, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on its way when the connection broke may be there or not: all who wait for a word hear so at once."""
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "ANSWER", 10 * SOON)
    relay.swallow()
    with ThreadPoolExecutor(3) as threads:
        depth = threads.submit(cut_off.depth, QUEUE)
        wait_until(lambda: relay.swallowed > 0, "the question is on its way")
        one = threads.submit(cut_off.publish, QUEUE, b"x" * 10_000)
        many = threads.submit(cut_off.publish_all, [(QUEUE, b"x" * 10_000)] * 5)
        wait_until(lambda: relay.swallowed > 6 * 10_000, "all messages are on their way")
        relay.cut()
        for lost in (depth, one):
            assert isinstance(lost.exception(timeout=SOON), Unavailable)
        assert many.result(timeout=SOON) == [False] * 5
    relay.mend()
    wait_until(lambda: cut_off.connected_since() is not None, "connected again")
    assert cut_off.publish_all([(QUEUE, b"x")] * 5) == [True] * 5


@pytest.mark.servers
def test_a_connection_that_passes_nothing_is_given_up(
    relay: Relay, rabbitmq_server: RabbitMq, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is dead behind a router that lives reports no fault, neither later nor when one connects."""
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "HEARTBEAT", 2)
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "HANDSHAKE", 1)
    with connected(rabbitmq_url.replace(f":{rabbitmq_server.port}/", f":{relay.port}/")) as broker:
        consumer = broker.consumer(QUEUE, 1)
        assert consumer.take(LITTLE) is None
        relay.swallow()
        with pytest.raises(Unavailable, match="RabbitMQ does not answer"):
            broker.publish(QUEUE, b"x")
        wait_until(lambda: broker.connected_since() is None, "the silence is noticed")
        swallowed = relay.swallowed
        wait_until(lambda: relay.swallowed > swallowed, "another connection is tried")
        with pytest.raises(Unavailable, match="RabbitMQ does not answer"):
            broker.publish(QUEUE, b"x")
        relay.mend()
        wait_until(lambda: broker.connected_since() is not None, "connected again")
        broker.publish(QUEUE, b"again")
        assert bodies(consumer, 1) == [b"again"]


@pytest.mark.servers
def test_a_broker_without_memory_is_unavailable_and_says_so(cut_off: Broker, rabbitmq_server: RabbitMq) -> None:
    """It reads no more until others have taken what it holds; a caller must not wait with it."""
    rabbitmq_server.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        with pytest.raises(Unavailable, match="RabbitMQ does not answer: it is blocked, low on memory"):
            cut_off.publish(QUEUE, b"x")
        assert cut_off.publish_all([(QUEUE, b"x")] * 2) == [False] * 2
    finally:
        rabbitmq_server.control("set_vm_memory_high_watermark", "absolute", "512MiB")
    wait_until(lambda: cut_off.publish_all([(QUEUE, b"x")]) == [True], "it takes messages again")


@pytest.mark.servers
def test_a_queue_that_somebody_deletes_comes_again(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    """The broker ends the consumer, as it does when it moves a queue to another of its nodes."""
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    with connected(rabbitmq_url) as broker:
        consumer = broker.consumer(QUEUE, 1)
        broker.publish(QUEUE, b"before")
        assert bodies(consumer, 1) == [b"before"]
        rabbitmq_server.delete_queue(vhost, QUEUE)
        wait_until(lambda: broker.publish_all([(QUEUE, b"after")]) == [True], "the queue is there again")
        assert taken(consumer).body == b"after"


@pytest.mark.servers
def test_a_consumer_whose_channel_the_broker_closes_goes_on(rabbitmq_url: str) -> None:
    """It does so at any mistake, here a second ack, and when a message was held for too long."""
    with connected(rabbitmq_url) as broker:
        since, consumer = broker.connected_since(), broker.consumer(QUEUE, 2)
        broker.publish(QUEUE, b"one")
        broker.publish(QUEUE, b"two")
        first, second = taken(consumer), taken(consumer)
        first.ack()
        first.ack()
        again = taken(consumer)
        assert again.body == b"two"
        second.ack()
        again.ack()
        broker.publish(QUEUE, b"three")
        assert bodies(consumer, 1) == [b"three"]
        assert broker.connected_since() == since, "the others on the connection did not notice"


@pytest.mark.servers
def test_what_breaks_on_the_connections_thread_costs_the_connection_only(rabbitmq_url: str) -> None:
    """A daemon whose broker has no thread any more would wait for ever, alive and useless."""
    with connected(rabbitmq_url) as broker:
        assert isinstance(broker, RabbitBroker)
        since, consumer = broker.connected_since(), broker.consumer(QUEUE, 1)
        assert consumer.take(LITTLE) is None
        broker._link.submit(lambda: print(1 / 0))
        wait_until(lambda: (broker.connected_since() or since) != since, "connected anew")
        broker.publish(QUEUE, b"x")
        assert bodies(consumer, 1) == [b"x"]


@pytest.mark.servers
def test_an_attempt_to_connect_that_breaks_is_not_the_last(rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has no file or thread left may have one later."""
    connect, faults = SelectConnection.create_connection, [OSError("too many open files")]

    def create_connection(*arguments: Any, **more: Any) -> object:
        if faults:
            raise faults.pop()
        return connect(*arguments, **more)

    monkeypatch.setattr(SelectConnection, "create_connection", create_connection)
    with connected(rabbitmq_url) as broker:
        assert not faults
        broker.publish(QUEUE, b"x")


@pytest.mark.servers
def test_a_broker_that_is_not_there_yet_is_waited_for(
    relay: Relay, rabbitmq_server: RabbitMq, rabbitmq_url: str
) -> None:
    """A daemon may start before its broker, with all that it sets up at its start."""
    relay.cut()
    broker = open_broker(Settings(broker=rabbitmq_url.replace(f":{rabbitmq_server.port}/", f":{relay.port}/")))
    try:
        listener, consumer = broker.listener(), broker.consumer(QUEUE, 1)
        assert consumer.take(0.01) is None
        assert broker.connected_since() is None
        with pytest.raises(Unavailable):
            broker.publish(QUEUE, b"too early")
        relay.mend()
        wait_until(lambda: broker.connected_since() is not None, "connected")
        wait_until(lambda: _hears(broker, listener), "the listener listens")
    finally:
        broker.close()


@pytest.mark.servers
def test_what_was_published_is_there_after_a_restart_of_the_broker(
    rabbitmq_server: RabbitMq, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Safely, as publish says, is on disk: the watcher counts a published job as queued."""
    monkeypatch.setattr(raven.adapters.rabbitmq_link, "ANSWER", 1.0)
    with connected(rabbitmq_url) as broker:
        consumer = broker.consumer(QUEUE, 1)
        broker.publish(QUEUE, b"safe")
        rabbitmq_server.stop()
        with pytest.raises(Unavailable):
            broker.depth(QUEUE)
        rabbitmq_server.restart()
        assert taken(consumer, timeout=60).body == b"safe"


@pytest.mark.servers
def test_of_several_hosts_one_that_answers_is_enough(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    """A cluster is named by all its nodes, and one of them may be down for a week."""
    port = rabbitmq_server.port
    url = rabbitmq_url.replace(f":{port}/", f":1,nowhere.invalid,{rabbitmq_server.host}:{port}/")
    with connected(url) as broker:
        broker.publish(QUEUE, b"x")
        assert broker.depth(QUEUE) == 1
