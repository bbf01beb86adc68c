"""HLS playlists and the MPD, whole for a small film, and by rule for any film."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.errors import OutputWrong
from raven.media import dash, hls
from raven.media.grid import AudioGrid, Grid, round_nearest
from raven.media.presentation import AudioTrack, Presentation, VideoTrack, check_audio, joined
from raven.media.presentation import video_track as checked_track
from tests.builders import (
    audio_result,
    audio_track,
    cutting,
    init_segment,
    presentation,
    rendition,
    text_track,
    track_segments,
    video_segments,
    video_track,
)

MPD = "{urn:mpeg:dash:schema:mpd:2011}"
FILM = presentation(
    video=(video_track(name="360p", width=640, height=360, sizes=(600_000, 450_000, 150_000)), video_track()),
    audio=(
        audio_track(),
        audio_track(name="deu-2", label='Kommentar "Regie" & Ton', language="de", default=False),
    ),
)


# whole


def test_the_multivariant_playlist_of_a_small_film() -> None:
    assert hls.multivariant(FILM) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,'
        'CHANNELS="2",URI="audio/eng-1/playlist.m3u8"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="Kommentar \'Regie\' & Ton",LANGUAGE="de",DEFAULT=NO,'
        'AUTOSELECT=YES,CHANNELS="2",URI="audio/deu-2/playlist.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=2128114,AVERAGE-BANDWIDTH=1487841,CODECS="avc1.64001f,mp4a.40.2",'
        'RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO="audio",CLOSED-CAPTIONS=NONE\n'
        "video/720p/playlist.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=928114,AVERAGE-BANDWIDTH=767841,CODECS="avc1.64001f,mp4a.40.2",'
        'RESOLUTION=640x360,FRAME-RATE=25.000,AUDIO="audio",CLOSED-CAPTIONS=NONE\n'
        "video/360p/playlist.m3u8\n"
    )


def test_each_variant_has_its_own_frame_rate() -> None:
    """Of a source of 59.94 frames/s the low rung has half; segments and lengths are the same."""
    low, high = (
        video_track(name=name, frames=(360, 360, 61), timescale=60_000, frame_ticks=1001, every=every)
        for name, every in (("360p", 2), ("720p", 1))
    )
    film = presentation(video=(low, high))

    rates = re.findall(r"FRAME-RATE=([\d.]+).*\nvideo/(\w+)/", hls.multivariant(film))
    assert sorted(rates) == [("29.970", "360p"), ("59.940", "720p")]
    (group,) = ET.fromstring(dash.mpd(film)).findall(f"./{MPD}Period/{MPD}AdaptationSet[@contentType='video']")  # noqa: S314 - our own text
    assert group.get("maxFrameRate") == "60000/1001"
    found = {r.get("id"): r.get("frameRate") for r in group.findall(f"{MPD}Representation")}
    assert found == {"360p": "30000/1001", "720p": "60000/1001"}


def test_the_media_playlist_of_a_small_film() -> None:
    durations = [s.duration for s in FILM.audio[0].segments]

    assert hls.media_playlist(durations, hls.target_duration(FILM)) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:6\n"
        "#EXT-X-MEDIA-SEQUENCE:1\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-MAP:URI="init.mp4"\n'
        "#EXTINF:5.994667,\n"
        "seg-000001.m4s\n"
        "#EXTINF:6.016000,\n"
        "seg-000002.m4s\n"
        "#EXTINF:3.008000,\n"
        "seg-000003.m4s\n"
        "#EXT-X-ENDLIST\n"
    )


def test_the_playlist_of_a_track_that_grows() -> None:
    """It begins at the beginning, and becomes the VOD playlist by more segments and an end."""
    durations = [s.duration for s in FILM.audio[0].segments]
    target = hls.target_duration(FILM)

    growing, whole = hls.event_playlist(durations[:2], target), hls.media_playlist(durations, target)

    assert "#EXT-X-ENDLIST" not in growing
    start = "#EXT-X-START:TIME-OFFSET=0.001,PRECISE=YES\n"
    assert growing.count(start) == 1
    assert whole.startswith(growing.replace(start, "").replace("TYPE:EVENT", "TYPE:VOD"))


def test_the_mpd_of_a_small_film() -> None:
    """Element order is that of DASH-MPD.xsd: Label before Role."""
    assert dash.mpd(FILM) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"'
        ' mediaPresentationDuration="PT15S" maxSegmentDuration="PT6.016S" minBufferTime="PT6.016S">\n'
        '  <Period id="0" start="PT0S">\n'
        '    <AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1"'
        ' maxWidth="1280" maxHeight="720" maxFrameRate="25" par="16:9">\n'
        '      <SegmentTemplate timescale="25000" startNumber="1"'
        ' initialization="video/$RepresentationID$/init.mp4" media="video/$RepresentationID$/seg-$Number%06d$.m4s">\n'
        "        <SegmentTimeline>\n"
        '          <S t="0" d="150000" r="1" />\n'
        '          <S d="75000" />\n'
        "        </SegmentTimeline>\n"
        "      </SegmentTemplate>\n"
        '      <Representation id="360p" bandwidth="800000" codecs="avc1.64001f" width="640" height="360"'
        ' frameRate="25" sar="1:1" />\n'
        '      <Representation id="720p" bandwidth="2000000" codecs="avc1.64001f" width="1280" height="720"'
        ' frameRate="25" sar="1:1" />\n'
        "    </AdaptationSet>\n" + _sound(1, "en", "English", "main", "eng-1")
        + _sound(2, "de", 'Kommentar "Regie" &amp; Ton', "alternate", "deu-2")
        + "  </Period>\n</MPD>\n"
    )  # fmt: skip


def _sound(number: int, language: str, label: str, role: str, name: str) -> str:
    return (
        f'    <AdaptationSet id="{number}" contentType="audio" mimeType="audio/mp4"'
        f' segmentAlignment="true" startWithSAP="1" lang="{language}">\n'
        f"      <Label>{label}</Label>\n"
        f'      <Role schemeIdUri="urn:mpeg:dash:role:2011" value="{role}" />\n'
        '      <SegmentTemplate timescale="48000" startNumber="1"'
        ' initialization="audio/$RepresentationID$/init.mp4" media="audio/$RepresentationID$/seg-$Number%06d$.m4s">\n'
        "        <SegmentTimeline>\n"
        '          <S t="0" d="287744" />\n'
        '          <S d="288768" />\n'
        '          <S d="144384" />\n'
        "        </SegmentTimeline>\n"
        "      </SegmentTemplate>\n"
        f'      <Representation id="{name}" bandwidth="128114" codecs="mp4a.40.2" audioSamplingRate="48000">\n'
        '        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011"'
        ' value="2" />\n'
        "      </Representation>\n"
        "    </AdaptationSet>\n"
    )


SUBTITLED = presentation(
    text=(
        text_track(),
        text_track(name="eng-2", label='Signs "only"', forced=True),
        text_track(name="deu-3", label="Deutsch & mehr", language="de", deaf=True),
    )
)


def test_subtitles_in_the_multivariant_playlist() -> None:
    """None is the default; forced ones are selected by language (Apple 5.11); each has a language (Apple 4.7)."""
    assert hls.multivariant(SUBTITLED).splitlines()[4:] == [
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,'
        'FORCED=NO,URI="text/eng-1/playlist.m3u8"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="Signs \'only\'",LANGUAGE="en",DEFAULT=NO,'
        'AUTOSELECT=YES,FORCED=YES,URI="text/eng-2/playlist.m3u8"',
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="Deutsch & mehr",LANGUAGE="de",DEFAULT=NO,'
        'AUTOSELECT=YES,FORCED=NO,CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog,'
        'public.accessibility.describes-music-and-sound",URI="text/deu-3/playlist.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=2128274,AVERAGE-BANDWIDTH=1488001,CODECS="avc1.64001f,mp4a.40.2",'
        'RESOLUTION=1280x720,FRAME-RATE=25.000,AUDIO="audio",SUBTITLES="subtitles",'
        "CLOSED-CAPTIONS=NONE",
        "video/720p/playlist.m3u8",
    ]


def test_audio_description_is_marked_in_both_manifests() -> None:
    """Players choose it by themselves for those who need it (Apple 2.12, 2.13; ETSI TS 103 285 10.2.4)."""
    described = audio_track(name="eng-2", label="Described", default=False, describes=True)
    film = presentation(video=(video_track(),), audio=(audio_track(), described))

    main, other = (line for line in hls.multivariant(film).splitlines() if "TYPE=AUDIO" in line)
    assert "CHARACTERISTICS" not in main
    assert 'AUTOSELECT=YES,CHARACTERISTICS="public.accessibility.describes-video",' in other
    _, sound, description = ET.fromstring(dash.mpd(film)).iter(f"{MPD}AdaptationSet")  # noqa: S314
    assert sound.find(f"{MPD}Accessibility") is None
    assert [(e.tag.removeprefix(MPD), e.get("value")) for e in description][:3] == [
        ("Label", None), ("Accessibility", "1"), ("Role", "description"),
    ]  # fmt: skip


def test_the_playlist_of_subtitles() -> None:
    assert hls.text_playlist(text_track()) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:7\n"
        "#EXT-X-TARGETDURATION:15\n"
        "#EXT-X-MEDIA-SEQUENCE:1\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXTINF:15.000000,\n"
        "seg-000001.vtt\n"
        "#EXT-X-ENDLIST\n"
    )


def test_subtitles_in_the_mpd() -> None:
    """Ids are unique in the period, though a sound track has the same name."""
    root = ET.fromstring(dash.mpd(SUBTITLED))  # noqa: S314 - our own text

    groups = root.findall(f"./{MPD}Period/{MPD}AdaptationSet[@contentType='text']")
    assert [(g.get("mimeType"), g.get("lang")) for g in groups] == [
        ("text/vtt", "en"),
        ("text/vtt", "en"),
        ("text/vtt", "de"),
    ]
    assert [[child.tag.removeprefix(MPD) for child in g] for g in groups] == [["Label", "Role", "Representation"]] * 3
    roles = ["subtitle", "forced-subtitle", "caption"]
    assert [g.findall(f"{MPD}Role")[0].get("value") for g in groups] == roles
    assert [g.findtext(f"{MPD}Representation/{MPD}BaseURL") for g in groups] == [
        f"text/{name}/subtitles.vtt" for name in ("eng-1", "eng-2", "deu-3")
    ]
    ids = [e.get("id") for tag in ("AdaptationSet", "Representation") for e in root.iter(f"{MPD}{tag}")]
    assert len(ids) == len(set(ids))


def test_closed_captions_are_declared_where_the_encoder_keeps_them() -> None:
    """The encoder of AV1 does not; NONE would have to stand at all variants (RFC 8216 4.3.4.2)."""
    rungs = (video_track(), replace(video_track(name="av1"), codec="av01.0.04M.08"))
    film = presentation(video=rungs, captions=("CC1", "SERVICE1"))

    lines = hls.multivariant(film).splitlines()
    root = ET.fromstring(dash.mpd(film))  # noqa: S314 - our own text

    assert [line for line in lines if "TYPE=CLOSED-CAPTIONS" in line] == [
        f'#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="captions",NAME="{channel}",LANGUAGE="und",DEFAULT=NO,'
        f'AUTOSELECT=YES,INSTREAM-ID="{channel}"'
        for channel in ("CC1", "SERVICE1")
    ]
    assert ['CLOSED-CAPTIONS="captions"' in line for line in lines if "STREAM-INF" in line] == [True, False]
    assert "CLOSED-CAPTIONS=NONE" not in "".join(lines)
    groups = root.findall(f"./{MPD}Period/{MPD}AdaptationSet[@contentType='video']")
    told = [[(e.get("schemeIdUri"), e.get("value")) for e in g.findall(f"{MPD}Accessibility")] for g in groups]
    assert told == [
        [("urn:scte:dash:cc:cea-608:2015", "CC1=und"), ("urn:scte:dash:cc:cea-708:2015", "1=lang:und")],
        [],
    ]


def test_sound_alone_is_a_variant_of_its_own() -> None:
    alone = presentation(video=(), audio=(audio_track(),))

    assert hls.multivariant(alone).splitlines()[-2:] == [
        '#EXT-X-STREAM-INF:BANDWIDTH=128114,AVERAGE-BANDWIDTH=127841,CODECS="mp4a.40.2",AUDIO="audio",'
        "CLOSED-CAPTIONS=NONE",
        "audio/eng-1/playlist.m3u8",
    ]
    assert 'contentType="video"' not in dash.mpd(alone)


def _groups_of_sound() -> tuple[AudioTrack, ...]:
    """A film with an English track of six channels and a German one of two, in three groups."""
    return (
        audio_track(group="stereo"),
        audio_track(name="deu-2", group="stereo", label="Deutsch", language="de", default=False),
        audio_track(name="eng-1-low", source="eng-1", group="low", sizes=(9000, 9000, 4500)),
        audio_track(
            name="deu-2-low", source="deu-2", group="low", label="Deutsch", language="de", default=False,
            sizes=(9000, 9000, 4500),
        ),
        audio_track(
            name="eng-1-surround", source="eng-1", group="surround", channels=6, sizes=(240_000, 240_000, 120_000),
        ),
    )  # fmt: skip


def test_every_group_of_sound_has_every_track() -> None:
    """RFC 8216 4.3.4.2.1: the same members; what has no surround stands there in stereo."""
    text = hls.multivariant(presentation(audio=_groups_of_sound()))

    media = [line for line in text.splitlines() if line.startswith("#EXT-X-MEDIA:")]
    found = [re.findall(r'GROUP-ID="(.*?)",NAME="(.*?)".*CHANNELS="(\d)",URI="audio/(.*?)/', line)[0] for line in media]
    assert found == [
        ("stereo", "English", "2", "eng-1"),
        ("stereo", "Deutsch", "2", "deu-2"),
        ("low", "English", "2", "eng-1-low"),
        ("low", "Deutsch", "2", "deu-2-low"),
        ("surround", "English", "6", "eng-1-surround"),
        ("surround", "Deutsch", "2", "deu-2"),
    ]


def test_a_rendition_is_a_variant_with_each_group_that_suits_it() -> None:
    # Given a small rendition that has a group for itself, and a larger one
    small = video_track(name="234p", width=416, height=234, sizes=(90_000, 90_000, 45_000), audio="low")
    film = presentation(video=(small, video_track()), audio=_groups_of_sound())

    # Then the small one is offered with that group alone, the larger one with each of the others
    text = hls.multivariant(film)
    variants = re.findall(r'BANDWIDTH=(\d+),AVERAGE.*AUDIO="(.*?)",.*\nvideo/(.*?)/', text)
    assert [(group, name) for _, group, name in variants] == [("stereo", "720p"), ("surround", "720p"), ("low", "234p")]
    # and its rate is that of both together
    rates = [int(rate) for rate, _, _ in variants]
    assert rates == [2_128_114, 2_320_285, 132_011]


def test_sound_alone_is_a_variant_of_each_group() -> None:
    alone = presentation(video=(), audio=_groups_of_sound())

    variants = re.findall(r'AUDIO="(.*?)",.*\naudio/(.*?)/', hls.multivariant(alone))

    assert variants == [("stereo", "eng-1"), ("low", "eng-1-low"), ("surround", "eng-1-surround")]


def test_dash_has_a_set_for_each_track_and_number_of_channels() -> None:
    """Players switch within a set by rate, between sets by what the viewer wants."""
    root = _parsed(presentation(audio=_groups_of_sound()))

    sets = [
        [r.get("id") for r in group.iterfind("{*}Representation")]
        for group in root.iterfind("{*}Period/{*}AdaptationSet[@contentType='audio']")
    ]
    assert sets == [["eng-1-low", "eng-1"], ["deu-2-low", "deu-2"], ["eng-1-surround"]]


def test_a_silent_film_names_no_audio_group() -> None:
    silent = presentation(audio=())

    assert "AUDIO" not in hls.multivariant(silent)
    assert 'contentType="audio"' not in dash.mpd(silent)


def test_the_first_variant_is_the_one_nearest_to_two_megabits() -> None:
    """Players start with it: the smallest would look bad, the largest stall (Apple 1.32)."""
    rungs = tuple(
        video_track(name=name, sizes=(size, size, size // 2))
        for name, size in (("low", 300_000), ("middle", 1_400_000), ("high", 5_000_000))
    )

    text = hls.multivariant(presentation(video=rungs))

    assert re.findall(r"video/(\w+)/", text) == ["middle", "low", "high"]


# by rule


@st.composite
def films(draw: st.DrawFn) -> Presentation:
    """Any film on a grid: some rungs of any sizes, some tracks."""
    rate = draw(st.sampled_from([Fraction(25), Fraction(24000, 1001), Fraction(60000, 1001), Fraction(25, 2)]))
    grid = Grid.of(rate, Fraction(2), 3, 3)
    frames = draw(st.integers(1, 8 * grid.segment))
    lengths = [s.frames for chunk in grid.chunks(frames) for s in grid.segments(chunk)]
    seconds = Fraction(frames) / rate
    audio = AudioGrid(48_000, max(1, round(seconds * 48_000)))
    packets = audio.segments(grid.time_of(grid.segment))
    return Presentation(
        duration=seconds,
        rate=rate,
        video=tuple(
            video_track(
                name=f"v{n}",
                frames=lengths,
                sizes=_sizes(draw, lengths),
                timescale=grid.timescale,
                frame_ticks=grid.frame_ticks,
            )
            for n in range(draw(st.integers(1, 3)))
        ),
        audio=tuple(
            audio_track(name=f"a{n}", packets=packets, sizes=_sizes(draw, packets), label=draw(st.text()))
            for n in range(draw(st.integers(0, 2)))
        ),
    )


def _sizes(draw: st.DrawFn, lengths: Sequence[int]) -> list[int]:
    return draw(st.lists(st.integers(1, 10**7), min_size=len(lengths), max_size=len(lengths)))


def _tracks(film: Presentation) -> list[VideoTrack | AudioTrack]:
    return [*film.video, *film.audio]


def _frame(film: Presentation) -> Fraction:
    assert film.rate is not None
    return 1 / film.rate


@given(films())
def test_extinf_sums_to_the_film_within_one_frame(film: Presentation) -> None:
    """Apple 8.1; rounded to milliseconds, a long film would drift off its segments."""
    for track in _tracks(film):
        playlist = hls.media_playlist([s.duration for s in track.segments], 7)
        written = [Fraction(text) for text in re.findall(r"#EXTINF:([0-9.]+),", playlist)]

        for seen, truth in zip(
            itertools.accumulate(written), itertools.accumulate(s.duration for s in track.segments), strict=True
        ):
            assert abs(seen - truth) < min(_frame(film), Fraction(1, 1000))


@given(films())
def test_no_segment_is_rounded_above_the_target_duration(film: Presentation) -> None:
    """RFC 8216 4.3.3.1."""
    target = hls.target_duration(film)

    rounded = [round_nearest(s.duration) for track in _tracks(film) for s in track.segments]
    assert target == max(1, *rounded)


@given(films())
def test_every_segment_is_named_once_and_in_order(film: Presentation) -> None:
    playlist = hls.media_playlist([s.duration for s in film.video[0].segments], 7)

    names = [line for line in playlist.splitlines() if not line.startswith("#")]
    assert names == [f"seg-{n:06d}.m4s" for n in range(1, len(film.video[0].segments) + 1)]


@given(films())
def test_the_bandwidth_is_never_below_the_average(film: Presentation) -> None:
    pairs = re.findall(r":BANDWIDTH=(\d+),AVERAGE-BANDWIDTH=(\d+)", hls.multivariant(film))

    assert len(pairs) == len(film.video)
    assert all(int(peak) >= int(average) > 0 for peak, average in pairs)


@given(films())
def test_the_bandwidth_covers_every_whole_segment_of_picture_and_sound_together(film: Presentation) -> None:
    """A player with just that much never waits."""
    for video in film.video:
        found = re.search(rf"BANDWIDTH=(\d+)[^\n]*\nvideo/{video.name}/", hls.multivariant(film))
        assert found is not None
        rates = [
            max((8 * s.bytes / s.duration for s in track.segments[:-1]), default=Fraction(0))
            for track in (video, *film.audio)
        ]
        assert int(found[1]) >= rates[0] + max(rates[1:], default=Fraction(0))


def test_a_last_segment_of_one_frame_is_no_peak() -> None:
    """RFC 8216 4.3.4.2 counts runs of 0.5 to 1.5 target durations: else a film of 6.04 s would claim 20 Mbit/s."""
    track = video_track(frames=(150, 1), sizes=(1_500_000, 100_000))

    assert track.peak_bandwidth == 2_119_206  # both segments together
    assert track.average_bandwidth == 2_119_206


def test_a_run_of_short_segments_is_a_peak() -> None:
    track = video_track(frames=(150, 60, 60, 150), sizes=(750_000, 900_000, 900_000, 750_000))

    assert track.peak_bandwidth == 3_000_000  # the two of 2.4 s


@given(films())
def test_every_line_of_a_playlist_is_a_tag_or_a_file(film: Presentation) -> None:
    """A line break in a track's title must not become a line of the playlist."""
    lines = hls.multivariant(film).split("\n")

    assert lines.pop() == ""
    assert all(line.startswith("#EXT") or re.fullmatch(r"video/v\d/playlist.m3u8", line) for line in lines)


@given(st.text())
def test_quotes_in_a_label_do_not_end_its_string(label: str) -> None:
    """RFC 8216 4.2: a quoted-string holds neither quotes nor line breaks."""
    text = hls.multivariant(presentation(audio=(audio_track(label=label),)))

    line = next(line for line in text.split("\n") if line.startswith("#EXT-X-MEDIA"))
    assert line.count('"') == 2 * len(re.findall(r'[A-Z-]+="', line)) == 10
    assert re.fullmatch(r'#EXT-X-MEDIA:([A-Z-]+=("[^"\r\n]*"|[A-Z]+)(,|$))+', line)


def _parsed(film: Presentation) -> ET.Element:
    return ET.fromstring(dash.mpd(film))  # noqa: S314 - our own


@given(st.text(st.characters()))
def test_the_mpd_is_xml_whatever_a_title_holds(label: str) -> None:
    """Control characters are not XML, and a title comes from a stranger's file."""
    root = _parsed(presentation(audio=(audio_track(label=label),)))

    found = root.findtext(f".//{MPD}Label") or ""
    assert found == "".join(c for c in label if c.isprintable())


@given(films())
def test_the_timelines_sum_to_the_film(film: Presentation) -> None:
    root = _parsed(film)

    templates = root.findall(f".//{MPD}SegmentTemplate")
    tracks = [film.video[0], *film.audio]  # one timeline for all rungs
    for template, track in zip(templates, tracks, strict=True):
        scale = int(template.attrib["timescale"])
        rows = template.findall(f".//{MPD}S")
        ticks = [int(row.attrib["d"]) for row in rows for _ in range(int(row.get("r", "0")) + 1)]
        assert ticks == [s.ticks for s in track.segments]
        assert [row.get("t") for row in rows] == ["0"] + [None] * (len(rows) - 1)
        end = Fraction(sum(ticks), scale)
        late = 0 if track in film.video else Fraction(1024, 48_000)  # the last packet may stand over
        assert film.duration - Fraction(1, 48_000) <= end <= film.duration + late


@given(films())
def test_the_mpd_claims_what_it_has(film: Presentation) -> None:
    root = _parsed(film)

    assert _seconds(root.attrib["mediaPresentationDuration"]) == pytest.approx(float(film.duration), abs=1e-6)
    longest = max(s.duration for track in _tracks(film) for s in track.segments)
    assert _seconds(root.attrib["maxSegmentDuration"]) == pytest.approx(float(longest), abs=1e-6)
    bandwidths = {r.attrib["id"]: int(r.attrib["bandwidth"]) for r in root.iter(f"{MPD}Representation")}
    assert bandwidths == {track.name: track.peak_bandwidth for track in _tracks(film)}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"PT([0-9]+(\.[0-9]*[1-9])?)S", text)
    assert found is not None, text
    return float(found[1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(Fraction(0), "PT0S"), (Fraction(100), "PT100S"), (Fraction(1, 3), "PT0.333333S"), (Fraction(7, 2), "PT3.5S")],
)
def test_a_duration_is_written_in_seconds(seconds: Fraction, text: str) -> None:
    assert dash.duration(seconds) == text


# what the manifests are made of

GRID = cutting().grid(Fraction(25))
SPANS = list(GRID.chunks(250))
PARTS = [video_segments(GRID, span) for span in SPANS]


def test_the_chunks_of_a_rendition_join_in_any_order() -> None:
    for parts in itertools.permutations(PARTS):
        row = joined(parts, GRID.frame_ticks, "720p")

        assert [s.length for s in row.segments] == [20] * 12 + [10]
        assert (row.first, row.start) == (1, 0)


FOREIGN = video_segments(GRID, SPANS[2], init_sha256="00" * 32)
LATE = PARTS[1].model_copy(update={"start": PARTS[1].start + 1})
SHORT = PARTS[1].model_copy(update={"segments": PARTS[1].segments[:-1]})


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ([], "no segments"),
        (PARTS[1:], "segment 4 at 60000 follows where 1 at 60000 belongs"),
        ([*PARTS[:1], *PARTS[2:]], "segment 7 .* where 4"),
        ([*PARTS, PARTS[1]], "segment 4 .* where 7"),
        ([PARTS[0], LATE, *PARTS[2:]], "at 60001 follows where 4 at 60000"),
        ([PARTS[0], SHORT, *PARTS[2:]], "segment 7 .* where 6"),
        ([*PARTS[:2], FOREIGN, PARTS[3]], "another init segment"),
    ],
    ids=["none", "first missing", "one missing", "one doubled", "one late", "one short", "one foreign"],
)
def test_chunks_that_are_not_one_row_are_refused(parts: list[object], fault: str) -> None:
    """The last gate before a player: each of these would be a jump, a stall or a black screen."""
    with pytest.raises(OutputWrong, match=f"720p: .*{fault}"):
        checked_track(rendition(), parts, GRID, 250, init_segment())  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [249, 251])
def test_a_rendition_with_another_number_of_frames_than_the_source_is_refused(frames: int) -> None:
    with pytest.raises(OutputWrong, match=f"250 frames, the source {frames}"):
        checked_track(rendition(), PARTS, GRID, frames, init_segment())


def test_a_checked_rendition_says_how_it_is_played() -> None:
    track = checked_track(rendition(), PARTS, GRID, 250, init_segment())

    assert (track.codec, track.timescale) == ("avc1.64001f", 25_000)
    assert sum(s.duration for s in track.segments) == 10
    assert track.bytes == 25_000


def test_a_track_with_a_packet_too_few_is_refused() -> None:
    grid = AudioGrid(48_000, 480_000)
    whole = audio_result(480_000).renditions["eng-1"]

    check_audio(whole, grid, "audio eng-1")
    with pytest.raises(OutputWrong, match="audio eng-1: its segments have 479232 samples, wanted 480256"):
        check_audio(track_segments([479_232]), grid, "audio eng-1")
