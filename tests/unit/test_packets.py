"""One time line out of one that begins anew in its middle."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest

from raven.media.packets import Continuity, without_leftovers

TICK = Fraction(1, 90_000)
VIDEO, AUDIO, TEXT = 0, 1, 2
KINDS = {VIDEO: "video", AUDIO: "audio", TEXT: "subtitle"}


@dataclass
class FakeStream:
    type: str


class FakePacket:
    """What Continuity reads and writes of a packet."""

    def __init__(self, stream: int, seconds: Fraction, duration: Fraction) -> None:
        self.stream_index, self.stream = stream, FakeStream(KINDS[stream])
        self.time_base = TICK
        self.pts: int | None = round(seconds / TICK)
        self.dts: int | None = self.pts
        self.duration = round(duration / TICK)


def film(start: Fraction, seconds: int, streams: tuple[int, ...] = (VIDEO, AUDIO)) -> list[FakePacket]:
    """25 frames/s, beside them packets of sound of 24 ms, interleaved."""
    steps = {VIDEO: Fraction(1, 25), AUDIO: Fraction(24, 1000), TEXT: Fraction(7)}
    packets = [
        FakePacket(stream, start + n * steps[stream], steps[stream])
        for stream in streams
        for n in range(int(seconds / steps[stream]))
    ]
    return sorted(packets, key=lambda p: p.dts or 0)


def mended(packets: list[FakePacket]) -> dict[int, list[Fraction]]:
    """Times by stream."""
    continuity, times = Continuity(), dict[int, list[Fraction]]()
    for packet in packets:
        continuity.mend(packet)  # type: ignore[arg-type]
        assert packet.pts is not None
        assert packet.pts == packet.dts
        times.setdefault(packet.stream_index, []).append(packet.pts * TICK)
    return times


@pytest.mark.parametrize("second", [Fraction(0), Fraction(500), Fraction(95_000), Fraction(12)], ids=str)
def test_after_a_break_all_streams_go_on_where_they_were(second: Fraction) -> None:
    # Given ten seconds, then another ten that begin at some other time
    times = mended(film(Fraction(100), 10) + film(second, 10))

    # Then the picture has no hole, and the sound is as far from it as it was in each part
    assert times[VIDEO] == [100 + Fraction(n, 25) for n in range(500)]
    halves = len(times[AUDIO]) // 2
    assert times[AUDIO][halves] - times[VIDEO][250] == 0


def test_a_loss_of_some_seconds_stays_a_loss() -> None:
    """What was not sent did last: the sound beside it may be whole."""
    packets = [p for p in film(Fraction(0), 20) if p.stream_index == AUDIO or not 200_000 < (p.dts or 0) < 700_000]

    assert mended(packets)[VIDEO] == [p.dts * TICK for p in packets if p.stream_index == VIDEO and p.dts is not None]


def without(packets: list[FakePacket], stream: int, first: int, last: int) -> list[FakePacket]:
    """Less what `stream` has between two seconds."""
    return [p for p in packets if p.stream_index != stream or not first <= (p.dts or 0) * TICK < last]


def test_a_track_that_falls_silent_for_long_goes_on_where_the_others_are() -> None:
    """A broadcaster switches a sound off for a while; the picture runs on, and so does the clock."""
    packets = without(film(Fraction(0), 40), AUDIO, 5, 25)
    told = [p.dts * TICK for p in packets if p.stream_index == AUDIO and p.dts is not None]

    assert mended(packets)[AUDIO] == told


def test_a_track_that_is_silent_while_the_clock_jumps_goes_with_the_others() -> None:
    first, second = film(Fraction(0), 24), film(Fraction(1000), 24)
    times = mended(without(first, AUDIO, 15, 24) + without(second, AUDIO, 1000, 1015))

    after = [t for t in times[AUDIO] if t > 24]
    assert times[VIDEO][600] == 24
    assert after[0] - 24 == next(t for t in (n * Fraction(24, 1000) for n in range(1000)) if t >= 15)


def test_subtitles_are_silent_for_long_and_go_with_the_others() -> None:
    first, second = film(Fraction(0), 14, (VIDEO, TEXT)), film(Fraction(1000), 14, (VIDEO, TEXT))
    first = [p for p in first if p.stream_index != TEXT or p.dts == 0]  # 14 s without a word

    times = mended(first + second)

    assert times[TEXT] == [0, 14, 21]


def kept(packets: list[FakePacket]) -> list[Fraction]:
    """Times of what is not left over."""
    return [p.pts * TICK for p in without_leftovers(packets) if p.pts is not None]  # type: ignore[arg-type]


def test_a_picture_that_comes_long_after_its_time_is_left_out_and_a_clock_that_begins_anew_is_not() -> None:
    late, early = film(Fraction(5), 1, (VIDEO,)), film(Fraction(0), 1, (VIDEO,))
    times = [p.pts * TICK for p in [*late, *early] if p.pts is not None]

    assert kept([*late, early[0]]) == times[:25]
    assert kept([*late[:9], early[0], *late[9:]]) == times[:25]
    assert kept([*late, *early]) == times
