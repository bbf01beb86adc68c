"""WebVTT files and segments: every cue where it belongs, at its own times, none lost."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media import webvtt
from raven.model import Chapter, Cue
from tests.builders import cue

CUES = st.lists(
    st.builds(
        Cue,
        start=st.integers(-5_000, 40_000),
        end=st.integers(-5_000, 45_000),
        text=st.sampled_from(["one", "two", "three <b>bold</b>"]),
        settings=st.sampled_from(["", "line:0"]),
    ),
    max_size=20,
)
DURATIONS = st.fractions(Fraction(1, 100), 60, max_denominator=1001)
STEPS = st.sampled_from([Fraction(6), Fraction(1), Fraction(1001, 1000), Fraction(6006, 1000)])


def parsed(text: str) -> list[Cue]:
    """The cues of a file, read as a player does: blocks between blank lines."""
    blocks = text.rstrip("\n").split("\n\n")
    assert blocks[0].startswith("WEBVTT")
    found = []
    for block in blocks[1:]:
        times, *lines = block.split("\n")
        match = re.fullmatch(r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})(?: (.*))?", times)
        assert match is not None
        h1, m1, s1, f1, h2, m2, s2, f2 = map(int, match.groups()[:8])
        start, end = ((h * 60 + m) * 60_000 + s * 1000 + f for h, m, s, f in ((h1, m1, s1, f1), (h2, m2, s2, f2)))
        found.append(Cue(start=start, end=end, text="\n".join(lines), settings=match[9] or ""))
    return found


def test_a_whole_file() -> None:
    cues = [cue(500, 2000, "Hello <b>you</b>\nand you"), cue(1500, 3_723_004, "Long", settings="line:0")]

    assert webvtt.document(cues) == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.000\nHello <b>you</b>\nand you\n\n"
        "00:00:01.500 --> 01:02:03.004 line:0\nLong\n"
    )


def test_a_cue_over_a_border_stands_in_both_segments_with_its_own_times() -> None:
    edges = [Fraction(0), Fraction(10), Fraction(20), Fraction(25)]
    cues = [cue(1000, 2000, "first"), cue(9000, 21_000, "over both"), cue(20_000, 22_000, "last")]

    files = list(webvtt.segments(cues, edges))

    assert [[c.text for c in parsed(f)] for f in files] == [
        ["first", "over both"],
        ["over both"],
        ["over both", "last"],
    ]
    assert all((c.start, c.end) == (9000, 21_000) for f in files for c in parsed(f) if c.text == "over both")
    assert all(f.splitlines()[1] == "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000" for f in files)


def test_where_nothing_is_said_the_segment_is_empty_but_there() -> None:
    assert list(webvtt.segments([], [Fraction(0), Fraction(10)])) == [f"WEBVTT\n{webvtt.TIMESTAMP_MAP}\n"]


def test_cues_are_cut_to_the_film() -> None:
    cues = [cue(19_000, 30_000, "c"), cue(-500, 0, "before"), cue(-500, 700, "a"), cue(20_000, 21_000, "after")]

    assert webvtt.clipped(cues, Fraction(20)) == (cue(0, 700, "a"), cue(19_000, 20_000, "c"))


def test_what_is_said_twice_at_the_same_time_is_said_once() -> None:
    """Scripts lay the same text in several layers, for its outline and its shadow."""
    cues = [cue(0, 10, "a"), cue(0, 10, "b"), cue(0, 10, "a"), cue(5, 12, "a")]

    assert webvtt.clipped(cues, Fraction(1)) == (cue(0, 12, "a"), cue(0, 10, "b"))


def test_what_goes_on_without_a_break_is_one_cue() -> None:
    """Teletext sends a page again and again while it is shown."""
    cues = [cue(0, 10, "a"), cue(10, 20, "a"), cue(12, 14, "b"), cue(20, 30, "a"), cue(31, 40, "a")]

    assert webvtt.clipped(cues, Fraction(1)) == (cue(0, 30, "a"), cue(12, 14, "b"), cue(31, 40, "a"))


def test_text_segments_begin_where_video_segments_do() -> None:
    assert webvtt.borders(Fraction(130), Fraction(6)) == tuple(map(Fraction, (0, 60, 120, 130)))
    assert webvtt.borders(Fraction(120), Fraction(6)) == tuple(map(Fraction, (0, 60, 120)))
    assert webvtt.borders(Fraction(1, 25), Fraction(6)) == (Fraction(0), Fraction(1, 25))


@given(CUES, DURATIONS, STEPS)
def test_the_segments_hold_each_cue_wherever_it_is_shown_and_nowhere_else(
    cues: list[Cue], duration: Fraction, step: Fraction
) -> None:
    inside = webvtt.clipped(cues, duration)
    edges = webvtt.borders(duration, step)
    files = [parsed(text) for text in webvtt.segments(inside, edges)]

    assert edges[0] == 0
    assert edges[-1] == duration
    assert len(files) == len(edges) - 1
    for (begin, end), held in zip(itertools.pairwise(edges), files, strict=True):
        assert held == [c for c in inside if c.start < end * 1000 and c.end > begin * 1000]
    assert {c for held in files for c in held} == set(inside)


@given(CUES, DURATIONS)
def test_a_whole_file_has_all_cues_in_order(cues: list[Cue], duration: Fraction) -> None:
    inside = webvtt.clipped(cues, duration)

    assert parsed(webvtt.document(inside)) == list(inside)
    assert all(0 <= c.start < c.end <= duration * 1000 + 1 for c in inside)
    assert [c.start for c in inside] == sorted(c.start for c in inside)


@given(CUES)
def test_cues_travel_as_they_are(cues: list[Cue]) -> None:
    assert webvtt.read_cues(webvtt.write_cues(cues)) == cues


def test_cues_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Cue"):
        webvtt.read_cues(b'{"start": 1}\n')


# chapters


def chapter(start: float, end: float, title: str = "A chapter") -> Chapter:
    return Chapter(start=Fraction(str(start)), end=Fraction(str(end)), title=title)


def test_chapters_are_cut_to_the_film() -> None:
    chapters = [chapter(10, 30, "last"), chapter(-1, 5, "first"), chapter(5, 12, "middle"), chapter(30, 40, "beyond")]

    assert webvtt.clipped_chapters(chapters, Fraction(20)) == (
        chapter(0, 5, "first"),
        chapter(5, 10, "middle"),
        chapter(10, 20, "last"),
    )


def test_a_chapters_track_has_a_title_in_each_cue() -> None:
    chapters = [chapter(0, 1.5, "Tom & <Jerry> -->\nagain\x00"), chapter(1.5, 3, " ")]

    assert webvtt.chapters_document(chapters) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.500\nTom &amp; &lt;Jerry&gt; --&gt; again\n\n"
        "00:00:01.500 --> 00:00:03.000\nChapter 2\n"
    )


@given(
    st.lists(st.builds(chapter, st.integers(-5, 50), st.integers(-5, 50), st.text(max_size=20)), max_size=8), DURATIONS
)
def test_chapters_never_overlap_nor_leave_the_film(chapters: list[Chapter], duration: Fraction) -> None:
    cut = webvtt.clipped_chapters(chapters, duration)

    assert all(0 <= c.start < c.end <= duration for c in cut)
    assert all(a.end <= b.start for a, b in itertools.pairwise(cut))
    assert len(parsed(webvtt.chapters_document(cut))) == len(cut)
