"""Teletext and ARIB captions of broadcasts become text tracks as all others."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import av
import pytest

from raven import names
from tests import arib
from tests.e2e.test_text import cues
from tests.e2e.tools import Film, Raven
from tests.media import generate_clip, with_text
from tests.teletext import FOR_DEAF, SUBTITLES, Screen, centred, descriptor, write_teletext

FRAMES = 250
PAGES = descriptor(("eng", SUBTITLES, 0x888), ("deu", FOR_DEAF, 0x889), ("fra", SUBTITLES, 0x890), ("eng", 1, 0x100))
SCREENS = (
    Screen(2.0, 0x888, ((20, centred("Hello you,")), (22, centred("you & I")))),
    Screen(2.4, 0x889, ((4, centred("Gr}~e")),), national=1),
    Screen(3.0, 0x888, ((20, centred("Hello you,")), (22, centred("you & I")))),
    Screen(4.0, 0x888),
    Screen(5.0, 0x888, ((22, centred("the last word")),)),
    Screen(5.2, 0x889),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teletext")
    clip = generate_clip(folder / "clip.ts", FRAMES)
    return with_text(clip, write_teletext(folder / "teletext.ts", PAGES, SCREENS), folder / "film.ts")


@pytest.fixture(scope="module")
def film(raven: Raven, source: Path) -> Film:
    return raven.encode(source, source.parent / "out", "quick")


def said(film: Film, source: Path, track: str) -> list[tuple[Fraction, Fraction, str]]:
    """The cues by the clock of the source, seconds."""
    with av.open(str(source)) as container:
        first = next(container.decode(video=0))
    assert first.time is not None
    origin = Fraction(first.time)
    found = []
    for times, text in cues(film.folder / "text" / track / names.WHOLE_TEXT):
        start, end = (
            Fraction(int(hours) * 3600 + int(minutes) * 60) + Fraction(seconds) + origin
            for hours, minutes, seconds in re.findall(r"(\d+):(\d+):([\d.]+)", times)
        )
        found.append((start, end, text))
    return found


@pytest.mark.xdist_group("e2e-broadcast")
class TestBroadcast:
    def test_each_page_has_its_texts_at_their_times(self, film: Film, source: Path) -> None:
        english = said(film, source, "eng-1")
        assert [text for _, _, text in english] == ["Hello you,\nyou &amp; I", "the last word"]
        assert [float(start) for start, _, _ in english] == pytest.approx([2.0, 5.0], abs=0.001)
        assert float(english[0][1]) == pytest.approx(4.0, abs=0.001)
        ((start, end, text),) = said(film, source, "deu-2")
        assert text == "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{LATIN SMALL LETTER SHARP S}e"
        assert [float(start), float(end)] == pytest.approx([2.4, 5.2], abs=0.001)

    def test_what_nothing_ends_lasts_to_the_end_of_a_short_film(self, film: Film) -> None:
        last = cues(film.folder / "text/eng-1" / names.WHOLE_TEXT)[-1]
        assert last[0].endswith("--> 00:00:10.000")

    def test_hls_names_the_languages_and_who_they_are_for(self, film: Film) -> None:
        lines = re.findall(r"TYPE=SUBTITLES.*", film.hls.read_text("utf-8"))
        assert [re.findall(r'LANGUAGE="(\w+)"', line) for line in lines] == [["en"], ["de"]]
        assert ["transcribes-spoken-dialog" in line for line in lines] == [False, True]
        playlist = film.playlist("text", "eng-1")
        assert "Hello you," in (playlist.parent / names.text_segment_name(1)).read_text("utf-8")

    def test_dash_names_them_too(self, film: Film) -> None:
        sets = re.findall(r'<AdaptationSet[^>]*contentType="text"[^>]*>', film.dash.read_text("utf-8"))
        assert [re.findall(r'lang="(\w+)"', text) for text in sets] == [["en"], ["de"]]

    def test_a_page_that_says_nothing_is_told(self, film: Film) -> None:
        assert film.task["source"]["ignored"] == ["subtitle stream 2 (dvb_teletext, fra, page 890): it has no text"]

    def test_pictures_and_sound_are_untouched(self, film: Film) -> None:
        film.check_frames(FRAMES)


def test_captions_of_a_japanese_broadcast_are_text_too(raven: Raven, tmp_path: Path) -> None:
    packets = [(1.5, arib.management("jpn")), (2.0, arib.caption((7, "字幕"))), (3.0, arib.caption())]
    text = arib.write_captions(tmp_path / "text.ts", packets)
    source = with_text(generate_clip(tmp_path / "clip.ts", 75), text, tmp_path / "film.ts")

    film = raven.encode(source, tmp_path / "out", "quick")

    ((start, end, words),) = said(film, source, "jpn-1")
    assert words == "字幕"
    assert [float(start), float(end)] == pytest.approx([2.0, 3.0], abs=0.001)
    assert 'LANGUAGE="ja"' in film.hls.read_text("utf-8")
    assert film.task["source"]["ignored"] == []
