"""The plan, one sentence at a time: what a task needs next, from its rows alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from raven.model import PrepareResult, PublishResult
from tests.builders import audio_facts, job_row, prepare_result, source_facts, task_row, text_facts, video_facts
from tests.ledgers import ledger_of
from watcher import plan as planning
from watcher.ledger import CONFORM, UNTAKEN_MS, Chunks, Ledger
from watcher.plan import PURGE_ALL, PURGE_TEMPORARY, Ending, NewJob, Plan, prepared
from watcher.rows import OPEN, JobRow, JobState, TaskRow, TaskState

NOW = 1000
CHUNKS = tuple(NewJob("encode", index) for index in range(4))
AUDIO = NewJob("audio", 0)
TEXTS = (NewJob("text", 0), NewJob("text", 1))


def plan(task: TaskRow, have: Iterable[JobRow], now: int, early: int = 0, keep_failed: int = 0) -> Plan:
    return planning.plan(task, ledger_of(have, now), early, keep_failed)


def plan_deleted(have: Iterable[JobRow], now: int) -> Plan:
    return planning.plan_deleted(ledger_of(have, now), now)


def rows(*jobs: JobRow) -> list[JobRow]:
    """Job rows with ids of their own."""
    return [replace(job, id=70 + n) for n, job in enumerate(jobs)]


def prepare(state: PrepareResult | None, job_state: str = "running") -> JobRow:
    return job_row(kind="prepare", state=job_state, result=state.model_dump_json() if state else None)


def all_work(state: str = "done", *, complete: PrepareResult | None = None) -> list[JobRow]:
    """A source that is cut, and its four chunks and one track."""
    return rows(
        prepare(complete or prepare_result(), "done"),
        *(job_row(kind="encode", position=n, state=state) for n in range(4)),
        job_row(kind="audio", state=state),
    )


def publish_row(state: str = "done") -> JobRow:
    result = PublishResult(url="https://cdn/7/master.m3u8", bytes=5).model_dump_json()
    return job_row(id=90, kind="publish", state=state, result=result if state == "done" else None)


def announced(position: int, state: str = "done") -> JobRow:
    return replace(publish_row(state), id=100 + position, kind="announce", position=position)


def begun(*done: int, audio: str = "done") -> list[JobRow]:
    """A source that is cut; of its four chunks some are encoded."""
    return rows(
        prepare(prepare_result(), "done"),
        *(job_row(kind="encode", position=n, state="done" if n in done else "running") for n in range(4)),
        job_row(kind="audio", state=audio),
    )


# metadata alone


def test_a_task_that_wants_metadata_alone_is_done_when_its_source_is_probed() -> None:
    """There is neither chunk nor sound to encode, nor anything to publish."""
    known = PrepareResult(facts=source_facts(), complete=True, metadata_only=True)

    step = plan(task_row(status="preparing"), rows(prepare(known, "done")), NOW)

    assert step == Plan(ending=Ending(TaskState.DONE))


def test_what_its_source_lacks_is_told() -> None:
    known = PrepareResult(facts=source_facts(), complete=True, metadata_only=True, warnings=("2 pieces are missing",))

    step = plan(task_row(status="preparing"), rows(prepare(known, "done")), NOW)

    assert step == Plan(ending=Ending(TaskState.DONE, "2 pieces are missing"))


def test_it_is_cleaned_up_like_any_other() -> None:
    known = PrepareResult(facts=source_facts(), complete=True, metadata_only=True)

    assert plan(task_row(status="done"), rows(prepare(known, "done")), NOW).new_jobs == (
        NewJob("purge", PURGE_TEMPORARY),
    )


# played before it is done


@pytest.mark.parametrize(
    ("have", "news"),
    [
        (begun(0, 1), [2]),
        (begun(0, 1, 2), [3]),
        (begun(0, 1, 3), [2]),  # what does not follow on yet cannot be played
        (begun(0), []),  # too short for a player to begin with
        (begun(1, 2, 3), []),
        (begun(0, 1, audio="running"), []),
        ([*begun(0, 1), announced(2)], []),
        ([*begun(0, 1, 2), announced(2)], [3]),
        ([*begun(0, 1, 2), announced(2, "running")], []),  # one at a time: else an older one could come last
        ([*begun(0, 1, 2), announced(2, "waiting")], []),
    ],
)
def test_a_film_is_announced_again_when_more_of_its_beginning_is_there(have: list[JobRow], news: list[int]) -> None:
    step = plan(task_row(), have, NOW, early=2)

    assert step == Plan(status=TaskState.ENCODING, new_jobs=tuple(NewJob("announce", n) for n in news))


@pytest.mark.parametrize(
    ("before", "ready", "news"),
    [
        (64, 67, []),  # a sixteenth more is wanted in a long film
        (64, 68, [68]),
        (94, 96, []),  # and towards its end half of what is left
        (94, 97, [97]),
        (98, 99, [99]),
    ],
)
def test_a_long_film_is_announced_in_steps_that_shrink_towards_its_end(
    before: int, ready: int, news: list[int]
) -> None:
    cut = prepare(prepare_result(chunks=100), "done")
    chunks = [job_row(kind="encode", position=n, state="done" if n < ready else "running") for n in range(100)]
    have = [*rows(cut, *chunks, job_row(kind="audio", state="done")), replace(announced(before), id=900)]

    step = plan(task_row(), have, NOW, early=2)

    assert step.new_jobs == tuple(NewJob("announce", n) for n in news)


def test_without_early_playback_nothing_is_announced() -> None:
    assert plan(task_row(), begun(0, 1, 2), NOW).new_jobs == ()


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_film_is_published_only_when_nobody_announces_it_any_more(state: str) -> None:
    """Else an EVENT playlist could take the place of the VOD playlist. Who still does is to stop."""
    late = announced(3, state)

    step = plan(task_row(), [*all_work(), late], NOW, early=2)

    assert step == Plan(status=TaskState.ENCODING, overtaken=(late,))
    assert plan(task_row(), [*all_work(), announced(3)], NOW, early=2).new_jobs == (NewJob("publish", 0),)


def test_an_announcement_that_nobody_has_is_not_waited_for() -> None:
    """It has just been stopped, or its next attempt is a minute off: publishing says all that it would."""
    late = announced(3, "waiting")

    step = plan(task_row(), [*all_work(), late], NOW, early=2)

    assert step == Plan(status=TaskState.PUBLISHING, new_jobs=(NewJob("publish", 0),), overtaken=(late,))


def test_an_announcement_that_was_overtaken_is_no_fault() -> None:
    have = [*all_work(), announced(3, "cancelled")]

    assert plan(task_row(), have, NOW, early=2) == Plan(status=TaskState.PUBLISHING, new_jobs=(NewJob("publish", 0),))
    assert plan(task_row(), [*have, publish_row()], NOW, early=2).ending is not None


# from new to done


def test_a_new_task_is_prepared_first() -> None:
    assert plan(task_row(), [], NOW) == Plan(status=TaskState.PREPARING, new_jobs=(NewJob("prepare", 0),))


def test_while_nothing_is_known_of_the_source_there_is_nothing_to_add() -> None:
    assert plan(task_row(), [prepare(None)], NOW) == Plan(status=TaskState.PREPARING)


def test_a_chunk_is_encoded_as_soon_as_it_is_cut() -> None:
    """Waiting for the whole source would leave the farm idle while the master reads."""
    state = prepare_result(complete=False, chunks=2)

    assert plan(task_row(), [prepare(state)], NOW) == Plan(status=TaskState.ENCODING, new_jobs=CHUNKS[:2])


def test_a_job_that_exists_is_not_added_again() -> None:
    have = rows(prepare(prepare_result(complete=False, chunks=3)), job_row(state="running"))

    assert plan(task_row(), have, NOW).new_jobs == CHUNKS[1:3]


def test_rows_that_somebody_took_from_the_middle_are_added_again() -> None:
    """Adding a job that exists changes nothing, so all are added."""
    have = rows(prepare(prepare_result(complete=False, chunks=3)), job_row(position=1, state="running"))

    assert plan(task_row(), have, NOW).new_jobs == CHUNKS[:3]


def test_audio_waits_for_the_end_of_cutting() -> None:
    """Its length is the video's, which is known only then."""
    state = prepare_result(complete=True)

    assert AUDIO not in plan(task_row(), [prepare(state, "running")], NOW).new_jobs
    assert plan(task_row(), [prepare(state, "done")], NOW).new_jobs == (*CHUNKS, AUDIO)


def test_every_track_has_a_job_of_its_own() -> None:
    facts = source_facts(audio=(audio_facts(), audio_facts(stream=2, name="deu-2")))

    step = plan(task_row(), [prepare(prepare_result(facts=facts), "done")], NOW)

    assert step.new_jobs == (*CHUNKS, AUDIO, NewJob("audio", 1))


def test_every_text_track_has_a_job_that_waits_for_the_end_of_cutting() -> None:
    """Cues are cut to the film, whose length is known only then."""
    facts = source_facts(text=(text_facts(), text_facts(stream=3, name="deu-2")))
    state = prepare_result(facts=facts)

    assert plan(task_row(), [prepare(state, "running")], NOW).new_jobs == CHUNKS
    assert plan(task_row(), [prepare(state, "done")], NOW).new_jobs == (*CHUNKS, AUDIO, *TEXTS)


def test_a_film_waits_for_its_text() -> None:
    have = all_work(complete=prepare_result(facts=source_facts(text=(text_facts(),))))
    text = job_row(id=80, kind="text", state="running")

    assert plan(task_row(), [*have, text], NOW) == Plan(status=TaskState.ENCODING)
    assert plan(task_row(), [*have, replace(text, state="done")], NOW).new_jobs == (NewJob("publish", 0),)


def test_sound_alone_has_no_chunks() -> None:
    state = prepare_result(facts=source_facts(video=None), samples={"eng-1": 48_000})

    assert plan(task_row(), [prepare(state, "done")], NOW).new_jobs == (AUDIO,)


@pytest.mark.parametrize("late", range(1, 6))
def test_nothing_is_published_before_the_last_piece_is_in(late: int) -> None:
    have = all_work()
    have[late] = replace(have[late], state="running")

    assert plan(task_row(), have, NOW) == Plan(status=TaskState.ENCODING)


def test_when_all_pieces_are_in_the_film_is_published() -> None:
    assert plan(task_row(), all_work(), NOW) == Plan(status=TaskState.PUBLISHING, new_jobs=(NewJob("publish", 0),))
    assert plan(task_row(), [*all_work(), publish_row("running")], NOW) == Plan(status=TaskState.PUBLISHING)


def test_a_published_task_is_done_with_its_url_and_its_warnings() -> None:
    result = PublishResult(url="https://cdn/7/master.m3u8", bytes=5, warnings=("a hole of 2 s", "no subtitles"))
    published = replace(publish_row(), result=result.model_dump_json())

    step = plan(task_row(), [*all_work(), published], NOW)

    assert step.ending is not None
    assert step.ending.status == TaskState.DONE
    assert step.ending.message == "a hole of 2 s; no subtitles"
    assert step.ending.published is not None
    assert step.ending.published.url == "https://cdn/7/master.m3u8"


def test_a_source_with_nothing_in_it_fails_with_a_reason() -> None:
    nothing = prepare_result(facts=source_facts(video=None, audio=()))

    step = plan(task_row(), [prepare(nothing, "done")], NOW)

    assert step == Plan(ending=Ending(TaskState.FAILED, "the source has neither a video frame nor a sound"))


def test_the_same_rows_in_any_order_give_the_same_plan() -> None:
    """Level-triggered: a plan knows no history."""
    have = all_work()

    assert plan(task_row(), have, NOW) == plan(task_row(), have[::-1], NOW)
    assert plan(task_row(status="encoding"), have, NOW) == plan(task_row(status="new"), have, NOW)


# failure


@pytest.mark.parametrize("kind", ["prepare", "encode", "audio", "publish"])
def test_a_failed_job_fails_its_task_with_the_reason(kind: str) -> None:
    have = [*all_work("waiting"), job_row(id=99, kind=kind, position=50, state="failed", message="the disk is full")]

    assert plan(task_row(), have, NOW) == Plan(ending=Ending(TaskState.FAILED, "the disk is full"))


def test_a_job_without_a_reason_still_gives_its_task_one() -> None:
    have = [job_row(kind="prepare", state="cancelled")]

    assert plan(task_row(), have, NOW).ending == Ending(TaskState.FAILED, "the prepare job was cancelled")


# chunks that cannot be used


def with_unusable(state: str) -> list[JobRow]:
    """A source that is cut: its second chunk cannot be used, and the third is in the given state."""
    have = begun(0)
    have[2] = replace(have[2], state="unusable", message="chunk 1 cannot be decoded")
    return [have[0], have[1], have[2], replace(have[3], state=state), have[5]]


def conformed(have: list[JobRow]) -> list[JobRow]:
    """The same, but that the source was decoded before it was cut."""
    return [replace(row, position=CONFORM) if row.kind == "prepare" else row for row in have]


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_source_whose_chunks_cannot_be_used_is_conformed_instead(state: str) -> None:
    have = with_unusable(state)
    known = "7-" + 32 * "a"
    have[0] = prepare(prepare_result().model_copy(update={"chunk_segments": 2, "mark": known}), "done")

    step = plan(task_row(), have, NOW, early=2)

    # what is known of it stays: the cutter may not choose another length of chunks, as some have been announced
    facts = source_facts(video=video_facts().model_copy(update={"way": "conform"}))
    assert step == Plan(status=TaskState.PREPARING, anew=PrepareResult(facts=facts, chunk_segments=2, mark=known))


def test_it_is_conformed_only_when_nobody_works_on_what_was_cut_of_it() -> None:
    """A node that still works would store its segments over those that are made anew."""
    assert plan(task_row(), with_unusable("running"), NOW) == Plan(stop=True)
    assert plan(task_row(), with_unusable("waiting"), NOW) == Plan(cancel=True)
    assert plan(task_row(), [*with_unusable("done"), job_row(id=99, kind="second", state="running")], NOW).stop


def test_a_source_that_is_conformed_goes_on_as_any_other() -> None:
    known = prepare(prepare_result(complete=False, chunks=0, frames=0), "waiting")
    cut = prepare(prepare_result(complete=False, chunks=2))

    assert plan(task_row(), conformed([known]), NOW) == Plan(status=TaskState.PREPARING)
    assert plan(task_row(), conformed([prepare(None)]), NOW).status == TaskState.PREPARING
    assert plan(task_row(), conformed([cut]), NOW) == Plan(status=TaskState.ENCODING, new_jobs=CHUNKS[:2])
    assert plan(task_row(), conformed(all_work()), NOW).new_jobs == (NewJob("publish", 0),)


def test_where_conforming_does_not_help_the_task_fails_and_says_so() -> None:
    step = plan(task_row(), conformed(with_unusable("running")), NOW)

    assert step.ending is not None
    assert step.ending.status == TaskState.FAILED
    assert step.ending.message == "chunk 1 cannot be decoded, although the source was decoded before it was cut"


def test_what_has_been_announced_is_announced_again_only_when_there_is_more_of_it() -> None:
    """An EVENT playlist never gets shorter (RFC 8216 6.2.1): the old one stays until then."""
    have = conformed(begun(0, 1, 2))

    assert plan(task_row(), [*have, announced(3)], NOW, early=2).new_jobs == ()
    assert plan(task_row(), [*have, announced(2)], NOW, early=2).new_jobs == (NewJob("announce", 3),)


# after the end


def purge(position: int, state: str = "done") -> JobRow:
    return job_row(id=95, kind="purge", position=position, state=state)


@pytest.mark.parametrize("status", ["done", "failed"])
def test_what_was_handed_out_is_stopped_before_anything_is_removed(status: str) -> None:
    """A node that still works would store objects after the purge, for ever."""
    have = rows(prepare(prepare_result(), "done"), job_row(state="running"), job_row(position=1, state="queued"))

    assert plan(task_row(status=status), have, NOW) == Plan(stop=True)


def test_what_was_not_handed_out_is_cancelled() -> None:
    have = rows(job_row(kind="prepare", state="failed"), job_row(state="waiting"), job_row(position=1, state="running"))

    step = plan(task_row(status="failed"), have, NOW)

    assert step == Plan(cancel=True, stop=True)


@pytest.mark.parametrize(("age", "held"), [(UNTAKEN_MS, True), (UNTAKEN_MS + 1, False)], ids=["just", "too long"])
def test_a_queued_job_that_nobody_takes_does_not_hold_up_the_purge_for_ever(age: int, held: bool) -> None:
    """A farm without a single worker can still delete a task."""
    have = [replace(job_row(state="queued"), changed_at=NOW)]

    assert plan_deleted(have, NOW + age) == Plan(stop=held, cancel=not held)


@pytest.mark.parametrize(("status", "position"), [("done", PURGE_TEMPORARY), ("failed", PURGE_ALL)])
def test_an_ended_task_is_cleaned_then_pruned_then_left_alone(status: str, position: int) -> None:
    """Outputs of a done task stay; of a failed one nothing does."""
    task, have = task_row(status=status), all_work()

    assert plan(task, have, NOW) == Plan(new_jobs=(NewJob("purge", position),))
    assert plan(task, [*have, purge(position, "running")], NOW) == Plan()
    assert plan(task, [*have, purge(position)], NOW) == Plan(prune=True)
    assert plan(task, [purge(position)], NOW) == Plan()


def test_a_failed_task_can_be_tried_again_for_a_while() -> None:
    """Its objects are removed later, unless its client deletes it: then at once."""
    later = replace(purge(PURGE_ALL, "waiting"), not_before=NOW + 9)

    assert plan(task_row(status="failed"), all_work(), NOW, keep_failed=9) == Plan(
        new_jobs=(NewJob("purge", PURGE_ALL, 9),)
    )
    assert plan(task_row(status="failed"), [*all_work(), later], NOW, keep_failed=9) == Plan()
    assert plan_deleted([*all_work(), later], NOW) == Plan(hasten=True)
    assert plan_deleted([*all_work(), replace(later, not_before=0)], NOW) == Plan()
    assert plan(task_row(status="done"), all_work(), NOW, keep_failed=9).new_jobs == (NewJob("purge", PURGE_TEMPORARY),)


def test_a_purge_that_failed_waits_for_its_next_attempt_as_any_job_does() -> None:
    """Hastening it again and again would be a storm of requests to a storage in trouble."""
    failed = replace(purge(PURGE_ALL, "waiting"), not_before=NOW + 9, failures=1)

    assert plan_deleted([*all_work(), failed], NOW) == Plan()


def test_a_second_run_holds_up_the_purge_and_nothing_else() -> None:
    second = job_row(id=99, kind="second", state="running")

    assert plan(task_row(), [*all_work(), second], NOW).new_jobs == (NewJob("publish", 0),)
    assert plan(task_row(), [*all_work(), replace(second, state="cancelled")], NOW).ending is None
    assert plan(task_row(status="done"), [*all_work(), second], NOW) == Plan(stop=True)


def test_an_ended_task_has_no_second_end() -> None:
    """A job that fails after the end must not turn done into failed."""
    have = [*all_work(), job_row(id=99, kind="encode", position=9, state="failed")]

    assert plan(task_row(status="done"), have, NOW).ending is None


# after the row was deleted


def test_a_deleted_task_stops_then_cancels_then_purges_then_is_forgotten() -> None:
    running = rows(job_row(kind="prepare", state="running"))
    waiting = rows(job_row(kind="prepare", state="waiting"))
    ended = rows(job_row(kind="prepare", state="cancelled"))

    assert plan_deleted(running, NOW) == Plan(stop=True)
    assert plan_deleted(waiting, NOW) == Plan(cancel=True)
    assert plan_deleted(ended, NOW) == Plan(new_jobs=(NewJob("purge", PURGE_ALL),))
    assert plan_deleted([*ended, purge(PURGE_ALL, "running")], NOW) == Plan()
    assert plan_deleted([*ended, purge(PURGE_ALL)], NOW) == Plan(forget=True)


def test_deleting_a_done_task_removes_its_outputs_too() -> None:
    """Its temporary objects were purged already; that purge does not count."""
    have = [purge(PURGE_TEMPORARY)]

    assert plan_deleted(have, NOW) == Plan(new_jobs=(NewJob("purge", PURGE_ALL),))


def test_a_deleted_task_is_not_forgotten_while_a_node_has_a_job_of_it() -> None:
    have = [*rows(job_row(state="running")), purge(PURGE_ALL)]

    assert plan_deleted(have, NOW) == Plan(stop=True)


def test_a_task_that_was_deleted_before_anything_began_leaves_nothing() -> None:
    assert plan_deleted([], NOW) == Plan(new_jobs=(NewJob("purge", PURGE_ALL),))


# jobs in numbers


def test_chunks_are_counted_by_what_is_left_of_them() -> None:
    have = begun(0, 1, 3)

    assert ledger_of(have, NOW).chunks == Chunks(known=4, top=3, ready=2, done=3)
    assert ledger_of([], NOW) == Ledger()


# what a prepare row says


def test_a_prepare_row_tells_what_is_cut_so_far() -> None:
    state = prepare_result(complete=False, chunks=2)

    assert prepared(None) is None
    assert prepared(prepare(None)) is None
    assert prepared(prepare(state)) == state


def test_open_states_are_those_that_a_report_can_change() -> None:
    closed: Iterable[JobState] = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.UNUSABLE)

    assert set(JobState) - set(closed) == OPEN
