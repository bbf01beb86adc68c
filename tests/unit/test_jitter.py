"""Sound whose packets are stamped too early and too late is put in its place; holes, steps and drift stay."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.jitter import HALF, Jitter

MILLISECOND = Fraction(1, 1000)
PACKET = 20
"""Milliseconds."""


def settled(told: Sequence[int], lengths: Sequence[int] | int = PACKET, tick: Fraction = MILLISECOND) -> list[int]:
    lengths = [lengths] * len(told) if isinstance(lengths, int) else lengths
    jitter = Jitter(tick)
    times = [time for packet in zip(told, lengths, strict=True) for time in jitter.push(*packet)]
    return times + jitter.finish()


def mended(times: Sequence[int]) -> int:
    """How often 20 ms and more of sound are put in or taken out."""
    count, clock = 0, times[0]
    for time in times:
        if abs(time - clock) > 20:
            count, clock = count + 1, time
        clock += PACKET
    return count


def steady(packets: int, start: int = 0) -> list[int]:
    return [start + PACKET * n for n in range(packets)]


def test_times_that_follow_one_another_stay_as_they_are() -> None:
    assert settled(steady(500, 70)) == steady(500, 70)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [15, 30, 40])
def test_packets_that_were_stamped_as_they_came_in_are_put_in_their_place(seed: int, most: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    told = [time + chance.randint(-most, most) for time in steady(3000)]

    assert mended(settled(told)) <= mended(told) // 100


@pytest.mark.parametrize("burst", [3, 4, 5])
def test_packets_that_came_in_bursts_are_put_in_their_place(burst: int) -> None:
    told = [time - time % (PACKET * burst) for time in steady(3000)]

    assert mended(told) > 700
    assert mended(settled(told)) <= 1, "the first one tells nobody that it is late"


@given(st.lists(st.integers(1, 60), max_size=150), st.integers(-500, 500))
def test_no_packet_is_lost_and_each_comes_in_its_turn(lengths: list[int], start: int) -> None:
    told = list(accumulate(lengths, initial=start))[:-1]
    assert settled(told, lengths) == told, "where each begins where the one before it ends, nothing is changed"


@given(st.lists(st.integers(-90, 90), max_size=150))
def test_a_time_is_never_moved_by_more_than_the_largest_jitter(jitter: list[int]) -> None:
    told = [time + late for time, late in zip(steady(len(jitter)), jitter, strict=True)]
    times = settled(told)

    assert len(times) == len(told)
    assert all(abs(time - old) <= 100 for time, old in zip(times, told, strict=True))


@pytest.mark.parametrize("step", [25, 30, 60, 500, 90_000, -30])
def test_a_step_stays_where_it_is(step: int) -> None:
    """A hole, or a piece of a replay whose sound is longer than its picture."""
    told = steady(200) + steady(200, 200 * PACKET + step)
    assert settled(told) == told


def test_a_step_in_jittering_sound_is_followed() -> None:
    chance = random.Random(1)  # noqa: S311 - a test's dice
    places = steady(300) + steady(300, 300 * PACKET + 60)
    told = [place + chance.randint(-25, 25) for place in places]
    times = settled(told)

    assert mended(times) <= mended(told) // 40
    assert abs(times[-2 * HALF] - places[-2 * HALF]) <= 20


def test_a_clock_that_runs_slow_is_followed() -> None:
    told = [time + time // 100 for time in steady(1000)]
    assert settled(told) == told


def test_holes_between_short_pieces_stay_where_they_are() -> None:
    told = [time + 60 * (time // (5 * PACKET)) for time in steady(500)]
    assert settled(told) == told


@pytest.mark.parametrize("length", [0, 12, 21, 43])
def test_lengths_that_are_not_known_or_wrong_change_nothing(length: int) -> None:
    told = [round(n * Fraction(1024, 48)) for n in range(1000)]
    assert settled(told, length) == told


def test_the_unit_of_time_is_the_streams() -> None:
    told = [90 * time + (90 * 30 if n % 2 else 0) for n, time in enumerate(steady(200))]
    times = settled(told, 90 * PACKET, Fraction(1, 90_000))

    gaps = {b - a for a, b in pairwise(times[HALF:-HALF])}
    assert gaps == {90 * PACKET}
