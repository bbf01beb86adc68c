"""What is said of a source that lacks something."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest

from master.health import Health
from raven.errors import SourceUnreadable
from tests.builders import audio_facts, source_facts

VIDEO, AUDIO = 0, 1


@dataclass
class FakePacket:
    """What Health reads of a packet, times in milliseconds."""

    stream_index: int
    pts: int | None
    duration: int
    is_corrupt: bool = False
    is_discard: bool = False
    time_base: Fraction = Fraction(1, 1000)


def read(
    claimed: float | None,
    *,
    video: tuple[int, int] = (0, 10_000),
    audio: tuple[int, int] = (0, 10_000),
    damaged: int = 0,
) -> Health:
    """A source whose tracks begin and end at these milliseconds."""
    facts = source_facts(audio=(audio_facts(),)).model_copy(
        update={"duration": claimed, "origin": Fraction(video[0], 1000)}
    )
    health = Health(facts)
    for stream, (start, end) in ((VIDEO, video), (AUDIO, audio)):
        for time in range(start, end, 40):
            health.see(FakePacket(stream, time, 40, is_corrupt=stream == VIDEO and time < 40 * damaged))  # type: ignore[arg-type]
    return health


def test_of_a_whole_source_nothing_is_said() -> None:
    assert read(10.0).warnings(Fraction(10), strict=True) == ()
    assert read(None).warnings(Fraction(10), strict=True) == ()
    assert read(10.9).warnings(Fraction(10), strict=True) == ()


def test_a_source_that_starts_late_is_no_truncated_one() -> None:
    """A transport stream counts its length from its first packet, other containers from 0."""
    assert read(10.0, video=(61_400, 71_400), audio=(61_400, 71_400)).warnings(Fraction(10), strict=True) == ()
    assert read(15.0, video=(5_000, 15_000), audio=(5_000, 15_000)).warnings(Fraction(10), strict=True) == ()


@pytest.mark.parametrize("claimed", [16.0, 72_000.0])
def test_an_early_end_is_told_with_both_lengths(claimed: float) -> None:
    (warning,) = read(claimed).warnings(Fraction(10), strict=False)

    assert warning == f"the source ends after 10.00 s of the {claimed:.2f} s that it claims"


def test_damage_is_told() -> None:
    assert read(10.0, damaged=3).warnings(Fraction(10), strict=False) == ("damaged packets in the source: 3",)


def test_a_break_while_reading_is_told() -> None:
    health = read(10.0)
    health.breaks = "the source breaks off while it is read: Input/output error"

    assert health.warnings(Fraction(10), strict=False) == (health.breaks,)


def test_sound_beside_no_picture_is_told_even_of_a_good_source() -> None:
    long = read(25.0, video=(4_000, 14_000), audio=(0, 25_000))

    assert long.warnings(Fraction(10), strict=True) == (
        "4.00 s of sound eng-1 before the first picture are left out",
        "11.00 s of sound eng-1 after the last picture are left out",
    )


def test_a_strict_task_refuses_a_faulty_source() -> None:
    with pytest.raises(SourceUnreadable, match=r"ends after 10.00 s of the 16.00 s.*options.strict"):
        read(16.0).warnings(Fraction(10), strict=True)


def test_less_than_a_second_of_a_faulty_source_is_refused() -> None:
    with pytest.raises(SourceUnreadable, match="less than a second of the source can be decoded: the source ends"):
        read(10.0, video=(0, 400), audio=(0, 400)).warnings(Fraction(2, 5), strict=False)


def test_a_short_source_without_fault_is_a_film() -> None:
    assert read(0.4, video=(0, 400), audio=(0, 400)).warnings(Fraction(2, 5), strict=True) == ()
