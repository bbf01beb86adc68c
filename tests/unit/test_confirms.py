"""Which message an ack of the broker is about: one, many at once, or one that came back before."""

from __future__ import annotations

import pytest

from raven.adapters.confirms import Batch, Confirms, Message


def sent(confirms: Confirms, count: int) -> Batch:
    """A batch that is on its way."""
    batch = Batch([Message("", "queue", b"x")] * count)
    for place in range(count):
        confirms.sent(batch, place)
    return batch


def test_a_batch_is_answered_when_each_of_its_messages_is() -> None:
    """In whatever order the broker has stored them."""
    confirms = Confirms()
    batch = sent(confirms, 3)
    for number in (2, 3):
        confirms.answered(number, multiple=False, taken=True)
    assert not batch.answered.done()
    assert batch.taken == [False, True, True]
    confirms.answered(1, multiple=False, taken=True)
    assert batch.answered.done()
    assert batch.taken == [True, True, True]


def test_one_ack_may_be_for_all_up_to_it() -> None:
    """RabbitMQ saves words when it has stored many; what was answered before is not answered again."""
    confirms = Confirms()
    first, second = sent(confirms, 2), sent(confirms, 3)
    confirms.answered(2, multiple=False, taken=False)
    confirms.answered(4, multiple=True, taken=True)
    assert first.taken == [True, False]
    assert first.answered.done()
    assert second.taken == [True, True, False]
    assert not second.answered.done()
    confirms.answered(5, multiple=True, taken=True)
    assert second.answered.done()


def test_what_came_back_is_not_taken_though_it_is_acknowledged() -> None:
    """The broker returns what no queue takes, and then says that it has dealt with it."""
    confirms = Confirms()
    batch = sent(confirms, 3)
    confirms.returned(2)
    confirms.answered(3, multiple=True, taken=True)
    assert batch.taken == [True, False, True]


@pytest.mark.parametrize("multiple", [True, False])
def test_a_nack_is_a_refusal(multiple: bool) -> None:
    """A quorum queue without a leader says so."""
    confirms = Confirms()
    batch = sent(confirms, 1)
    confirms.answered(1, multiple, taken=False)
    assert batch.taken == [False]
    assert batch.answered.done()


def test_an_answer_after_the_connection_was_given_up_changes_nothing() -> None:
    """The caller has heard that it was lost."""
    confirms = Confirms()
    batch = sent(confirms, 1)
    batch.answered.set_exception(OSError())
    confirms.answered(1, multiple=False, taken=True)
    assert isinstance(batch.answered.exception(), OSError)
