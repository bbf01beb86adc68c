"""What reports, lapses and cancels do to a job: one guarded change, and fencing of what comes late."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

from raven.messages import BadMessage, Done, Failed, JobReport, Passed, Progress, Started
from raven.model import EncodeResult, PrepareResult, PublishResult
from tests.builders import cutting, encode_result, job_row, prepare_result
from watcher.health import Fault, read_faults
from watcher.plan import prepared
from watcher.rows import OPEN, JobRow, JobState
from watcher.transitions import (
    AWAY_MS,
    BACK_OFF_MS,
    MESSAGE_LENGTH,
    PASS_MS,
    Limits,
    again,
    cancelled,
    on_lapse,
    on_report,
    on_stall,
    stalls,
    unqueued,
)

LIMITS = Limits(lease_ms=30_000, attempts=4, stall_ms=1_000)
NOW = 1_000_000
GRID = cutting().grid(Fraction(25))
RESULT = encode_result(GRID, GRID.chunk_span(0, None))
FOREIGN = encode_result(GRID, GRID.chunk_span(1, None), init_sha256="0d" * 32)


def started(attempt: int = 1) -> Started:
    return Started(task=7, job=70, attempt=attempt, node="n1")


def progress(attempt: int = 1, **fields: object) -> Progress:
    return Progress.model_validate({"task": 7, "job": 70, "attempt": attempt, "node": "n1", **fields})


def done(result: EncodeResult | PublishResult = RESULT, attempt: int = 1) -> Done:
    dumped = result.model_dump(mode="json")
    return Done(task=7, job=70, attempt=attempt, node="n1", seconds=2.5, result=dumped)


def failed(attempt: int = 1, *, message: str = "broken", **flags: bool) -> Failed:
    return Failed(task=7, job=70, attempt=attempt, node="n1", message=message, **flags)


def passed(attempt: int = 1) -> Passed:
    return Passed(task=7, job=70, attempt=attempt, node="n1", instance="i1")


def after(row: JobRow, report: JobReport, reference: EncodeResult | None = None) -> JobRow | None:
    """The row after a report, None when the report is late."""
    return on_report(row, report, reference, NOW, LIMITS).applied(row)


REPORTS: tuple[JobReport, ...] = (
    *(started(), progress(), done(), passed()),
    *(failed(), failed(permanent=True), failed(cancelled=True), failed(unusable=True)),
)


# fencing


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: r.type)
@pytest.mark.parametrize("state", sorted(set(JobState) - OPEN))
def test_a_job_that_has_ended_does_not_change_any_more(report: JobReport, state: str) -> None:
    """A doubled or late report must not undo a result that is published already."""
    assert after(job_row(state=state), report) is None


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: r.type)
@pytest.mark.parametrize(("row_attempt", "state"), list(product([2, 3], sorted(OPEN))))
def test_a_report_of_an_older_attempt_is_late(report: JobReport, row_attempt: int, state: str) -> None:
    """A node that was cut off comes back with an old result: the job belongs to another by now."""
    assert after(job_row(state=state, attempt=row_attempt), report) is None


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: r.type)
def test_a_report_of_another_job_is_nothing_to_a_row(report: JobReport) -> None:
    row = job_row(id=71, state="running")

    assert on_report(job_row(state="running"), report, None, NOW, LIMITS).applied(row) is None


@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_result_counts_even_if_its_start_was_never_heard_of(state: str) -> None:
    """Reports overtake each other; the result is there."""
    row = after(job_row(state=state), done())

    assert row is not None
    assert row.state == JobState.DONE


# signs of life


@pytest.mark.parametrize("report", [started(), progress()], ids=lambda r: r.type)
@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_sign_of_life_makes_a_job_running_and_renews_its_lease(report: JobReport, state: str) -> None:
    row = after(job_row(state=state, lease_until=5), report)

    assert row is not None
    assert (row.state, row.node, row.lease_until) == (JobState.RUNNING, "n1", NOW + 30_000)
    assert (row.attempt, row.failures) == (1, 0)


def test_the_time_of_a_state_is_when_it_was_entered() -> None:
    entered = after(job_row(state="queued"), progress())
    again_alive = after(job_row(state="running"), progress())

    assert entered is not None
    assert entered.changed_at == NOW
    assert again_alive is not None
    assert again_alive.changed_at == 0


def test_progress_is_what_the_report_says() -> None:
    row = after(job_row(state="running"), progress(done=42, speed=1.5))

    assert row is not None
    assert (row.done, row.speed) == (42, 1.5)


def test_what_is_cut_so_far_is_kept_for_the_plan() -> None:
    so_far = prepare_result(complete=False, chunks=2)

    row = after(job_row(kind="prepare", state="running"), progress(so_far=so_far))

    assert prepared(row) == so_far


def test_only_cutting_has_a_result_before_its_end() -> None:
    row = after(job_row(kind="encode", state="running"), progress(so_far=prepare_result()))

    assert row is not None
    assert row.result is None


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (prepare_result(complete=True), prepare_result(complete=False, chunks=0, frames=0)),
        (prepare_result(complete=True), prepare_result(complete=False, chunks=3)),
        (prepare_result(complete=False, chunks=3), prepare_result(complete=False, chunks=1, frames=80)),
    ],
    ids=["the end, then the beginning", "the end, then nearly", "three chunks, then one"],
)
def test_a_second_cutting_does_not_make_the_plan_forget_what_the_first_has_found(
    known: PrepareResult, told: PrepareResult
) -> None:
    """Only a complete result tells where the last chunk ends: were it forgotten, it would be ordered too short."""
    row = job_row(kind="prepare", state="running", attempt=2, result=known.model_dump_json())

    alive = after(row, progress(2, so_far=told, done=5))

    assert alive is not None
    assert prepared(alive) == known
    assert alive.done == 5


# results


def test_a_result_ends_the_job() -> None:
    row = after(job_row(state="running", message="an old failure"), done())

    assert row is not None
    assert (row.state, row.node, row.seconds, row.message, row.changed_at) == (JobState.DONE, "n1", 2.5, None, NOW)
    assert EncodeResult.model_validate_json(row.result or "") == RESULT


def test_a_result_of_another_kind_is_unreadable() -> None:
    """A node of another version: it is dead-lettered, and the lease brings the job back."""
    with pytest.raises(BadMessage, match="kind encode"):
        after(job_row(state="running"), done(PublishResult(url="x", bytes=1)))


def test_a_chunk_of_another_encoder_build_is_made_again() -> None:
    """Two init segments in one rendition: players would show garbage from that chunk on."""
    row = after(job_row(state="running"), done(FOREIGN), reference=RESULT)

    assert row is not None
    assert (row.state, row.attempt, row.failures, row.result) == (JobState.WAITING, 2, 1, None)
    assert "the node's ffmpeg differs" in (row.message or "")


def test_a_chunk_with_other_renditions_is_foreign_too() -> None:
    row = after(job_row(state="running"), done(), reference=encode_result(GRID, GRID.chunk_span(1, None), ["360p"]))

    assert row is not None
    assert row.state == JobState.WAITING


def test_the_first_chunk_and_one_like_the_others_are_taken() -> None:
    for reference in (None, RESULT):
        row = after(job_row(state="running"), done(), reference)
        assert row is not None
        assert row.state == JobState.DONE


# failures


def test_a_failure_is_tried_again_with_a_next_attempt() -> None:
    row = after(job_row(state="running", attempt=3, node="n1"), failed(3))

    assert row is not None
    assert (row.state, row.attempt, row.failures, row.message) == (JobState.WAITING, 4, 1, "broken")
    assert (row.done, row.speed) == (0, 0.0)


def test_each_failure_waits_longer_up_to_the_longest() -> None:
    waits = []
    for failures in range(6):
        row = on_report(job_row(failures=failures), failed(), None, NOW, Limits(30_000, 100)).applied(
            job_row(failures=failures)
        )
        assert row is not None
        waits.append(row.not_before - NOW)

    assert waits == [*BACK_OFF_MS, BACK_OFF_MS[-1], BACK_OFF_MS[-1]]
    assert sorted(waits) == waits


def test_when_the_attempts_are_used_up_the_job_has_failed() -> None:
    row = after(job_row(state="running", attempt=9, failures=3), failed(9))

    assert row is not None
    assert (row.state, row.failures, row.message) == (JobState.FAILED, 4, "broken (after 4 attempts)")


def test_a_permanent_failure_is_not_tried_again() -> None:
    """A bad source fails at once, with a message that a person understands."""
    row = after(job_row(state="running"), failed(message="the source is empty", permanent=True))

    assert row is not None
    assert (row.state, row.message, row.node) == (JobState.FAILED, "the source is empty", "n1")


def test_being_stopped_costs_no_attempt() -> None:
    """A node that is shut down for an update has done nothing wrong."""
    row = after(job_row(state="running", failures=3), failed(cancelled=True))

    assert row is not None
    assert (row.state, row.attempt, row.failures, row.not_before) == (JobState.WAITING, 2, 3, 0)


def test_a_storage_that_is_away_costs_no_attempt() -> None:
    """It may be away for an hour, and no job has done anything wrong; when it is back, none waits for long."""
    row = job_row(state="running", attempt=4, failures=3)
    waits, limits = [], Limits(30_000, 4, away=50)

    for attempt in range(4, 54):
        report = failed(attempt, message="storage: no answer", away=True)
        back = on_report(row, report, None, NOW, limits).applied(row)
        assert back is not None
        assert (back.state, back.attempt, back.failures) == (JobState.WAITING, attempt + 1, 3)
        assert back.message == "storage: no answer"
        waits.append(back.not_before - NOW)
        row = replace(back, state=JobState.RUNNING)

    assert sorted(waits) == waits
    assert waits[0] == BACK_OFF_MS[0]
    assert waits[-1] == AWAY_MS


def test_a_storage_that_is_away_for_ever_ends_the_job() -> None:
    """Else a task with one object that no server can give would stay for ever, and nobody would be told."""
    row = job_row(state="running", attempt=54, failures=3)

    end = on_report(row, failed(54, away=True), None, NOW, Limits(30_000, 4, away=50)).applied(row)

    assert end is not None
    assert end.state == JobState.FAILED


@pytest.mark.parametrize("permanent", [False, True])
def test_cleaning_up_is_never_given_up(permanent: bool) -> None:
    """A purge that failed for good would keep its task for ever, and its objects with it."""
    row = after(job_row(kind="purge", state="running", failures=50), failed(permanent=permanent))

    assert row is not None
    assert (row.state, row.failures, row.not_before) == (JobState.WAITING, 51, NOW + BACK_OFF_MS[-1])


def test_an_endless_message_is_cut() -> None:
    """It ends in a column."""
    for report in (failed(message="x" * 100_000), failed(message="x" * 100_000, permanent=True)):
        row = after(job_row(state="running"), report)
        assert row is not None
        assert row.message == "x" * MESSAGE_LENGTH


def test_a_lapse_is_a_failure_that_names_the_silent_node() -> None:
    row = job_row(state="running", attempt=2, node="n9")

    lapsed = on_lapse(row, NOW, LIMITS).applied(row)

    assert lapsed is not None
    assert (lapsed.state, lapsed.attempt, lapsed.failures) == (JobState.WAITING, 3, 1)
    assert lapsed.message == "node n9 fell silent while it ran this"


def test_a_lapse_that_comes_after_the_result_changes_nothing() -> None:
    row = job_row(state="running", node="n1")
    lapse = on_lapse(row, NOW, LIMITS)

    finished = after(row, done())

    assert finished is not None
    assert lapse.applied(finished) is None


# chunks that cannot be used


def unusable(node: str, attempt: int) -> Failed:
    return Failed(task=7, job=70, attempt=attempt, node=node, message="no frame comes out", unusable=True)


def reported(*reports: Failed, kind: str = "encode") -> JobRow:
    """A job after failures, each time given out again."""
    row = job_row(kind=kind)
    for report in reports:
        changed = after(replace(row, state="running", node=report.node), report)
        assert changed is not None
        row = changed
    return row


def test_a_chunk_that_one_node_finds_unusable_is_tried_again() -> None:
    """Its disk or its ffmpeg may be broken: that must not send whole films to be decoded by the master."""
    row = reported(unusable("n1", 1), unusable("n1", 2))

    assert (row.state, row.attempt, row.failures, row.message) == ("waiting", 3, 2, "no frame comes out")


def test_a_chunk_that_two_nodes_find_unusable_is() -> None:
    row = reported(unusable("n1", 1), failed(2), unusable("n2", 3))

    assert (row.state, row.attempt, row.failures, row.message) == ("unusable", 3, 3, "no frame comes out")


def test_where_there_is_one_node_alone_its_last_attempt_decides() -> None:
    row = reported(*(unusable("n1", attempt) for attempt in range(1, 5)))

    assert (row.state, row.attempt, row.failures) == ("unusable", 4, 4)


def test_a_chunk_that_was_found_unusable_and_then_fails_otherwise_has_failed() -> None:
    row = reported(*(unusable("n1", attempt) for attempt in range(1, 4)), failed(4))

    assert (row.state, row.message) == ("failed", "broken (after 4 attempts)")


def test_a_chunk_that_one_node_finds_unusable_and_another_encodes_is_done() -> None:
    row = after(reported(unusable("n1", 1)), done(attempt=2))

    assert row is not None
    assert row.state == JobState.DONE
    assert EncodeResult.model_validate_json(row.result or "") == RESULT


def test_only_a_chunk_can_be_unusable() -> None:
    assert reported(unusable("n1", 1), unusable("n2", 2), kind="audio").state == "waiting"


def test_it_is_kept_on_which_nodes_a_job_went_wrong() -> None:
    """So that it is tried elsewhere, and who is to blame shows once another has done it."""
    first = after(job_row(state="running"), failed().model_copy(update={"instance": "i1"}))
    assert first is not None
    lapsed = on_lapse(replace(first, state="running", node="n2", instance="i2"), NOW, LIMITS).applied(
        replace(first, state="running", node="n2", instance="i2")
    )
    assert lapsed is not None
    foreign = after(replace(lapsed, state="running"), done(FOREIGN, attempt=3), reference=RESULT)
    assert foreign is not None

    assert read_faults(foreign.faults) == [
        Fault("n1", "i1", "failed"), Fault("n2", "i2", "lapsed"), Fault("n1", "", "foreign")
    ]  # fmt: skip


def test_stops_and_jobs_given_back_are_held_against_nobody() -> None:
    for report in (failed(cancelled=True), passed()):
        row = after(job_row(state="running"), report)
        assert row is not None
        assert (row.attempt, row.failures, row.faults) == (2, 0, None)


def test_a_job_that_was_given_back_waits_longer_each_time() -> None:
    """The node that it shall avoid may be the only one that is idle, and would take it again and again."""
    waits = []
    for passes in range(len(PASS_MS) + 1):
        row = after(job_row(state="queued", passes=passes), passed())
        assert row is not None
        assert row.passes == passes + 1
        waits.append(row.not_before - NOW)

    assert waits == [*PASS_MS, PASS_MS[-1]]
    assert sum(PASS_MS) < 120_000, "it does not wait for ever"


# no progress


def test_the_time_of_the_last_progress_is_that_of_the_last_frame_not_of_the_last_report() -> None:
    """A node whose ffmpeg hangs reports on and on."""
    begun = after(job_row(state="queued", moved_at=1), started())
    still = after(job_row(state="running", done=5, moved_at=1), progress(done=5))
    moves = after(job_row(state="running", done=5, moved_at=1), progress(done=6))

    assert begun is not None
    assert still is not None
    assert moves is not None
    assert (begun.moved_at, still.moved_at, moves.moved_at) == (NOW, 1, NOW)


@pytest.mark.parametrize(
    ("row", "stuck"),
    [
        (job_row(state="running", done=5, moved_at=NOW - 2_000), False),
        (job_row(state="running", done=5, moved_at=NOW - 2_001), True),
        (job_row(state="running", kind="second", done=5, moved_at=NOW - 2_001), True),
        (job_row(state="running", moved_at=NOW - 6_000), False),
        (job_row(state="running", moved_at=NOW - 6_001), True),
        (job_row(state="queued", done=5, moved_at=1), False),
        (job_row(state="running", kind="prepare", done=5, moved_at=1), False),
        (job_row(state="running", kind="audio", done=5, moved_at=1), False),
    ],
)
def test_an_encode_without_a_frame_for_too_long_is_stuck(row: JobRow, stuck: bool) -> None:
    """Twice as long as its node bears it, three times that before the first frame; recordings may pause."""
    assert stalls(row, NOW, LIMITS) == stuck


def test_a_stuck_encode_is_a_failure_of_its_node() -> None:
    row = job_row(state="running", attempt=2, node="n9", done=5, moved_at=NOW - 7_000)

    taken = on_stall(row, NOW, LIMITS).applied(row)

    assert taken is not None
    assert (taken.state, taken.attempt, taken.failures) == (JobState.WAITING, 3, 1)
    assert taken.message == "node n9 made no progress with this for 7 s"
    assert read_faults(taken.faults) == [Fault("n9", "")]


# queueing and cancelling


@pytest.mark.parametrize("state", sorted(JobState))
def test_only_a_queued_job_is_taken_back(state: str) -> None:
    row = job_row(state=state)

    assert (unqueued(row, NOW).applied(row) is not None) == (state == "queued")


def test_a_job_that_the_broker_did_not_take_keeps_its_attempt() -> None:
    row = job_row(state="queued", attempt=3)

    back = unqueued(row, NOW).applied(row)

    assert back is not None
    assert (back.state, back.attempt, back.not_before) == (JobState.WAITING, 3, 0)


def test_a_lost_message_is_fenced_by_the_next_attempt() -> None:
    """It may be found again: then two nodes would have the same attempt."""
    row = job_row(state="queued", attempt=3)

    back = again(row, NOW, 3, "lost", delay=0).applied(row)

    assert back is not None
    assert (back.state, back.attempt, back.failures) == (JobState.WAITING, 4, 0)
    assert after(back, done(attempt=3)) is None


@pytest.mark.parametrize("state", sorted(JobState))
def test_a_job_is_cancelled_at_any_attempt_unless_it_has_ended(state: str) -> None:
    row = job_row(state=state, attempt=5)

    gone = cancelled(job_row(), NOW).applied(row)

    assert (gone is not None) == (state in OPEN)
    assert gone is None or gone.state == JobState.CANCELLED


def test_after_a_cancel_everything_is_late() -> None:
    gone = cancelled(job_row(), NOW).applied(job_row(state="running"))

    assert gone is not None
    assert all(after(gone, report) is None for report in REPORTS)
