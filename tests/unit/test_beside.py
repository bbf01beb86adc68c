"""Sound and text that lie beside a film's file, as the child that cuts takes them in."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import master.texts
from master.cutter import Event, Order, obey
from master.playlist import About
from master.replay import AHEAD, Beside, Side
from raven.errors import SourceUnreadable
from raven.media import webvtt
from raven.media.id3 import first_time, tag_size
from raven.model import PrepareResult
from raven.profile import Cutting
from tests.builders import cue
from tests.media import generate_clip, run_ffmpeg

TEXT = """WEBVTT
X-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000

00:01.000 --> 00:02.000
one


WEBVTT
X-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000

00:01.000 --> 00:02.000
one
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds that begin at 1.4 s or so, with a sound of their own."""
    folder = tmp_path_factory.mktemp("film")
    generate_clip(folder / "film.ts", 50)
    run_ffmpeg(["-i", str(folder / "film.ts"), "-map", "0:a", "-c", "copy", str(folder / "sound.ts")])
    return folder / "film.ts"


def cut(film: Path, folder: Path, beside: Beside, *, strict: bool = False) -> PrepareResult:
    """The result; the objects lie in the folder."""
    events: list[Event] = []
    settings = {"folder": str(folder), "cutting": Cutting(), "sample_rate": 48_000, "strict": strict}
    obey(Order(path=str(film), beside=beside, **settings), events.append)
    result = events[-1].state
    assert result is not None
    assert result.complete
    return result


def text(folder: Path, content: str = TEXT) -> Side:
    (folder / "side.vtt").write_text(content, encoding="utf-8")
    about = About(language="fra", title="Tout", forced=True, hearing_impaired=True)
    return Side(path=str(folder / "side.vtt"), kind="text", about=about)


def sound(film: Path) -> Side:
    about = About(language="deu", title="Deutsch", default=True)
    return Side(path=str(film.with_name("sound.ts")), kind="audio", about=about)


def first_picture(film: Path) -> float:
    with av.open(str(film)) as container:
        time = next(container.decode(video=0)).time
    assert time is not None
    return time


@pytest.mark.parametrize("ahead", [0, AHEAD])
def test_text_counts_from_the_first_picture(film: Path, tmp_path: Path, ahead: int) -> None:
    result = cut(film, tmp_path, Beside(sides=(text(tmp_path),), ahead=ahead))

    (track,) = result.facts.text
    assert (track.name, track.title, track.forced, track.hearing_impaired) == ("fra-1", "Tout", True, True)
    start = round(1000 * (1 + 126_000 / 90_000 + ahead - first_picture(film)))
    assert webvtt.read_cues((tmp_path / "text-fra-1.jsonl").read_bytes()) == [cue(start, start + 1000, "one")]


def test_text_that_cannot_be_used_is_told(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = cut(film, tmp_path, Beside(sides=(text(tmp_path, "WEBVTT\n"),), ignored=("more",)))
    assert empty.facts.ignored == ("more", "subtitles 'Tout' (fra): it has no text")

    monkeypatch.setattr(master.texts, "MOST_TEXT", 10)
    large = cut(film, tmp_path, Beside(sides=(text(tmp_path),)))
    assert large.facts.ignored == ("subtitles 'Tout' (fra): not converted, it has more than 10 bytes",)
    assert large.facts.text == ()


def test_text_on_a_clock_that_jumps_is_told(film: Path, tmp_path: Path) -> None:
    """Its times would mean several places."""
    twice = tmp_path / "twice.ts"
    twice.write_bytes(2 * film.read_bytes())

    result = cut(twice, tmp_path, Beside(sides=(text(tmp_path),)))

    assert result.facts.ignored == ("subtitles 'Tout' (fra): not converted, the playlist's clock jumps",)


def test_sound_is_called_as_the_playlist_calls_it(film: Path, tmp_path: Path) -> None:
    result = cut(film, tmp_path, Beside(about=About(language="eng", title="English"), sides=(sound(film),)))

    assert [(t.name, t.language, t.title, t.default) for t in result.facts.audio] == [
        ("eng-1", "eng", "English", False),
        ("deu-2", "deu", "Deutsch", True),
    ]
    own, apart = ((tmp_path / f"audio-{name}.nut").read_bytes() for name in ("eng-1", "deu-2"))
    assert own == apart


def test_the_film_s_own_sound_is_left_out_where_all_lies_apart(film: Path, tmp_path: Path) -> None:
    result = cut(film, tmp_path, Beside(own_sound=False, sides=(sound(film),)))

    assert [t.name for t in result.facts.audio] == ["deu-1"]


def test_sound_that_breaks_off_is_told_by_its_name(film: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    run_ffmpeg(["-f", "lavfi", "-i", "sine=d=10", "-c:a", "ac3", str(whole)])
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    beside = Beside(sides=(Side(path=str(tmp_path / "cut.mkv"), kind="audio", about=About()),))

    (warning,) = cut(film, tmp_path, beside).warnings
    assert warning.startswith("sound und-2: the source ends after 4.")
    with pytest.raises(SourceUnreadable, match=r"options\.strict"):
        cut(film, tmp_path, beside, strict=True)


def test_sound_that_cannot_be_read_is_refused_before_anything_is_cut(film: Path, tmp_path: Path) -> None:
    (tmp_path / "side").write_bytes(b"no sound" * 1000)
    events: list[Event] = []
    order = Order(
        path=str(film),
        folder=str(tmp_path),
        cutting=Cutting(),
        sample_rate=48_000,
        beside=Beside(sides=(Side(path=str(tmp_path / "side"), kind="audio", about=About()),)),
    )

    with pytest.raises(SourceUnreadable):
        obey(order, events.append)
    assert events == []


def test_a_tag_before_packed_audio_tells_its_size_and_the_time() -> None:
    owner = b"com.apple.streaming.transportStreamTimestamp\0" + (3 << 33 | 90_000).to_bytes(8, "big")
    frame = b"PRIV" + len(owner).to_bytes(4, "big") + b"\0\0" + owner
    tag = b"ID3\4\0\0" + bytes([0, 0, 0, len(frame)]) + frame

    assert (tag_size(tag + b"\xff\xf1"), first_time(tag)) == (len(tag), 90_000)
    assert tag_size(b"ID3\4\0\x10\0\0\1\0") == 148
    for other in (b"", b"ID3", b"\xff\xf1" + tag, b"ID3\4\0\0\0\0\x80\0", tag[:-1]):
        assert first_time(other) is None
