"""Whatever is lost, doubled, late or dies, in any order: the task ends, and what is published is whole."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.builders import audio_facts, source_facts, video_facts
from tests.unit.farm_model import Farm, Film
from watcher.rows import TaskState

PICTURE, SILENT, SOUND = source_facts(), source_facts(audio=()), source_facts(video=None)
TWO_TRACKS = source_facts(
    video=video_facts(rate=Fraction(30000, 1001)), audio=(audio_facts(), audio_facts(stream=2, name="deu-2"))
)
FILMS = (
    Film(PICTURE, 250),  # four chunks, the last one longer than the others
    Film(PICTURE, 85),  # two, the last one shorter
    Film(SILENT, 1),
    Film(SOUND, 0),
    Film(TWO_TRACKS, 200),
)
places = st.integers(0, 7)


class Storm(RuleBasedStateMachine):
    """The schedule of everything that can happen, drawn at random; at its end all goes well again."""

    farm: Farm

    @initialize(film=st.sampled_from(FILMS))
    def submit(self, film: Film) -> None:
        self.farm = Farm(film)

    # the watcher's turns

    @rule()
    def plan(self) -> None:
        self.farm.advance()

    @rule(fate=st.sampled_from(["sent", "sent", "sent", "lost", "refused", "denied"]))
    def hand_out(self, fate: str) -> None:
        self.farm.hand_out(fate)

    @rule(milliseconds=st.sampled_from([100, 2_000, 25_000, 61_000]))
    def care_later(self, milliseconds: int) -> None:
        self.farm.now += milliseconds
        self.farm.care()

    @rule()
    def go_well_for_a_while(self) -> None:
        """Most of a film's life: without it a random schedule would rarely come far."""
        farm = self.farm
        farm.advance()
        farm.hand_out()
        while farm.queue:
            farm.take(0, "n1")
        for at in range(len(farm.working)):
            farm.go_on(at)
        for body in farm.reports:
            farm.deliver(body)
        farm.reports = []
        farm.advance()

    # orders on their way

    @precondition(lambda self: self.farm.queue)
    @rule(at=places, node=st.sampled_from(["n1", "n2", "n2", "n2", "odd"]), copy=st.booleans())
    def take(self, at: int, node: str, copy: bool) -> None:
        self.farm.take(at % len(self.farm.queue), node, leave_a_copy=copy)

    @precondition(lambda self: self.farm.queue)
    @rule(at=places)
    def lose_an_order(self, at: int) -> None:
        self.farm.queue.pop(at % len(self.farm.queue))

    # nodes at work

    @precondition(lambda self: self.farm.working)
    @rule(at=places)
    def go_on(self, at: int) -> None:
        self.farm.go_on(at % len(self.farm.working))

    @precondition(lambda self: self.farm.working)
    @rule(at=places)
    def finish(self, at: int) -> None:
        self.farm.finish(at % len(self.farm.working))

    @precondition(lambda self: self.farm.working)
    @rule(at=places, permanent=st.sampled_from([False] * 9 + [True]))
    def fail(self, at: int, permanent: bool) -> None:
        self.farm.fail(at % len(self.farm.working), permanent=permanent)

    @precondition(lambda self: self.farm.working)
    @rule(at=places)
    def stop_a_node(self, at: int) -> None:
        self.farm.fail(at % len(self.farm.working), stopped=True)

    @precondition(lambda self: self.farm.working)
    @rule(at=places)
    def kill_a_node(self, at: int) -> None:
        self.farm.working.pop(at % len(self.farm.working))

    @rule()
    def hear_the_cancel(self) -> None:
        self.farm.hear_the_cancel()

    # reports on their way

    @precondition(lambda self: self.farm.reports)
    @rule(at=places)
    def deliver(self, at: int) -> None:
        self.farm.deliver(self.farm.reports.pop(at % len(self.farm.reports)))

    @precondition(lambda self: self.farm.reports)
    @rule(at=places)
    def deliver_and_keep(self, at: int) -> None:
        self.farm.deliver(self.farm.reports[at % len(self.farm.reports)])

    @precondition(lambda self: self.farm.reports)
    @rule(at=places)
    def drop(self, at: int) -> None:
        self.farm.reports.pop(at % len(self.farm.reports))

    # once in a while

    @rule(really=st.sampled_from([False] * 9 + [True]))
    def delete_the_task(self, really: bool) -> None:
        if really:
            self.farm.delete()

    @rule(really=st.sampled_from([False] * 4 + [True]))
    def restart_as_one_process(self, really: bool) -> None:
        if really:
            self.farm.restart_as_one_process()

    @invariant()
    def what_must_always_hold(self) -> None:
        self.farm.check()

    def teardown(self) -> None:
        if hasattr(self, "farm"):
            self.farm.finish_fairly()
            self.farm.check()


TestStorm = Storm.TestCase
TestStorm.settings = settings(
    max_examples=4 * settings().max_examples,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("film", FILMS, ids=["long last", "short last", "one frame", "sound alone", "two tracks"])
def test_a_task_that_nothing_happens_to_ends_done(film: Film) -> None:
    """The storm proves nothing if even fair weather does not end well."""
    farm = Farm(film)

    farm.finish_fairly()

    assert farm.task is not None
    assert farm.task.status == TaskState.DONE
    assert len(farm.accepted) == len({job for job, _ in farm.accepted}) >= 4


def test_the_storm_s_own_asserts_can_fail() -> None:
    """Given results that break a law, when they are taken, then the model says so."""
    farm = Farm(FILMS[0])
    farm.finish_fairly()
    farm.accepted.append(farm.accepted[0])

    with pytest.raises(AssertionError, match="two accepted results"):
        farm.check()
