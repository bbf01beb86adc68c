"""Messages: what is sent arrives as it was, and what cannot be read is said to be unreadable, never worse."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven import names
from raven.alive import Alive, HoldNode
from raven.messages import (
    REPORT_BYTES,
    RESULTS,
    BadMessage,
    CancelJob,
    CancelTask,
    ConfirmJob,
    Done,
    Failed,
    Passed,
    Progress,
    Started,
    encode,
    read_control,
    read_job,
    read_report,
)
from raven.model import PublishResult, PurgeResult
from raven.values import Value
from tests.builders import (
    announce_job,
    audio_job,
    audio_result,
    cutting,
    encode_job,
    encode_result,
    prepare_job,
    prepare_result,
    publish_job,
    purge_job,
    source_facts,
    text_job,
)

Reader = Callable[[bytes], Value]
GRID = cutting().grid(Fraction(25))
AVOIDING = encode_job().model_copy(update={"avoid": ("n1", "nöde 2")})
JOBS: list[Value] = [
    *(prepare_job(), encode_job(), AVOIDING, audio_job(), text_job()),
    *(announce_job(), publish_job(), purge_job()),
]
RESULT = encode_result(GRID, GRID.chunk_span(0, None))
ABOUT: dict[str, Any] = {"task": 7, "job": 70, "attempt": 2, "node": "n1"}
REPORTS: list[Value] = [
    Started(**ABOUT),
    Progress(**ABOUT, done=5, speed=1.5, so_far=prepare_result(complete=False, chunks=1)),
    Progress(**ABOUT),
    Done(**ABOUT, seconds=3.25, result=RESULT.model_dump(mode="json")),
    Failed(**ABOUT, message="the disk is full\nreally", permanent=True),
    Failed(**ABOUT, message="stopped", cancelled=True),
    Failed(**ABOUT, message="storage: no answer", away=True),
    Failed(**ABOUT, message="no frame comes out", unusable=True),
    Passed(**ABOUT, instance="0a1b2c3d"),
    Alive(node="n1", role="worker", slots=4, build="1.2.3"),
    Alive(
        node="n1",
        role="master",
        instance="0a1b2c3d",
        slots=0,
        build="1",
        ffmpeg="ffmpeg version 9",
        cpus=4,
        load=1.5,
        memory_total=9,
        memory_free=8,
        disk_free=7,
        state="drained",
        hold="drained",
    ),
]
CONTROLS: list[Value] = [
    CancelTask(task=7),
    CancelJob(job=70, below=3),
    ConfirmJob(job=70, attempt=3),
    HoldNode(node="n1", role="worker", instance="0a1b2c3d", hold="drained"),
]
ALL: list[tuple[Reader, Value]] = [
    *((read_job, job) for job in JOBS),
    *((read_report, report) for report in REPORTS),
    *((read_control, control) for control in CONTROLS),
]
READERS: list[Reader] = [read_job, read_report, read_control]
each = pytest.mark.parametrize(("read", "message"), ALL, ids=lambda value: type(value).__name__)


def changed(message: Value, /, **fields: object) -> bytes:
    """The message as it travels, with fields changed."""
    return json.dumps(json.loads(encode(message)) | fields).encode()


@each
def test_a_message_arrives_as_it_was_sent(read: Reader, message: Value) -> None:
    assert read(encode(message)) == message


@each
@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_a_message_of_another_version_is_unreadable(read: Reader, message: Value, version: object) -> None:
    """During an update old and new nodes share the queues: a guess would be worse than a dead letter."""
    with pytest.raises(BadMessage, match="version"):
        read(changed(message, version=version))


@each
def test_a_message_with_an_unknown_field_is_unreadable(read: Reader, message: Value) -> None:
    """But for a sign of life: a newer node that has more to say of itself is alive all the same."""
    if isinstance(message, Alive):
        assert read(changed(message, surprise=1)) == message
        return
    with pytest.raises(BadMessage, match="surprise"):
        read(changed(message, surprise=1))


def test_a_node_of_an_older_version_is_known_and_understands_its_jobs() -> None:
    """An update goes from host to host, the watcher's first."""
    old = {"version": 1, "type": "alive", "node": "n1", "role": "worker", "slots": 2, "build": "0.1.0"}
    report = {"version": 1, "type": "started", "task": 7, "job": 70, "attempt": 1, "node": "n1"}

    assert read_report(json.dumps(old).encode()) == Alive(node="n1", role="worker", slots=2, build="0.1.0")
    assert read_report(json.dumps(report).encode()) == Started(task=7, job=70, attempt=1, node="n1")
    assert b"avoid" not in encode(encode_job())
    assert b'"avoid":["n2"]' in encode(encode_job().model_copy(update={"avoid": ("n2",)}))


@each
def test_a_message_of_an_unknown_kind_is_unreadable(read: Reader, message: Value) -> None:
    with pytest.raises(BadMessage):
        read(changed(message, kind="dance", type="dance"))


@each
def test_a_message_for_another_queue_is_unreadable(read: Reader, message: Value) -> None:
    for other in READERS:
        if other is not read:
            with pytest.raises(BadMessage):
                other(encode(message))


@each
@given(cut=st.integers(0, 10_000))
def test_a_message_that_was_cut_short_is_unreadable(read: Reader, message: Value, cut: int) -> None:
    body = encode(message)

    with pytest.raises(BadMessage):
        read(body[: cut % len(body)])


def test_what_is_sent_rarely_is_sent_where_it_is_needed() -> None:
    """Daemons from before it refuse it; that nothing else is new to them, test_wire.py sees to."""
    plain, special = Failed(**ABOUT, message="x"), Failed(**ABOUT, message="x", unusable=True)

    assert "unusable" not in json.loads(encode(plain))
    assert json.loads(encode(special))["unusable"] is True


@pytest.mark.parametrize("read", READERS)
@given(body=st.binary())
def test_any_bytes_are_unreadable_and_nothing_worse(read: Reader, body: bytes) -> None:
    """Another exception would kill the thread that reads, and the message would come again and kill the next."""
    with pytest.raises(BadMessage):
        read(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(ALL), st.data())
def test_any_field_may_hold_anything(pair: tuple[Reader, Value], data: st.DataObject) -> None:
    """A node in foreign hands can send what it likes."""
    read, message = pair
    field = data.draw(st.sampled_from(sorted(type(message).model_fields)))

    try:
        read(changed(message, **{field: data.draw(json_values)}))
    except BadMessage as error:
        assert str(error).startswith("not a ")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"kind":' * 50_000, b"1" * 100_000, b"\xff\xfe"])
def test_bytes_that_break_parsers_do_not_break_this_one(body: bytes) -> None:
    for read in READERS:
        with pytest.raises(BadMessage):
            read(body)


@pytest.mark.parametrize(
    "rate", ["1/0", "0/0", "1e999999999", "1E-999999999", "nan", "inf", "", "a/b", 1.5, [25], "9" * 5000, "0", "-1/3"]
)
def test_an_impossible_rate_is_unreadable_at_once(rate: object) -> None:
    """1/0 once was a ZeroDivisionError, and a rate of 1e999999999 is a number of a thousand million digits."""
    body = json.loads(encode(encode_job()))
    body["video"]["rate"] = rate

    with pytest.raises(BadMessage, match="rate"):
        read_job(json.dumps(body).encode())


def test_a_time_before_zero_is_read_exactly() -> None:
    sent = prepare_result(facts=source_facts().model_copy(update={"origin": Fraction(-1, 3)}))

    report = read_report(encode(Progress(**ABOUT, so_far=sent)))

    assert isinstance(report, Progress)
    assert report.so_far == sent


@pytest.mark.parametrize(
    ("rate", "value"),
    [("24000/1001", Fraction(24000, 1001)), (25, Fraction(25)), ("12.5", Fraction(25, 2))],
)
def test_a_rate_is_read_exactly(rate: object, value: Fraction) -> None:
    body = json.loads(encode(encode_job()))
    body["video"]["rate"] = rate

    job = read_job(json.dumps(body).encode())

    assert job.kind == "encode"
    assert job.video.rate == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job", 1 << 63), ("job", -1), ("task", 1 << 63), ("attempt", -1), ("attempt", 1 << 40),
        ("node", ""), ("node", "n" * 256), ("done", 1 << 63), ("done", -1),
        ("speed", float("inf")), ("speed", float("nan")),
    ],
)  # fmt: skip
def test_a_report_that_no_row_can_hold_is_unreadable(field: str, value: object) -> None:
    """It would stop the watcher's transaction, again and again."""
    with pytest.raises(BadMessage, match=field):
        read_report(changed(Progress(**ABOUT), **{field: value}))


def test_a_report_may_be_of_any_task_and_job_that_rows_can_have() -> None:
    last = (1 << 63) - 1

    report = read_report(encode(Started(task=last, job=last, attempt=1, node="n1")))

    assert report == Started(task=last, job=last, attempt=1, node="n1")
    assert read_job(changed(purge_job(), prefixes=[names.out_prefix(last)])).task == 7


HOSTILE: list[tuple[Value, tuple[str | int, ...], object]] = [
    (encode_job(), ("video", "orient"), ["movie=/etc/passwd"]),
    (encode_job(), ("video", "orient"), ["hflip,movie=/etc/passwd"]),
    (encode_job(), ("video", "colour"), {"range": "1,movie=/etc/passwd"}),
    (encode_job(), ("video", "colour"), {"range=1,metadata": "1"}),
    (encode_job(), ("renditions", 0, "name"), "../../../etc/cron.d/x"),
    (encode_job(), ("renditions", 0, "name"), ""),
    (encode_job(), ("renditions", 0, "preset"), "-y"),
    (encode_job(), ("renditions", 0, "encoder_profile"), "high -y"),
    (audio_job(), ("track", "name"), "../x"),
    (audio_job(), ("track", "name"), "a/b"),
    (text_job(), ("track", "name"), "../x"),
    *(
        (purge_job(), ("prefixes", 0), prefix)
        for prefix in ("", "/", "out/", "out/7", "out/../", "out/7/video/", "x/7/")
    ),
]


@pytest.mark.parametrize(
    ("job", "where", "value"), HOSTILE, ids=[f"{where[0]}: {value}" for _, where, value in HOSTILE]
)
def test_nothing_foreign_reaches_a_command_line_or_a_path(
    job: Value, where: tuple[str | int, ...], value: object
) -> None:
    """Who can write into the broker could else read a node's files with a filter, or purge everybody's outputs."""
    body = json.loads(encode(job))
    inner = body
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value

    with pytest.raises(BadMessage, match=str(where[0])):
        read_job(json.dumps(body).encode())


def test_a_report_longer_than_any_film_needs_is_unreadable() -> None:
    with pytest.raises(BadMessage, match="bytes"):
        read_report(encode(Failed(**ABOUT, message="x" * REPORT_BYTES)))


def test_an_unreadable_message_is_permanent_and_says_where_it_is_wrong() -> None:
    with pytest.raises(BadMessage, match=r"not a report of version 1: started\.attempt: ") as wrong:
        read_report(changed(Started(**ABOUT), attempt="soon"))

    assert wrong.value.permanent


def test_messages_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        encode_job().index = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("prepare", prepare_result()),
        ("encode", RESULT),
        ("audio", audio_result()),
        ("publish", PublishResult(url="https://cdn/7/master.m3u8", bytes=9)),
        ("purge", PurgeResult(objects=3)),
    ],
)
def test_a_result_survives_its_way_through_a_report(kind: str, result: Value) -> None:
    sent = Done(**ABOUT, seconds=1.0, result=result.model_dump(mode="json"))

    report = read_report(encode(sent))

    assert isinstance(report, Done)
    assert RESULTS[kind].model_validate(report.result) == result


def test_a_complaint_about_a_name_that_is_no_utf_8_can_be_sent() -> None:
    report = read_report(encode(Failed(**ABOUT, message="there is no /in/\udcff.mkv")))

    assert isinstance(report, Failed)
    assert report.message == "there is no /in/?.mkv"


def test_every_kind_of_job_has_its_result() -> None:
    kinds = {json.loads(encode(job))["kind"] for job in JOBS}

    assert kinds | {"second"} == set(RESULTS), "a second run is ordered as the first"
