"""HDR: what is read of a source, told to encoders and said in manifests."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media import boxes, dash, hls
from raven.media.codecs import colour
from raven.media.hdr import content_light, mastering_display, metadata_options, tone_map
from raven.media.ladder import choose_renditions
from raven.model import MasteringDisplay
from raven.profile import Ladder
from tests.builders import avc_entry, cutting, init_segment, presentation, rung, video_facts, video_track

# as libavcodec gives it for the display of P3 in a x265 film: x and y of red, green, blue, white; least, most; flags
P3 = struct.pack(
    "<22i",
    *(34000, 50000, 16000, 50000, 13250, 50000, 34500, 50000, 7500, 50000, 3000, 50000, 15635, 50000, 16450, 50000),
    *(50, 10000, 10_000_000, 10000, 1, 1),
)
DISPLAY = MasteringDisplay(
    red=(34000, 16000), green=(13250, 34500), blue=(7500, 3000), white=(15635, 16450), maximum=10_000_000, minimum=50
)
PQ = {"color_primaries": "9", "color_trc": "16", "colorspace": "9", "range": "1"}
HLG = PQ | {"color_trc": "18"}


def test_the_mastering_display_is_read() -> None:
    assert mastering_display(P3) == DISPLAY


@pytest.mark.parametrize(
    "raw",
    [b"", P3[:-4], P3[:-4] + bytes(4), P3[:4] + bytes(4) + P3[8:], struct.pack("<i", -1) + P3[4:]],
    ids=["none", "short", "no luminance", "over zero", "below zero"],
)
def test_a_mastering_display_that_is_not_whole_is_none(raw: bytes) -> None:
    assert mastering_display(raw) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_a_display_that_can_be_told_or_none(raw: bytes) -> None:
    display = mastering_display(raw)
    assert display is None or display.maximum > display.minimum
    light = content_light(raw)
    assert light is None or light[0] > 0


def test_the_light_level_is_read_and_nought_means_unknown() -> None:
    assert content_light(struct.pack("<II", 1000, 400)) == (1000, 400)
    assert content_light(struct.pack("<II", 0, 400)) is None


def test_encoders_are_told_in_their_own_way() -> None:
    video = video_facts(colour=PQ, mastering=DISPLAY, light=(1000, 400))

    assert metadata_options("libx265", video) == {
        "master-display": "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)",
        "max-cll": "1000,400",
    }
    assert metadata_options("libsvtav1", video) == {
        "mastering-display": "G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)WP(0.31270,0.32900)"
        "L(1000.0000,0.0050)",
        "content-light": "1000,400",
    }
    assert metadata_options("libx264", video) == {}
    assert metadata_options("libx265", video.model_copy(update={"colour": {}})) == {}


@pytest.mark.parametrize(
    ("display", "light", "peak"),
    [
        (None, None, 1000),
        (DISPLAY, None, 1000),
        (DISPLAY, (600, 90), 600),
        (None, (4000, 90), 4000),
        (None, (90, 9), 304.5),
    ],
)
def test_the_peak_is_what_the_source_says(
    display: MasteringDisplay | None, light: tuple[int, int] | None, peak: float
) -> None:
    (found,) = re.findall(r"peak=([\d.]+)", tone_map(video_facts(colour=PQ, mastering=display, light=light)))

    assert float(found) * 203 == pytest.approx(peak, abs=0.1)


@pytest.mark.parametrize(("tags", "video_range"), [(PQ, "PQ"), (HLG, "HLG"), ({"color_trc": "1"}, "SDR"), ({}, "SDR")])
def test_h264_is_always_sdr_and_the_others_what_the_source_is(tags: dict[str, str], video_range: str) -> None:
    video = video_facts(colour=tags)
    ladders = [
        Ladder(codec="libx265", preset="fast", rungs=(rung("hevc"),)),
        Ladder(codec="libsvtav1", preset="8", rungs=(rung("av1"),)),
        Ladder(codec="libx264", preset="fast", rungs=(rung("avc"),)),
    ]

    made = choose_renditions(ladders, video, cutting().grid(video.rate))

    ten = "yuv420p" if video_range == "SDR" else "yuv420p10le"
    assert [(r.name, r.video_range, r.pixel_format) for r in made] == [
        ("hevc", video_range, ten),
        ("av1", video_range, ten),
        ("avc", "SDR", "yuv420p"),
    ]


def test_the_colours_of_a_stream_are_those_of_its_sample_entry() -> None:
    entry = avc_entry()
    tagged = entry + boxes.box("colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0))
    tagged = struct.pack(">I", len(tagged)) + tagged[4:]

    assert colour(init_segment(entry=tagged)) == (9, 16, 9)
    assert colour(init_segment(entry=entry)) is None


def test_manifests_state_the_range_of_all_or_of_none() -> None:
    """Apple 9.16."""
    film = presentation(
        video=(
            video_track(name="hevc", codec="hvc1.2.4.L93.90", colour=(9, 16, 9)),
            video_track(name="sdr", codec="hvc1.2.4.L93.90", colour=(1, 1, 1)),
            video_track(name="avc", colour=(1, 1, 1)),
        )
    )

    variants = re.findall(r"VIDEO-RANGE=(\w+),AUDIO.*\nvideo/(\w+)/", hls.multivariant(film))
    assert sorted(variants) == [("PQ", "hevc"), ("SDR", "avc"), ("SDR", "sdr")]
    assert "VIDEO-RANGE" not in hls.multivariant(presentation(video=(video_track(colour=(1, 1, 1)),)))
    # and in DASH what cannot be shown by all is a set of its own that says so
    sets = dash.mpd(film).split("<AdaptationSet")[1:4]
    stated = [re.findall(r'Essential.*cicp:(\w)\w+" value="(\d+)"', text) for text in sets]
    assert stated == [[("C", "9"), ("T", "16"), ("M", "9")], [], []]
