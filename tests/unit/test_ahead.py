"""A cutter that was started before there was a source to open."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from master.ahead import CutterAhead
from master.cutter import Order
from master.prepare import _child
from raven.limits import Limits
from raven.process import StopSignal
from raven.sandbox import cutter_box
from tests.builders import cutting
from tests.media import generate_clip


@pytest.fixture
def ahead() -> CutterAhead:
    return CutterAhead(cutter_box(Limits(), 60))


def test_it_obeys_the_first_order_and_is_gone_then(ahead: CutterAhead, tmp_path: Path) -> None:
    clip = generate_clip(tmp_path / "clip.mkv", 25, audio=False)
    order = Order(path=str(clip), folder=str(tmp_path), cutting=cutting(), sample_rate=48_000, probe_only=True)

    waiting = ahead.take()
    with _child(order, StopSignal(), None, None, waiting) as (cutter, events):
        states = [event.state for event in events]

    assert cutter.child is waiting
    assert [state.facts.video.rate for state in states if state and state.facts.video] == [Fraction(25)]
    assert ahead.take() is None


def test_one_that_nobody_takes_ends_with_its_owner(ahead: CutterAhead) -> None:
    (child,) = ahead._idle
    before = child.running
    ahead.close()
    assert (before, child.running) == (True, False)
    ahead.close()
