"""The checker's parsers: what they read of sound input, and that damaged input is a clear error, never a crash."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.check import m3u8, mpd, vtt
from raven.check.checker import check
from raven.check.codecs import Codec
from raven.check.images import is_picture, size_of
from raven.check.isobmff import parse_init
from raven.check.mpd import MpdError
from raven.check.paths import OutsideTree, Resource, resolve
from raven.check.pictures import Front, front_of
from raven.check.segments import container_of, parse_segment
from raven.check.sidx import parse_index
from raven.check.source import BLOCK, Read, Source
from raven.errors import UsageError
from raven.media.boxes import BoxError, box
from tests.builders import aac_entry, nal
from tests.trees import (
    JPEG,
    MPD_AND_PLAYLISTS,
    SPANS,
    MemoryReader,
    audio_init,
    av1c,
    avcc,
    full,
    good_files,
    hvcc,
    init,
    protection,
    segment,
    tree_of,
    video_fragments,
    video_init,
    visual_entry,
)
from tests.unit.check_mutations import CAPTIONS, INTERLACED_SPS, X265, sei

GOOD = good_files()
SIZE = (640, 360)


def read_of(data: bytes) -> Read:
    return lambda start, length: data[start : start + length]


def nal_of(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def front(codec: Codec, sample: bytes) -> Front:
    return front_of(Source(read_of(sample), len(sample)), 0, len(sample), codec)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Truncated, with some bytes replaced, or with some cut out."""

    def change(draw: tuple[int, int, bytes]) -> bytes:
        start, length, new = draw
        return data[:start] + new + data[start + length :]

    positions = st.tuples(st.integers(0, len(data)), st.integers(0, 64), st.binary(max_size=16))
    return positions.map(change) | st.integers(0, len(data)).map(lambda n: data[:n])


class TestPlaylists:
    def test_are_read_into_segments_and_attributes(self) -> None:
        text = '#EXTM3U\n#EXT-X-MAP:URI="i.mp4",BYTERANGE="9@1"\n#EXTINF:6.5,title\n#EXT-X-BYTERANGE:10@5\na\n'
        text += "#EXTINF:4,\n#EXT-X-BYTERANGE:7\na\n"

        first, second = m3u8.parse("p", text).segments

        assert (first.uri, first.duration, first.start, first.length) == ("a", Fraction("6.5"), 5, 10)
        assert (second.start, second.length) == (15, 7)
        assert first.map is not None
        assert first.map.text("URI") == "i.mp4"

    def test_keep_commas_in_quotes_together(self) -> None:
        assert m3u8.attributes('CODECS="a,b",BANDWIDTH=1') == ({"CODECS": '"a,b"', "BANDWIDTH": "1"}, None)

    def test_tell_a_range_without_a_start(self) -> None:
        found = m3u8.parse("p", "#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:7\na\n")

        assert [fault.line for fault in found.faults] == [3]

    def test_write_nowhere_else(self) -> None:
        """Fractions in C wrote a digit into the zero byte that all of a process share; the broker got it."""
        m3u8.parse("p", "#EXTM3U\n#EXTINF:1,\na\n")

        assert struct.pack("B", 0)[0] == 0

    @given(st.text())
    def test_never_break_on_any_text(self, text: str) -> None:
        m3u8.parse("p", "#EXTM3U\n" + text)

    @given(st.sampled_from(sorted(m3u8.SEGMENT_TAGS | m3u8.VARIANT_TAGS)), st.text(max_size=60))
    def test_never_break_on_any_value_of_a_tag(self, tag: str, value: str) -> None:
        m3u8.parse("p", f"#EXTM3U\n#{tag}:{value}\nuri\n")


class TestMpds:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("PT6.5S", "13/2"), ("PT1H2M3S", "3723"), ("P1DT1S", "86401"), ("P1Y", None), ("", None), ("P", None)],
    )
    def test_read_durations(self, text: str, seconds: str | None) -> None:
        assert mpd.seconds(text) == (Fraction(seconds) if seconds else None)

    def test_expand_repeats_and_templates(self) -> None:
        text = (
            f'<MPD xmlns="{mpd.NAMESPACE}" mediaPresentationDuration="PT10S"><BaseURL>a/</BaseURL>'
            "<Period><AdaptationSet>"
            '<SegmentTemplate timescale="1" media="$RepresentationID$-$Number%03d$-$Time$$$.m4s" startNumber="7">'
            '<SegmentTimeline><S t="0" d="2" r="1"/><S d="3" r="-1"/></SegmentTimeline></SegmentTemplate>'
            '<Representation id="v" bandwidth="1"/></AdaptationSet></Period></MPD>'
        )

        (representation,) = mpd.parse("x/m.mpd", text).representations
        references = representation.addressing.references

        assert [r.resource.path for r in references] == [
            f"x/a/v-{n:03d}-{t}$.m4s" for n, t in ((7, 0), (8, 2), (9, 4), (10, 7))
        ]

    @pytest.mark.parametrize(
        "text", ["", "<a>", "<html/>", '<!DOCTYPE MPD [<!ENTITY a "b">]><MPD/>', "\0", "<MPD></mpd>"]
    )
    def test_say_what_is_no_mpd(self, text: str) -> None:
        with pytest.raises(MpdError):
            mpd.parse("m.mpd", text)

    def test_stop_at_a_timeline_without_an_end(self) -> None:
        text = (
            f'<MPD xmlns="{mpd.NAMESPACE}"><Period><AdaptationSet><SegmentTemplate media="$Number$"><SegmentTimeline>'
        )
        text += '<S d="1" r="999999999999"/></SegmentTimeline></SegmentTemplate><Representation id="v"/>'
        text += "</AdaptationSet></Period></MPD>"

        (representation,) = mpd.parse("m.mpd", text).representations

        assert any("more than" in fault for fault in representation.addressing.faults)

    @given(damaged(GOOD["manifest.mpd"]))
    def test_damaged_ones_are_mpds_or_clear_errors(self, data: bytes) -> None:
        try:
            mpd.parse("m.mpd", data.decode("utf-8", "replace"))
        except MpdError as error:
            assert str(error)


class TestInitSegments:
    @pytest.mark.parametrize(
        ("entry", "text"),
        [
            (visual_entry(SIZE), "avc1.64001f"),
            (visual_entry(SIZE, "avc3", avcc(0x4D, 40)), "avc3.4d0028"),
            (visual_entry(SIZE, "hvc1", hvcc()), "hvc1.2.4.L120.90"),
            (visual_entry(SIZE, "hvc1", hvcc(high=True)), "hvc1.2.4.H120.90"),
            (visual_entry(SIZE, "av01", av1c(8, 10)), "av01.0.08M.10"),
        ],
    )
    def test_of_video_tell_codec_and_size(self, entry: bytes, text: str) -> None:
        found = parse_init(video_init(SIZE, entry))

        assert (found.codec.text, found.width, found.height) == (text, *SIZE)
        assert (found.shape, found.colour) == ((1, 1), (1, 1, 1))

    @pytest.mark.parametrize(
        ("config", "text", "channels", "rate"),
        [
            (b"\x11\x90", "mp4a.40.2", 2, 48000),
            (b"\x12\x08", "mp4a.40.2", 1, 44100),
            (b"\x11\xb0", "mp4a.40.2", 6, 48000),
            (b"\x2b\x92\x08\x00", "mp4a.40.5", 2, 44100),
        ],
    )
    def test_of_sound_tell_what_comes_out(self, config: bytes, text: str, channels: int, rate: int) -> None:
        found = parse_init(audio_init(2, config, language="eng"))

        assert (found.codec.text, found.channels, found.sample_rate, found.language) == (text, channels, rate, "eng")

    def test_of_protected_media_tell_the_format_below(self) -> None:
        sinf = protection(1, 9)

        found = parse_init(video_init(SIZE, visual_entry(SIZE, "encv", avcc(), sinf)))

        assert (found.entry, found.protected, found.codec.text) == ("avc1", True, "avc1.64001f")
        assert (found.scheme, found.pattern) == ("cbcs", (1, 9))

    @given(damaged(video_init(SIZE)) | damaged(audio_init(2, b"\x11\x90")) | damaged(init("soun", 1, aac_entry())))
    def test_damaged_ones_are_read_or_box_errors(self, data: bytes) -> None:
        try:
            parse_init(data)
        except BoxError as error:
            assert str(error)


class TestCodecs:
    @pytest.mark.parametrize(
        ("sps", "fields"),
        [
            (b"", False),
            (bytes.fromhex("6764001facd9405005bb0110000003001000000303c0f1831960"), False),
            (INTERLACED_SPS, True),
        ],
    )
    def test_of_h264_tell_fields(self, sps: bytes, fields: bool) -> None:
        assert parse_init(video_init(SIZE, visual_entry(SIZE, "avc1", avcc(sets=sps)))).codec.fields is fields

    def test_of_hevc_tell_size_and_profile_of_the_parameter_set(self) -> None:
        """As x265 writes it: 640x360 within whole blocks of 8."""
        found = parse_init(video_init(SIZE, visual_entry(SIZE, "hvc1", box("hvcC", X265)))).codec.sps

        assert found is not None
        assert (found.width, found.height, found.bits) == (640, 360, 10)
        assert found.profile == bytes.fromhex("02200000009000000000003f")

    @pytest.mark.parametrize(("constraints", "fields"), [(b"\x90", False), (b"\x40", True), (b"\xc0", False)])
    def test_of_hevc_tell_fields(self, constraints: bytes, fields: bool) -> None:
        box_of = hvcc().replace(b"\x20\0\0\0\x90", b"\x20\0\0\0" + constraints)

        assert parse_init(video_init(SIZE, visual_entry(SIZE, "hvc1", box_of))).codec.fields is fields

    @pytest.mark.parametrize(
        ("config", "sbr"),
        [
            (b"\x11\x90", False),
            (b"\x2b\x92\x08\x00", True),
            (b"\x13\x10\x56\xe5\x98", True),  # told behind the configuration of AAC-LC
        ],
    )
    def test_of_aac_tell_sbr(self, config: bytes, sbr: bool) -> None:
        assert parse_init(audio_init(2, config)).codec.sbr is sbr


class TestImages:
    PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 320, 180)

    def test_tell_their_size(self) -> None:
        assert (is_picture(JPEG), size_of(JPEG)) == (True, (640, 360))
        assert (is_picture(self.PNG), size_of(self.PNG)) == (True, (320, 180))

    @given(damaged(JPEG) | damaged(PNG))
    def test_of_any_bytes_tell_a_size_or_none(self, data: bytes) -> None:
        assert size_of(data) is None or all(side >= 0 for side in size_of(data) or ())


class TestSegments:
    DATA = segment(1, video_fragments(SPANS[0]))
    CODEC = Codec("avc1.64001f")

    def test_tell_times_and_first_pictures(self) -> None:
        found = parse_segment(read_of(self.DATA), len(self.DATA), self.CODEC, None)

        assert (found.decode_time, found.duration, len(found.fragments)) == (0, 150_000, 6)
        assert {f.front.picture for f in found.fragments} == {5}
        assert all(f.sync == (0,) and f.samples == 25 for f in found.fragments)

    def test_tell_the_messages_before_the_first_picture(self) -> None:
        """HDR10 and captions, behind a message of another kind in the same NAL unit."""
        told = nal_of(b"\x4e\x01" + b"\x05\x02ab" + b"\x89\x02ab" + b"\x90\x01a\x80")
        hdr = told + nal_of(b"\x26\x01" + b"\xa5" * 9)
        captioned = sei(4, CAPTIONS) + nal(5, 20)
        padding = sei(4, CAPTIONS[:-2] + b"\x80\x80") + nal(5, 20)

        assert front(Codec("hvc1.2.4.L93.B0"), hdr) == Front(19, frozenset({"mdcv", "clli"}))
        assert front(self.CODEC, captioned) == Front(5, frozenset({"captions"}))
        assert front(self.CODEC, padding) == Front(5, frozenset())

    def test_of_av1_tell_metadata(self) -> None:
        units = b"\x12\0" + b"\x2a\x02\x02\x80" + b"\x2a\x02\x01\x80" + b"\x32\x01\0" + b"\x2a\x02\x04\x80"

        assert front(Codec("av01.0.08M.10"), units).told == {"mdcv", "clli"}

    @given(st.sampled_from(["avc1.64001f", "hvc1.2.4.L93.B0", "av01.0.08M.10"]), st.binary(min_size=1, max_size=200))
    def test_of_any_picture_are_read_or_box_errors(self, codec: str, content: bytes) -> None:
        try:
            front(Codec(codec), content)
        except BoxError as error:
            assert str(error)

    def test_tell_keys_and_whether_they_stand_alone(self) -> None:
        found = parse_segment(read_of(self.DATA), len(self.DATA), self.CODEC, None).fragments[0]

        assert (found.whole, found.keys) == (True, 0)

    def test_are_read_without_the_media(self) -> None:
        """A gigabyte of mdat costs no more than its header."""
        big = segment(1, video_fragments(SPANS[0])) + box("mdat", bytes(20 * BLOCK))
        read: list[int] = []

        def counted(start: int, length: int) -> bytes:
            read.append(length)
            return big[start : start + length]

        parse_segment(counted, len(big), self.CODEC, None)

        assert sum(read) < len(self.DATA) + 3 * BLOCK

    def test_may_end_within_an_mdat(self) -> None:
        """So does each range of an I-frame playlist."""
        data = self.DATA[:600]

        assert len(parse_segment(read_of(data), len(data), self.CODEC, None).fragments) == 1

    @pytest.mark.parametrize(
        ("head", "kind"),
        [
            (b"G@\0\x10", "ts"),
            (b"ID3\4", "audio"),
            (b"\xff\xf1P", "audio"),
            (b"\xef\xbb\xbfWEBVTT", "text"),
            (b"", "mp4"),
        ],
    )
    def test_of_other_kinds_are_told_apart(self, head: bytes, kind: str) -> None:
        assert container_of(head) == kind

    @given(damaged(DATA))
    def test_damaged_ones_are_read_or_box_errors(self, data: bytes) -> None:
        try:
            parse_segment(read_of(data), len(data), self.CODEC, None)
        except BoxError as error:
            assert str(error)

    @given(damaged(full("sidx", 0, 0, struct.pack(">IIIIHHIII", 1, 1000, 0, 0, 0, 1, 100, 5, 0))))
    def test_damaged_indexes_are_read_or_box_errors(self, data: bytes) -> None:
        try:
            parse_index(data)
        except BoxError as error:
            assert str(error)


class TestWebVtt:
    def test_tells_header_map_and_cue_times(self) -> None:
        text = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n00:01.000 --> 00:02.000 align:start\nHi\n"

        cue = vtt.Cue(Fraction(11), Fraction(12), "hi")
        assert vtt.parse(text) == vtt.Vtt(headed=True, mapped=True, faults=(), cues=(cue,))

    @given(st.text())
    def test_never_breaks_on_any_text(self, text: str) -> None:
        vtt.parse(text)


class TestReferences:
    @pytest.mark.parametrize(
        ("base", "uri", "path"),
        [
            ("a/b.m3u8", "c.m4s", "a/c.m4s"),
            ("a/b.m3u8", "../c%20d.m4s", "c d.m4s"),
            ("b.mpd", "x/./y/../z", "x/z"),
            ("b.mpd", "", "b.mpd"),
        ],
    )
    def test_within_a_folder_become_paths(self, base: str, uri: str, path: str) -> None:
        assert resolve(base, uri) == path

    @pytest.mark.parametrize(
        "uri", ["../a", "/etc/passwd", "file:///etc/passwd", "https://h/a", "//h/a", "%2e%2e/a", "http://["]
    )
    def test_out_of_a_folder_are_refused(self, uri: str) -> None:
        with pytest.raises(OutsideTree):
            resolve("m.mpd", uri)

    def test_on_the_net_may_be_absolute_on_the_same_host(self) -> None:
        origin = "https://media.example:8443"

        assert resolve("a/m.mpd", "/b/c.m4s?t=1", origin) == "b/c.m4s?t=1"
        assert resolve("a/m.mpd", f"{origin}/d.m4s", origin) == "d.m4s"
        for uri in (
            "https://media.example/d",
            "http://media.example:8443/d",
            "//other/d",
            "ftp://media.example:8443/d",
        ):
            with pytest.raises(OutsideTree):
                resolve("a/m.mpd", uri, origin)

    def test_name_their_bytes(self) -> None:
        assert str(Resource("a", 10, 5)) == "a bytes 10-14"


class TestTrees:
    @given(st.data())
    def test_with_a_damaged_file_are_checked_or_refused(self, data: st.DataObject) -> None:
        """Whatever is damaged: findings, or one sentence; never an exception that nobody expects."""
        path = data.draw(
            st.sampled_from(MPD_AND_PLAYLISTS + tuple(p for p in GOOD if p.startswith(("360p", "stereo-en"))))
        )
        reader = MemoryReader(dict(GOOD) | {path: data.draw(damaged(GOOD[path]))})
        try:
            check(tree_of(reader))
        except UsageError as error:
            assert str(error)

    @pytest.mark.parametrize(
        "files", [{}, {"film.mp4": b"x"}, {"master.m3u8": b"\xff\xfe"}, {"manifest.mpd": b"<html/>"}]
    )
    def test_that_are_none_are_refused_with_a_sentence(self, files: dict[str, bytes]) -> None:
        with pytest.raises(UsageError):
            tree_of(MemoryReader(files))
