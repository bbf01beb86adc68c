"""Trick play: every byte range of the I-frame playlist is one picture, of its very moment."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from raven import names
from raven.media import boxes
from tests.e2e.counting import STEP, brightness, make_clip
from tests.e2e.tools import Film, Raven, read_frames
from tests.players.player import missing, play
from tests.servers.fixtures import need

FRAMES = 325  # 13 s at 25 frames/s: two segments of six seconds and one of a second


@dataclass(frozen=True)
class Range:
    """An I-frame as the playlist names it."""

    file: Path
    offset: int
    size: int
    duration: Fraction

    def fragment(self) -> bytes:
        return self.file.read_bytes()[self.offset : self.offset + self.size]


def ranges_of(film: Film) -> list[Range]:
    text = (film.folder / names.IFRAMES / names.PLAYLIST).read_text("utf-8")
    found = re.findall(r"#EXTINF:([\d.]+),\n#EXT-X-BYTERANGE:(\d+)@(\d+)\n(\S+)", text)
    folder = film.folder / names.IFRAMES
    return [Range(folder / name, int(offset), int(size), Fraction(length)) for length, size, offset, name in found]


@pytest.fixture(scope="module", params=["25", "24000/1001"])
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Film:
    folder = tmp_path_factory.mktemp("iframes")
    return raven.encode(make_clip(folder / "clip.mkv", FRAMES, request.param), folder / "out", "six")


@pytest.mark.xdist_group("e2e-iframes")
class TestTheIFrames:
    def test_are_about_one_a_second_and_last_as_long_as_the_film(self, film: Film) -> None:
        durations = [r.duration for r in ranges_of(film)]
        assert len(durations) == film.task["iframes"]["frames"] == 14 if film.rate != 25 else 13
        assert abs(sum(durations) - FRAMES / film.rate) < Fraction(1, 10_000)

    def test_are_each_with_the_init_segment_one_picture_of_their_moment(self, film: Film, tmp_path: Path) -> None:
        init = (film.folder / names.IFRAMES / names.INIT).read_bytes()
        step = round(film.rate)
        for number, found in enumerate(ranges_of(film)):
            alone = tmp_path / f"{number}.mp4"
            alone.write_bytes(init + found.fragment())

            # one moof and its mdat, with one keyframe
            _, (fragment,) = boxes.split(alone.read_bytes())
            (sample,) = fragment.samples
            assert sample.sync
            assert [b.kind for b in boxes.boxes(found.fragment())] == ["moof", "mdat"]
            # that decodes without a complaint, at its time on the grid
            time = number * step / film.rate
            (decoded,) = read_frames(alone)
            assert decoded.times == [time]
            # and shows what the film shows then
            assert abs(brightness(alone) - (16 + STEP * int(time))) <= 3

    def test_play_in_a_row_through_their_segments_alone(self, film: Film, tmp_path: Path) -> None:
        """As a DASH player in trick mode reads them: whole segments, on the borders of the rungs."""
        folder = film.folder / names.IFRAMES
        segments = sorted(folder.glob("*.m4s"))
        assert [s.name for s in segments] == [s.name for s in sorted((film.folder / "video" / "small").glob("*.m4s"))]
        whole = tmp_path / "whole.mp4"
        whole.write_bytes(b"".join(f.read_bytes() for f in [folder / names.INIT, *segments]))

        (decoded,) = read_frames(whole)

        times = itertools.accumulate((r.duration for r in ranges_of(film)), initial=Fraction(0))
        for shown, told in zip(decoded.times, times, strict=False):
            assert abs(shown - told) < Fraction(1, 10_000)  # EXTINF is in microseconds
        assert len(decoded.times) == len(ranges_of(film))

    def test_come_through_the_mpd_as_a_stream_of_their_own(self, film: Film) -> None:
        rung, tricks = read_frames(film.dash)
        step = round(film.rate)
        assert len(rung.times) == FRAMES
        assert tricks.times == [n * step / film.rate for n in range(len(ranges_of(film)))]

    def test_are_no_bigger_than_the_playlist_says(self, film: Film) -> None:
        line = next(x for x in film.hls.read_text("utf-8").splitlines() if x.startswith("#EXT-X-I-FRAME-STREAM-INF:"))
        peak = int(re.findall(r":BANDWIDTH=(\d+)", line)[0])
        found = ranges_of(film)
        target = max(1, round(max(r.duration for r in found)))
        assert all(8 * r.size / r.duration <= peak for r in found if r.duration > target / 2)


@pytest.mark.players
@pytest.mark.xdist_group("e2e-iframes")
@pytest.mark.parametrize("manifest", [names.MPD, names.MULTIVARIANT])
def test_a_player_fast_forwards_to_the_end_by_the_i_frames_alone(film: Film, manifest: str) -> None:
    need(missing())
    playback = play(film.folder, manifest, "shaka", trick=4)
    assert playback.passed, playback.problems
    assert playback.jumps == ()
    assert (playback.video_width, playback.video_height) == (320, 180)
    # many frames of the film were not decoded at all
    assert playback.decoded_frames < FRAMES
