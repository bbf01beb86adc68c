"""Which jobs go next, sentence by sentence: priority, owners, deadlines, and nobody starves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import job_row
from watcher.rows import JobRow
from watcher.schedule import (
    RISE_MS,
    SPARE,
    SPARE_MS,
    SPARE_SHARE,
    Run,
    Share,
    Turns,
    Window,
    longest_first,
    share_out,
    stragglers,
)

NOW = 10_000_000
ANN, BOB = Share(0, "ann"), Share(0, "bob")


def jobs(task: int, count: int, *, deadline: int = 0, frames: int = 450) -> list[JobRow]:
    return [
        replace(job_row(id=1000 * task + n, position=n), task_id=task, deadline=deadline, frames=frames)
        for n in range(count)
    ]


class Queues:
    """What waits, as the database would give it."""

    def __init__(self, waiting: Mapping[Share, Sequence[JobRow]]) -> None:
        self.waiting = {
            s: sorted(rows, key=lambda r: (r.deadline, r.task_id, r.position)) for s, rows in waiting.items()
        }
        self.turns = Turns()
        self.asked: list[Share] = []

    def take(
        self,
        room: int,
        in_use: Mapping[str, int] | None = None,
        weights: Mapping[str, float] | None = None,
        now: int = NOW,
    ) -> list[JobRow]:
        self.turns.see([share for share, rows in self.waiting.items() if rows], now)
        taken = share_out(self.turns, in_use or {}, weights or {}, room, now, self._due)
        ids = {row.id for row in taken}
        self.waiting = {share: [r for r in rows if r.id not in ids] for share, rows in self.waiting.items()}
        return taken

    def _due(self, share: Share, limit: int) -> Sequence[JobRow]:
        self.asked.append(share)
        return self.waiting[share][:limit]


def tasks(rows: Sequence[JobRow]) -> list[int]:
    return [row.task_id for row in rows]


def test_the_higher_priority_goes_first() -> None:
    queues = Queues({Share(-5, "ann"): jobs(1, 3), Share(5, "bob"): jobs(2, 2), ANN: jobs(3, 1)})

    assert tasks(queues.take(10)) == [2, 2, 3, 1, 1, 1]


def test_owners_share_equally_whatever_each_has_waiting() -> None:
    queues = Queues({ANN: jobs(1, 100), BOB: jobs(2, 3)})

    assert Counter(tasks(queues.take(6))) == {1: 3, 2: 3}


def test_what_an_owner_has_in_use_already_counts() -> None:
    queues = Queues({ANN: jobs(1, 100), BOB: jobs(2, 100)})

    assert Counter(tasks(queues.take(6, {"ann": 4}))) == {1: 1, 2: 5}


def test_an_owner_of_three_times_the_weight_has_three_times_as_much() -> None:
    queues = Queues({ANN: jobs(1, 100), BOB: jobs(2, 100)})

    assert Counter(tasks(queues.take(40, weights={"bob": 3}))) == {1: 10, 2: 30}


def test_within_an_owner_the_film_that_is_due_first_is_finished_first() -> None:
    """Two films at half the speed would both be late."""
    queues = Queues({ANN: [*jobs(1, 3, deadline=NOW + 1), *jobs(2, 3, deadline=NOW)]})

    assert tasks(queues.take(10)) == [2, 2, 2, 1, 1, 1]


def test_only_the_shares_whose_turn_comes_are_asked_for() -> None:
    """A farm of a thousand owners must not ask for each of them at each turn."""
    queues = Queues({Share(0, f"owner-{n}"): jobs(n + 1, 5) for n in range(1000)})

    assert len(queues.take(3)) == 3
    assert len(queues.asked) == 3


def test_an_old_task_of_low_priority_advances_one_job_at_a_time() -> None:
    """A stream of urgent work that never ends must not hold it up for ever."""
    low, urgent = Share(-10, "ann"), Share(0, "bob")
    queues, now, served = Queues({low: jobs(1, 50), urgent: jobs(2, 10_000)}), NOW, []
    for _ in range(120):
        served += tasks(queues.take(4, now=now))
        now += RISE_MS // 2
    assert 4 <= served.count(1) <= 6, "once in about ten minutes, of an hour"
    assert served.count(2) >= 470


def test_a_share_that_stops_waiting_begins_anew() -> None:
    """It does not gather a claim while it has nothing to do."""
    turns = Turns()
    turns.see([ANN], NOW)
    turns.see([], NOW + 1)
    turns.see([ANN, BOB], NOW + 100 * RISE_MS)

    assert turns.level(ANN, NOW + 100 * RISE_MS) == turns.level(BOB, NOW + 100 * RISE_MS) == 0


def test_near_the_end_of_a_film_the_longest_chunk_goes_first() -> None:
    rows = jobs(1, 4)
    rows[3] = replace(rows[3], frames=590)

    assert [row.position for row in longest_first(rows, 10)] == [3, 0, 1, 2]
    assert [row.position for row in longest_first(rows, 4)] == [0, 1, 2, 3], "more of it may wait behind these"
    assert [(row.task_id, row.position) for row in longest_first([*rows, *jobs(2, 2)], 6)] == [
        (1, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1),
    ]  # fmt: skip


shares = st.builds(Share, st.integers(-2, 2), st.sampled_from(["ann", "bob", "cy"]))


@given(st.dictionaries(shares, st.integers(0, 6), max_size=6), st.integers(0, 30))
def test_no_slot_stays_empty_while_a_job_is_due_and_none_is_taken_twice(waiting: dict[Share, int], room: int) -> None:
    queues = Queues({share: jobs(n + 1, count) for n, (share, count) in enumerate(waiting.items())})

    taken = queues.take(room)

    assert len(taken) == min(room, sum(waiting.values()))
    assert len({row.id for row in taken}) == len(taken)


@given(st.dictionaries(shares, st.integers(1, 6), min_size=2, max_size=6), st.integers(1, 12))
def test_an_owner_is_never_two_jobs_ahead_of_another_at_the_same_priority(waiting: dict[Share, int], room: int) -> None:
    queues = Queues({share: jobs(n + 1, count) for n, (share, count) in enumerate(waiting.items())})

    taken = Counter(tasks(queues.take(room)))

    for one, share in enumerate(waiting, 1):
        for two, other in enumerate(waiting, 1):
            alone = all(s.priority == share.priority for s in waiting)
            if alone and share.priority == other.priority and taken[two] < waiting[other]:
                assert taken[one] <= taken[two] + 1


# second runs


def run(task: int, elapsed: float, done: int = 0, frames: int = 450) -> Run:
    return Run(replace(job_row(id=task, state="running"), task_id=task, done=done, frames=frames), elapsed)


@pytest.mark.parametrize(
    ("elapsed", "done", "again"),
    [
        (14, 200, False),  # others needed 10 s for as much: it is slow, but not by far
        (16, 200, True),  # 20 s are left at its pace, a second run needs 10
        (16, 440, False),  # it is nearly through
        (60, 0, True),  # nothing came out at all
    ],
)
def test_a_straggler_is_run_again_where_that_ends_sooner(elapsed: float, done: int, again: bool) -> None:
    found = stragglers([run(1, elapsed, done)], {1: 10 / 450}, 5)

    assert [row.id for row in found] == ([1] if again else [])


def test_without_a_chunk_that_is_done_nothing_is_known_to_straggle() -> None:
    assert stragglers([run(1, 1000)], {}, 5) == []


def test_there_are_as_many_second_runs_as_idle_slots_the_latest_chunks_first() -> None:
    runs = [run(1, 20, 100), run(2, 40, 10), run(3, 30, 100)]

    assert [row.id for row in stragglers(runs, dict.fromkeys((1, 2, 3), 10 / 450), 2)] == [2, 3]


# the window


def test_a_queue_holds_the_free_slots_and_a_few_jobs_more() -> None:
    assert Window().room(slots=10, running=4, queued=0, now=NOW) == 6 + SPARE
    assert Window().room(slots=10, running=4, queued=5, now=NOW) == 1 + SPARE
    assert Window().room(slots=10, running=12, queued=0, now=NOW) == SPARE, "slots that went away"
    assert Window().room(slots=10, running=10, queued=SPARE + 3, now=NOW) <= 0
    assert Window().room(slots=600, running=600, queued=0, now=NOW) == 600 // SPARE_SHARE


def test_where_jobs_are_short_as_many_are_spare_as_were_taken_lately() -> None:
    """Each slot finds its next job in the queue, though the watcher's turn takes longer than the job."""
    window = Window()
    window.filled(200)
    assert window.room(slots=100, running=100, queued=160, now=NOW) == 40 - 160
    window.filled(160)
    assert window.room(slots=100, running=100, queued=130, now=NOW + SPARE_MS - 1) == 40 + 30 - 130
    window.filled(130)
    assert window.room(slots=100, running=100, queued=130, now=NOW + SPARE_MS) == 30 - 130, "the first are forgotten"
    assert window.room(slots=100, running=100, queued=9, now=NOW + SPARE_MS) == 100 - 9, "at most one for each slot"


def test_what_is_added_to_a_queue_is_not_taken_for_less() -> None:
    """A queue that grew says nothing of what was taken of it."""
    window = Window()
    window.filled(10)
    assert window.room(slots=10, running=10, queued=30, now=NOW) == SPARE - 30
