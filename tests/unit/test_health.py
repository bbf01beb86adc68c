"""Whose fault it is: a node is blamed for what others could do, and held after many blames, but never the last one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.health import (
    BLAMES,
    CRASHES,
    FAULTS_KEPT,
    Fault,
    Hold,
    Standing,
    avoided,
    holding,
    quarantine,
    read_faults,
    to_blame,
    with_fault,
)

A, B = Fault("a", "1"), Fault("b", "2")


def column(*faults: Fault) -> str | None:
    """As the column of a job has them."""
    text: str | None = None
    for fault in faults:
        text = with_fault(text, fault)
    return text


def standing(
    name: str,
    instance: str = "1",
    *,
    blames: int = 0,
    lost: bool = False,
    alive: bool = True,
    takes: bool | None = None,
) -> Standing:
    return Standing(name, instance, blames, lost, "broken", alive, alive if takes is None else takes)


# what a job shall avoid


def test_a_job_avoids_the_nodes_on_which_it_failed() -> None:
    assert avoided(column(A, B, A), {"a", "b", "c"}) == ("a", "b")


@pytest.mark.parametrize("takers", [set[str](), {"a"}, {"a", "b"}])
def test_a_job_avoids_nobody_where_nobody_else_takes_jobs(takers: set[str]) -> None:
    """It would wait for ever; and two hosts of one name are one here."""
    assert avoided(column(A, B), takers) == ()


def test_a_job_that_never_failed_avoids_nobody() -> None:
    assert avoided(None, {"a", "b"}) == ()


def test_the_column_keeps_the_newest_faults() -> None:
    """A purge is tried for ever."""
    faults = [Fault(f"n{number}", "1") for number in range(FAULTS_KEPT + 5)]

    assert read_faults(column(*faults)) == faults[5:]


@pytest.mark.parametrize("text", ["", "{", "7", "[7]", '[{"node": "a"}]', '[{"node": "a", "instance": "1", "x": 1}]'])
def test_a_column_that_cannot_be_read_knows_nothing(text: str) -> None:
    """Another version, or a person, may have written it: it is a hint, and no job fails over it."""
    assert read_faults(text) == []


# who is to blame


def test_a_node_is_blamed_for_what_another_could_do() -> None:
    assert to_blame([A, B], "c", "3") == [A, B]
    assert to_blame([A, B, A], "b", "2") == [A, A]


def test_two_hosts_of_one_name_are_told_apart() -> None:
    assert to_blame([A], "a", "1") == []
    assert to_blame([A], "a", "2") == [A]


def test_nobody_is_blamed_for_an_output_that_fits_no_other() -> None:
    """Of two builds of ffmpeg the first one sets the measure, and may be the odd one."""
    assert to_blame([Fault("a", "1", "foreign")], "b", "2") == []


# who is held


def test_a_node_that_fails_again_and_again_is_held() -> None:
    (hold,) = quarantine("worker", [standing("a", blames=BLAMES), standing("b")], [])

    assert (hold.name, hold.role, hold.instance) == ("a", "worker", "1")
    said = f"{BLAMES} jobs in a row failed here and were done elsewhere, the last one: broken"
    assert hold.reason == f"quarantined: {said}"


def test_some_failures_are_borne() -> None:
    assert quarantine("worker", [standing("a", blames=BLAMES - 1), standing("b")], []) == []


def test_a_host_that_crashes_over_and_over_is_held_under_its_name() -> None:
    """Its next start would be a run without a stain; and what it costs is a lease each time."""
    runs = [standing("a", str(n), lost=True, alive=n == CRASHES) for n in range(1, CRASHES + 1)]

    (hold,) = quarantine("worker", [*runs, standing("b")], [])

    assert (hold.name, hold.role, hold.instance) == ("a", "worker", "")
    assert holding([hold], "a", "worker", "the next") == hold.reason
    assert quarantine("worker", [*runs[1:], standing("b")], []) == []


def test_a_run_that_is_over_is_not_held() -> None:
    assert quarantine("worker", [standing("a", blames=BLAMES, alive=False), standing("b")], []) == []


def test_who_is_held_is_not_held_again() -> None:
    drained = Hold("a", "", "", "drained")

    assert quarantine("worker", [standing("a", blames=BLAMES), standing("b")], [drained]) == []


@pytest.mark.parametrize(
    "others",
    [
        [],
        [standing("b", takes=False)],
        [standing("b", alive=False)],
        [standing("drained")],
    ],
)
def test_the_last_node_that_takes_jobs_is_never_held(others: list[Standing]) -> None:
    """A bad node is better than none."""
    drained = Hold("drained", "", "", "drained")

    assert quarantine("worker", [standing("a", blames=99), *others], [drained]) == []


def test_of_two_bad_nodes_the_worse_one_is_held() -> None:
    holds = quarantine("worker", [standing("a", blames=BLAMES), standing("b", blames=BLAMES + 1)], [])

    assert [hold.name for hold in holds] == ["b"]


standings = st.lists(
    st.builds(
        Standing, st.sampled_from("abc"), st.sampled_from("123"), st.integers(0, 9), st.booleans(), st.just("x"),
        alive=st.just(True), takes=st.booleans(),
    ),
    unique_by=lambda s: (s.name, s.instance), max_size=6,
)  # fmt: skip


@given(standings)
def test_whatever_happens_somebody_goes_on(rows: list[Standing]) -> None:
    holds = quarantine("worker", rows, [])

    bound = [bool(holding(holds, s.name, "worker", s.instance)) for s in rows]
    if any(s.takes for s in rows):
        assert any(s.takes and not held for s, held in zip(rows, bound, strict=True))
    assert len({(hold.name, hold.role, hold.instance) for hold in holds}) == len(holds)


# what holds a node


def test_an_operator_s_word_comes_before_the_watcher_s() -> None:
    holds = [Hold("a", "worker", "1", "quarantined"), Hold("a", "", "", "drained")]

    assert holding(holds, "a", "worker", "1") == "drained"
    assert holding(holds[:1], "a", "worker", "1") == "quarantined"
    assert holding(holds[:1], "a", "worker", "2") == ""
    assert holding(holds[:1], "a", "master", "1") == ""
    assert holding(holds, "b", "worker", "1") == ""
