"""What fits into a host beside what runs there: the sums, and the slots that go by them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.capacity import CORE, LEAST, USUAL, Share, encode_share, fits, host, how_many, most_slots, share_of
from raven.errors import Cancelled
from raven.media.ladder import choose_renditions
from raven.ports import nothing
from raven.process import StopSignal
from raven.profile import known_profile
from raven.room import Room
from tests.builders import encode_job, purge_job, video_facts
from tests.waiting import wait_until

SHARES = st.builds(Share, st.integers(CORE, 40 * CORE), st.integers(1 << 20, 1 << 36))
HOSTS = st.builds(host, st.integers(1, 128), st.none() | st.integers(0, 1 << 38))
MIB = 1 << 20


def share(profile: str, width: int, height: int) -> Share:
    """Of an encode of a film of this size by one of the profiles."""
    known, facts = known_profile(None, profile), video_facts(width=width, height=height, rate=Fraction(24))
    return encode_share(width * height, choose_renditions(known.video, facts, known.cutting.grid(facts.rate)))


# the sums


@given(HOSTS, SHARES)
def test_as_many_fit_as_are_said_to_and_one_more_does_not(whole: Share, one: Share) -> None:
    number = min(how_many(whole, (), one), 1000)
    for count in range(number):
        assert fits(whole, [one] * count, one)
    assert number == 1000 or not fits(whole, [one] * number, one)


@given(HOSTS, st.lists(SHARES, max_size=20))
def test_what_runs_side_by_side_never_has_more_than_the_host(whole: Share, jobs: list[Share]) -> None:
    taken: list[Share] = []
    for job in jobs:
        if fits(whole, taken, job):
            taken.append(job)
    assert len(taken) <= 1 or sum(job.cores for job in taken) <= whole.cores
    assert len(taken) <= 1 or sum(job.memory for job in taken) <= whole.memory
    assert taken or not jobs, "what is larger than the host runs alone"


@given(HOSTS, st.lists(SHARES, min_size=1, max_size=6), SHARES)
def test_what_fits_beside_many_fits_beside_fewer(whole: Share, taken: list[Share], more: Share) -> None:
    assert how_many(whole, taken[1:], more) >= how_many(whole, taken, more)


@pytest.mark.parametrize(
    ("profile", "width", "height", "measured"),
    [
        ("default", 640, 360, 152),
        ("default", 1920, 1080, 1062),
        ("default", 3840, 2160, 1131),
        ("hevc", 1920, 1080, 1813),
        ("av1", 1920, 1080, 1877),
        ("hevc", 3840, 2160, 4536),
    ],
)
def test_memory_is_counted_as_measured_with_a_margin(profile: str, width: int, height: int, measured: int) -> None:
    """Peak resident MiB of one encode with the packaged ffmpeg, 72 frames at 24 frames/s."""
    counted = share(profile, width, height).memory / MIB
    assert measured <= counted <= 1.4 * measured + 64


def test_a_host_runs_more_small_encodes_than_large_ones() -> None:
    whole = host(16, 64 << 30)
    sizes = [("archive", 640, 360), ("default", 1920, 1080), ("hevc", 1920, 1080), ("hevc", 3840, 2160)]
    assert [how_many(whole, (), share(*size)) for size in sizes] == [12, 8, 5, 3]


def test_the_usual_job_is_the_default_ladder_of_1080p() -> None:
    default = share("default", 1920, 1080)
    assert default.cores <= USUAL.cores < 1.05 * default.cores
    assert abs(USUAL.memory - default.memory) < 100 * MIB


def test_all_jobs_but_encodes_are_small() -> None:
    assert share_of(purge_job()).cores == CORE < share_of(encode_job()).cores


def test_there_are_threads_for_the_smallest_jobs_and_at_least_one() -> None:
    assert most_slots(host(8, 1 << 40)) == 12
    assert most_slots(host(8, 3 * LEAST)) == 3
    assert most_slots(host(1, 0)) == 1
    assert most_slots(host(1000, None)) == 256


# the slots

WHOLE, SMALL, LARGE, HUGE = Share(4 * CORE, 4000), Share(CORE, 1000), Share(3 * CORE, 1000), Share(9 * CORE, 9000)


class Slot:
    """A thread that has entered, or waits to."""

    def __init__(self, room: Room, share: Share) -> None:
        self.stop, self.entered, self._leave = StopSignal(), threading.Event(), threading.Event()
        self.given_back = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(room, share), daemon=True)
        self._thread.start()

    def _run(self, room: Room, share: Share) -> None:
        assert room.turn(10)
        try:
            with room.entered(share, self.stop):
                self.entered.set()
                assert self._leave.wait(10)
        except Cancelled:
            self.given_back.set()

    def end(self) -> None:
        self._leave.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def entered(room: Room, share: Share) -> Slot:
    slot = Slot(room, share)
    assert slot.entered.wait(10)
    return slot


def test_slots_are_what_runs_and_how_many_more_like_the_last_would_fit() -> None:
    room = Room(WHOLE, 8, nothing)
    assert room.slots == 1, "before the first job it is taken for a usual one"
    first = entered(room, SMALL)
    assert room.slots == 4
    second = entered(room, LARGE)
    assert room.slots == 2
    first.end()
    second.end()
    assert room.slots == 1


def test_a_large_job_waits_until_there_is_room_and_no_small_one_goes_before_it() -> None:
    room = Room(WHOLE, 8, nothing)
    small = [entered(room, SMALL), entered(room, SMALL)]
    large = Slot(room, LARGE)
    wait_until(lambda: room.slots == 3, "it waits: nothing more is wanted")
    assert not room.turn(0), "nobody takes a job before it"
    small.pop().end()
    assert large.entered.wait(10)
    large.end()
    small.pop().end()


def test_what_is_larger_than_the_host_runs_alone() -> None:
    room = Room(WHOLE, 8, nothing)
    small = entered(room, SMALL)
    huge = Slot(room, HUGE)
    wait_until(lambda: room.slots == 2, "it waits")
    assert not huge.entered.is_set()
    small.end()
    assert huge.entered.wait(10)
    assert not room.turn(0)
    huge.end()
    assert room.turn(10)


@pytest.mark.parametrize("how", ["stopped", "closed"])
def test_what_waits_for_room_is_given_back_when_it_is_stopped_or_the_daemon_drains(how: str) -> None:
    room = Room(WHOLE, 8, nothing)
    small = entered(room, SMALL)
    huge = Slot(room, HUGE)
    wait_until(lambda: room.slots == 2, "it waits")
    if how == "stopped":
        huge.stop.set()
        room.look()
    else:
        room.close()
    assert huge.given_back.wait(10)
    assert room.turn(0) is (how == "stopped"), "then it is another one's turn, unless the daemon drains"
    small.end()


def test_one_slot_at_a_time_takes_a_job_until_it_passes_its_turn() -> None:
    room = Room(WHOLE, 8, nothing)
    assert room.turn(0)
    assert room.turn(0), "it may go on"
    with ThreadPoolExecutor(1) as other:
        assert not other.submit(room.turn, 0).result()
        room.pass_turn()
        assert other.submit(room.turn, 0).result()


def test_a_change_of_the_number_of_slots_is_told() -> None:
    told: list[int] = []
    room = Room(WHOLE, 8, lambda: told.append(room.slots))
    slots = [entered(room, SMALL) for _ in range(4)]
    for slot in slots:
        slot.end()
    assert told == [4], "and only a change"


def test_a_number_of_slots_that_somebody_has_set_is_kept_whatever_the_jobs_are() -> None:
    room = Room(None, 2, nothing)
    assert room.turn(0)
    with room.entered(HUGE, StopSignal()), room.entered(HUGE, StopSignal()):
        assert room.turn(0)
        assert room.slots == 2


@given(st.lists(SHARES.filter(lambda one: one.cores <= 20 * CORE), max_size=12))
def test_whatever_comes_all_of_it_runs_and_never_too_much_at_once(jobs: list[Share]) -> None:
    room, lock, running, worst, ran = Room(host(8, 1 << 36), 4, nothing), threading.Lock(), [], [], []
    waiting = iter(jobs)

    def slot() -> None:
        while room.turn(10):
            job = next(waiting, None)
            if job is None:
                room.pass_turn()
                return
            with room.entered(job, StopSignal()):
                with lock:
                    running.append(job)
                    worst.append(list(running))
                with lock:
                    running.remove(job)
                    ran.append(job)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(slot) for _ in range(4)]:
            done.result()
    assert sorted(ran, key=repr) == sorted(jobs, key=repr)
    assert all(len(now) == 1 or sum(job.cores for job in now) <= host(8, None).cores for now in worst)
