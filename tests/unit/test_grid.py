"""The frame grid: the law that the frames of chunks, segments and manifests sum to N, for any rate and length."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raven.media.grid import (
    LEAST_RATE,
    MAX_RATE,
    SMOOTH,
    STANDARD_RATES,
    AudioGrid,
    Grid,
    Span,
    capped_rate,
    choose_rate,
    lies_on_grid,
    raised_rate,
    round_nearest,
    snap_rate,
    standard_rate,
)
from tests.builders import cutting

NTSC = Fraction(30000, 1001)
odd_rates = st.fractions(min_value=Fraction(1, 100), max_value=MAX_RATE, max_denominator=100_000)
thousand_and_one = st.integers(1, 60).map(lambda n: Fraction(n * 1000, 1001))
rates = st.one_of(st.sampled_from(STANDARD_RATES), thousand_and_one, odd_rates)
gop_lengths = st.fractions(min_value=Fraction(1, 50), max_value=20, max_denominator=50)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any grid that a profile can ask for."""
    return Grid.of(draw(rates), draw(gop_lengths), draw(st.integers(1, 10)), draw(st.integers(1, 20)))


@st.composite
def films(draw: st.DrawFn) -> tuple[Grid, int]:
    """A grid and a number of frames, of up to some chunks, often next to a border."""
    grid = draw(grids())
    near = st.builds(
        lambda unit, times, off: unit * times + off,
        st.sampled_from([grid.gop, grid.segment, grid.chunk]),
        st.integers(0, 6),
        st.integers(-2, 2),
    )
    frames = draw(st.one_of(near, st.integers(1, 8 * grid.chunk)))
    return grid, max(1, frames)


# the law


@given(films())
def test_chunks_tile_the_film_exactly(film: tuple[Grid, int]) -> None:
    grid, frames = film

    # When a film is divided
    chunks = list(grid.chunks(frames))

    # Then its chunks follow each other from 0 to N without a gap
    assert [chunks[0].first, chunks[-1].last] == [0, frames]
    assert all(a.last == b.first for a, b in itertools.pairwise(chunks))
    assert all(chunk.frames > 0 for chunk in chunks)
    assert sum(chunk.frames for chunk in chunks) == frames
    assert len(chunks) == grid.chunk_count(frames)


@given(films(), st.fractions(min_value=Fraction(1, 10), max_value=70))
def test_every_nth_frame_of_all_segments_is_every_nth_frame_of_the_film(
    film: tuple[Grid, int], max_rate: Fraction
) -> None:
    """A rung of less than the source's rate: the law is that of the others, whatever N is."""
    grid, frames = film
    every = grid.step_for(max_rate)

    # When a rung takes the first frame of each segment and every n-th after it
    parts = [part for chunk in grid.chunks(frames) for part in grid.segments(chunk)]
    taken = [frame for part in parts for frame in range(part.first, part.last, every)]

    # Then these are every n-th of the whole film, and so many as were promised
    assert taken == list(range(0, frames, every))
    assert [part.taken(every) for part in parts] == [len(range(part.first, part.last, every)) for part in parts]
    assert sum(part.taken(every) for part in parts) == Span(0, frames).taken(every)


@given(grids(), st.fractions(min_value=Fraction(1, 10), max_value=70))
def test_a_rung_has_the_most_frames_that_its_highest_rate_and_its_gops_allow(grid: Grid, max_rate: Fraction) -> None:
    every = grid.step_for(max_rate)

    assert grid.gop % every == 0
    assert every == grid.gop or grid.rate / every <= max_rate * Fraction(101, 100)
    fewer = [step for step in range(1, every) if grid.gop % step == 0]
    assert all(grid.rate / step > max_rate * Fraction(101, 100) for step in fewer)
    assert grid.step_for(None) == 1


@given(films())
def test_segments_tile_each_chunk_and_are_numbered_from_one(film: tuple[Grid, int]) -> None:
    """A number that is missing or doubled is a file that a player asks for in vain."""
    grid, frames = film

    # When every chunk is cut into segments
    segments = [(chunk, list(grid.segments(chunk))) for chunk in grid.chunks(frames)]

    # Then they tile the chunk, each but the film's last is whole, and the numbers go on from chunk to chunk
    for chunk, parts in segments:
        assert [parts[0].first, parts[-1].last] == [chunk.first, chunk.last]
        assert all(a.last == b.first for a, b in itertools.pairwise(parts))
    row = [part for _, parts in segments for part in parts]
    assert all(part.frames == grid.segment for part in row[:-1])
    assert 0 < row[-1].frames <= grid.segment
    assert [grid.segment_number(part.first) for part in row] == list(range(1, len(row) + 1))
    assert sum(part.frames for part in row) == frames


@given(films())
def test_only_a_chunk_that_is_alone_is_shorter_than_a_segment(film: tuple[Grid, int]) -> None:
    """The encoder's reordering delay is then the same in all chunks, and so the offset of their times."""
    grid, frames = film

    chunks = list(grid.chunks(frames))

    if len(chunks) > 1:
        assert all(chunk.frames >= grid.segment for chunk in chunks)
    assert all(chunk.frames == grid.chunk for chunk in chunks[:-1])
    assert chunks[-1].frames < grid.chunk + grid.segment


@given(films())
def test_every_border_is_a_gop_border(film: tuple[Grid, int]) -> None:
    """Else a segment would begin without an IDR."""
    grid, frames = film

    borders = [part.first for chunk in grid.chunks(frames) for part in grid.segments(chunk)]

    assert all(border % grid.gop == 0 for border in borders)


# while the source is still being read


@given(films(), st.integers(0, 10_000))
def test_a_chunk_that_was_called_whole_never_changes(film: tuple[Grid, int], more: int) -> None:
    """Workers encode it while the master still reads: were its range to change, frames would be lost or doubled."""
    grid, seen = film

    # Given what is called whole once `seen` frames are known to come
    whole = grid.whole_chunks(seen)
    early = [grid.chunk_span(index, None) for index in range(whole)]

    # When the film turns out to have at least as many
    frames = seen + more

    # Then they are chunks of it, unchanged
    assert early == list(grid.chunks(frames))[:whole]
    assert whole <= grid.whole_chunks(frames)


@given(films())
def test_all_but_the_last_chunk_are_called_whole_at_the_latest_at_the_end(film: tuple[Grid, int]) -> None:
    """Were less called whole, encoding would start later than it could."""
    grid, frames = film

    assert grid.whole_chunks(frames) == grid.chunk_count(frames) - 1


@given(films())
def test_an_encoder_looks_ahead_to_a_fiftieth_of_its_chunk_and_no_further_than_the_next_segment(
    film: tuple[Grid, int],
) -> None:
    grid, _ = film
    assert 50 * grid.look_ahead <= grid.chunk
    assert grid.look_ahead <= grid.segment


def test_a_film_without_frames_has_no_chunks() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        cutting().grid(Fraction(25)).chunk_count(0)


# times


@given(grids(), st.integers(0, 10**7))
def test_a_frame_is_a_whole_number_of_ticks(grid: Grid, frame: int) -> None:
    """So no rounding adds up over a long film."""
    assert Fraction(grid.frame_ticks, grid.timescale) == 1 / grid.rate
    assert Fraction(frame * grid.frame_ticks, grid.timescale) == grid.time_of(frame)
    assert grid.timescale >= 1000  # players that round to milliseconds lose nothing


@given(grids(), st.integers(-(10**6), 10**7), st.fractions(-Fraction(49, 100), Fraction(49, 100), max_denominator=1000))
def test_a_time_finds_its_frame_although_it_is_nearly_half_a_frame_off(grid: Grid, frame: int, off: Fraction) -> None:
    assert grid.frame_at((frame + off) / grid.rate) == frame


@given(grids())
def test_a_gop_is_as_long_as_it_was_asked_for_and_even_at_high_rates(grid: Grid) -> None:
    """A rung at half the rate takes every second frame: its GOPs must end where the others do."""
    assert grid.segment % grid.gop == 0
    assert grid.chunk % grid.segment == 0
    assert grid.rate <= 30 or grid.gop % 2 == 0


@pytest.mark.parametrize(
    ("rate", "gop", "timescale", "ticks"),
    [
        (Fraction(25), 50, 25_000, 1000),
        (Fraction(24000, 1001), 48, 24_000, 1001),
        (NTSC, 60, 30_000, 1001),
        (Fraction(60000, 1001), 120, 60_000, 1001),
        (Fraction(25, 2), 25, 25_000, 2000),
        (Fraction(1), 2, 1000, 1000),
        (Fraction(1, 3), 1, 1000, 3000),
        (Fraction(119, 3), 80, 119_000, 3000),
    ],
)
def test_the_grid_of_known_rates(rate: Fraction, gop: int, timescale: int, ticks: int) -> None:
    grid = Grid.of(rate, Fraction(2), 3, 3)

    assert grid == Grid(rate, gop, 3 * gop, 9 * gop)
    assert (grid.timescale, grid.frame_ticks) == (timescale, ticks)


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-25), Fraction(60001, 1000)])
def test_a_rate_that_no_grid_has_is_refused(rate: Fraction) -> None:
    with pytest.raises(ValueError, match="is not in"):
        Grid.of(rate, Fraction(2), 3, 3)


@given(st.fractions(max_denominator=10_000))
@example(Fraction(1, 2))
@example(Fraction(-1, 2))
@example(Fraction(5, 2))
def test_halves_round_away_from_zero(x: Fraction) -> None:
    """As ffmpeg does; Python's own round() takes the even number, and master and encoder would disagree by a frame."""
    away = math.floor(abs(x) + Fraction(1, 2))

    assert round_nearest(x) == (away if x >= 0 else -away)


# the rate of a source


def _stamps(rate: Fraction, count: int, tick: Fraction, start: Fraction = Fraction(0)) -> list[Fraction]:
    """Presentation times of a constant rate in a container that counts in `tick`."""
    return [round_nearest((start + n / rate) / tick) * tick for n in range(count)]


FRAMES = 120  # a sample of the first packets
MILLISECONDS, BROADCAST = Fraction(1, 1000), Fraction(1, 90_000)
film_rates = st.sampled_from([rate for rate in STANDARD_RATES if rate >= 5])
ticks = st.sampled_from([MILLISECONDS, BROADCAST])
starts = st.fractions(0, 100, max_denominator=9973)


@given(film_rates, ticks, starts)
def test_a_constant_rate_is_found_through_the_rounding_of_its_container(
    rate: Fraction, tick: Fraction, start: Fraction
) -> None:
    """Matroska rounds to milliseconds, MPEG-TS to 90 kHz."""
    assert choose_rate(_stamps(rate, FRAMES, tick, start), [rate], tick) == rate


@given(film_rates, ticks, starts, st.sets(st.integers(1, FRAMES - 2), min_size=1, max_size=FRAMES // 3))
def test_missing_frames_do_not_hide_a_constant_rate(
    rate: Fraction, tick: Fraction, start: Fraction, missing: set[int]
) -> None:
    # Given a broadcast with holes, whose average rate is therefore too low
    times = [t for n, t in enumerate(_stamps(rate, FRAMES, tick, start)) if n not in missing]
    average = (len(times) - 1) / (times[-1] - times[0])

    # Then the other rate that it declares is found on its grid
    assert choose_rate(times, [average, rate], tick) == rate


@given(film_rates, st.randoms(use_true_random=False))
def test_times_in_any_order_give_the_same_rate(rate: Fraction, random: Random) -> None:
    """Packets come in decode order: with B-frames their times jump."""
    times = _stamps(rate, 60, BROADCAST)
    shuffled = list(times)
    random.shuffle(shuffled)

    assert choose_rate(shuffled, [rate], BROADCAST) == choose_rate(times, [rate], BROADCAST)


@given(film_rates)
def test_a_declared_rate_that_is_a_rounded_standard_rate_means_that_one(rate: Fraction) -> None:
    """23.976 is 24000/1001: taken literally, sound and picture would part over a long film."""
    written = Fraction(round(rate * 1000), 1000)

    assert choose_rate(_stamps(rate, 300, MILLISECONDS), [written], MILLISECONDS) == rate


@pytest.mark.parametrize(
    ("rate", "output"),
    [
        (Fraction(120), Fraction(60)),
        (Fraction(100), Fraction(50)),
        (Fraction(120_000, 1001), Fraction(60_000, 1001)),
        (Fraction(240), Fraction(60)),
        (Fraction(144), Fraction(48)),
        (Fraction(1000), Fraction(1000, 17)),
    ],
)
def test_above_sixty_frames_every_second_or_third_is_taken(rate: Fraction, output: Fraction) -> None:
    """Apple 1.19; a divisor of the rate keeps the motion even."""
    assert capped_rate(choose_rate(_stamps(rate, 300, Fraction(1, 90_000 * 1001)), [rate], BROADCAST)) == output


@given(st.lists(st.integers(11, 400), min_size=2, max_size=200), st.integers(1, 120))
def test_a_changing_rate_becomes_a_standard_one_that_a_grid_can_have(steps: list[int], declared: int) -> None:
    # Given a telephone's recording, in milliseconds
    times = list(itertools.accumulate((Fraction(step, 1000) for step in steps), initial=Fraction(0)))
    if lies_on_grid(times, Fraction(declared), MILLISECONDS):
        return

    # When a rate is chosen for it
    rate = choose_rate(times, [Fraction(declared)], MILLISECONDS)

    # Then it is smooth, a multiple of a standard one, and not slower than the usual step
    assert SMOOTH <= rate <= MAX_RATE
    assert any((rate / standard).denominator == 1 for standard in STANDARD_RATES)
    assert rate >= standard_rate(1000 / Fraction(sorted(steps)[len(steps) // 2]))


def _after(*milliseconds: int) -> list[Fraction]:
    return [Fraction(t, 1000) for t in itertools.accumulate(milliseconds, initial=0)]


def test_a_changing_rate_that_is_slow_at_first_gets_places_for_what_may_come() -> None:
    """A frame that is shown twice costs nearly nothing; one that has no place is lost."""
    slow = _after(*[83, 83, 70, 96, 83] * 20)

    assert choose_rate(slow, [], MILLISECONDS) == 24
    assert choose_rate(slow, [Fraction(30)], MILLISECONDS) == 30


@pytest.mark.parametrize("declared", [[Fraction(30)], [Fraction(63, 5), Fraction(30)], [Fraction(60), Fraction(30)]])
def test_a_recording_that_begins_still_keeps_the_rate_that_it_declares(declared: list[Fraction]) -> None:
    rate = choose_rate(_after(*[1000] * 11), declared, MILLISECONDS)

    assert rate in (30, 60)


def test_a_burst_in_a_slow_beginning_counts() -> None:
    assert choose_rate(_after(*[500] * 8, *[33] * 3), [Fraction(4)], MILLISECONDS) == 30


def test_the_jitter_of_a_telephone_is_no_burst() -> None:
    assert choose_rate(_after(*[33, 24, 43, 33, 34] * 20), [Fraction(2993, 100)], MILLISECONDS) == 30


@given(st.fractions(Fraction(1, 1000), 60), st.sampled_from([LEAST_RATE, SMOOTH]))
def test_a_slow_rate_is_raised_by_as_little_as_keeps_all_places(rate: Fraction, least: Fraction) -> None:
    raised = raised_rate(rate, least)

    assert (raised / rate).denominator == 1
    assert raised == rate if rate >= least else least <= raised < 2 * least


def test_hardly_more_than_sixty_frames_are_not_halved() -> None:
    """Consoles of 1983 have 60.0988."""
    assert capped_rate(Fraction(719503, 11972)) == 60
    assert capped_rate(Fraction(62)) == 31


@pytest.mark.parametrize("times", [[], [Fraction(3)]])
def test_a_single_picture_gets_a_rate_too(times: list[Fraction]) -> None:
    assert choose_rate(times, [], MILLISECONDS) == 25
    assert choose_rate(times, [Fraction(0), Fraction(50)], MILLISECONDS) == 50


def test_the_rates_of_film_and_television_are_standard() -> None:
    """Written out once more, as a misprint in the table would move the sound of every such film."""
    known = [Fraction(n) for n in (1, 5, 10, 12, 15, 24, 25, 30, 48, 50, 60)]
    known += [Fraction(n * 1000, 1001) for n in (12, 15, 24, 30, 48, 60)]

    assert set(known) <= set(STANDARD_RATES)
    assert all(rate <= MAX_RATE and rate.denominator in (1, 2, 1001) for rate in STANDARD_RATES)
    assert list(STANDARD_RATES) == sorted(set(STANDARD_RATES))


def test_two_frames_at_one_place_are_not_on_a_grid() -> None:
    """50 fields in a container that claims 25 frames: every second one would vanish."""
    assert not lies_on_grid(_stamps(Fraction(50), 20, Fraction(1, 50)), Fraction(25), Fraction(1, 50))


@given(rates)
def test_snapping_moves_a_rate_by_less_than_one_frame_in_ten_thousand(rate: Fraction) -> None:
    assert abs(snap_rate(rate) / rate - 1) < Fraction(1, 10_000)
    assert standard_rate(snap_rate(rate)) == standard_rate(rate)


# sound


@st.composite
def tracks(draw: st.DrawFn) -> tuple[AudioGrid, Grid, int]:
    """A film of N frames and the audio grid of its track."""
    grid = draw(grids().filter(lambda g: g.time_of(g.segment) >= Fraction(1, 10)))
    frames = draw(st.integers(1, 3 * grid.chunk))
    sample_rate = draw(st.sampled_from([44_100, 48_000]))
    return AudioGrid(sample_rate, max(1, round(grid.time_of(frames) * sample_rate))), grid, frames


@given(tracks())
def test_the_segments_of_a_track_hold_all_its_packets(track: tuple[AudioGrid, Grid, int]) -> None:
    audio, grid, _ = track

    packets = audio.segments(grid.time_of(grid.segment))

    assert sum(packets) == audio.packets
    assert all(count > 0 for count in packets)


@given(tracks())
def test_the_packets_of_a_track_cover_its_samples(track: tuple[AudioGrid, Grid, int]) -> None:
    audio, _, _ = track

    held = audio.packets * audio.packet

    assert audio.samples <= held < audio.samples + audio.packet


@given(tracks())
def test_audio_borders_stay_within_half_a_packet_of_the_video_s(track: tuple[AudioGrid, Grid, int]) -> None:
    """A player that switches at a video border must find the sound there too (Apple 8.6)."""
    audio, grid, frames = track
    segments = [part for chunk in grid.chunks(frames) for part in grid.segments(chunk)]

    # When the track is cut
    counts = audio.segments(grid.time_of(grid.segment))

    # Then there is one segment for each of the video's, but perhaps for a last one shorter than a packet
    assert len(segments) - 1 <= len(counts) <= len(segments)
    # and each begins where the video's does
    for border, segment in zip(itertools.accumulate(counts), segments[1:], strict=False):
        ideal = grid.time_of(segment.first) * audio.sample_rate
        if border != audio.packets:
            assert abs(border * audio.packet - ideal) <= Fraction(audio.packet, 2)


def test_a_rounded_up_sample_opens_no_segment_of_its_own() -> None:
    """8.991 frames/s: one frame lasts 5338.67 samples, which are rounded to 5339; that is still one segment."""
    assert AudioGrid(48_000, 5339).segments(Fraction(1001, 9000)) == [6]


def test_the_audio_of_a_known_film() -> None:
    """6 s are 281.25 packets at 48 kHz: the borders are at 281, 563 and 844."""
    grid = AudioGrid(48_000, 20 * 48_000)

    assert grid.packets == 938
    assert grid.segments(Fraction(6)) == [281, 282, 281, 94]


def test_a_span_counts_its_frames() -> None:
    assert Span(10, 35).frames == 25
