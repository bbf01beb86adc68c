"""Reading WebVTT as others write it, in one file or in many pieces behind each other."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media import webvtt
from raven.media.vtt_reader import read
from raven.model import Cue
from tests.builders import cue

FILE = """\ufeffWEBVTT - a title\r
X-TIMESTAMP-MAP=LOCAL:00:00:01.000,MPEGTS:900000\r
\r
STYLE\r
::cue { color: red }\r
\r
NOTE nobody --> sees this\r
\r
1\r
00:02.000 --> 00:03.500 line:90% align:start position:10%\r
<v.loud Bob>Who <i.slow>is</i> <b>this</b>?</v>\r
<c.yellow>Tom & Jerry &lt;2&gt; <00:02.100>now</c>\r
\r
00:00:04.000 --> 00:00:05.000\r
\r
100:00:04.000 --> 100:00:05.000 line:0\r
late\r


WEBVTT
X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000

00:07.000 --> 00:06.000
backwards

00:07.000 --> 00:08.000 line:50% align:right
no map <3
"""


def test_cues_have_the_time_of_the_media_and_what_raven_keeps_of_their_looks() -> None:
    assert list(read(FILE)) == [
        Cue(
            start=11_000,
            end=12_500,
            text="Who <i>is</i> <b>this</b>?\nTom &amp; Jerry &lt;2&gt; now",
            settings="align:left",
        ),
        Cue(start=360_013_000, end=360_014_000, text="late", settings="line:0"),
        Cue(start=7000, end=8000, text="no map &lt;3", settings="line:45% align:right"),
    ]


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ("line:0", "line:0"),
        ("line:4 align:center", "line:0"),
        ("line:-1", ""),
        ("line:12,start", ""),
        ("line:33%", "line:0"),
        ("line:45%", "line:45%"),
        ("line:80% align:end", "align:right"),
        ("vertical:rl size:50%", ""),
    ],
)
def test_a_place_is_one_of_the_thirds_of_the_picture(settings: str, kept: str) -> None:
    (found,) = read(f"WEBVTT\n\n00:01.000 --> 00:02.000 {settings}\nx\n")

    assert found.settings == kept


def test_a_file_without_a_map_has_the_time_of_the_media() -> None:
    assert list(read("WEBVTT\n\n00:01.000 --> 00:02.000\nx")) == [cue(1000, 2000, "x")]


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="&<>\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=9)


@given(st.lists(st.builds(lambda n, text: cue(n, n + 5, text), st.integers(0, 10**7), WORDS), max_size=5))
def test_what_raven_writes_is_read_as_it_was(cues: list[Cue]) -> None:
    cues = [c for c in webvtt.clipped(cues, Fraction(10**5)) if c.text.isprintable() and c.text.strip() == c.text != ""]
    text = webvtt.document(cues, webvtt.TIMESTAMP_MAP)

    assert list(read(text)) == cues


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for found in read(f"WEBVTT\n\n00:01.000 --> 00:02.000\n{text}"):
        assert "-->" not in found.text
        assert "" not in found.text.split("\n")
