"""The broker of one process at its end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from raven import names
from raven.adapters.local_broker import LocalBroker

QUEUE = names.lane_queue("worker")
LONG = 600.0
"""Seconds: who waits for them has not been woken."""


def test_closing_wakes_all_who_wait_and_what_comes_after_it_is_still_handed_over() -> None:
    broker = LocalBroker()
    waiting = [broker.consumer(QUEUE, 1) for _ in range(3)]
    with ThreadPoolExecutor(len(waiting)) as pool:
        taken = [pool.submit(consumer.take, LONG) for consumer in waiting]
        broker.close()
        assert [one.result(timeout=60) for one in taken] == [None] * 3

    broker.publish(QUEUE, b"the last words of a job")
    delivery = waiting[0].take(LONG)
    assert delivery is not None
    assert delivery.body == b"the last words of a job"
    delivery.ack()
    assert [consumer.take(LONG) for consumer in waiting] == [None] * 3


def test_who_listens_hears_to_the_very_end() -> None:
    """Were it sent away at once, it would ask again and again until its agent has stopped what it runs."""
    broker = LocalBroker()
    listener = broker.listener()
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(listener.take, LONG)
        broker.close()
        broker.broadcast(b"stop")
        delivery = heard.result(timeout=60)
    assert delivery is not None
    assert delivery.body == b"stop"
