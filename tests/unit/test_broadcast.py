"""Text of broadcasts, teletext and ARIB captions: what a stream has, and the cues that ffmpeg makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from hypothesis import given
from hypothesis import strategies as st

from master.broadcast import LONGEST, BroadcastCopy, hand_over_broadcast
from raven.media import arib, webvtt
from raven.media.broadcast import Page, Sort
from raven.media.programs import descriptors, programs
from raven.media.teletext import TELETEXT, cleared, described, flagged, lines
from raven.media.transport import CLOCK, MOST_DATA, WRAP, PrivateStream
from raven.model import Cue, PrepareResult
from tests import arib as arib_text
from tests.builders import cue, prepare_result, source_facts, text_facts
from tests.media import ffmpeg
from tests.teletext import FOR_DEAF, SUBTITLES, Screen, centred, descriptor, pes_data, screen_lines, write_teletext

ENGLISH, GERMAN = Page(0x888, "eng"), Page(0x889, "deu", hearing_impaired=True)
ABOUT = descriptor(("eng", SUBTITLES, 0x888), ("DEU", FOR_DEAF, 0x889), ("eng", 1, 0x100))


# what a stream has


def test_the_descriptor_tells_pages_languages_and_who_they_are_for() -> None:
    assert described(b"\x52\x01\x05" + ABOUT) == (ENGLISH, GERMAN)
    assert [str(page) for page in described(ABOUT)] == ["eng, page 888", "deu, page 889"]
    assert described(descriptor(("\0\0\0", SUBTITLES, 0x150))) == (Page(0x150),)


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read_as_descriptors_and_as_data(content: bytes) -> None:
    assert isinstance(described(content), tuple)
    for data in (content, b"\x10" + content, pes_data([b"\0" * 42]) + content):
        assert isinstance(flagged(data), tuple)
        assert isinstance(arib.found(data), tuple)
        assert len(lines(data)) % 46 in (0, 1)


def test_a_page_of_subtitles_is_known_by_its_header() -> None:
    screen = Screen(0, 0x150, ((20, "text"),))

    assert flagged(pes_data(screen_lines(screen))) == (Page(0x150),)
    assert flagged(pes_data(screen_lines(screen, subtitle=False))) == ()


def test_an_empty_page_is_a_page_of_subtitles() -> None:
    assert flagged(cleared(ENGLISH)) == (Page(0x888),)
    assert lines(cleared(Page(0x199))) == cleared(Page(0x199))


def test_only_lines_of_teletext_are_given_to_the_decoder_in_step_with_transport_packets() -> None:
    line = pes_data([b"\0" * 42])[1:47]
    programme_delivery = b"\xc3\x2c" + b"\0" * 44

    data = lines(b"\x10" + programme_delivery + line + b"\xc4\x03\0\0\0" + line + line[:30])

    assert data[:93] == b"\x10" + line + line
    assert (len(data) + 45) % 184 == 0
    assert lines(b"\x10" + programme_delivery) == lines(b"\x20" + line) == lines(b"") == b""


# its own transport stream


def test_the_transport_stream_is_one_to_libavformat(tmp_path: Path) -> None:
    """Also where a packet of it is no multiple of a transport packet, and near the end of its clock."""
    stream = PrivateStream()
    about = descriptor(("eng", SUBTITLES, 0x888))
    pieces = [(b"\x10" + b"x" * size, time) for size, time in ((138, 0), (100, 90), (137, 91), (1000, WRAP - 1))]
    target = tmp_path / "private.ts"
    target.write_bytes(stream.tables(about) + b"".join(stream.packet(data, time) for data, time in pieces))

    with av.open(str(target), options={"fix_teletext_pts": "0"}) as container:
        found = [(bytes(p), p.pts) for p in container.demux(container.streams[0]) if p.size]

    assert found == pieces
    assert list(descriptors(programs(target.read_bytes())[1][0x100])) == list(descriptors(about))


# to cues

Copied = tuple[PrepareResult, dict[str, list[Cue]]]


def copied(
    source: Path,
    pages: tuple[Page, ...] = (),
    *,
    sort: Sort = TELETEXT,
    now: Fraction | None = None,
    program: str | None = None,
) -> Copied:
    """What comes of a source that begins at 10 s, and the cues by track."""
    facts = source_facts(text=(text_facts(stream=1, name="fra-1", language="fra"),))
    handed: dict[str, list[Cue]] = {}
    with av.open(str(source), options={"fix_teletext_pts": "0"}) as container:
        stream = container.streams[0]
        copy = BroadcastCopy(stream, sort, pages, Fraction(10), source.with_name("kept.ts"))
        for packet in container.demux(stream):
            if packet.size:
                copy.feed(packet, now)

    def take(file: Path) -> None:
        handed[file.stem] = webvtt.read_cues(file.read_bytes())

    return hand_over_broadcast(prepare_result(facts=facts), {5: copy}, program or ffmpeg(), take), handed


def teletext(folder: Path, screens: Sequence[Screen]) -> Path:
    return write_teletext(folder / "source.ts", ABOUT, screens)


BOTH = (ENGLISH, GERMAN)
SCREENS = (
    Screen(11.0, 0x888, ((20, centred("Hello  you")), (22, centred("who #1")))),
    Screen(11.2, 0x889, ((4, centred("[oben]")),), national=1),
    Screen(12.5, 0x888),
    Screen(13.04, 0x888, ((22, centred("again")),)),
    Screen(14.0, 0x888, ((22, centred("and on")),)),
    Screen(15.0, 0x889),
)


def test_each_page_is_a_track_and_lasts_until_the_next_or_an_empty_one(tmp_path: Path) -> None:
    end, handed = copied(teletext(tmp_path, SCREENS), BOTH)

    assert handed == {
        "text-eng-2": [
            cue(1000, 2500, "Hello you\nwho \N{POUND SIGN}1"),
            cue(3040, 4000, "again"),
            cue(4000, 15_000, "and on"),
        ],
        "text-deu-3": [cue(1200, 5000, "ÄobenÜ").model_copy(update={"settings": "line:0"})],
    }
    assert [(t.stream, t.name, t.language, t.codec, t.hearing_impaired) for t in end.facts.text[1:]] == [
        (5, "eng-2", "eng", "dvb_teletext", False),
        (5, "deu-3", "deu", "dvb_teletext", True),
    ]
    assert end.facts.text[0].name == "fra-1"
    assert (end.warnings, end.facts.ignored) == ((), ())


def test_pages_that_nobody_describes_are_found_by_their_own_flag(tmp_path: Path) -> None:
    end, handed = copied(teletext(tmp_path, SCREENS))

    assert list(handed) == ["text-und-2", "text-und-3"]
    assert [c.text for c in handed["text-und-3"]] == ["ÄobenÜ"]
    assert [t.language for t in end.facts.text] == ["fra", "und", "und"]


def test_a_page_without_a_text_and_a_stream_without_a_page_are_told(tmp_path: Path) -> None:
    end, handed = copied(teletext(tmp_path, SCREENS), (Page(0x777, "ita"),))
    assert (handed, end.facts.ignored) == (
        {},
        ("subtitle stream 5 (dvb_teletext, ita, page 777): it has no text",),
    )

    end, handed = copied(teletext(tmp_path, ()))
    assert (handed, end.facts.ignored) == ({}, ("subtitle stream 5 (dvb_teletext): it has no subtitles",))


def test_times_of_another_clock_give_way_to_those_of_the_picture(tmp_path: Path) -> None:
    _, handed = copied(teletext(tmp_path, SCREENS[:1]), (ENGLISH,), now=Fraction(500))

    assert [(c.start, c.end) for c in handed["text-eng-2"]] == [(490_000, 500_000)]


def test_a_decoder_that_fails_costs_the_text_and_not_the_film(tmp_path: Path) -> None:
    """An ffmpeg of one's own may have no libzvbi."""
    end, handed = copied(teletext(tmp_path, SCREENS), BOTH, program="/bin/false")

    assert handed == {}
    assert end.facts.text == (text_facts(stream=1, name="fra-1", language="fra"),)
    assert [told.partition(",")[0] for told in end.facts.ignored] == ["subtitle stream 5 (dvb_teletext"] * 2
    assert all("not converted, false ended with status 1" in told for told in end.facts.ignored)


def test_text_at_the_left_stays_there(tmp_path: Path) -> None:
    screen = Screen(11.0, 0x888, ((18, "- So?"), (20, "- Just so, my friend.")))

    _, handed = copied(teletext(tmp_path, [screen]), (ENGLISH,))

    assert [(c.text, c.settings) for c in handed["text-eng-2"]] == [("- So?\n- Just so, my friend.", "align:left")]


def test_a_clock_that_is_past_its_end_is_told(tmp_path: Path) -> None:
    """After 26 hours the time stamps of a transport stream begin anew."""
    end, _ = copied(teletext(tmp_path, SCREENS[:1]), (ENGLISH,), now=Fraction(WRAP, CLOCK))

    assert end.warnings == ("subtitle stream 5: pieces that could not be used: 1",)


def test_what_nothing_clears_does_not_stay_for_ever(tmp_path: Path) -> None:
    """A capture may have lost the packet that did."""
    screens = [Screen(11.0, 0x888, ((22, centred("lost")),)), Screen(200.0, 0x888, ((22, centred("later")),))]

    _, handed = copied(teletext(tmp_path, screens), (ENGLISH,))

    assert handed["text-eng-2"][0] == cue(1000, 1000 + 1000 * LONGEST, "lost")


def test_a_packet_that_is_too_large_is_told(tmp_path: Path) -> None:
    """libavformat gives up to 200 kB of what claims no length; a PES packet of private data has 16 bits for it."""
    source = teletext(tmp_path, SCREENS[:1])
    with av.open(str(source), options={"fix_teletext_pts": "0"}) as container:
        stream = container.streams[0]
        copy = BroadcastCopy(stream, TELETEXT, (ENGLISH,), Fraction(10), tmp_path / "kept.ts")
        packet = next(p for p in container.demux(stream) if p.size)
        large = av.Packet(b"\x10" + bytes(packet)[1:47] * (MOST_DATA // 46 + 1))
        large.stream, large.pts = stream, packet.pts
        copy.feed(large, None)
        copy.close()

    assert copy.faults == 1


# ARIB

CAPTIONS = (
    (10.5, arib_text.management("jpn")),
    (11.0, arib_text.caption((6, "日本語の"), (7, "字幕"))),
    (12.5, arib_text.caption()),
    (13.0, arib_text.caption((0, "上にある"))),
    (14.0, arib_text.caption((7, "最後"))),
)


def test_arib_captions_are_a_track_of_the_language_that_they_name(tmp_path: Path) -> None:
    source = arib_text.write_captions(tmp_path / "source.ts", CAPTIONS)

    end, handed = copied(source, sort=arib.ARIB)

    assert handed == {
        "text-jpn-2": [
            cue(1000, 2500, "日本語の\n字幕"),
            cue(3000, 4000, "上にある").model_copy(update={"settings": "line:0"}),
            cue(4000, 14_000, "最後"),
        ]
    }
    assert [(t.codec, t.language) for t in end.facts.text[1:]] == [("arib_caption", "jpn")]
    assert (end.warnings, end.facts.ignored) == ((), ())


def test_the_language_of_captions_stands_behind_the_time_control() -> None:
    for mode in (0x3F, 0xBF):
        assert arib.found(arib_text.management("por", mode=mode)) == (Page(language="por"),)
    assert arib.found(arib_text.caption()) == ()
    assert arib.cleared(Page()) == arib_text.caption()
