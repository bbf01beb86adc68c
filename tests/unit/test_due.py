"""When tasks are planned: as soon as anybody wants it, but for those that are put off."""

from __future__ import annotations

import pytest

from watcher.due import LONGEST_SECONDS, PUT_OFF_SECONDS, Due


class Time:
    """Seconds pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr("watcher.due.time", found)
    return found


def test_the_earliest_wish_counts(time: Time) -> None:
    due = Due()
    due.touch([3], 5)
    due.touch([3, 1])
    due.touch([3], 7)
    due.touch([2], 2)
    assert due.now() == [1, 3]
    due.take(1)
    due.take(3)
    assert due.now() == []
    assert due.patience() == 2
    time.now += 2
    assert due.now() == [2]


def test_a_task_that_is_put_off_waits_whoever_wants_it_and_each_time_twice_as_long(time: Time) -> None:
    due, waited = Due(), list[float]()
    for _ in range(8):
        waited.append(due.put_off(7))
        due.touch([7, 8])
        assert due.is_put_off(7)
        assert due.now() == [8]
        time.now += waited[-1]
        assert due.now() == [7, 8]
        assert not due.is_put_off(7)
        due.take(7)
    assert waited == [10, 20, 40, 80, 160, 320, 600, 600]
    assert (waited[0], waited[-1]) == (PUT_OFF_SECONDS, LONGEST_SECONDS)

    due.went_well(7)
    assert due.put_off(7) == PUT_OFF_SECONDS


def test_all_is_forgotten_where_another_one_plans(time: Time) -> None:
    due = Due()
    due.put_off(7)
    due.touch([8])
    due.clear()
    due.touch([7])
    assert due.now() == [7]
