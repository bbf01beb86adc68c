"""Chapters: to task.json and to a WebVTT track, cut to the film, whatever container they come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven import names
from tests.e2e.tools import Raven, corpus_file
from tests.media import generate_clip, run_ffmpeg

FRAMES = 75
SECONDS = 3
METADATA = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1000
title=Tom & <Jerry>
[CHAPTER]
TIMEBASE=1/1000
START=1000
END=2500
title=Füße
[CHAPTER]
TIMEBASE=1/1000
START=2500
END=9000
title=beyond the end
[CHAPTER]
TIMEBASE=1/1000
START=9000
END=9500
title=never reached
"""


def write_source(target: Path) -> Path:
    (target.parent / "chapters.txt").write_text(METADATA, encoding="utf-8")
    clip = generate_clip(target.parent / "clip.mp4", FRAMES)
    chapters = str(target.parent / "chapters.txt")
    run_ffmpeg(["-i", str(clip), "-i", chapters, "-map", "0", "-map_chapters", "1", "-c", "copy", str(target)])
    return target


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_chapters_are_told_and_written(raven: Raven, tmp_path: Path, suffix: str) -> None:
    """In MP4 and MOV their titles are a track of their own, which is neither a subtitle nor left out."""
    film = raven.encode(write_source(tmp_path / f"film.{suffix}"), tmp_path / "out")
    assert film.task["chapters"] == [
        {"start": 0.0, "end": 1.0, "title": "Tom & <Jerry>"},
        {"start": 1.0, "end": 2.5, "title": "Füße"},
        {"start": 2.5, "end": SECONDS, "title": "beyond the end"},
    ]
    assert (film.folder / names.CHAPTERS).read_text("utf-8") == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.000\nTom &amp; &lt;Jerry&gt;\n\n"
        "00:00:01.000 --> 00:00:02.500\nFüße\n\n"
        "00:00:02.500 --> 00:00:03.000\nbeyond the end\n"
    )
    assert film.task["text"] == []
    assert film.task["source"]["ignored"] == []
    assert "SUBTITLES" not in film.hls.read_text("utf-8")


def test_a_film_without_chapters_has_no_track_of_them(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out")
    assert film.task["chapters"] == []
    assert not (film.folder / "text").exists()


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("androidx__sample_with_chapters.mp4", ["Chapter 1", "Chapter 2", "Chapter 3"]),
        ("androidx__bear-id3.mp3", ["Chapter title", "chap2"]),
    ],
)
def test_chapters_of_real_files(raven: Raven, tmp_path: Path, name: str, titles: list[str]) -> None:
    film = raven.encode(corpus_file(name), tmp_path / "out")
    assert [c["title"] for c in film.task["chapters"]] == titles
    assert not [text for text in film.task["source"]["ignored"] if "data" in text]
