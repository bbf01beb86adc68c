"""The ladder: the profile's rungs fitted to a source, never enlarged, and the thumbnails' places on the grid."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.grid import Grid, Span, round_nearest
from raven.media.ladder import choose_renditions, fit, thumb_size, thumbs_in
from raven.model import Rendition, VideoFacts
from raven.profile import Cutting, Ladder, Thumbs, load_profiles
from tests.builders import rung, video_facts

(DEFAULT,) = load_profiles()["default"].video
sides = st.integers(1, 8192)


def chosen(ladder: Ladder, facts: VideoFacts) -> tuple[Rendition, ...]:
    return choose_renditions((ladder,), facts, Cutting().grid(facts.rate))


def sizes(width: int, height: int, ladder: Ladder = DEFAULT) -> list[tuple[str, int, int]]:
    return [(r.name, r.width, r.height) for r in chosen(ladder, video_facts(width=width, height=height))]


LOW = [("234p", 416, 234), ("360p", 640, 360), ("432p", 768, 432), ("432p-high", 768, 432), ("540p", 960, 540)]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, [*LOW, ("720p", 1280, 720), ("1080p", 1920, 1080), ("1080p-high", 1920, 1080)]),
        (1280, 720, [*LOW, ("720p", 1280, 720), ("720p-high", 1280, 720)]),
        (
            720,
            1280,
            [*((name, height, width) for name, width, height in LOW), ("720p", 720, 1280), ("720p-high", 720, 1280)],
        ),
        (
            720,
            576,
            [
                ("234p", 292, 234), ("360p", 450, 360), ("432p", 540, 432), ("432p-high", 540, 432),
                ("540p", 676, 540), ("720p", 720, 576), ("720p-high", 720, 576),
            ],
        ),
        (320, 180, [("234p", 320, 180), ("234p-high", 320, 180)]),
        (416, 234, [("234p", 416, 234), ("234p-high", 416, 234)]),
        (417, 234, [("234p", 416, 234), ("360p", 416, 234), ("360p-high", 416, 234)]),
    ],
    ids=["1080p", "720p", "portrait", "PAL", "small", "just the box", "a pixel more"],
)  # fmt: skip
def test_the_ladder_of_known_sources(width: int, height: int, expected: list[tuple[str, int, int]]) -> None:
    assert sizes(width, height) == expected


def test_cinema_in_full_width_reaches_the_top_rung() -> None:
    """1920x800 is 1080p material: its width decides, not its lines."""
    assert sizes(1920, 800)[-1] == ("1080p-high", 1920, 800)


@given(sides, sides)
def test_the_top_size_comes_twice_and_rungs_for_the_top_alone_nowhere_else(width: int, height: int) -> None:
    """Apple 9.10."""
    found = [name for name, _, _ in sizes(width, height)]

    assert found[-1] == f"{found[-2]}-high"
    assert set(found[:-1]).isdisjoint(rung.name for rung in DEFAULT.rungs if rung.top_only)


def test_a_source_larger_than_every_rung_gets_them_all() -> None:
    wanted = [r.name for r in DEFAULT.rungs if not r.top_only or r.height == 1080]

    assert [name for name, _, _ in sizes(3840, 2160)] == wanted


@given(sides, sides)
def test_no_rendition_is_enlarged_or_leaves_its_box(width: int, height: int) -> None:
    boxes = {r.name: sorted((r.width, r.height)) for r in DEFAULT.rungs}

    for name, w, h in sizes(width, height):
        assert w % 2 == h % 2 == 0  # 4:2:0
        assert w <= max(2, width)
        assert h <= max(2, height)
        small, large = sorted((w, h))
        assert small <= max(2, boxes[name][0])
        assert large <= max(2, boxes[name][1])


@given(st.integers(64, 8192), st.integers(64, 8192))
def test_the_shape_of_the_picture_is_kept(width: int, height: int) -> None:
    for _, w, h in sizes(width, height):
        # each side is off by one pixel at most, as sides are even
        assert abs(Fraction(w) * height - Fraction(h) * width) <= width + height


@given(sides, sides)
def test_a_turned_picture_has_the_turned_ladder(width: int, height: int) -> None:
    assert sizes(width, height) == [(name, w, h) for name, h, w in sizes(height, width)]


@given(sides, sides)
def test_the_ladder_rises_and_ends_with_the_source_s_own_size(width: int, height: int) -> None:
    found = sizes(width, height)

    areas = [w * h for _, w, h in found]
    assert areas == sorted(areas)
    if max(width, height) <= 1920 and min(width, height) <= 1080:
        assert found[-1][1:] == (max(2, width - width % 2), max(2, height - height % 2))


def test_the_order_of_the_rungs_in_the_file_does_not_matter() -> None:
    ladder = DEFAULT.model_copy(update={"rungs": DEFAULT.rungs[::-1]})

    assert sizes(1000, 700, ladder) == sizes(1000, 700)


@pytest.mark.parametrize(
    ("rate", "max_rate", "every"),
    [
        (Fraction(25), None, 1),
        (Fraction(60), None, 1),
        (Fraction(25), Fraction(30), 1),
        (Fraction(30), Fraction(30), 1),
        (Fraction(3003, 100), Fraction(30), 1),  # of a webcam: half of it would be too little
        (Fraction(48), Fraction(30), 2),
        (Fraction(50), Fraction(30), 2),
        (Fraction(60000, 1001), Fraction(30), 2),
        (Fraction(60), Fraction(30), 2),
        (Fraction(60), Fraction(25), 3),
        (Fraction(60), Fraction(15), 4),
        (Fraction(50), Fraction(20), 4),  # a third would leave the borders of 100 frames
    ],
)
def test_a_rung_takes_as_many_frames_as_its_rate_allows(rate: Fraction, max_rate: Fraction | None, every: int) -> None:
    (made,) = chosen(Ladder(rungs=(rung(max_rate=max_rate),)), video_facts(rate=rate))

    assert made.every == every


@pytest.mark.parametrize(
    ("profile", "height", "halved"),
    [
        ("default", 1080, {"234p", "360p", "432p", "432p-high"}),
        ("default", 360, {"234p", "360p"}),  # 360p-high, the best one, keeps the source's rate
        ("hevc", 1080, {"hevc-360p", "hevc-432p", "hevc-540p", "234p", "360p"}),
        ("av1", 540, {"av1-360p", "av1-432p", "av1-540p", "234p", "360p"}),
        ("archive", 1080, set()),
    ],
)
def test_the_low_rungs_that_are_shipped_have_at_most_30_frames(profile: str, height: int, halved: set[str]) -> None:
    """Apple 1.25."""
    shipped, rate = load_profiles()[profile], Fraction(50)
    facts = video_facts(width=height * 16 // 9, height=height, rate=rate)

    made = choose_renditions(shipped.video, facts, shipped.cutting.grid(rate))

    assert {r.name: r.every for r in made} == {r.name: 2 if r.name in halved else 1 for r in made}
    assert halved <= {r.name for r in made}


def test_a_rendition_carries_what_the_profile_says() -> None:
    ladder = Ladder(rungs=(rung("small", 640, 360, maxrate=900),), preset="slow", threads=3, options={"aq-mode": "3"})

    (made,) = chosen(ladder, video_facts())

    assert (made.name, made.width, made.height, made.crf, made.maxrate) == ("small", 640, 360, 22.5, 900)
    assert (made.preset, made.threads, made.options) == ("slow", 3, {"aq-mode": "3"})


@pytest.mark.parametrize(
    ("codec", "preset", "depth", "format"),
    [
        ("libx264", "fast", 8, "yuv420p"),
        ("libx264", "fast", 10, "yuv420p"),
        ("libx265", "fast", 8, "yuv420p"),
        ("libx265", "fast", 10, "yuv420p10le"),
        ("libx265", "fast", 16, "yuv420p10le"),
        ("libsvtav1", "8", 12, "yuv420p10le"),
    ],
)
def test_ten_bits_are_kept_by_the_codecs_whose_players_know_them(
    codec: str,
    preset: str,
    depth: int,
    format: str,  # noqa: A002 - the field's name
) -> None:
    ladder = Ladder(codec=codec, preset=preset, rungs=(rung(),))

    (made,) = chosen(ladder, video_facts(bit_depth=depth))

    assert (made.codec, made.pixel_format) == (codec, format)


def test_a_picture_of_one_pixel_still_has_even_sides() -> None:
    assert fit(1, 1, 426, 240) == (2, 2)


# thumbnails


def test_thumbnails_have_the_height_that_was_asked_for_but_never_more_than_the_source() -> None:
    assert thumb_size(Thumbs(height=180), video_facts(width=1920, height=1080)) == (320, 180)
    assert thumb_size(Thumbs(height=180), video_facts(width=720, height=1280)) == (102, 180)
    assert thumb_size(Thumbs(height=180), video_facts(width=100, height=50)) == (100, 50)


@given(sides, sides, st.integers(16, 2160))
def test_thumbnails_have_even_sides_and_are_never_enlarged(width: int, height: int, lines: int) -> None:
    w, h = thumb_size(Thumbs(height=lines), video_facts(width=width, height=height))

    assert w % 2 == h % 2 == 0
    assert w <= max(2, width)
    assert h <= max(2, min(lines + 1, height))


thumb_steps = st.fractions(Fraction(1, 100), 60, max_denominator=100).map(lambda s: Thumbs(every_seconds=s))
thumb_rates = st.sampled_from([Fraction(25), Fraction(24000, 1001), Fraction(60), Fraction(1), Fraction(1, 20)])


@given(thumb_steps, thumb_rates, st.integers(1, 2000))
def test_every_thumbnail_of_a_film_is_made_once_by_one_chunk(thumbs: Thumbs, rate: Fraction, frames: int) -> None:
    # Given a film in chunks
    grid = Grid.of(rate, Fraction(2), 2, 2)

    # When each chunk is asked for its own
    parts = [thumbs_in(grid, thumbs, span) for span in grid.chunks(frames)]

    # Then together they are those of the film in one piece, numbered from 0 without a gap
    found = {frame: number for part in parts for frame, number in part.items()}
    assert found == thumbs_in(grid, thumbs, Span(0, frames))
    assert sorted(found.values()) == list(range(len(found)))
    assert sum(len(part) for part in parts) == len(found)
    # and ffmpeg, which only counts on from the first number, gives each its own
    for part in parts:
        numbers = [part[frame] for frame in sorted(part)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


@given(thumb_rates, st.integers(0, 500))
def test_thumbnails_are_as_many_whole_frames_apart_as_are_nearest_to_the_wanted_time(
    rate: Fraction, first: int
) -> None:
    grid = Grid.of(rate, Fraction(2), 2, 2)
    step = max(1, round_nearest(10 * rate))

    for frame, number in thumbs_in(grid, Thumbs(every_seconds=Fraction(10)), Span(first, first + 600)).items():
        assert frame == number * step


def test_without_thumbnails_there_are_none() -> None:
    assert thumbs_in(Grid.of(Fraction(25), Fraction(2), 3, 3), None, Span(0, 1000)) == {}


def test_a_slide_show_has_a_thumbnail_for_each_picture_and_not_more() -> None:
    """At one picture in 20 s, a thumbnail each 10 s would show each picture twice; their numbers were not in a row."""
    grid = Grid.of(Fraction(1, 20), Fraction(2), 3, 3)

    assert thumbs_in(grid, Thumbs(every_seconds=Fraction(10)), Span(3, 6)) == {3: 3, 4: 4, 5: 5}
