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
    waiting = [broker.consumer(QUEUE, 1) for _ in range(3)] + [broker.listener()]
    with ThreadPoolExecutor(len(waiting)) as pool:
        taken = [pool.submit(consumer.take, LONG) for consumer in waiting]
        broker.close()
        assert [one.result(timeout=60) for one in taken] == [None] * 4

    broker.publish(QUEUE, b"the last words of a job")
    delivery = waiting[0].take(LONG)
    assert delivery is not None
    assert delivery.body == b"the last words of a job"
    delivery.ack()
    assert [consumer.take(LONG) for consumer in waiting] == [None] * 4
