"""From the ASS events that every text decoder gives to the text and settings of a WebVTT cue."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.ass import Script, Style, cue_text, escaped, parse_header

HEADER = """[Script Info]
ScriptType: v4.00+
PlayResX: 640
PlayResY: 360

[V4+ Styles]
Format: Name, Fontname, Fontsize, Bold, Italic, Underline, Alignment
Style: Default,Arial,20,0,0,0,2
Style: Sign, Arial, 20, 0, -1, 0, 8

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
SCRIPT = parse_header(HEADER)


def converted(text: str, style: str = "Default", *, comments: bool = True) -> tuple[str, str]:
    return cue_text(f"0,0,{style},,0,0,0,,{text}", SCRIPT, comments=comments)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("Plain, with a comma", "Plain, with a comma"),
        (r"One\NTwo", "One\nTwo"),
        (r"Hard\hspace", "Hard\N{NO-BREAK SPACE}space"),
        (r"{\b1}Bold{\b0} plain", "<b>Bold</b> plain"),
        (r"{\i1}It{\u1}both{\i0}under", "<i>It</i><i><u>both</u></i><u>under</u>"),
        (r"{\b1}Bold{\r} plain", "<b>Bold</b> plain"),
        (r"{\b700}Heavy{\b400} light", "<b>Heavy</b> light"),
        (r"{\i1}Over\Ntwo lines{\i0} end", "<i>Over</i>\n<i>two lines</i> end"),
        (r"One\N\N \NTwo\N", "One\nTwo"),  # a blank line would end the cue
        (r"{\c&H0000FF&\fs30\blur2\bord1\be1}Coloured{\c}", "Coloured"),
        (r"{\iclip(0,0,1,1)\pos(10,300)\pbo5}Clipped", "Clipped"),
        (r"{\t(0,500,\b1)}Grows", "<b>Grows</b>"),
        ("{a note of the author}Said", "Said"),
        (r"{\p1}m 0 0 l 10 10{\p0}After", "After"),
        (r"{\p1}m 0 0 l 10 10", ""),
        ("<i>no tag & no entity</i> -->", "&lt;i&gt;no tag &amp; no entity&lt;/i&gt; --&gt;"),
        (r"C:\back", r"C:\back"),
        (r"\{braces\}", "{braces}"),
        ("odd { brace", "odd { brace"),
        ("bell\x07\x00\rgone", "bellgone"),
        (r"{\i1}{\i0}", ""),
        (r"  \h ", ""),
    ],
)
def test_only_what_webvtt_knows_survives(event: str, text: str) -> None:
    assert converted(event)[0] == text


def test_a_style_of_the_header_is_kept() -> None:
    assert converted("A sign", "Sign") == ("<i>A sign</i>", "line:0")
    assert converted(r"{\rSign}A sign{\r} said") == ("<i>A sign</i> said", "")
    assert converted("Nobody's style", "Missing") == ("Nobody's style", "")


def test_braces_are_text_where_the_source_is_not_a_script() -> None:
    """SubRip has no comments: what a person wrote in braces is to be read."""
    assert converted(r"{really} {\an8}so", comments=False) == ("{really} so", "line:0")


@pytest.mark.parametrize(
    ("event", "settings"),
    [
        ("below", ""),
        (r"{\an8}top", "line:0"),
        (r"{\a6}top in the old way", "line:0"),
        (r"{\an5}middle", "line:45%"),
        (r"{\an1}left", "align:left"),
        (r"{\an9}top right", "line:0 align:right"),
        (r"{\pos(320,20)}top by numbers", "line:0"),
        (r"{\pos(320,180)}middle by numbers", "line:45%"),
        (r"{\an8\pos(320,350)}below by numbers", ""),
        (r"{\move(0,10,0,300)}from the top", "line:0"),
        (r"{\pos(1,-5)}beyond the edge", "line:0"),
        (r"{\pos(1,..-)}no number", ""),
        (r"{\an0}no place", ""),
    ],
)
def test_a_text_stays_in_its_third_of_the_picture(event: str, settings: str) -> None:
    assert converted(event)[1] == settings


def test_an_event_that_is_none_says_nothing() -> None:
    assert cue_text("0,0,Default", Script(), comments=True) == ("", "")


def test_a_header_that_is_none_gives_no_styles() -> None:
    assert parse_header("Style: Default,Arial\nPlayResY: -1\nFormat\x00") == Script({"": Style()})
    assert parse_header("") == Script()


@given(st.text(alphabet=st.sampled_from(list("{}\\Nnhbiup01raS,()<>&- \n\r\x00éa")) | st.characters(), max_size=60))
def test_whatever_is_said_is_a_sound_cue(event: str) -> None:
    """No blank line, no arrow, no tag but ours, all of them closed."""
    text, _ = converted(event)

    assert "\n\n" not in f"\n{text}\n" or not text
    assert "-->" not in text
    assert "\r" not in text
    assert "\x00" not in text
    bare = re.sub("<(b|i|u)>", "", re.sub("</(b|i|u)>", "", text))
    assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", bare)
    for tag in "biu":
        assert text.count(f"<{tag}>") == text.count(f"</{tag}>")
    text.encode()


@given(st.text())
def test_any_header_is_borne(header: str) -> None:
    parse_header(header)


def test_escaping_leaves_no_markup() -> None:
    assert escaped("<v Bob>&--></v>") == "&lt;v Bob&gt;&amp;--&gt;&lt;/v&gt;"
