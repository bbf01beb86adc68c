"""Asking again whether work is still wanted."""

from __future__ import annotations

import pytest

from raven.errors import Cancelled
from raven.recheck import Recheck, awake


class Boss:
    """Whom it asks, at times that are told."""

    def __init__(self) -> None:
        self.now, self.asked, self.wants = 100.0, 0, True

    def ask(self) -> None:
        self.asked += 1
        if not self.wants:
            raise Cancelled("stopped")


def test_it_asks_at_once_and_then_only_after_a_while() -> None:
    boss = Boss()
    check = Recheck(boss.ask, 5.0, lambda: boss.now)
    for seconds, asked in ((0, 1), (3, 1), (3, 2), (4, 2), (600, 3), (0, 3)):
        boss.now += seconds
        check()
        assert boss.asked == asked


def test_who_is_told_no_asks_again_before_anything_else_is_done() -> None:
    boss = Boss()
    check = Recheck(boss.ask, 5.0, lambda: boss.now)
    check()
    boss.now, boss.wants = boss.now + 6, False
    for _ in range(2):
        with pytest.raises(Cancelled):
            check()
    assert boss.asked == 3


def test_its_clock_runs_on() -> None:
    assert 0 < awake() <= awake()
