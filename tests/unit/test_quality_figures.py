"""The figures of what chunks cost: which frames are near a seam, what counts as a step, which films can be measured."""

from __future__ import annotations

from fractions import Fraction

import pytest

from benchmarks.figures import Difference, compare, seams_of
from benchmarks.variants import BESIDE, lossless, profile_text, variant
from raven.errors import UsageError
from raven.media.grid import Grid
from raven.profile import load_profiles, parse_profile

GRID = Grid(Fraction(25), gop=10, segment=20, chunk=40)
ONE = Grid(Fraction(25), gop=10, segment=20, chunk=200)
SEAM = 40
WHOLE = [90.0] * 100


def test_a_loss_after_a_seam_is_a_step_there_and_nowhere_else() -> None:
    # Given five frames after a seam that are two points worse, the last of them four
    chunked = WHOLE.copy()
    chunked[SEAM : SEAM + 5] = [88, 88, 88, 88, 86]

    # When they are compared
    found = compare(chunked, WHOLE, [SEAM], around=5, gop=10)

    # Then it stands at its place, with its sign
    assert found.after.mean == pytest.approx(-2.4)
    assert (found.after.frames, found.after.worst) == (5, -4)
    assert found.before == Difference(5, 0, 0)
    assert found.away == Difference(90, 0, 0)
    assert found.usual_step == 0
    assert [found.step, found.whole, found.chunked, found.difference] == pytest.approx([-2.4, 90, 89.88, -0.12])


def test_a_gain_is_a_step_too() -> None:
    chunked = [*WHOLE[:35], *[93.0] * 5, *WHOLE[40:]]

    found = compare(chunked, WHOLE, [SEAM], around=5, gop=10)

    assert (found.step, found.seen_chunked, found.seen_whole) == (-3, -3, 0)


def test_a_change_that_both_encodes_have_is_no_step() -> None:
    cut = [90.0] * SEAM + [60.0] * 60

    found = compare(cut, cut, [SEAM], around=5, gop=10)

    assert (found.step, found.seen_chunked, found.seen_whole) == (0, -30, -30)


def test_a_step_over_another_border_is_no_seams() -> None:
    chunked = [90.0] * 60 + [91.0] * 40

    found = compare(chunked, WHOLE, [SEAM], around=5, gop=10)

    assert (found.step, found.usual_step) == (0, 1)


def test_encodes_of_different_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="longer than"):
        compare(WHOLE[:-1], WHOLE, [SEAM], around=5, gop=10)


def test_seams_are_where_chunks_begin() -> None:
    assert seams_of(GRID, ONE, 140) == (40, 80, 120)


@pytest.mark.parametrize(("frames", "fault"), [(59, "no seam; it takes 60"), (220, "one piece holds 219")])
def test_a_film_without_a_seam_or_without_one_piece_is_refused(frames: int, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        seams_of(GRID, ONE, frames)


@pytest.mark.parametrize("name", ["default", "hevc", "av1", "archive"])
def test_a_variant_is_the_profile_with_nothing_but_the_rungs(name: str) -> None:
    # Given the last rung of the first ladder, which may be made at the top only
    profile = load_profiles()[name]
    ladder = profile.video[0]
    rung = ladder.rungs[-1]

    # When a variant of it goes through a file
    made = parse_profile(profile_text(variant(profile, "made", [rung.name], 5)), "made.toml")

    # Then it encodes as the profile does
    assert made.video == (
        ladder.model_copy(update={"rungs": (rung.model_copy(update={"top_only": False, "audio": None}),)}),
    )
    fixed = {"chunk_segments": 5, "chunk_segments_from": None}
    assert made.cutting == profile.cutting.model_copy(update=fixed)
    assert [getattr(made, key) for key in BESIDE] == [None, None, None]


def test_the_length_of_a_chunk_is_as_wished_whatever_the_film_and_the_machine() -> None:
    """Else one piece would be cut as the profile likes, and compared with its like."""
    profile = load_profiles()["default"]
    assert profile.cutting.chunk_segments_from is not None
    whole = variant(profile, "whole", ["360p"], 100)
    assert {whole.cutting.fitted(seconds, slots) for seconds in (None, 60, 7200) for slots in (1, 2, 300)} == {100}


def test_the_reference_has_the_same_rungs_and_loses_nothing() -> None:
    profile = variant(load_profiles()["av1"], "made", ["av1-540p", "540p"], 5)

    made = parse_profile(profile_text(lossless(profile, "lossless")), "lossless.toml")

    assert [(r.name, r.width, r.crf, r.maxrate) for ladder in made.video for r in ladder.rungs] == [
        ("av1-540p", 960, 0, None),
        ("540p", 960, 0, None),
    ]
    assert {ladder.codec for ladder in made.video} == {"libx264"}
