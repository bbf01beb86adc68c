"""Fields: of field-coded H.264 two packets are one frame, of interlaced video each may become one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.fields import FieldPairs, may_weave
from raven.media.packets import join_fields
from raven.media.pictures import by_fields
from tests import paff
from tests.builders import video_facts
from tests.media import run_ffmpeg


def test_the_second_field_completes_the_first() -> None:
    pairs = FieldPairs(None)

    told = [
        pairs.completes((paff.headers() if frame == 0 else b"") + paff.field(frame, bottom=bottom))
        for frame in range(8)
        for bottom in (False, True)
    ]

    assert told == [False, True] * 8


def test_a_packet_of_both_fields_is_a_frame_already() -> None:
    pairs = FieldPairs(None)

    assert [pairs.completes(paff.picture(frame)) for frame in range(8)] == [False] * 8


def test_a_lost_field_does_not_marry_its_neighbours() -> None:
    """Else all pairs after it would be wrong."""
    pairs = FieldPairs(None)
    fields = [(frame, bottom) for frame in range(4) for bottom in (False, True) if (frame, bottom) != (1, False)]

    told = {
        (frame, bottom): pairs.completes((paff.headers() if frame == 0 else b"") + paff.field(frame, bottom=bottom))
        for frame, bottom in fields
    }

    assert [place for place, completes in told.items() if completes] == [(0, True), (2, True), (3, True)]


@pytest.mark.parametrize(
    ("options", "woven"),
    [
        (("-c:v", "libx264", "-x264-params", "fake-interlaced=1:weightp=0"), True),
        (("-c:v", "libx264", "-x264-params", "tff=1:weightp=0"), True),
        (("-c:v", "libx264"), False),
        (("-c:v", "mpeg2video", "-flags", "+ilme+ildct"), True),
        (("-c:v", "mpeg2video"), False),
        (("-c:v", "mpeg4"), False),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_a_sequence_says_whether_fields_may_come(
    tmp_path: Path, options: tuple[str, ...], woven: bool, suffix: str
) -> None:
    clip = tmp_path / f"clip.{suffix}"
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=64x64:d=0.2", "-pix_fmt", "yuv420p", *options, str(clip)])
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        packets = [bytes(packet) for packet in container.demux(video)]
        codec, extradata = video.codec_context.codec.canonical_name, video.codec_context.extradata

    assert may_weave(codec, extradata, []) == woven
    assert may_weave(codec, None if suffix == "ts" else extradata, packets) == woven


def test_a_transport_stream_s_fields_are_given_as_frames_with_times(tmp_path: Path) -> None:
    # Given a stream whose second fields come as packets without times
    with av.open(str(paff.write_fields(tmp_path / "fields.ts", 20))) as container:
        video = container.streams.video[0]
        raw = [p for p in container.demux(video) if p.size]
        assert [p.pts is None for p in raw] == [False, True] * 20

        # When they are joined
        frames = list(join_fields(raw, video))

    # Then each frame is one packet, with its time and its length
    assert [p.pts for p in frames] == [90_000 + n * paff.TICKS for n in range(20)]
    assert {p.duration for p in frames} == {paff.TICKS}
    assert all(p.is_keyframe for p in frames)
    assert b"".join(map(bytes, frames)) == b"".join(map(bytes, raw))
    assert frames[1].time_base == Fraction(1, 90_000)


def test_fields_are_joined_in_containers_that_keep_headers_apart(tmp_path: Path) -> None:
    source = paff.write_fields(tmp_path / "fields.ts", 20)
    target = tmp_path / "fields.mp4"
    run_ffmpeg(["-loglevel", "fatal", "-i", str(source), "-c", "copy", str(target)])

    with av.open(str(target)) as container:
        video = container.streams.video[0]
        frames = list(join_fields((p for p in container.demux(video) if p.size), video))

    assert len(frames) == 20


def test_frames_that_are_no_fields_are_left_alone(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=64x48:d=2", "-c:v", "libx264", "-bf", "2", str(clip)])

    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        raw = [p for p in container.demux(video) if p.size]
        assert [id(p) for p in join_fields(raw, video)] == [id(p) for p in raw]


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=5))
def test_damage_is_never_more_than_a_field_not_found(extradata: bytes, packets: list[bytes]) -> None:
    pairs = FieldPairs(extradata)
    for packet in packets:
        assert pairs.completes(b"\x00\x00\x01\x67" + packet) in (True, False)


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({"interlaced": "flagged"}, 50),
        ({"interlaced": "tff", "rate": Fraction(30000, 1001)}, Fraction(60000, 1001)),
        ({"interlaced": "no"}, 25),
        ({"interlaced": "bff", "timed": False}, 25),  # its frames are counted, and not all may be interlaced
        ({"interlaced": "tff", "rate": Fraction(50)}, 50),  # 100 were too many (Apple 1.19)
    ],
)
def test_fields_become_frames_where_there_are_such_and_not_too_many(changes: dict[str, Any], rate: Fraction) -> None:
    video = video_facts().model_copy(update=changes)

    made = by_fields(video)

    assert made.rate == rate
    assert made.fields is (made != video)
    assert made == video or made.step == 1 / video.rate  # the last frame is held as long as ever: two of the new ones
