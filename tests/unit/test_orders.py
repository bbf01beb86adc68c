"""From a job's row to its order: all that a node needs, and nothing that can change behind its back."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.errors import OptionInvalid
from raven.messages import AudioJob, EncodeJob, PrepareJob, TextJob, encode, read_job
from raven.model import PrepareResult
from tests.builders import (
    audio_facts,
    audio_result,
    encode_result,
    job_row,
    prepare_result,
    profile,
    source_facts,
    task_row,
    text_facts,
    text_result,
    video_facts,
)
from watcher.ledger import CONFORM
from watcher.orders import (
    Options,
    announce_order,
    audio_samples,
    early_chunks,
    order,
    parse_options,
    publish_order,
    purge_order,
    segment_seconds,
    task_profile,
)
from watcher.plan import PURGE_ALL, PURGE_TEMPORARY
from watcher.rows import JobRow, TaskRow

PROFILE = profile()
GRID = PROFILE.cutting.grid(Fraction(25))


def encode_order(index: int, state: PrepareResult) -> EncodeJob:
    job = order(task_row(), job_row(kind="encode", position=index, attempt=3), state, PROFILE)
    assert isinstance(job, EncodeJob)
    return job


# the row's own columns


def test_a_task_has_the_profile_that_it_names() -> None:
    other = PROFILE.model_copy(update={"name": "other"})

    assert task_profile(task_row(profile="other"), {"default": PROFILE, "other": other}) is other


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (task_row(profile="nosuch"), "profile: there is no 'nosuch'; known are default"),
        (task_row(priority=101), "priority: 101 is not between -100 and 100"),
        (task_row(priority=-101), "priority: -101 is not between"),
        (task_row(options="[]"), "options: .*any of chunk_segments, strict, metadata_only, thumbs"),
        (task_row(options="{"), "options: "),
        (task_row(options='{"thumb": true}'), "options: thumb: "),
        (task_row(options='{"chunk_segments": 0}'), "options: chunk_segments: "),
        (task_row(options='{"chunk_segments": "many"}'), "options: chunk_segments: "),
    ],
    ids=["profile", "priority", "negative priority", "a list", "not JSON", "a typing error", "zero", "a word"],
)
def test_a_column_that_cannot_be_used_is_named(row: TaskRow, fault: str) -> None:
    """The text goes to the client, who cannot look into the code."""
    with pytest.raises(OptionInvalid, match=fault):
        task_profile(row, {"default": PROFILE})


@pytest.mark.parametrize("priority", [-100, 0, 100])
def test_the_limits_of_priority_are_allowed(priority: int) -> None:
    assert task_profile(task_row(priority=priority), {"default": PROFILE}) == PROFILE


@pytest.mark.parametrize("options", [None, "", "  ", "{}"])
def test_no_options_are_the_profile_as_it_is(options: str | None) -> None:
    assert task_profile(task_row(options=options), {"default": PROFILE}) == PROFILE


@pytest.mark.parametrize(("options", "wanted"), [(None, False), ('{"metadata_only": true}', True)])
def test_a_master_is_told_where_metadata_is_all_that_is_wanted(options: str | None, wanted: bool) -> None:
    """And else nothing of it: a master of an earlier version would refuse the word."""
    job = order(task_row(options=options), job_row(kind="prepare"), None, PROFILE)

    assert isinstance(job, PrepareJob)
    assert job.metadata_only is wanted
    assert (b"metadata_only" in encode(job)) is wanted


def test_options_change_the_profile_of_their_task_alone() -> None:
    row = task_row(options='{"chunk_segments": 7, "thumbs": false}')

    changed = task_profile(row, {"default": PROFILE})

    assert (changed.cutting.chunk_segments, changed.thumbs) == (7, None)
    assert changed.video == PROFILE.video
    assert PROFILE.cutting.chunk_segments == 3


@given(st.text())
def test_any_text_in_the_column_options_is_options_or_a_reason(text: str) -> None:
    """A client writes it; an exception of another kind would stop the watcher."""
    try:
        assert isinstance(parse_options(text), Options)
    except OptionInvalid as error:
        assert str(error).startswith("options: ")


# prepare, encode, audio


def test_the_order_to_prepare_names_the_source() -> None:
    job = order(task_row(source="/srv/in/a.mkv"), job_row(id=70, kind="prepare", attempt=2), None, PROFILE)

    assert job == PrepareJob(task=7, job=70, attempt=2, source="/srv/in/a.mkv", profile=PROFILE)


def test_the_order_to_cut_a_source_again_says_by_what_it_is_known() -> None:
    state = prepare_result().model_copy(update={"mark": "7-" + 32 * "a"})

    job = order(task_row(), job_row(kind="prepare", attempt=2), state, PROFILE)

    assert isinstance(job, PrepareJob)
    assert job.mark == state.mark


@pytest.mark.parametrize("kind", ["encode", "audio"])
def test_without_a_source_that_is_cut_nothing_can_be_encoded(kind: str) -> None:
    with pytest.raises(ValueError, match=f"kind {kind} needs a prepared source"):
        order(task_row(), job_row(kind=kind), None, PROFILE)


def test_a_source_whose_chunks_cannot_be_used_is_ordered_to_be_conformed() -> None:
    orders = [order(task_row(), job_row(kind="prepare", position=p), None, PROFILE) for p in (0, CONFORM)]

    assert [isinstance(job, PrepareJob) and job.conform for job in orders] == [False, True]


@given(st.integers(1, 700))
def test_the_orders_of_all_chunks_tile_the_film(frames: int) -> None:
    state = prepare_result(frames=frames, tail=3)

    jobs = [encode_order(index, state) for index in range(state.chunks)]

    assert [job.span for job in jobs] == list(GRID.chunks(frames))
    # only the last chunk holds its last frame, and it always does
    assert [job.tail for job in jobs] == [0] * (len(jobs) - 1) + [3]


@given(st.integers(0, 400), st.integers(0, 400))
def test_an_order_given_while_the_source_is_read_is_the_same_as_later(seen: int, more: int) -> None:
    """Else an attempt repeated after the end of cutting would make other segments."""
    frames = seen + more + 1
    early = prepare_result(complete=False, frames=seen, chunks=GRID.whole_chunks(seen))
    late = prepare_result(frames=frames, tail=9)

    for index in range(early.chunks):
        assert encode_order(index, early) == encode_order(index, late)


def test_an_order_to_encode_carries_all_that_a_worker_needs() -> None:
    video = video_facts(width=640, height=360, orient=("hflip",), colour={"range": "1"})

    job = encode_order(1, prepare_result(facts=source_facts(video=video)))

    assert (job.task, job.job, job.attempt, job.index, job.first, job.last) == (7, 70, 3, 1, 60, 120)
    assert (job.video, job.profile) == (video, PROFILE)
    assert [(r.name, r.width, r.height) for r in job.renditions] == [("360p", 640, 360)]


def test_a_track_is_as_long_as_the_picture() -> None:
    """A container's own claim is not believed: sound and picture end together."""
    state = prepare_result(frames=250, samples={"eng-1": 1})

    job = order(task_row(), job_row(kind="audio"), state, PROFILE)

    assert isinstance(job, AudioJob)
    assert (job.samples, job.segment_seconds, job.track.name) == (480_000, Fraction(4, 5), "eng-1")


def test_sound_alone_is_as_long_as_its_longest_track() -> None:
    tracks = (audio_facts(), audio_facts(stream=2, name="deu-2"))
    state = prepare_result(facts=source_facts(video=None, audio=tracks), samples={"eng-1": 48_000, "deu-2": 96_000})

    job = order(task_row(), job_row(kind="audio", position=1), state, PROFILE)

    assert isinstance(job, AudioJob)
    assert (job.samples, job.track.name) == (96_000, "deu-2")
    assert job.segment_seconds == PROFILE.cutting.segment_seconds


@pytest.mark.parametrize(
    ("rate", "seconds"), [(Fraction(25), Fraction(4, 5)), (Fraction(30000, 1001), 24 / Fraction(30000, 1001))]
)
def test_segments_of_sound_are_as_long_as_those_of_the_picture(rate: Fraction, seconds: Fraction) -> None:
    facts = source_facts(video=video_facts(rate=rate))

    assert segment_seconds(facts, PROFILE) == seconds


@given(st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(9000, 1001)]), st.integers(1, 10**6))
def test_the_length_of_the_sound_is_the_picture_s_within_half_a_sample(rate: Fraction, frames: int) -> None:
    state = prepare_result(facts=source_facts(video=video_facts(rate=rate)), frames=frames, chunks=1)

    assert abs(Fraction(audio_samples(state, PROFILE), 48_000) - frames / rate) <= Fraction(1, 96_000)


# publish and purge


def finished_rows() -> list[JobRow]:
    """What the rows of a finished film hold, in no special order."""
    state = prepare_result()
    chunks = [
        job_row(
            id=80 + n,
            position=n,
            state="done",
            seconds=1.5,
            result=encode_result(GRID, span).model_dump_json(),
        )
        for n, span in enumerate(GRID.chunks(250))
    ]
    prepare = job_row(kind="prepare", state="done", seconds=2.0, result=state.model_dump_json())
    sound = job_row(id=79, kind="audio", state="done", seconds=0.25, result=audio_result().model_dump_json())
    return [*chunks[::-1], sound, prepare, job_row(id=90, kind="publish", state="waiting")]


def test_the_order_to_publish_holds_the_segments_of_all_jobs() -> None:
    rows = finished_rows()

    job = publish_order(task_row(), rows[-1], prepare_result(), rows, PROFILE)

    assert set(job.video) == {"360p", "720p"}
    assert sum(s.length for part in job.video["720p"] for s in part.segments) == job.frames == 250
    assert job.audio == audio_result().renditions
    assert job.samples == 480_000
    assert job.thumbs == 10
    assert job.seconds == {"prepare": 2.0, "encode": 6.0, "audio": 0.25}
    assert read_job(encode(job)) == job


def with_more(row: JobRow, **more: object) -> JobRow:
    return replace(row, result=json.dumps({**json.loads(row.result or ""), **more}))


def test_what_the_source_lacks_is_told_as_it_was_read_then_of_its_pictures_and_its_sound() -> None:
    state = prepare_result(warnings=("a hole of 2 s",))
    rows = finished_rows()
    for n, row in enumerate(rows):
        if row.kind == "encode" and row.position in (1, 3):
            rows[n] = with_more(row, damaged=True)
        if row.kind == "audio":
            rows[n] = with_more(row, warnings=["hiss"])

    job = publish_order(task_row(), rows[-1], state, rows, PROFILE)

    begin = float(GRID.time_of(GRID.chunk_span(1, 250).first))
    damage = f"2 of 4 chunks have damaged pictures, the first of them begins at {begin:.2f} s"
    assert job.warnings == ("a hole of 2 s", damage, "hiss")


def test_an_announcement_has_the_chunks_at_the_beginning_and_all_of_the_sound() -> None:
    # Given a film that is all encoded, announced when its first two chunks were
    row = job_row(kind="announce", position=2)

    job = announce_order(task_row(), row, prepare_result(), finished_rows(), PROFILE)

    assert sorted(part.first for part in job.video["720p"]) == [1, 4]
    assert (job.ready, job.stored, job.frames) == (120, 120, 250)
    assert sum(s.length for s in job.audio["eng-1"].segments) >= 480_000
    assert read_job(encode(job)) == job


@pytest.mark.parametrize(
    ("options", "usual", "chunks"),
    [(None, True, 2), (None, False, 0), ('{"early": true}', False, 2), ('{"early": false}', True, 0)],
)
def test_a_task_or_else_the_farm_decides_whether_a_film_can_be_played_early(
    options: str | None, usual: bool, chunks: int
) -> None:
    assert early_chunks(task_row(options=options), PROFILE, usual) == chunks  # of three segments each


def test_a_job_without_a_result_is_not_published() -> None:
    """It is missing in the order, and the master's check says so; nothing is made up in its place."""
    rows = finished_rows()
    rows[0] = replace(rows[0], result=None)

    job = publish_order(task_row(), rows[-1], prepare_result(), rows, PROFILE)

    assert sum(s.length for part in job.video["720p"] for s in part.segments) == 180


def test_a_text_job_names_its_track_and_the_length_of_the_film() -> None:
    facts = source_facts(text=(text_facts(), text_facts(stream=3, name="deu-2", forced=True)))

    job = order(task_row(), job_row(kind="text", position=1), prepare_result(facts=facts), PROFILE)

    assert isinstance(job, TextJob)
    assert (job.track, job.duration, job.segment_seconds) == (facts.text[1], Fraction(10), Fraction(4, 5))


def test_text_beside_sound_alone_ends_with_the_sound() -> None:
    facts = source_facts(video=None, text=(text_facts(),))
    state = prepare_result(facts=facts, samples={"eng-1": 48_000})

    job = order(task_row(), job_row(kind="text"), state, PROFILE)

    assert isinstance(job, TextJob)
    assert (job.duration, job.segment_seconds) == (Fraction(1), PROFILE.cutting.segment_seconds)


def test_the_publish_order_has_the_text_by_name() -> None:
    state = prepare_result(facts=source_facts(text=(text_facts(),)))
    rows = finished_rows()
    rows.insert(-1, job_row(id=99, kind="text", state="done", result=text_result().model_dump_json()))

    assert publish_order(task_row(), rows[-1], state, rows, PROFILE).text == {"eng-1": text_result()}


def test_sound_alone_is_published_without_pictures() -> None:
    state = prepare_result(facts=source_facts(video=None), samples={"eng-1": 480_000})
    rows = [row for row in finished_rows() if row.kind != "encode"]

    job = publish_order(task_row(), rows[-1], state, rows, PROFILE)

    assert (job.video, job.renditions, job.thumbs, job.frames) == ({}, (), 0, 0)
    assert job.samples == 480_000


def test_a_film_without_thumbnails_promises_none() -> None:
    rows = finished_rows()

    job = publish_order(task_row(), rows[-1], prepare_result(), rows, profile(thumbs=None))

    assert job.thumbs == 0


@pytest.mark.parametrize(("position", "prefixes"), [(PURGE_TEMPORARY, ("tmp/7/",)), (PURGE_ALL, ("tmp/7/", "out/7/"))])
def test_a_purge_removes_what_its_position_says(position: int, prefixes: tuple[str, ...]) -> None:
    """The outputs of a done task must stay."""
    job = purge_order(7, job_row(kind="purge", position=position, attempt=4))

    assert (job.prefixes, job.attempt) == (prefixes, 4)
