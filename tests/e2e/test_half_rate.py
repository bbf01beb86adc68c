"""Rungs of less than the source's rate: every second frame of the very same film, with the borders of all rungs."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from raven import names
from raven.check.load import find_manifests, load
from raven.check.readers import DirectoryReader
from tests.e2e.lossless import check_lossless
from tests.e2e.tools import Film, Raven, extinf, read_frames
from tests.media import generate_clip
from tests.players.player import Player, missing, play
from tests.servers.fixtures import need

RATES = {"50": 237, "60000/1001": 283}
"""With a number of frames that is odd, so the last one of half the rate lasts half as long; five chunks."""


@pytest.fixture(scope="module", params=RATES)
def source(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("source")
    return generate_clip(folder / "film.mp4", RATES[request.param], rate=request.param, gop=77)


@pytest.fixture(scope="module")
def film(raven: Raven, source: Path) -> Film:
    return raven.encode(source, source.parent / "out", "lossless-half")


@pytest.mark.xdist_group("e2e-half-rate")
class TestALosslessFilm:
    def test_has_every_second_and_every_fourth_frame_of_one_run_over_the_whole(self, film: Film, source: Path) -> None:
        assert film.every == {"half": 2, "source": 1, "quarter": 5 if film.rate == 50 else 4}
        check_lossless(film, source, RATES[str(film.rate)])

    def test_is_equally_long_in_all_rungs(self, film: Film) -> None:
        lengths = {tuple(extinf(film.playlist("video", rung))) for rung in film.rungs}
        assert len(lengths) == 1
        assert abs(sum(*lengths) - RATES[str(film.rate)] / film.rate) < Fraction(1, 100_000)

    def test_breaks_no_must_but_those_of_lossless_codecs(self, film: Film) -> None:
        """Segments, switching sets and declared rates agree among rungs of different rates."""
        broken = {found["rule"] for found in film.task["check"]["findings"] if found["severity"] == "must"}
        assert broken == {"h264-within-high-52", "hevc-within-main10-51"}

    def test_has_the_rates_that_its_manifests_and_samples_say(self, film: Film) -> None:
        rates = {rung: film.rate / every for rung, every in film.every.items()}
        hls = dict(re.findall(r"FRAME-RATE=([\d.]+).*\nvideo/(\w+)/", film.hls.read_text("utf-8")))
        assert {rung: float(rate) for rate, rung in hls.items()} == {r: round(float(v), 3) for r, v in rates.items()}
        dash = re.findall(r'id="(\w+)" bandwidth.* frameRate="([\d/]+)"', film.dash.read_text("utf-8"))
        assert {rung: Fraction(rate) for rung, rate in dash if rung in rates} == rates
        reader = DirectoryReader(film.folder)
        tracks = [t for t in load(reader, find_manifests(reader), "film").hls if t.media == "video"]
        assert {Path(track.where).parent.name: track.frame_rate for track in tracks} == rates

    def test_has_its_file_for_download_at_half_the_rate(self, film: Film) -> None:
        (stored,) = film.task["downloads"]
        (streamed,), (loaded,) = (
            read_frames(f) for f in (film.playlist("video", "half"), film.folder / stored["path"])
        )
        assert loaded.hashes == streamed.hashes
        assert loaded.times == [n / film.rate for n in range(0, RATES[str(film.rate)], 2)]


SECONDS = 8
SWITCHED = "video/mixed.m3u8"
"""One more playlist, in which every segment is of another rung than the one before: a player switches at each."""


@pytest.fixture(scope="module")
def switching(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """A film of 50 frames/s, of an odd number of frames."""
    folder = tmp_path_factory.mktemp("switching")
    film = raven.encode(generate_clip(folder / "film.mp4", SECONDS * 50 - 9, rate="50"), folder / "out", "half")
    head, *lengths = film.playlist("video", "large").read_text("utf-8").split("#EXTINF:")
    parts = [line for line in head.splitlines() if "EXT-X-MAP" not in line]
    for number, length in enumerate(lengths, 1):
        rung = ("large", "small")[number % 2]
        parts += [f'#EXT-X-MAP:URI="{rung}/{names.INIT}"', f"#EXTINF:{length.split(',')[0]},"]
        parts.append(f"{rung}/{names.segment_name(number)}")
    (film.folder / SWITCHED).write_text("\n".join([*parts, "#EXT-X-ENDLIST", ""]), encoding="utf-8")
    return film


PLAYERS: list[tuple[Player, str]] = [("hls", SWITCHED), ("dash", names.MPD)]


@pytest.mark.players
@pytest.mark.xdist_group("e2e-half-rate")
@pytest.mark.parametrize(("player", "manifest"), PLAYERS, ids=[f"{player}-{name}" for player, name in PLAYERS])
def test_players_go_from_rate_to_rate_without_a_hole(switching: Film, player: Player, manifest: str) -> None:
    need(missing())
    playback = play(switching.folder, manifest, player, rate=2)
    assert playback.passed, playback.problems
    assert playback.duration == pytest.approx(SECONDS - 9 / 50, abs=0.021)
    assert playback.max_buffered_ranges == 1
    assert playback.jumps == ()
    if manifest == SWITCHED:
        assert playback.decoded_frames == pytest.approx(4 * 25 + 3 * 50 + 41, abs=2)
