"""Trick play: where the I-frames lie, what a chunk's must be, and what the manifests say of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.errors import OutputWrong
from raven.media import boxes, dash, hls
from raven.media.command import ChunkOrder, encode_command, encode_graph
from raven.media.grid import STANDARD_RATES, Grid, Span
from raven.media.iframe_segments import cut_iframes, iframe_track
from raven.media.iframes import IframeOrder, frames_in, iframe_order, places_in_gop, select_filter
from raven.media.presentation import IframeTrack
from raven.model import IframeSegments, SegmentInfo
from raven.profile import Iframes
from tests.builders import (
    IDR,
    SEI,
    SLICE,
    FakeFragment,
    FakeSample,
    fragmented_mp4,
    init_segment,
    nal,
    presentation,
    rendition,
    video_facts,
    video_track,
)

GRID = Grid.of(Fraction(25), Fraction(2), 3, 1)  # GOPs of 50, segments and chunks of 150 frames
PLACES = (0, 25)
CHUNK = Span(150, 310)  # a second chunk, with a rest of 10 frames at its end
rates = st.sampled_from(STANDARD_RATES)
seconds = st.fractions(Fraction(1, 10), Fraction(10))


# where they lie


@pytest.mark.parametrize(
    ("rate", "places"),
    [
        (Fraction(25), (0, 25)),
        (Fraction(24000, 1001), (0, 24)),
        (Fraction(60), (0, 60)),
        (Fraction(25, 2), (0, 12)),  # a GOP of 25: whole frames only
        (Fraction(1), (0, 1)),
    ],
)
def test_there_is_one_a_second(rate: Fraction, places: tuple[int, ...]) -> None:
    assert places_in_gop(Grid.of(rate, Fraction(2), 3, 3), Fraction(1)) == places


@given(rates, seconds, st.fractions(Fraction(1, 4), Fraction(10)))
def test_each_gop_begins_with_one_and_they_are_as_even_as_frames_allow(
    rate: Fraction, every: Fraction, gop: Fraction
) -> None:
    grid = Grid.of(rate, gop, 3, 3)

    places = places_in_gop(grid, every)

    steps = [b - a for a, b in itertools.pairwise([*places, grid.gop])]
    assert places[0] == 0
    assert min(steps) >= 1
    assert max(steps) - min(steps) <= 1


@given(rates, seconds, st.integers(1, 5000), st.integers(1, 3))
def test_chunks_side_by_side_have_the_i_frames_of_the_whole(
    rate: Fraction, every: Fraction, frames: int, chunk_segments: int
) -> None:
    """Whatever a worker knows of its own chunk alone must sum to what the master expects."""
    grid = Grid.of(rate, Fraction(2), 3, chunk_segments)
    places = places_in_gop(grid, every)

    parts = [frame for span in grid.chunks(frames) for frame in frames_in(grid, places, span)]

    assert parts == frames_in(grid, places, Span(0, frames))
    assert {span.first for chunk in grid.chunks(frames) for span in grid.segments(chunk)} <= set(parts)


# what the encoder is told


def test_a_profile_without_them_makes_none() -> None:
    assert iframe_order(None, GRID, video_facts()) is None


@pytest.mark.parametrize(
    ("width", "height", "size"), [(1920, 1080, (426, 240)), (1080, 1920, (240, 426)), (64, 48, (64, 48))]
)
def test_the_rendition_is_fitted_into_its_box_and_never_enlarged(
    width: int, height: int, size: tuple[int, int]
) -> None:
    order = iframe_order(Iframes(), GRID, video_facts(width=width, height=height))

    assert order is not None
    assert (order.rendition.width, order.rendition.height) == size


def chunk_order(iframes: IframeOrder | None) -> ChunkOrder:
    return ChunkOrder(
        grid=GRID,
        span=CHUNK,
        tail=0,
        video=video_facts(),
        renditions=(rendition(),),
        thumbs={},
        thumb_size=(320, 180),
        iframes=iframes,
    )


def test_the_i_frames_are_one_more_output_of_the_chunk_s_one_decode() -> None:
    order = iframe_order(Iframes(), GRID, video_facts())

    command = encode_command("ff", "chunk.nut", "/t", chunk_order(order))

    assert command.count("-i") == 1
    assert "[v0][i]" in encode_graph(chunk_order(order))
    last = command[len(command) - 1 - command[::-1].index("-map") :]
    assert last[:2] == ["-map", "[iframes]"]
    assert last[last.index("-frames:v") + 1] == str(len(frames_in(GRID, PLACES, CHUNK))) == "7"
    parameters = last[last.index("-x264-params") + 1]
    assert parameters.startswith("keyint=1:")
    assert "zones" not in parameters  # the first one would be better than the others
    assert last[-1] == "/t/iframes.mp4"


def test_only_wanted_frames_are_scaled() -> None:
    assert select_filter(GRID, PLACES) == "select=eq(mod(n\\,50)\\,0)+eq(mod(n\\,50)\\,25)"
    assert "[i]select=" in encode_graph(chunk_order(iframe_order(Iframes(), GRID, video_facts())))


# what a worker takes


def encoded(span: Span = CHUNK) -> list[FakeFragment]:
    """A chunk's I-frames as a right encoder writes them. It does not know how long the last one lasts."""
    return [
        FakeFragment(frame * 1000, [FakeSample(nal(SEI) + nal(IDR, 9 + n), 40, sync=True)])
        for n, frame in enumerate(frames_in(GRID, PLACES, span))
    ]


def test_each_i_frame_becomes_a_fragment_that_lasts_until_the_next_one() -> None:
    data = fragmented_mp4(encoded())

    # When a chunk's I-frames are cut
    track, sizes = cut_iframes(data, GRID, CHUNK, PLACES, "iframes")

    # Then there are the segments of the rungs, with all frames of the grid
    assert [(s.number, s.length) for s in track.segments] == [(2, 150), (3, 10)]
    assert [len(inside) for inside in sizes] == [6, 1]
    assert track.start == CHUNK.first * 1000
    # and behind its styp a segment is the fragments, each of one IDR at its time
    for segment, inside, times in zip(track.segments, sizes, [[150, 175, 200, 225, 250, 275], [300]], strict=True):
        content = segment.content(data)
        at = len(content) - sum(inside)
        for size, frame in zip(inside, times, strict=True):
            _, (fragment,) = boxes.split(track.init + content[at : at + size])
            (sample,) = fragment.samples
            assert fragment.end - fragment.start == size
            assert (sample.presentation_time, sample.sync) == (frame * 1000, True)
            assert sample.duration == (min(frame + 25, CHUNK.last) - frame) * 1000
            at += size


def changed(**values: object) -> Callable[[], list[FakeFragment]]:
    def change() -> list[FakeFragment]:
        first, *others = encoded()
        return [replace(first, samples=[replace(first.samples[0], **values)]), *others]  # type: ignore[arg-type]

    return change


BROKEN: tuple[tuple[Callable[[], list[FakeFragment]], str], ...] = (
    (lambda: encoded()[:-1], "6 I-frames came out, wanted 7"),
    (lambda: [*encoded(), FakeFragment(999_000, encoded()[0].samples)], "8 I-frames came out, wanted 7"),
    (lambda: encoded(Span(0, 160)), "I-frame 0 is at 0, wanted 150000"),
    (changed(composition_offset=1000), "I-frame 0 is at 151000, wanted 150000"),
    (changed(content=nal(SLICE)), "I-frame 0 has NAL type 1, not an IDR"),
    (changed(sync=False), "not an IDR"),
    (changed(content=nal(SEI)), "I-frame 0 has NAL type None, not an IDR"),
)


@pytest.mark.parametrize(("broken", "fault"), BROKEN)
def test_i_frames_that_break_the_law_are_refused(broken: Callable[[], list[FakeFragment]], fault: str) -> None:
    with pytest.raises(OutputWrong, match=fault):
        cut_iframes(fragmented_mp4(broken()), GRID, CHUNK, PLACES, "iframes")


# what is published


def stored(span: Span) -> IframeSegments:
    """What a worker reports of a chunk."""
    data = fragmented_mp4(encoded(span))
    track, sizes = cut_iframes(data, GRID, span, PLACES, "iframes")
    infos = tuple(SegmentInfo(length=s.length, bytes=len(s.content(data))) for s in track.segments)
    return IframeSegments(
        first=track.segments[0].number,
        segments=infos,
        start=track.start,
        init_sha256=track.init_sha256,
        frames=sizes,
    )


def published(parts: list[IframeSegments], frames: int = 310) -> IframeTrack:
    order = iframe_order(Iframes(), GRID, video_facts())
    assert order is not None
    return iframe_track(parts, order, GRID, frames, init_segment())


def test_the_i_frame_playlist_of_a_small_film() -> None:
    track = published([stored(Span(150, 160)), stored(Span(0, 150))], frames=160)

    assert hls.iframe_playlist(track) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:1\n"
        "#EXT-X-MEDIA-SEQUENCE:1\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-I-FRAMES-ONLY\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        + "".join(
            f"#EXTINF:1.000000,\n#EXT-X-BYTERANGE:{size}@{offset}\nseg-000001.m4s\n"
            for size, offset in [(131, 24), (132, 155), (133, 287), (134, 420), (135, 554), (136, 689)]
        )
        + "#EXTINF:0.400000,\n#EXT-X-BYTERANGE:131@24\nseg-000002.m4s\n#EXT-X-ENDLIST\n"
    )


def test_the_manifests_name_the_i_frames_beside_the_rungs() -> None:
    film = replace(
        presentation(video=(video_track(frames=(150, 10), sizes=(1_500_000, 100_000)),)),
        iframes=published([stored(Span(0, 160))], frames=160),
    )

    # HLS: after the variants, and no variant itself
    lines = hls.multivariant(film).splitlines()
    assert lines[-1] == (
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1560,AVERAGE-BANDWIDTH=1233,CODECS="avc1.64001f",'
        'RESOLUTION=426x240,URI="iframes/playlist.m3u8"'
    )
    assert sum(line.startswith("#EXT-X-STREAM-INF") for line in lines) == 1
    # DASH: a set that belongs to the video's, with its borders
    text = dash.mpd(film)
    assert (
        '    <AdaptationSet id="2" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">\n'
        '      <EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="0" />\n'
        '      <SegmentTemplate timescale="25000" startNumber="1" initialization="iframes/init.mp4"'
        ' media="iframes/seg-$Number%06d$.m4s">\n'
    ) in text
    assert (
        '      <Representation id="iframes" bandwidth="1560" codecs="avc1.64001f" width="426" height="240"'
        ' frameRate="1" sar="1:1" maxPlayoutRate="25" codingDependency="false" />\n'
    ) in text
    assert len(re.findall('<S t="0" d="150000" />\n *<S d="10000" />', text)) == 2


@pytest.mark.parametrize(
    "parts",
    [
        [stored(Span(0, 150))],
        [stored(Span(0, 150)), stored(CHUNK).model_copy(update={"frames": ((131,), (131,))})],
        [stored(Span(0, 150)), stored(CHUNK).model_copy(update={"init_sha256": "00" * 32})],
        [stored(Span(0, 150)), stored(Span(0, 150)), stored(CHUNK)],
    ],
    ids=["a chunk is missing", "an I-frame is missing", "another encoder", "a chunk twice"],
)
def test_parts_that_do_not_join_are_refused(parts: list[IframeSegments]) -> None:
    with pytest.raises(OutputWrong, match="iframes"):
        published(parts)


@given(st.integers(1, 3000))
def test_the_ranges_of_a_playlist_tile_the_segments_and_their_times_the_film(frames: int) -> None:
    parts = [stored(span) for span in GRID.chunks(frames)]

    track = published(parts, frames)

    assert sum(f.duration for f in track.frames) == Fraction(frames, 25)
    sizes = {n: s.bytes for n, s in enumerate((s for part in parts for s in part.segments), 1)}
    for number, inside in itertools.groupby(track.frames, key=lambda f: f.segment):
        ranges = [(f.offset, f.offset + f.bytes) for f in inside]
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
        assert (ranges[0][0], ranges[-1][1]) == (24, sizes[number])
