"""Replays with sound and text of their own playlists: one film again, frame by frame and in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.test_sync import Source, watch
from tests.e2e.test_text import cues
from tests.e2e.tools import Film, Raven, read_frames
from tests.media import generate_clip, run_ffmpeg

TOLERANCE = 0.010
"""Seconds, as in the tests of sync."""
FLASHES = Source("film", Fraction(24000, 1001), 12, "mp4", ("-c:a", "aac", "-b:a", "192k"))
"""Eleven seconds of flashes and clicks."""
WANTED = [float(moment) for moment in FLASHES.moments]
SRT = """1
00:00:00,500 --> 00:00:01,500
first

2
00:00:01,800 --> 00:00:02,000
<i>second</i>
"""


# what Raven itself has made


def write_languages(folder: Path) -> Path:
    """Two sounds and a text, in three languages."""
    (folder / "text.srt").write_text(SRT, encoding="utf-8")
    target, clip = folder / "film.mkv", generate_clip(folder / "clip.mp4", 60)
    tracks = [("a:0", "eng"), ("a:1", "ger"), ("s:0", "fre")]
    named = [word for track, language in tracks for word in (f"-metadata:s:{track}", f"language={language}")]
    maps = ["-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1"]
    run_ffmpeg(["-i", str(clip), "-i", str(folder / "text.srt"), *maps, "-c", "copy", *named, str(target)])
    return target


def test_what_raven_made_is_a_source_of_the_same_frames_languages_and_texts(raven: Raven, tmp_path: Path) -> None:
    first = raven.encode(write_languages(tmp_path), tmp_path / "first", "lossless")
    again = raven.encode(first.hls, tmp_path / "again", "lossless")

    again.check_frames(60)
    assert read_frames(again.hls)[0].hashes == read_frames(first.hls)[0].hashes
    for kind in ("audio", "text"):
        assert [t["language"] for t in again.task[kind]] == [t["language"] for t in first.task[kind]]
    assert [t["name"] for t in again.task["audio"]] == ["eng-1", "deu-2"]
    assert cues(again.folder / "text/fra-1/subtitles.vtt") == cues(first.folder / "text/fre-1/subtitles.vtt")
    assert again.task["warnings"] == []
    assert "Already encoded" in raven.run(first.hls, tmp_path / "again", "--profile", "lossless").stdout


@pytest.fixture(scope="module")
def flashes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FLASHES.make(tmp_path_factory.mktemp("flashes"))


def check_sync(film: Film, scratch: Path, wanted: Sequence[float]) -> None:
    seen = watch(film.hls, scratch)
    assert seen.flashes == pytest.approx(wanted, abs=0.001)
    # the last click of a part and the first one of the next are too near to be told apart
    heard = [time for before, time in pairwise([-1, *wanted]) if time - before > 0.1]
    assert seen.clicks == pytest.approx(heard, abs=TOLERANCE)


def test_what_raven_made_is_still_in_time_when_it_is_made_again(raven: Raven, flashes: Path, tmp_path: Path) -> None:
    first = raven.encode(flashes, tmp_path / "first", "six")
    check_sync(raven.encode(first.hls, tmp_path / "again", "six"), tmp_path, WANTED)


def test_sound_alone_is_made_of_a_film_s_sound_alone(raven: Raven, flashes: Path, tmp_path: Path) -> None:
    film = raven.encode(flashes, tmp_path / "film", "quick")
    sound = raven.encode(film.hls, tmp_path / "sound", "audio")
    again = raven.encode(sound.hls, tmp_path / "again", "audio")
    assert again.task["duration"] == pytest.approx(sound.task["duration"], abs=0.022)
    assert sound.task["duration"] == pytest.approx(film.task["duration"], abs=0.022)


# what others have made


@dataclass(frozen=True)
class Recording:
    """Media playlists of one recording in a folder: their pieces, each with its tags before it."""

    video: list[str]
    sound: list[str]


def record(film: Path, folder: Path, *options: str) -> Recording:
    """HLS by ffmpeg, its sound apart."""
    folder.mkdir()
    apart = ["-map", "0:v", "-map", "0:a", "-var_stream_map", "v:0,agroup:a a:0,agroup:a"]
    run_ffmpeg(
        [
            *("-loglevel", "error", "-i", str(film), "-c", "copy", *apart, "-f", "hls", "-hls_playlist_type", "vod"),
            *("-hls_time", "2", "-hls_segment_filename", f"{folder}/piece-%v-%d.ts", *options, f"{folder}/%v.m3u8"),
        ]
    )
    return Recording(*(re.findall(r"#EXTINF.*\n.*\n", (folder / f"{n}.m3u8").read_text("utf-8")) for n in (0, 1)))


def write_media(target: Path, pieces: Sequence[str], *head: str) -> None:
    target.write_text("\n".join(["#EXTM3U", *head, *pieces, "#EXT-X-ENDLIST", ""]), encoding="utf-8")


def write_master(folder: Path) -> Path:
    target = folder / "all.m3u8"
    target.write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=9,AUDIO="a"\nvideo.m3u8\n',
        encoding="utf-8",
    )
    return target


def test_a_recording_whose_clock_starts_anew_stays_in_time(raven: Raven, flashes: Path, tmp_path: Path) -> None:
    """Each time its sound is a little longer than its picture, and no two files tell where the other breaks."""
    folder = tmp_path / "hls"
    made = record(flashes, folder)
    for name, pieces in (("video", made.video), ("sound", made.sound)):
        write_media(
            folder / f"{name}.m3u8", [*pieces, "#EXT-X-DISCONTINUITY", *pieces, "#EXT-X-DISCONTINUITY", *pieces]
        )

    film = raven.encode(write_master(folder), tmp_path / "out", "six")

    length = FLASHES.frames / FLASHES.rate
    film.check_frames(3 * FLASHES.frames)
    check_sync(film, tmp_path, [float(moment + n * length) for n in range(3) for moment in FLASHES.moments])


def id3(ticks: int) -> bytes:
    """The tag before a piece of packed audio (RFC 8216 3.4)."""
    owner = b"com.apple.streaming.transportStreamTimestamp\0" + ticks.to_bytes(8, "big")
    frame = b"PRIV" + len(owner).to_bytes(4, "big") + b"\0\0" + owner
    return b"ID3\4\0\0" + bytes([0, 0, 0, len(frame)]) + frame


def test_packed_audio_begins_when_its_tag_says(raven: Raven, flashes: Path, tmp_path: Path) -> None:
    # Given a picture that begins at 1000 s, and bare AAC whose first packet is the encoder's priming
    folder = tmp_path / "hls"
    made = record(flashes, folder, "-output_ts_offset", "1000", "-muxdelay", "0")
    write_media(folder / "video.m3u8", made.video)
    with_priming = ["-ignore_editlist", "1", "-i", str(flashes), "-map", "0:a", "-c", "copy", "-f", "adts"]
    run_ffmpeg([*with_priming, str(folder / "sound.aac")])
    frames = re.split(rb"(?=\xff\xf1\x4c)", (folder / "sound.aac").read_bytes())[1:]
    origin = first_picture(folder / "piece-0-0.ts")
    for number in range(3):
        time = origin + Fraction((number * 200 - 1) * 1024, 48_000)
        body = b"".join(frames[number * 200 : (number + 1) * 200 if number < 2 else None])
        (folder / f"{number}.aac").write_bytes(id3(round(time * 90_000)) + body)
    write_media(folder / "sound.m3u8", [f"#EXTINF:4,\n{number}.aac" for number in range(3)])

    # When it is encoded, then it is in time
    film = raven.encode(write_master(folder), tmp_path / "out", "six")
    film.check_frames(FLASHES.frames)
    check_sync(film, tmp_path, WANTED)


def first_picture(piece: Path) -> Fraction:
    text = run_ffmpeg(["-copyts", "-i", str(piece), "-map", "0:v", "-c", "copy", "-f", "framehash", "-"])
    tick = Fraction(re.findall(r"#tb 0: (\S+)", text)[0])
    return min(int(row.split(",")[2]) for row in text.splitlines() if row.startswith("0,")) * tick


def test_parts_of_other_sizes_and_init_segments_are_one_film(raven: Raven, flashes: Path, tmp_path: Path) -> None:
    """Each has picture and sound in fragments of its own, on a clock of its own."""
    folder = tmp_path / "hls"
    folder.mkdir()
    small = tmp_path / "small.mp4"
    run_ffmpeg(["-i", str(flashes), "-vf", "scale=160:90", "-c:v", "libx264", "-bf", "2", "-c:a", "copy", str(small)])
    lines: list[str] = []
    for name, source in (("a", flashes), ("b", small)):
        fragments = ["-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", f"{name}.mp4", "-hls_playlist_type", "vod"]
        pieces = ["-hls_segment_filename", f"{folder}/{name}%d.m4s", "-c", "copy", "-f", "hls"]
        run_ffmpeg(["-i", str(source), *pieces, *fragments, str(folder / f"{name}.m3u8")])
        lines += ["#EXT-X-DISCONTINUITY", f'#EXT-X-MAP:URI="{name}.mp4"']
        lines += re.findall(r"#EXTINF.*\n.*\n", (folder / f"{name}.m3u8").read_text("utf-8"))
    write_media(folder / "x.m3u8", lines)

    film = raven.encode(folder / "x.m3u8", tmp_path / "out", "six")

    film.check_frames(2 * FLASHES.frames)
    length = FLASHES.frames / FLASHES.rate
    check_sync(film, tmp_path, [float(moment + n * length) for n in range(2) for moment in FLASHES.moments])
