"""Storage keys: the layout that scrub, purge, players and people rely on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven import names

tasks = st.integers(1, 10**9)
Prefix = Callable[[int], str]


def test_the_layout_is_that_of_the_design() -> None:
    assert names.chunk_key(7, 12, "copy") == "tmp/7/chunk-000012.nut"
    assert names.audio_source_key(7, "eng-1") == "tmp/7/audio-eng-1.nut"
    assert names.out_prefix(7) + names.MULTIVARIANT == "out/7/master.m3u8"
    assert f"{names.out_prefix(7)}{names.video_path('1080p')}/{names.INIT}" == "out/7/video/1080p/init.mp4"
    assert f"{names.audio_path('eng-1')}/{names.segment_name(1)}" == "audio/eng-1/seg-000001.m4s"
    assert names.thumb_path(0) == "thumbs/000000.jpg"


@given(tasks, st.integers(0, 999_999), st.integers(0, 999_999))
def test_sorting_keys_is_sorting_time(task: int, a: int, b: int) -> None:
    assert (names.chunk_key(task, a, "copy") < names.chunk_key(task, b, "copy")) == (a < b)
    assert (names.segment_name(a) < names.segment_name(b)) == (a < b)
    assert (names.thumb_name(a) < names.thumb_name(b)) == (a < b)


@pytest.mark.parametrize("prefix", [names.tmp_prefix, names.out_prefix])
@given(st.data())
def test_no_task_s_prefix_holds_another_task(prefix: Prefix, data: st.DataObject) -> None:
    """Purging task 1 must not touch task 12."""
    one, other = data.draw(tasks), data.draw(tasks)

    assert prefix(other).startswith(prefix(one)) == (one == other)


@given(tasks, tasks)
def test_temporary_objects_are_never_under_the_outputs(one: int, other: int) -> None:
    assert not names.chunk_key(one, 0, "copy").startswith(names.out_prefix(other))
    assert not names.audio_source_key(one, "a").startswith(names.out_prefix(other))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (names.MULTIVARIANT, "application/vnd.apple.mpegurl"),
        (names.PLAYLIST, "application/vnd.apple.mpegurl"),
        (names.MPD, "application/dash+xml"),
        (names.INIT, "video/mp4"),
        (names.segment_name(1), "video/iso.segment"),
        (names.TASK_JSON, "application/json"),
        (names.thumb_path(3), "image/jpeg"),
        (names.chunk_key(1, 1, "copy"), "application/octet-stream"),
        (names.audio_source_key(1, "eng-1"), "application/octet-stream"),
    ],
)
def test_every_object_has_a_content_type(key: str, kind: str) -> None:
    """Browsers refuse a playlist with the wrong one."""
    assert names.mime_type(key) == kind


def test_every_queue_has_its_own_dead_letters() -> None:
    dead = {names.dead_letters(queue) for queue in names.QUEUES}

    assert len(dead) == len(names.QUEUES) == len(set(names.QUEUES))
    assert not dead & set(names.QUEUES)
