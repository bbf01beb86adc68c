"""Closed captions in the pictures: every byte comes through all chunks, once, and the manifests tell of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raven import names
from tests.captions import NOTHING, Pair, captioned_clip, pair, pop_on, read_pairs, user_data
from tests.e2e.tools import Film, Raven, corpus_file
from tests.media import generate_clip, run_ffmpeg
from tests.players.player import Player, missing, play
from tests.servers.fixtures import need

FRAMES = 150
WORDS = ["HELLO", "ACROSS THE SEAM", "GOODBYE"]


def said() -> list[Pair]:
    """A pair for each frame: captions, then as many letters as seams need to go through."""
    captions = [both for word in WORDS for both in pop_on(word, 18)]
    letters = [pair(0x41 + n % 26, 0x61 + n % 23) for n in range(FRAMES - len(captions) - 2)]
    return [*captions, pair(0x14, 0x29), *letters, pair(0x14, 0x2C)]


def write_source(target: Path, rate: str) -> Path:
    """As television has it: both fields in each picture up to 30 a second, above that in turns."""
    if rate != "60":
        return captioned_clip(target, [user_data([(0, both), (1, pair(0x14, 0x2C))]) for both in said()], rate=rate)
    fields = [(kind, both) for both in said()[: FRAMES // 2] for kind, both in ((0, both), (1, pair(0x14, 0x2C)))]
    return captioned_clip(target, [user_data([field], 10) for field in fields], rate=rate)


def pairs_of(film: Film, rung: str) -> list[tuple[int, Pair]]:
    folder = film.folder / "video" / rung
    return read_pairs([folder / names.INIT, *sorted(folder.glob("*.m4s"))], film.folder / "joined.mp4")


@pytest.mark.parametrize("rate", ["30000/1001", "24", "25", "60"])
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_every_byte_comes_through_the_seams_once(raven: Raven, tmp_path: Path, rate: str, suffix: str) -> None:
    """fps passes captions through a queue that reads ahead, and chunks have lead-in frames: both must not show."""
    source = write_source(tmp_path / f"film.{suffix}", rate)
    film = raven.encode(source, tmp_path / "out", "seconds")
    first_field = [both for kind, both in pairs_of(film, "small") if kind == 0]
    wanted = said()[: FRAMES // 2] if rate == "60" else said()
    assert first_field == [both for both in wanted if both != NOTHING]
    film.check_frames(FRAMES)


def test_a_rung_of_half_the_rate_has_every_byte_too(raven: Raven, tmp_path: Path) -> None:
    """Its frames carry the captions of those that it leaves out."""
    film = raven.encode(write_source(tmp_path / "film.mp4", "60"), tmp_path / "out", "half")
    wanted = [both for both in said()[: FRAMES // 2] if both != NOTHING]
    for rung in ("small", "large"):
        assert [both for kind, both in pairs_of(film, rung) if kind == 0] == wanted


OPEN_GROUPS = {
    # leading pictures are skipped where a decoder begins; libavcodec gives their captions to the next one
    "mpeg2": ["-c:v", "mpeg2video", "-a53cc", "1", "-b:v", "2M", "-bf", "2", "-g", "15"],
    "h264-interlaced": [
        "-vf",
        "setfield=tff",
        "-c:v",
        "libx264",
        "-x264-params",
        "tff=1:keyint=25:open-gop=1:weightp=0",
    ],
}


@pytest.mark.parametrize("codec", OPEN_GROUPS)
def test_open_groups_of_pictures_keep_them_in_order(raven: Raven, tmp_path: Path, codec: str) -> None:
    plain, source = write_source(tmp_path / "plain.mp4", "30000/1001"), tmp_path / "film.ts"
    run_ffmpeg(["-i", str(plain), *OPEN_GROUPS[codec], str(source)])
    film = raven.encode(source, tmp_path / "out", "seconds")
    assert [both for kind, both in pairs_of(film, "small") if kind == 0] == [b for b in said() if b != NOTHING]


WITHOUT_TIMES = {
    "h264": ["-c", "copy"],
    "hevc": ["-c:v", "libx265", "-a53cc", "1", "-preset", "ultrafast", "-x265-params", "log-level=none"],
    "m2v": OPEN_GROUPS["mpeg2"],
}


@pytest.mark.parametrize("suffix", WITHOUT_TIMES)
def test_a_stream_without_times_keeps_them_on_the_lossless_way(raven: Raven, tmp_path: Path, suffix: str) -> None:
    """It is decoded by the master, and so are they."""
    plain, source = write_source(tmp_path / "plain.mp4", "25"), tmp_path / f"film.{suffix}"
    run_ffmpeg(["-i", str(plain), *WITHOUT_TIMES[suffix], str(source)])
    film = raven.encode(source, tmp_path / "out", "seconds")
    assert film.task["source"]["video"]["way"] == "conform"
    assert film.task["source"]["captions"] == ["CC1"]
    assert [both for kind, both in pairs_of(film, "small") if kind == 0] == [b for b in said() if b != NOTHING]
    film.check_frames(FRAMES)


def test_the_manifests_declare_what_is_there(raven: Raven, tmp_path: Path) -> None:
    pictures = [user_data([(0, both), (1, pair(0x1C, 0x25)), (3, (0x41, 0x22))]) for both in said()[:60]]
    source = captioned_clip(tmp_path / "film.mp4", pictures)
    film = raven.encode(source, tmp_path / "out")
    hls = film.hls.read_text("utf-8")
    assert film.task["source"]["captions"] == ["CC1", "CC4", "SERVICE1"]
    assert re.findall('TYPE=CLOSED-CAPTIONS.*LANGUAGE="und".*INSTREAM-ID="(.*?)"', hls) == ["CC1", "CC4", "SERVICE1"]
    assert len(re.findall('#EXT-X-STREAM-INF.*CLOSED-CAPTIONS="captions"', hls)) == len(film.rungs)
    mpd = film.dash.read_text("utf-8")
    assert 'urn:scte:dash:cc:cea-608:2015" value="CC1=und;CC4=und"' in mpd
    assert 'urn:scte:dash:cc:cea-708:2015" value="1=lang:und"' in mpd


def test_where_there_are_none_the_manifests_say_so(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out")
    hls = film.hls.read_text("utf-8")
    assert film.task["source"]["captions"] == []
    assert len(re.findall("#EXT-X-STREAM-INF.*CLOSED-CAPTIONS=NONE", hls)) == len(film.rungs)
    assert "TYPE=CLOSED-CAPTIONS" not in hls
    assert "Accessibility" not in film.dash.read_text("utf-8")


def test_hevc_keeps_them(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(write_source(tmp_path / "film.mp4", "24"), tmp_path / "out", "lossless-hevc")
    (rung,) = film.rungs
    assert [both for kind, both in pairs_of(film, rung) if kind == 0] == [b for b in said() if b != NOTHING]
    assert 'CLOSED-CAPTIONS="captions"' in film.hls.read_text("utf-8")


def test_captions_of_a_real_film(raven: Raven, tmp_path: Path) -> None:
    source = corpus_file("muxjs__sintel-captions.ts")
    film = raven.encode(source, tmp_path / "out", "seconds")
    assert film.task["source"]["captions"] == ["CC1"]
    assert pairs_of(film, "small") == read_pairs([source], tmp_path / "source.ts")


PLAYERS: list[tuple[Player, str]] = [
    ("hls", names.MULTIVARIANT),
    ("dash", names.MPD),
    ("shaka", names.MPD),
    ("shaka", names.MULTIVARIANT),
]


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("captions")
    return raven.encode(write_source(folder / "film.mp4", "24"), folder / "out", "seconds")


@pytest.mark.players
@pytest.mark.xdist_group("e2e-captions")
@pytest.mark.parametrize(("player", "manifest"), PLAYERS, ids=[f"{player}-{name}" for player, name in PLAYERS])
def test_players_show_them(film: Film, player: Player, manifest: str) -> None:
    need(missing())
    playback = play(film.folder, manifest, player, text="und")
    shown = " ".join(re.sub("<.*?>", "", text.text) for text in playback.texts)
    assert [word for word in WORDS if word in shown] == WORDS
    show = pair(0x14, 0x2F)
    start = said().index(show) / 24
    assert min(text.start for text in playback.texts) == pytest.approx(start, abs=0.1)
    assert not [error for error in playback.errors if error.fatal]
