"""What is on the wire while nothing is out of the ordinary: the same JSON keys as ever.

An update goes from host to host, so daemons read messages of newer ones, and refuse what they do not know. A field that
came later has a default, and is left out while it has it; only what makes use of it needs daemons that know it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from raven import messages, names
from raven.alive import Alive, HoldNode
from raven.messages import RESULTS, Control, Job, Report, read_control
from raven.values import Rarely, Value

FROZEN = {
    "Alive": "build cpus disk_free ffmpeg hold light load memory_free memory_total node role slots state type version",
    "AnnounceJob": (
        "attempt audio facts frames iframes job kind profile ready renditions samples seconds source task text"
        " thumbs version video warnings"
    ),
    "AudioFacts": "channels codec default describes language layout name sample_rate stream title",
    "AudioJob": "attempt index job kind profile samples segment_seconds task track version",
    "AudioRendition": "bitrate channels codec name sample_rate",
    "AudioResult": "bytes renditions warnings",
    "CancelJob": "below job type version",
    "CancelTask": "task type version",
    "Chapter": "end start title",
    "ConfirmJob": "attempt job type version",
    "Cutting": "chunk_segments chunk_segments_from fields gop_seconds gops_per_segment",
    "Done": "attempt job node result seconds task type version",
    "Download": "rungs",
    "EncodeJob": "attempt first index job kind last profile renditions tail task version video",
    "EncodeResult": "bytes frames iframes renditions thumbs",
    "Failed": "attempt cancelled job message node permanent task type version",
    "HoldNode": "hold instance node role type version",
    "IframeSegments": "first frames init_sha256 segments start",
    "Iframes": "crf every_seconds height preset",
    "Ladder": "codec encoder_profile options preset rungs threads",
    "MasteringDisplay": "blue green maximum minimum red white",
    "Passed": "attempt job node task type version",
    "PrepareJob": "attempt job kind profile slots source strict task version",
    "PrepareResult": "chunk_segments chunks complete facts frames samples tail warnings",
    "Profile": "audio cutting download iframes name thumbs video",
    "Progress": "attempt done job node so_far speed task type version",
    "PublishJob": (
        "attempt audio facts frames iframes job kind profile renditions samples seconds source task text thumbs"
        " version video warnings"
    ),
    "PublishResult": "bytes downloads url",
    "PurgeJob": "attempt job kind prefixes task version",
    "PurgeResult": "objects",
    "Rendition": (
        "audio bufsize codec crf encoder_profile every height maxrate name options pixel_format preset threads"
        " video_range width"
    ),
    "Rung": "audio bufsize crf height max_rate maxrate name top_only width",
    "SegmentInfo": "bytes length",
    "SourceFacts": "audio bytes captions chapters container duration ignored origin text video",
    "Started": "attempt job node task type version",
    "TextFacts": "codec forced hearing_impaired language name stream title",
    "TextJob": "attempt duration index job kind segment_seconds task track version",
    "TextResult": "cues segments whole",
    "Thumbs": "every_seconds height",
    "TrackSegments": "first init_sha256 segments start",
    "VideoFacts": (
        "alpha bit_depth codec coded_height coded_width colour constant_rate fields height interlaced light"
        " mastering orient pixel_format rate rgb sample_aspect step stream timed way width"
    ),
}
"""Of every message, and of everything in messages, the keys that are sent whatever their values are."""
GREW = (
    "{name} is sent with {more} whatever they hold. Daemons from before refuse a key that they do not know, so an"
    " update from host to host would stop the farm. Give a new field a default, and have it left out while it has it:"
    " `Rarely` in raven/values.py, or Field(exclude_if=...). FROZEN in this test grows by new classes alone."
)
SHRANK = (
    "{name} is no longer sent with {less}, which daemons from before may insist on: it has to be sent, whatever it"
    " holds. FROZEN in this test never shrinks."
)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of, not those within these."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def reachable() -> list[type[BaseModel]]:
    """All classes whose values can be in a message."""
    todo = [*models(Job), *models(Report), *models(Control), *RESULTS.values()]
    found: dict[str, type[BaseModel]] = {}
    while todo:
        model = todo.pop()
        if found.setdefault(model.__name__, model) is not model:
            raise AssertionError(f"two classes are named {model.__name__}")
        inner = [part for field in model.model_fields.values() for part in models(field.annotation)]
        todo += [part for part in inner if part.__name__ not in found]
    return [found[name] for name in sorted(found)]


def always_sent(model: type[BaseModel]) -> set[str]:
    """The keys without which a value of this class never travels: by what is really written of all defaults."""
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    return required.union(json.loads(model.model_construct().model_dump_json()))


def complaints(model: type[BaseModel]) -> list[str]:
    frozen, sent, name = set(FROZEN.get(model.__name__, "").split()), always_sent(model), model.__name__
    if name not in FROZEN:
        return [f'{name} is new in messages: add "{name}": "{" ".join(sorted(sent))}" to FROZEN in this test']
    return [
        *([GREW.format(name=name, more=", ".join(sorted(sent - frozen)))] if sent - frozen else []),
        *([SHRANK.format(name=name, less=", ".join(sorted(frozen - sent)))] if frozen - sent else []),
    ]


@pytest.mark.parametrize("model", [model for model in reachable() if model is not Alive], ids=lambda m: m.__name__)
def test_what_is_ordinary_is_sent_with_the_same_keys_as_ever(model: type[BaseModel]) -> None:
    """Of a sign of life alone, which daemons read whatever is in it, there may be more."""
    assert complaints(model) == []


@pytest.mark.parametrize("model", reachable(), ids=lambda m: m.__name__)
def test_what_is_required_is_sent_whatever_it_holds(model: type[BaseModel]) -> None:
    """Else a message would be made that nobody can read."""
    rare = [name for name, field in model.model_fields.items() if field.is_required() and field.exclude_if]
    assert rare == []


def test_a_word_to_a_daemon_that_tells_no_run_can_be_read() -> None:
    """As those from before there were runs."""
    held = HoldNode(node="one", role="worker", instance="", hold="drained")

    assert read_control(held.model_dump_json().encode()) == held


def test_a_sign_of_life_may_grow_but_not_shrink() -> None:
    assert set(FROZEN["Alive"].split()) <= always_sent(Alive)


def test_no_class_is_frozen_that_no_message_has() -> None:
    assert FROZEN.keys() == {model.__name__ for model in reachable()}


def test_what_is_in_messages_is_seen_however_deep_it_lies() -> None:
    names = {model.__name__ for model in reachable()}

    assert {"PrepareJob", "Done", "HoldNode", "AudioResult"} <= names
    assert {"Profile", "Ladder", "Rung", "MasteringDisplay", "SegmentInfo", "Chapter", "AudioRendition"} <= names


def test_a_new_field_that_is_always_sent_is_seen_and_one_that_is_sent_rarely_is_none() -> None:
    class PurgeResult(Value):
        objects: int
        seconds: float = 0.0
        partly: Rarely = False

    (said,) = complaints(PurgeResult)

    assert "PurgeResult is sent with seconds whatever they hold" in said
    assert "Rarely" in said


def test_a_field_that_daemons_insist_on_is_seen_to_be_missing() -> None:
    class PurgeResult(Value):
        pass

    assert complaints(PurgeResult) == [SHRANK.format(name="PurgeResult", less="objects")]


def test_a_class_that_is_new_is_told_with_the_line_that_it_needs() -> None:
    class Stamp(Value):
        at: int
        by: str = ""

    assert complaints(Stamp) == ['Stamp is new in messages: add "Stamp": "at by" to FROZEN in this test']


RELEASED = sorted((Path(__file__).parents[1] / "wire").glob("*.jsonl"))
"""What daemons of other versions have sent, one message a line; the first is from before the keys were frozen."""


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_what_other_versions_have_sent_is_read_and_would_be_sent_by_this_one_in_the_same_bytes(file: Path) -> None:
    """So what is on its way during an update is read on both sides of it."""
    seen = set()
    for line in file.read_text("utf-8").splitlines():
        sent = json.loads(line)
        read = {names.REPORTS: messages.read_report, "control": messages.read_control}
        message = read.get(sent["queue"], messages.read_job)(sent["body"].encode())
        assert messages.encode(message).decode() == sent["body"]
        seen.add(type(message).__name__)
    assert seen >= {"PrepareJob", "EncodeJob", "AudioJob", "TextJob", "PublishJob", "PurgeJob", "Done", "Alive"}
