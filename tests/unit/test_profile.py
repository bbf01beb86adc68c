"""Profiles: data that a person writes, so every fault is named by its field."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from pydantic import ValidationError

from raven.errors import ConfigError
from raven.profile import Cutting, Profile, load_profiles, parse_profile

SMALL = """
name = "small"
[video]
[[video.rungs]]
name = "360p"
width = 640
height = 360
crf = 23.5
[audio]
codec = "aac"
bitrate = 96
channels = 2
sample_rate = 48000
"""


SHIPPED = load_profiles()


def test_these_profiles_are_shipped() -> None:
    codecs = {name: [ladder.codec for ladder in profile.video] for name, profile in SHIPPED.items()}

    assert codecs == {
        "default": ["libx264"],
        "hevc": ["libx265", "libx264"],
        "av1": ["libsvtav1", "libx264"],
        "audio": [],
        "archive": ["libx264"],
    }


@pytest.mark.parametrize("name", ["default", "hevc", "av1"])
def test_a_shipped_ladder_follows_apple(name: str) -> None:
    for ladder in SHIPPED[name].video:
        rungs = sorted(ladder.rungs, key=lambda r: (r.width * r.height, r.maxrate or 0))
        # every rung is capped, and a larger picture never has the smaller rate, but for the second of the size below
        assert all(rung.maxrate and rung.bufsize for rung in rungs)
        lower = [rung.maxrate or 0 for rung in rungs if not rung.top_only]
        assert lower == sorted(lower)
        # 16:9 all (1.33), segments of 6 s (7.5)
        assert all(abs(rung.width * 9 - rung.height * 16) <= 16 for rung in rungs)
    assert SHIPPED[name].cutting.grid(Fraction(25)).segment == 150
    # a narrow line is served: less than 192 kbit/s with its own sound (9.21)
    smallest = min((r for ladder in SHIPPED[name].video for r in ladder.rungs), key=lambda r: r.maxrate or 0)
    (low,) = (rendition for rendition in SHIPPED[name].audio if rendition.name == smallest.audio)
    assert (smallest.maxrate or 0) + low.bitrate <= 175


@pytest.mark.parametrize("name", ["default", "hevc", "av1", "audio", "archive"])
def test_a_shipped_profile_has_stereo_for_all_and_surround_for_those_that_have_it(name: str) -> None:
    """Apple 2.3, 2.26."""
    audio = SHIPPED[name].audio

    assert (audio[0].name, audio[0].channels, SHIPPED[name].sample_rate) == ("stereo", 2, 48000)
    assert (audio[-1].name, audio[-1].channels, audio[-1].bitrate) == ("surround", 6, 320)


SECOND = """
[[audio]]
name = "second"
codec = "aac"
bitrate = 48
channels = 2
sample_rate = 48000
"""


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ('name = "second"', 'name = "audio"', "audio: .*have one name"),
        ("48000\n", "44100\n", "audio: .*sample_rate is the same"),
        ("crf = 23.5", 'crf = 23.5\naudio = "third"', "video: no rendition of audio is named third"),
    ],
    ids=["one name", "two rates", "unknown group"],
)
def test_groups_of_sound_that_do_not_fit_together_are_refused(was: str, becomes: str, fault: str) -> None:
    text = (SMALL.replace("[audio]", "[[audio]]") + SECOND).replace(was, becomes, 1)

    with pytest.raises(ConfigError, match=fault):
        parse_profile(text, "two.toml")


def test_surround_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"audio: .*mono or stereo, for every player"):
        parse_profile(SMALL.replace("channels = 2", "channels = 6"), "six.toml")


def test_a_profile_of_several_codecs_is_a_list_of_ladders() -> None:
    ladder = SMALL[SMALL.index("[[video.rungs]]") : SMALL.index("[audio]")]
    text = SMALL.replace("[video]", '[[video]]\ncodec = "libx265"').replace(
        "[audio]", '[[video]]\ncodec = "libx264"\n' + ladder.replace("360p", "avc-360p") + "[audio]"
    )

    profile = parse_profile(text, "two.toml")

    assert [(ladder.codec, ladder.rungs[0].name) for ladder in profile.video] == [
        ("libx265", "360p"),
        ("libx264", "avc-360p"),
    ]


def test_rungs_of_two_ladders_differ_in_name_too() -> None:
    """A rung's name is its folder."""
    ladder = SMALL[SMALL.index("[[video.rungs]]") : SMALL.index("[audio]")]
    text = SMALL.replace("[video]", "[[video]]").replace("[audio]", "[[video]]\n" + ladder + "[audio]")

    with pytest.raises(ConfigError, match=r"video: .*two rungs are named 360p"):
        parse_profile(text, "two.toml")


def test_what_a_profile_leaves_out_has_a_default() -> None:
    profile = parse_profile(SMALL, "small.toml")

    assert (profile.cutting.gop_seconds, profile.cutting.gops_per_segment) == (Fraction(2), 3)
    (ladder,) = profile.video
    assert (ladder.codec, ladder.encoder_profile, ladder.rungs[0].maxrate) == ("libx264", "", None)
    assert profile.thumbs is not None
    assert profile.thumbs.every_seconds == 10


def test_an_exact_time_can_be_written_as_a_fraction() -> None:
    """2.002 s is 60 frames of NTSC; a float would be none."""
    profile = parse_profile(SMALL + '[cutting]\ngop_seconds = "1001/500"\n', "small.toml")

    assert profile.cutting.grid(Fraction(30000, 1001)).gop == 60
    assert profile.cutting.segment_seconds == Fraction(3003, 500)


def test_a_profile_survives_its_way_through_a_message() -> None:
    profile = load_profiles()["default"]

    assert Profile.model_validate_json(profile.model_dump_json()) == profile


@pytest.mark.parametrize(
    ("was", "becomes", "field"),
    [
        ('name = "small"', 'name = "Small Profile"', "name"),
        ('name = "small"', 'name = "../etc"', "name"),
        ('name = "360p"', 'name = "a/b"', "video.0.rungs.0.name"),
        ('name = "360p"', 'name = "360 p"', "video.0.rungs.0.name"),
        ("width = 640", "width = 0", "video.0.rungs.0.width"),
        ("width = 640", 'width = "wide"', "video.0.rungs.0.width"),
        ("crf = 23.5", "crf = 64", "video.0.rungs.0.crf"),
        ("crf = 23.5", "crf = 52", "video.0"),
        ("[video]", '[video]\ncodec = "libsvtav1"', "video.0"),
        ("[video]", '[video]\ncodec = "libsvtav1"\npreset = "14"', "video.0"),
        ("crf = 23.5", "crf = 23.5\nmaxrate = 49", "video.0.rungs.0.maxrate"),
        ("crf = 23.5", "", "video.0.rungs.0.crf"),
        ("crf = 23.5", "crf = 23.5\ncrv = 1", "video.0.rungs.0.crv"),
        ("[video]", "[video]\nthreads = 0", "video.0.threads"),
        ("[video]", '[video]\ncodec = "libx266"', "video.0.codec"),
        ('codec = "aac"', 'codec = "mp3"', "audio.0.codec"),
        ("channels = 2", "channels = 3", "audio.0.channels"),
        ("sample_rate = 48000", "sample_rate = 48001", "audio.0.sample_rate"),
        ("bitrate = 96", "bitrate = 0", "audio.0.bitrate"),
        ("bitrate = 96", "", "audio.0.bitrate"),
        ("[audio]", "[cutting]\ngop_seconds = 0\n[audio]", "cutting.gop_seconds"),
        ("[audio]", "[cutting]\ngop_seconds = 2.5\n[audio]", "cutting.gop_seconds"),
        ("[audio]", '[cutting]\ngop_seconds = "1/0"\n[audio]', "cutting.gop_seconds"),
        ("[audio]", "[cutting]\nchunk_segments = 101\n[audio]", "cutting.chunk_segments"),
        ("[audio]", "[thumbs]\nevery_seconds = 0\n[audio]", "thumbs.every_seconds"),
        ("[audio]", "[sound]\n[audio]", "sound"),
    ],
)
def test_a_wrong_field_is_named(was: str, becomes: str, field: str) -> None:
    assert was in SMALL

    with pytest.raises(ConfigError, match=rf"profile small.toml cannot be used: {field}: "):
        parse_profile(SMALL.replace(was, becomes, 1), "small.toml")


def test_two_rungs_of_one_name_are_refused() -> None:
    """Both would be encoded into the same files."""
    twice = SMALL.replace("[audio]", SMALL[SMALL.index("[[video") : SMALL.index("[audio]")] + "[audio]")

    with pytest.raises(ConfigError, match=r"video.*: .*360p"):
        parse_profile(twice, "small.toml")


def test_a_profile_without_rungs_is_refused() -> None:
    text = SMALL[: SMALL.index("[[video")] + "rungs = []\n" + SMALL[SMALL.index("[audio]") :]

    with pytest.raises(ConfigError, match=r"video\.0\.rungs: "):
        parse_profile(text, "small.toml")


def test_what_is_not_toml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"profile small\.toml is not TOML"):
        parse_profile("name = ", "small.toml")


# folders


def test_profiles_of_the_own_folder_come_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "any-name.toml").write_text(SMALL, "utf-8")
    (tmp_path / "notes.txt").write_text("not a profile", "utf-8")

    assert set(load_profiles(tmp_path)) == {*load_profiles(), "small"}


def test_an_own_profile_wins_over_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "default.toml").write_text(SMALL.replace('"small"', '"default"', 1), "utf-8")

    assert [rung.name for rung in load_profiles(tmp_path)["default"].video[0].rungs] == ["360p"]


def test_a_wrong_profile_in_the_folder_is_named_with_its_path(tmp_path: Path) -> None:
    """A profile that was silently left out would fail its tasks later."""
    (tmp_path / "bad.toml").write_text("name = 5", "utf-8")

    with pytest.raises(ConfigError, match=f"profile {tmp_path}/bad.toml"):
        load_profiles(tmp_path)


def test_a_file_that_is_not_text_is_named_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=f"profile {tmp_path}/bad.toml"):
        load_profiles(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "slots", "segments"),
    [
        (7200, 2, 5),  # long chunks while there are enough of them
        (7200, 100, 4),
        (7200, 1000, 3),  # the profile's least
        (600, 31, 4),  # one round, where chunks of 3 would take a second one
        (52, 2, 4),  # the halves are nearly equal, where chunks of 3 would leave one slot idle for a third of the time
        (30, 1, 5),  # nobody waits for another chunk
        (12, 2, 5),  # one chunk in any case
        (None, 2, 3),  # a film that is just coming in is encoded soon
        (7200, 0, 5),  # no worker is there yet
    ],
)
def test_chunks_are_as_long_as_the_film_and_the_farm_allow(seconds: float | None, slots: int, segments: int) -> None:
    assert Cutting(chunk_segments=5, chunk_segments_from=3).fitted(seconds, slots) == segments
    assert Cutting(chunk_segments=5).fitted(seconds, slots) == 5, "without bounds it is what it is"


def test_the_least_length_of_a_chunk_is_not_above_the_greatest() -> None:
    with pytest.raises(ValidationError, match="chunk_segments_from is at most chunk_segments"):
        Cutting(chunk_segments=3, chunk_segments_from=4)
