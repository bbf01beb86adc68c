"""Subtitles: from SubRip, ASS, WebVTT and MOV text in real containers to WebVTT that players show at the right time."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from raven import names
from tests.e2e.tools import Film, Raven, corpus_file, extinf
from tests.media import generate_clip, run_ffmpeg
from tests.players.player import Player, missing, play
from tests.servers.fixtures import need

FRAMES = 550
SECONDS = 22  # in text segments of 10, 10 and 2 s
SRT = """1
00:00:00,500 --> 00:00:02,000
Hello <b>you</b> & <i>you</i>
<font color="#ff0000">second</font> line

2
00:00:01,500 --> 00:00:04,000
{\\an8}meanwhile -->

3
00:00:09,000 --> 00:00:14,500
over the border

4
00:00:20,400 --> 00:00:30,000
past the end
"""
ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 320
PlayResY: 180

[V4+ Styles]
Format: Name, Fontname, Fontsize, Bold, Italic, Underline, Alignment
Style: Default,Arial,20,0,0,0,2
Style: Sign,Arial,20,0,-1,0,8

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,Said{a note}, once
Dialogue: 0,0:00:02.00,0:00:05.00,Sign,,0,0,0,,A sign\\N<2>
Dialogue: 0,0:00:06.00,0:00:07.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}
"""
ENGLISH = [
    ("00:00:00.500 --> 00:00:02.000", "Hello <b>you</b> &amp; <i>you</i>\nsecond line"),
    ("00:00:01.500 --> 00:00:04.000", "meanwhile --&gt;"),
    ("00:00:09.000 --> 00:00:14.500", "over the border"),
    ("00:00:20.400 --> 00:00:22.000", "past the end"),
]
SIGNS = [
    ("00:00:01.000 --> 00:00:03.000", "Said, once"),
    ("00:00:02.000 --> 00:00:05.000 line:0", "<i>A sign</i>\n<i>&lt;2&gt;</i>"),
]


def write_source(target: Path, *codecs: str, options: tuple[str, ...] = ()) -> Path:
    """A film with both tracks, encoded as the codecs say."""
    folder = target.parent
    clip = generate_clip(folder / "clip.mp4", FRAMES)
    (folder / "english.srt").write_text(SRT, encoding="utf-8")
    (folder / "signs.ass").write_text(ASS, encoding="utf-8")
    run_ffmpeg(
        [
            "-i", str(clip), "-i", str(folder / "english.srt"), "-i", str(folder / "signs.ass"),
            "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-c:a", "copy",
            "-c:s:0", codecs[0], "-c:s:1", codecs[1],
            "-metadata:s:s:0", "language=eng", "-metadata:s:s:0", "title=Full",
            "-metadata:s:s:1", "language=ger", "-disposition:s:1", "forced",
            *options, str(target),
        ]
    )  # fmt: skip
    return target


def cues(file: Path) -> list[tuple[str, str]]:
    """Times with settings, and text, of each cue of a file."""
    blocks = file.read_text("utf-8").rstrip("\n").split("\n\n")[1:]
    return [(times, text) for times, _, text in (block.partition("\n") for block in blocks)]


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("text")
    return raven.encode(write_source(folder / "film.mkv", "srt", "ass"), folder / "out", "seconds")


@pytest.mark.xdist_group("e2e-text")
class TestMatroska:
    def test_each_track_is_one_file_with_all_cues_cut_to_the_film(self, film: Film) -> None:
        assert cues(film.folder / "text/eng-1" / names.WHOLE_TEXT) == [
            ENGLISH[0],
            (ENGLISH[1][0] + " line:0", ENGLISH[1][1]),
            *ENGLISH[2:],
        ]
        assert cues(film.folder / "text/ger-2" / names.WHOLE_TEXT) == SIGNS

    def test_segments_span_the_film_and_hold_a_cue_wherever_it_is_shown(self, film: Film) -> None:
        playlist = film.playlist("text", "eng-1")
        files = re.findall("^seg.*$", playlist.read_text("utf-8"), re.MULTILINE)
        texts = [[text for _, text in cues(playlist.parent / name)] for name in files]
        assert extinf(playlist) == [10, 10, 2]
        assert texts == [[text for _, text in ENGLISH[:3]], [ENGLISH[2][1]], [ENGLISH[3][1]]]
        assert sum(extinf(playlist)) == sum(extinf(film.playlist("video", "small"))) == SECONDS

    def test_an_empty_segment_is_a_segment(self, film: Film) -> None:
        for number in (2, 3):
            text = (film.folder / "text/ger-2" / names.text_segment_name(number)).read_text("utf-8")
            assert text == "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"

    def test_task_json_and_the_manifests_tell_language_title_and_what_is_forced(self, film: Film) -> None:
        assert [(t["name"], t["language"], t["forced"], t["cues"]) for t in film.task["text"]] == [
            ("eng-1", "en", False, 4),
            ("ger-2", "de", True, 2),
        ]
        assert [t["codec"] for t in film.task["source"]["text"]] == ["subrip", "ass"]
        hls = film.hls.read_text("utf-8")
        assert re.findall(r'SUBTITLES,.*NAME="(.*?)",LANGUAGE="(.*?)".*FORCED=(\w+)', hls) == [
            ("Full", "en", "NO"),
            ("ger", "de", "YES"),
        ]
        assert len(re.findall('STREAM-INF.*SUBTITLES="subtitles"', hls)) == len(film.rungs)

    def test_pictures_and_sound_are_untouched(self, film: Film) -> None:
        film.check_frames(FRAMES)


@pytest.mark.parametrize(
    ("suffix", "codec", "offset"),
    [("mp4", "mov_text", "0"), ("mkv", "webvtt", "0"), ("mkv", "srt", "7.2"), ("mp4", "mov_text", "3.04")],
)
def test_each_container_gives_the_same_cues_at_the_same_times(
    raven: Raven, tmp_path: Path, suffix: str, codec: str, offset: str
) -> None:
    """Also where the film does not begin at zero: times count from its first frame."""
    options = ("-output_ts_offset", offset) if offset != "0" else ()
    source = write_source(tmp_path / f"film.{suffix}", codec, codec, options=options)
    film = raven.encode(source, tmp_path / "out", "seconds")
    found = [(times.partition(" line")[0], text) for times, text in cues(film.folder / "text/eng-1/subtitles.vtt")]
    if codec == "webvtt":  # ffmpeg's encoder of it does not write tags
        found = [(times, text) for times, text in found if not text.startswith("Hello")]
        assert found == ENGLISH[1:]
    elif codec == "mov_text":  # whose texts cannot overlap
        assert found == [("00:00:00.500 --> 00:00:01.500", ENGLISH[0][1]), *ENGLISH[1:]]
    else:
        assert found == ENGLISH


def test_sound_with_text_is_published_with_both(raven: Raven, tmp_path: Path) -> None:
    film = write_source(tmp_path / "film.mkv", "srt", "srt")
    source = tmp_path / "talk.mka"
    run_ffmpeg(["-i", str(film), "-map", "0:a", "-map", "0:s:0", "-c", "copy", str(source)])
    talk = raven.encode(source, tmp_path / "out", "seconds")
    assert cues(talk.folder / "text/eng-1/subtitles.vtt")[2] == ENGLISH[2]
    assert 'SUBTITLES="subtitles"' in talk.hls.read_text("utf-8")


def test_text_alone_is_refused(raven: Raven, tmp_path: Path) -> None:
    source = tmp_path / "text.mkv"
    (tmp_path / "english.srt").write_text(SRT, encoding="utf-8")
    run_ffmpeg(["-i", str(tmp_path / "english.srt"), str(source)])
    ran = raven.run(source, tmp_path / "out", "--profile", "seconds")
    assert ran.status == 1
    assert "neither a video nor an audio track" in ran.stderr


def test_a_track_without_a_word_is_told_not_published(raven: Raven, tmp_path: Path) -> None:
    (tmp_path / "silent.ass").write_text(ASS.partition("Dialogue")[0], encoding="utf-8")
    clip, source = generate_clip(tmp_path / "clip.mp4", 30), tmp_path / "film.mkv"
    run_ffmpeg(
        ["-i", str(clip), "-i", str(tmp_path / "silent.ass"), "-map", "0", "-map", "1", "-c", "copy", str(source)]
    )
    film = raven.encode(source, tmp_path / "out", "seconds")
    assert film.task["text"] == []
    assert film.task["source"]["ignored"] == ["subtitle stream 2 (ass, und): it has no text"]
    assert "SUBTITLES" not in film.hls.read_text("utf-8")
    assert not (film.folder / "text").exists()


def write_pictures(target: Path) -> Path:
    """A track of pictures as Blu-rays have it, of one empty picture: ffmpeg cannot make one of text."""
    times = struct.pack(">II", 90_000, 0)
    screen = struct.pack(">HHBHBBBB", 320, 180, 0x10, 0, 0x80, 0, 0, 0)
    segments = [
        b"PG" + times + struct.pack(">BH", kind, len(body)) + body for kind, body in ((0x16, screen), (0x80, b""))
    ]
    target.write_bytes(b"".join(segments))
    return target


def test_pictures_of_text_are_told_not_converted(raven: Raven, tmp_path: Path) -> None:
    clip, source = generate_clip(tmp_path / "clip.mp4", 75), tmp_path / "film.mkv"
    pictures = write_pictures(tmp_path / "pictures.sup")
    language = ("-metadata:s:s:0", "language=fre")
    run_ffmpeg(
        [
            "-i",
            str(clip),
            "-f",
            "sup",
            "-i",
            str(pictures),
            "-map",
            "0",
            "-map",
            "1",
            "-c",
            "copy",
            *language,
            str(source),
        ]
    )
    film = raven.encode(source, tmp_path / "out", "seconds")
    assert film.task["text"] == []
    assert film.task["source"]["ignored"] == [
        "subtitle stream 2 (hdmv_pgs_subtitle, fre): not converted, pictures, not text"
    ]


class TestRealFilms:
    def test_mov_text(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(corpus_file("torchcodec__nasa_13013.mp4"), tmp_path / "out", "seconds")
        assert [t["name"] for t in film.task["text"]] == ["eng-1", "eng-2"]
        for name in ("eng-1", "eng-2"):
            assert cues(film.folder / "text" / name / names.WHOLE_TEXT)

    def test_overlapping_lines_of_a_script(self, raven: Raven, tmp_path: Path) -> None:
        source = corpus_file("androidx__sample_with_overlapping_ssa_subtitles.mkv")
        film = raven.encode(source, tmp_path / "out", "seconds")
        assert len(cues(film.folder / "text/und-1" / names.WHOLE_TEXT)) == 3

    def test_pictures_of_text(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(corpus_file("androidx__sample_with_pgs_subtitles.mkv"), tmp_path / "out", "seconds")
        assert film.task["source"]["ignored"] == [
            "subtitle stream 2 (hdmv_pgs_subtitle, eng): not converted, pictures, not text"
        ]


PLAYERS: list[tuple[Player, str]] = [
    ("hls", names.MULTIVARIANT),
    ("dash", names.MPD),
    ("shaka", names.MPD),
    ("shaka", names.MULTIVARIANT),
]


@pytest.mark.players
@pytest.mark.xdist_group("e2e-text")
@pytest.mark.parametrize(("player", "manifest"), PLAYERS, ids=[f"{player}-{name}" for player, name in PLAYERS])
def test_players_show_each_text_when_it_is_said(film: Film, player: Player, manifest: str) -> None:
    need(missing())
    rate = 1 if player == "dash" else 2  # faster, dash.js looks less far ahead for texts and misses some
    playback = play(film.folder, manifest, player, rate=rate, text="en")
    assert playback.passed, playback.problems
    seen = playback.texts
    times = [(0.5, 2.0), (1.5, 4.0), (9.0, 14.5), (20.4, 22.0)]
    assert [(t.language, t.start, t.end) for t in seen] == [("en", *time) for time in times]
    for text in seen:
        assert text.first == pytest.approx(text.start, abs=0.2)
        slack = 0.5 if text.end == SECONDS else 0.2  # the last moment may be cut, see page/observer.js
        assert text.last == pytest.approx(text.end, abs=slack)
    assert playback.max_buffered_ranges == 1
