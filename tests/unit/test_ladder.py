"""The ladder: the profile's rungs fitted to a source, never enlarged, and the thumbnails' places on the grid."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.grid import Grid, Span, round_nearest
from raven.media.ladder import choose_renditions, fit, thumb_size, thumbs_in
from raven.profile import Thumbs, VideoProfile, load_profiles
from tests.builders import rung, video_facts

DEFAULT = load_profiles()["default"].video
sides = st.integers(1, 8192)


def sizes(width: int, height: int, profile: VideoProfile = DEFAULT) -> list[tuple[str, int, int]]:
    return [(r.name, r.width, r.height) for r in choose_renditions(profile, video_facts(width=width, height=height))]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (
            1920,
            1080,
            [("240p", 426, 240), ("360p", 640, 360), ("480p", 854, 480), ("720p", 1280, 720), ("1080p", 1920, 1080)],
        ),
        (1280, 720, [("240p", 426, 240), ("360p", 640, 360), ("480p", 854, 480), ("720p", 1280, 720)]),
        (720, 1280, [("240p", 240, 426), ("360p", 360, 640), ("480p", 480, 854), ("720p", 720, 1280)]),
        (720, 576, [("240p", 300, 240), ("360p", 450, 360), ("480p", 600, 480), ("720p", 720, 576)]),
        (1920, 800, [("240p", 426, 178), ("360p", 640, 266), ("480p", 854, 356), ("720p", 1280, 534)]),
        (320, 180, [("240p", 320, 180)]),
        (426, 240, [("240p", 426, 240)]),
        (427, 240, [("240p", 426, 240), ("360p", 426, 240)]),
    ],
    ids=["1080p", "720p", "portrait", "PAL", "cinema", "small", "just the box", "a pixel more"],
)
def test_the_ladder_of_known_sources(width: int, height: int, expected: list[tuple[str, int, int]]) -> None:
    found = sizes(width, height)

    assert found[: len(expected)] == expected
    assert len(found) == len(expected) or (width, height) == (1920, 800)


def test_cinema_in_full_width_reaches_the_top_rung() -> None:
    """1920x800 is 1080p material: its width decides, not its lines."""
    assert sizes(1920, 800)[-1] == ("1080p", 1920, 800)


def test_a_source_larger_than_every_rung_gets_them_all() -> None:
    assert [name for name, _, _ in sizes(3840, 2160)] == [r.name for r in DEFAULT.rungs]


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
    profile = DEFAULT.model_copy(update={"rungs": DEFAULT.rungs[::-1]})

    assert sizes(1000, 700, profile) == sizes(1000, 700)


def test_a_rendition_carries_what_the_profile_says() -> None:
    profile = VideoProfile(
        rungs=(rung("small", 640, 360, maxrate=900),), preset="slow", threads=3, options={"aq-mode": "3"}
    )

    (made,) = choose_renditions(profile, video_facts())

    assert (made.name, made.width, made.height, made.crf, made.maxrate) == ("small", 640, 360, 22.5, 900)
    assert (made.preset, made.threads, made.options) == ("slow", 3, {"aq-mode": "3"})


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
def test_a_thumbnail_shows_the_frame_of_its_time(rate: Fraction, first: int) -> None:
    grid = Grid.of(rate, Fraction(2), 2, 2)
    step = max(Fraction(1), 10 * rate)

    for frame, number in thumbs_in(grid, Thumbs(every_seconds=Fraction(10)), Span(first, first + 600)).items():
        assert frame == round_nearest(number * step)


def test_without_thumbnails_there_are_none() -> None:
    assert thumbs_in(Grid.of(Fraction(25), Fraction(2), 3, 3), None, Span(0, 1000)) == {}


def test_a_slide_show_has_a_thumbnail_for_each_picture_and_not_more() -> None:
    """At one picture in 20 s, a thumbnail each 10 s would show each picture twice; their numbers were not in a row."""
    grid = Grid.of(Fraction(1, 20), Fraction(2), 3, 3)

    assert thumbs_in(grid, Thumbs(every_seconds=Fraction(10)), Span(3, 6)) == {3: 3, 4: 4, 5: 5}
