"""Sound: which renditions a track gets, and the command that makes them, whole."""

from __future__ import annotations

import pytest

from raven.media.sound import audio_command, channel_filters, renditions_of
from raven.model import AudioFacts
from tests.builders import audio_facts, audio_rendition
from tests.unit.test_command import HEAD, MP4

GROUPS = (audio_rendition("stereo"), audio_rendition("low", bitrate=48), audio_rendition("surround", channels=6))


def track(channels: int, layout: str) -> AudioFacts:
    return audio_facts(channels=channels, layout=layout)


@pytest.mark.parametrize(
    ("channels", "made"),
    [
        (1, ["eng-1", "eng-1-low"]),
        (2, ["eng-1", "eng-1-low"]),
        (4, ["eng-1", "eng-1-low"]),
        (5, ["eng-1", "eng-1-low", "eng-1-surround"]),
        (6, ["eng-1", "eng-1-low", "eng-1-surround"]),
        (8, ["eng-1", "eng-1-low", "eng-1-surround"]),
    ],
)
def test_stereo_is_made_of_every_track_and_surround_of_those_that_have_it(channels: int, made: list[str]) -> None:
    assert list(renditions_of(GROUPS, track(channels, ""))) == made


MIX = "alimiter=limit=0.9:level=false:latency=true"


@pytest.mark.parametrize(
    ("channels", "layout", "to", "filters"),
    [
        (2, "stereo", 2, []),
        (1, "mono", 2, ["pan=stereo|c0=c0|c1=c0"]),
        (1, "mono", 1, []),
        (2, "stereo", 1, ["aformat=channel_layouts=mono", MIX]),
        (6, "5.1(side)", 6, []),
        (6, "5.1(side)", 2, ["aformat=channel_layouts=stereo", MIX]),
        (8, "7.1", 6, ["aformat=channel_layouts=5.1", MIX]),
        (8, "7.1", 2, ["aformat=channel_layouts=stereo", MIX]),
        (5, "5.0", 6, []),
        (6, "", 2, ["aformat=channel_layouts=stereo", MIX]),
        (6, "6 channels", 2, ["aformat=channel_layouts=stereo", MIX]),
        (9, "9 channels", 2, ["pan=stereo|c0=c0|c1=c1"]),
        (12, "12 channels", 6, ["pan=5.1|c0=c0|c1=c1"]),
        (9, "9 channels", 1, ["pan=mono|c0=c0"]),
        (4, "ambisonic 1", 2, ["pan=stereo|c0=c0|c1=c0"]),
        (2, "binaural", 2, []),
    ],
)
def test_channels_become_others_without_clipping(channels: int, layout: str, to: int, filters: list[str]) -> None:
    assert channel_filters(track(channels, layout), to) == filters


def test_the_command_of_a_track_of_six_channels() -> None:
    # Given 5.1 of a telephone, and a profile of two groups
    groups = (audio_rendition(), audio_rendition("surround", bitrate=320, channels=6))

    # When its command is made
    command = audio_command("ff", "/t/audio.nut", "/t", track(6, "5.1(side)"), groups, 480_000)

    # Then this is all of it: one input, an output for each group
    head = "asetpts=PTS-round(60/TB),aresample=48000:async=1:min_hard_comp=0.02:first_pts=0,"
    end = "apad=whole_len=480000,atrim=end_sample=480000"
    out = [
        "-threads:a", "1", "-output_ts_offset", "1", "-use_editlist", "0",
        "-movflags", "+empty_moov+default_base_moof+frag_discont+skip_trailer", "-frag_duration", "1000000", *MP4,
    ]  # fmt: skip
    stereo = f"{head}aformat=channel_layouts=stereo,{MIX},aformat=sample_fmts=fltp:channel_layouts=stereo,{end}"
    surround = f"{head}aformat=sample_fmts=fltp:channel_layouts=5.1,{end}"
    assert command == [
        *HEAD, "-protocol_whitelist", "file,pipe", "-copyts", "-channel_layout:a", "5.1(side)", "-f", "nut",
        "-i", "/t/audio.nut",
        "-map", "0:a:0", "-af", stereo, "-c:a", "aac", "-b:a", "128k", *out, "/t/eng-1.mp4",
        "-map", "0:a:0", "-af", surround, "-c:a", "aac", "-b:a", "320k", *out, "/t/eng-1-surround.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1")])
def test_the_command_of_a_track_that_stays_as_it_is(channels: int, layout: str) -> None:
    command = audio_command("ff", "a.nut", "/t", track(channels, layout), [audio_rendition(channels=channels)], 48_000)

    (chain,) = (command[at + 1] for at, word in enumerate(command) if word == "-af")
    assert f"first_pts=0,aformat=sample_fmts=fltp:channel_layouts={layout},apad" in chain


@pytest.mark.parametrize("layout", ["", "6 channels", "ambisonic 1", "binaural"])
def test_a_layout_that_ffmpeg_could_not_take_is_not_told_to_it(layout: str) -> None:
    assert "-channel_layout:a" not in audio_command("ff", "a.nut", "/t", track(6, layout), GROUPS, 48_000)
