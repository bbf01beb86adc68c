"""Whatever is lost, doubled, late or dies, in any order: the task ends, and what is published is whole."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import audio_facts, source_facts, text_facts, video_facts
from tests.unit.farm_model import Farm, Film
from watcher.rows import TaskState

PICTURE, SILENT, SOUND = source_facts(), source_facts(audio=()), source_facts(video=None)
TWO_TRACKS = source_facts(
    video=video_facts(rate=Fraction(30000, 1001)), audio=(audio_facts(), audio_facts(stream=2, name="deu-2"))
)
SUBTITLED = source_facts(text=(text_facts(), text_facts(stream=3, name="deu-2", forced=True)))
FILMS = (
    Film(PICTURE, 250),  # four chunks, the last one longer than the others
    Film(PICTURE, 85),  # two, the last one shorter
    Film(SILENT, 1),
    Film(SOUND, 0),
    Film(TWO_TRACKS, 200),
    Film(SUBTITLED, 130),
    Film(SUBTITLED, 250, bad_chunk=1, lost=3),
    Film(SILENT, 250, bad_chunk=2, lost=70),  # so many that it has a chunk less
)

Event = Callable[[Farm, int], None]


# what can happen; `n` says to which job, order or report


def plan(farm: Farm, _: int) -> None:
    farm.advance()


def hand_out(farm: Farm, n: int) -> None:
    farm.hand_out("sent", room=n + 1)


def hand_out_badly(farm: Farm, n: int) -> None:
    farm.hand_out(("lost", "refused", "denied")[n % 3], room=n + 1)


def care(farm: Farm, n: int) -> None:
    """Time passes, from less than a back-off to more than a lease."""
    farm.now += (1_100, 1_100, 6_000, 6_000, 6_000, 16_000, 25_000, 61_000)[n % 8]
    farm.care()


def take(farm: Farm, n: int) -> None:
    if farm.queue:
        farm.take(n % len(farm.queue), "odd" if n == 7 else "n1")


def take_a_copy(farm: Farm, n: int) -> None:
    if farm.queue:
        farm.take(n % len(farm.queue), "n2", leave_a_copy=True)


def lose_an_order(farm: Farm, n: int) -> None:
    if farm.queue:
        farm.queue.pop(n % len(farm.queue))


def give_a_sign(farm: Farm, n: int) -> None:
    if farm.working:
        farm.go_on(n % len(farm.working))


def cut_on(farm: Farm, n: int) -> None:
    """The master cuts further, and all that it says arrives."""
    for at, work in enumerate(farm.working):
        if work.job.kind == "prepare":
            for _ in range(n + 1):
                farm.go_on(at)
                farm.deliver(farm.reports.pop())
            return


def finish(farm: Farm, n: int) -> None:
    if farm.working:
        farm.finish(n % len(farm.working))


def fail(farm: Farm, n: int) -> None:
    if farm.working:
        farm.fail(n % len(farm.working), permanent=n >= 6)


def doubt(farm: Farm, n: int) -> None:
    """A node finds a chunk unusable, though nothing may be wrong with it."""
    if farm.working and farm.working[n % len(farm.working)].job.kind == "encode":
        farm.fail(n % len(farm.working), unusable=True)


def stop_a_node(farm: Farm, n: int) -> None:
    if farm.working:
        farm.fail(n % len(farm.working), stopped=True)


def kill_a_node(farm: Farm, n: int) -> None:
    if farm.working:
        farm.working.pop(n % len(farm.working))


def hear_the_cancel(farm: Farm, _: int) -> None:
    farm.hear_the_cancel()


def deliver(farm: Farm, n: int) -> None:
    if farm.reports:
        farm.deliver(farm.reports.pop(n % len(farm.reports)))


def deliver_and_keep(farm: Farm, n: int) -> None:
    if farm.reports:
        farm.deliver(farm.reports[n % len(farm.reports)])


def drop(farm: Farm, n: int) -> None:
    if farm.reports:
        farm.litter = True
        farm.reports.pop(n % len(farm.reports))


def delete(farm: Farm, n: int) -> None:
    if n == 0:
        farm.delete()


def restart_as_one_process(farm: Farm, n: int) -> None:
    if n == 0:
        farm.restart_as_one_process()


def retry(farm: Farm, _: int) -> None:
    farm.retry()


def run_again(farm: Farm, n: int) -> None:
    farm.run_again(n)


def stall(farm: Farm, n: int) -> None:
    farm.stall(n)


def pass_on(farm: Farm, n: int) -> None:
    if farm.queue:
        farm.pass_on(n % len(farm.queue))


def restart_the_watcher(farm: Farm, _: int) -> None:
    farm.restart_the_watcher()


EVENTS: tuple[Event, ...] = (
    *[plan] * 4, *[hand_out] * 4, hand_out_badly, *[care] * 3,
    *[take] * 6, take_a_copy, lose_an_order,
    give_a_sign, *[cut_on] * 2, *[finish] * 4, *[fail] * 3, doubt, stop_a_node, kill_a_node, *[hear_the_cancel] * 2,
    *[deliver] * 8, deliver_and_keep, drop,
    delete, restart_as_one_process, restart_the_watcher, *[retry] * 2, *[run_again] * 2, stall, pass_on,
)  # fmt: skip
schedules = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 7)), min_size=20, max_size=120)


@settings(max_examples=8 * settings().max_examples)
@given(st.sampled_from(FILMS), st.sampled_from((0, 30_000, 600_000)), st.integers(0, 9), schedules)
def test_whatever_happens_the_task_ends_and_what_is_published_is_whole(
    film: Film, keep_failed: int, rounds: int, schedule: list[tuple[Event, int]]
) -> None:
    """The asserts are the model's, at every step: see `Farm`."""
    # Given a task somewhere in its life
    farm = Farm(film, keep_failed=keep_failed)
    for _ in range(rounds):
        farm.go_well()
        farm.now += 61_000 if film.bad_chunk else 0  # it is given up only after some back-offs

    # When anything happens to it
    for event, n in schedule:
        event(farm, n)
        farm.check()

    # Then, once nothing is lost any more, it ends, and a failure had its reason
    farm.finish_fairly()
    farm.check()
    farm.check_clean()

    # And a failed task can be tried again, and ends as well
    farm.retry()
    farm.finish_fairly()
    farm.check_clean()


@pytest.mark.parametrize(
    "film",
    FILMS,
    ids=[
        "long last",
        "short last",
        "one frame",
        "sound alone",
        "two tracks",
        "subtitles",
        "bad chunk",
        "bad last chunk",
    ],
)
def test_a_task_that_nothing_happens_to_ends_done(film: Film) -> None:
    """The storm proves nothing if even fair weather does not end well."""
    farm = Farm(film)

    farm.finish_fairly()
    farm.check_clean()

    assert farm.task is not None
    assert farm.task.status == TaskState.DONE
    assert len(farm.accepted) >= 4


STORMS: dict[str, tuple[Film, int, list[tuple[Event, int]]]] = {
    "a purge fails for good": (FILMS[0], 4, [(fail, 6), (deliver, 0)]),
    # the first cutting told all but its end; the second begins anew while the last chunk is still to be ordered
    "a source is cut twice": (
        FILMS[1],
        1,
        [
            *[(cut_on, 7), (plan, 0), (fail, 0), (deliver, 0), (care, 0), (hand_out, 0), (take, 0), (deliver, 0)],
            *[(cut_on, 0), (hand_out, 7), (take, 0), (take, 0), (finish, 1), (finish, 1)],
        ],
    ),
    # a node has taken the job, but its first report is still on its way
    "a task is deleted while its job is taken": (
        FILMS[0],
        0,
        [(plan, 0), (hand_out, 0), (take, 0), (delete, 0), (plan, 0), (plan, 0)],
    ),
    "a chunk is encoded by another build": (
        FILMS[0],
        2,
        [
            *[(finish, 0), (deliver, 0), (fail, 0), (deliver, 0), (care, 2), (hand_out, 0)],
            *[(take, 7), (finish, 3), (deliver, 1)],
        ],
    ),
    # the broker hands out a purge twice, the second time when its task is tried again
    "a purge comes late": (
        FILMS[0],
        2,
        [
            *[(fail, 6), (deliver, 0), (plan, 0), *[(hear_the_cancel, 0), *[(deliver, 0)] * 8, (plan, 0)] * 2],
            *[(hand_out, 7), (take_a_copy, 0), (deliver, 0), (give_a_sign, 0), (deliver, 0)],
            *[(finish, 0), (deliver, 0), (plan, 0)],
            *[(retry, 0), (plan, 0), (hand_out, 0), (take, 1), (deliver, 0), (cut_on, 1), (plan, 0)],
            *[(take, 0), (give_a_sign, 1), *[(deliver, 0)] * 3, (finish, 1), (deliver, 0)],
        ],
    ),
    "a node comes back with an old result": (
        FILMS[2],
        1,
        [
            *[(care, 7), (care, 7), (hand_out, 0), (take, 0), (deliver, 0), (finish, 1), (deliver, 0)],
            *[(finish, 0), (deliver, 0)],
        ],
    ),
}


@pytest.mark.parametrize(("film", "rounds", "schedule"), STORMS.values(), ids=STORMS.keys())
def test_a_storm_that_was_once_dangerous_is_weathered(
    film: Film, rounds: int, schedule: list[tuple[Event, int]]
) -> None:
    """Each needs so many things to come together that chance finds it only now and then."""
    farm = Farm(film)
    for _ in range(rounds):
        farm.go_well()

    for event, n in schedule:
        event(farm, n)
        farm.check()

    farm.finish_fairly()
    farm.check()


def test_the_storm_s_own_asserts_can_fail() -> None:
    """Given results that break a law, when they are taken, then the model says so."""
    farm = Farm(FILMS[0])
    farm.finish_fairly()
    farm.accepted.append(farm.accepted[0])

    with pytest.raises(AssertionError, match="two accepted results"):
        farm.check()
