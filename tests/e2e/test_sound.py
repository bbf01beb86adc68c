"""Sound of many channels: stereo for all, 5.1 beside it, at the loudness of the source and without clipping."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import pytest

from tests.e2e.tools import PACKET, SAMPLE_RATE, Film, Raven, corpus_file, count_samples
from tests.media import run_ffmpeg

SECONDS = 4
FLAC = ("-c:a", "flac", "-sample_fmt", "s16")
TONE = 0.1
"""Of the loudest channel, so that sums do not reach the ceiling."""


def source(folder: Path, layout: str, levels: list[float], *options: str, suffix: str = "mkv") -> Path:
    """A film whose channels have tones of their own at the given levels: 300 Hz, 400 Hz, 500 Hz ..."""
    target = folder / f"source.{suffix}"
    tones = "|".join(f"{level}*sin({300 + 100 * n}*2*PI*t)" for n, level in enumerate(levels))
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25,trim=duration={SECONDS}",
            "-f", "lavfi", "-i", f"aevalsrc={tones}:c={layout}:s=48000:d={SECONDS}",
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
            *(options or FLAC), str(target),
        ]
    )  # fmt: skip
    return target


def levels(film: Film, name: str, frequency: int) -> list[float]:
    """The amplitude of a tone in each channel, in the middle of the film."""
    text = run_ffmpeg(
        [
            "-i", str(film.playlist("audio", name)),
            "-af", f"atrim=1:3,bandpass=f={frequency}:width_type=h:w=20,astats=measure_overall=none:"
            "measure_perchannel=RMS_level:metadata=1,ametadata=print:file=-",
            "-f", "null", "-",
        ]
    )  # fmt: skip
    found = dict(re.findall(r"lavfi\.astats\.(\d+)\.RMS_level=(\S+)", text))  # the last of each: over all
    return [2**0.5 * 10 ** (float(found[n]) / 20) for n in sorted(found)]


def peak(film: Film, name: str) -> float:
    text = run_ffmpeg(
        [
            "-i", str(film.playlist("audio", name)),
            "-af", "astats=measure_perchannel=none:measure_overall=Peak_level:metadata=1,ametadata=print:file=-",
            "-f", "null", "-",
        ]
    )  # fmt: skip
    return 10 ** (float(re.findall(r"Overall\.Peak_level=(\S+)", text)[-1]) / 20)


@pytest.fixture(scope="module")
def six(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Of a film with 5.1(side)."""
    folder = tmp_path_factory.mktemp("six")
    return raven.encode(source(folder, "5.1(side)", [TONE] * 6), folder / "out", "groups")


@pytest.mark.xdist_group("e2e-six")
class TestSixChannels:
    def test_come_out_in_three_groups_of_one_length(self, six: Film) -> None:
        six.check_frames(SECONDS * 25)
        tracks = {t["name"]: (t["channels"], t["segments"], t["codecs"]) for t in six.task["audio"]}
        assert tracks == {
            "und-1": (2, 4, "mp4a.40.2"),
            "und-1-low": (2, 4, "mp4a.40.2"),
            "und-1-surround": (6, 4, "mp4a.40.2"),
        }
        for name in tracks:
            assert abs(count_samples(six.playlist("audio", name), "0:a:0") - SECONDS * SAMPLE_RATE) < 1024

    def test_stay_in_their_places(self, six: Film) -> None:
        """Front left, front right, centre, effects, left and right surround."""
        for channel, frequency in enumerate((300, 400, 500, 600, 700, 800)):
            if channel == 3:
                continue  # an encoder may cut the effects above 120 Hz
            found = levels(six, "und-1-surround", frequency)
            assert len(found) == 6
            assert found[channel] == pytest.approx(TONE, rel=0.1)
            assert sorted(found)[-2] < TONE / 5

    def test_are_mixed_into_stereo_as_loud_as_they_are(self, six: Film) -> None:
        """ITU-R BS.775: the sides as they are, centre and surround 3 dB less, no effects."""
        for frequency, left, right in ((300, 1, 0), (400, 0, 1), (500, 0.707, 0.707), (700, 0.707, 0), (800, 0, 0.707)):
            found = levels(six, "und-1", frequency)
            assert found == pytest.approx([TONE * left, TONE * right], abs=TONE / 7), frequency

    def test_are_offered_by_both_manifests(self, six: Film) -> None:
        text = six.hls.read_text("utf-8")
        assert re.findall(r'AUDIO="(.*?)".*\nvideo/(.*?)/', text) in (
            [("stereo", "large"), ("surround", "large"), ("low", "small")],
            [("low", "small"), ("stereo", "large"), ("surround", "large")],
        )
        assert re.findall(r'GROUP-ID="(.*?)".*CHANNELS="(.*?)"', text) == [
            ("stereo", "2"), ("low", "2"), ("surround", "6"),
        ]  # fmt: skip
        configurations = re.findall(r'channel_configuration:2011" value="(\d)"', six.dash.read_text("utf-8"))
        assert configurations == ["2", "2", "6"]


def test_audio_description_is_told_and_never_what_is_heard_first(raven: Raven, tmp_path: Path) -> None:
    """Whatever the source calls its default."""
    film, sound = tmp_path / "film.mkv", "sine=frequency=330:sample_rate=48000:duration=3"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3",
            "-f", "lavfi", "-i", sound, "-f", "lavfi", "-i", sound, "-map", "0", "-map", "1", "-map", "2",
            "-metadata:s:a", "language=eng", "-disposition:a:0", "default+visual_impaired", "-disposition:a:1", "0",
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(film),
        ]
    )  # fmt: skip

    out = raven.encode(film, tmp_path / "out", "quick")

    marked = [
        ("DEFAULT=YES" in line, "describes-video" in line)
        for line in out.hls.read_text("utf-8").splitlines()
        if "TYPE=AUDIO" in line
    ]
    assert marked == [(False, True), (True, False)]
    assert out.dash.read_text("utf-8").count("urn:tva:metadata:cs:AudioPurposeCS:2007") == 1


def test_six_channels_at_full_scale_do_not_clip_in_stereo(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(source(tmp_path, "5.1", [0.95] * 6), tmp_path / "out", "groups")
    assert 0.7 < peak(film, "und-1") <= 1.0


def test_one_channel_is_as_loud_on_both_sides(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(source(tmp_path, "mono", [0.5]), tmp_path / "out", "groups")
    assert levels(film, "und-1", 300) == pytest.approx([0.5, 0.5], rel=0.05)
    assert [t["name"] for t in film.task["audio"]] == ["und-1", "und-1-low"]


@pytest.mark.parametrize(
    ("layout", "options", "suffix", "left", "right"),
    [
        # a centre behind left and right; NUT would take it for the channel of effects, and lose it
        ("3.0", ("-c:a", "pcm_s16le"), "mov", [1, 0, 0.707], [0, 1, 0.707]),
        ("quad", ("-c:a", "pcm_s16le"), "mov", [1, 0, 0.707, 0], [0, 1, 0, 0.707]),
        ("7.1", FLAC, "mkv", [1, 0, 0.707, 0, 0.707, 0, 0.707, 0], [0, 1, 0.707, 0, 0, 0.707, 0, 0.707]),
    ],
    ids=["3.0", "quad", "7.1"],
)
def test_other_layouts_are_mixed_by_their_places(
    raven: Raven, tmp_path: Path, layout: str, options: tuple[str, ...], suffix: str, left: list[float],
    right: list[float],
) -> None:  # fmt: skip
    clip = source(tmp_path, layout, [TONE] * len(left), *options, suffix=suffix)
    film = raven.encode(clip, tmp_path / "out", "groups")
    for channel, sides in enumerate(zip(left, right, strict=True)):
        wanted = [TONE * side for side in sides]
        assert levels(film, "und-1", 300 + 100 * channel) == pytest.approx(wanted, abs=TONE / 7), channel


def test_channels_that_nobody_knows_give_the_first_two(raven: Raven, tmp_path: Path) -> None:
    clip, raw = tmp_path / "nine.mkv", tmp_path / "nine.raw"
    tones = [[round(32767 * TONE * math.sin(f * math.tau * n / 48000)) for n in range(48000)] for f in (300, 400)]
    raw.write_bytes(b"".join(struct.pack("<9h", *both, *[9000] * 7) for both in zip(*tones, strict=True)) * SECONDS)
    run_ffmpeg(
        [
            "-loglevel",
            "error",
            "-f",
            "s16le",
            "-ar",
            "48000",
            "-ac",
            "9",
            "-i",
            str(raw),
            "-c:a",
            "pcm_s16le",
            str(clip),
        ]
    )
    film = raven.encode(clip, tmp_path / "out", "groups")
    assert levels(film, "und-1", 300) == pytest.approx([TONE, 0], abs=TONE / 7)
    assert levels(film, "und-1", 400) == pytest.approx([0, TONE], abs=TONE / 7)


@pytest.mark.slow
def test_a_real_broadcast_of_six_channels(raven: Raven, tmp_path: Path) -> None:
    clip = corpus_file("shaka__ChID_voices_1280x720p_25fps_h264_6ch_256kbps_ddp_sub_0000.ts")
    film = raven.encode(clip, tmp_path / "out", "groups")
    assert [t["channels"] for t in film.task["audio"]] == [2, 2, 6]
    assert peak(film, film.task["audio"][0]["name"]) <= 1.0


def damaged_sound(folder: Path, faulty: str) -> Path:
    """A film whose sound has rubbish in place of the packets for which `faulty`, of their number `n`, is not 0."""
    clip, target = source(folder, "mono", [TONE], "-c:a", "aac"), folder / "damaged.mkv"
    run_ffmpeg(["-i", str(clip), "-c", "copy", "-bsf:a", f"noise=amount='if({faulty},1,0)'", str(target)])
    return target


@pytest.mark.slow
def test_sound_that_hardly_decodes_is_refused_by_name_at_once(raven: Raven, tmp_path: Path) -> None:
    """The next attempt, on another node, would find the same."""
    ran = raven.run(damaged_sound(tmp_path, "mod(n,5)"), tmp_path / "out", "--profile", "quick")
    assert ran.status == 1
    told = r"raven: sound und-1 \(aac\): (\d+) of (\d+) packets cannot be decoded; mend the source or leave this .*"
    found = re.fullmatch(told, ran.stderr.splitlines()[-1])
    assert found, ran.stderr
    assert int(found[1]) / int(found[2]) == pytest.approx(0.8, abs=0.02)


@pytest.mark.slow
def test_sound_with_damage_is_encoded_and_the_film_says_so(raven: Raven, tmp_path: Path) -> None:
    clip = damaged_sound(tmp_path, "between(n,80,119)")
    film = raven.encode(clip, tmp_path / "out", "quick")
    (warning,) = film.task["warnings"]
    assert re.fullmatch(r"sound und-1 \(aac\): 40 of \d+ packets cannot be decoded; it is silent there", warning)
    assert 0 <= count_samples(film.playlist("audio", "und-1"), "0:a:0") - SECONDS * SAMPLE_RATE < PACKET

    ran = raven.run(clip, tmp_path / "strict", "--profile", "quick", "--strict")
    assert ran.status == 1
    assert "options.strict refuses such a source" in ran.stderr


@pytest.mark.parametrize("codec", ["aac", "wmav2"])
def test_sound_whose_times_jitter_is_heard_without_a_break(raven: Raven, tmp_path: Path, codec: str) -> None:
    """As in recordings of live streams: each mended 20 ms are a click. Windows Media goes by way of decoded sound."""
    steady, jittery = source(tmp_path, "mono", [TONE], "-c:a", codec), tmp_path / "jittery.mkv"
    late = r"ts=if(gt(N\,5)\,max(PREV_OUTPTS+1\,PTS+30*sin(N))\,PTS)"  # milliseconds
    run_ffmpeg(["-loglevel", "error", "-i", str(steady), "-c", "copy", "-bsf:a", f"setts={late}", str(jittery)])
    heard = [
        run_ffmpeg(["-i", str(film.playlist("audio", "und-1")), "-f", "md5", "-"])
        for film in (raven.encode(clip, tmp_path / f"{clip.stem}-out", "quick") for clip in (steady, jittery))
    ]
    assert heard[0] == heard[1]


@pytest.mark.slow
def test_sound_without_channels_is_left_out_and_listed(raven: Raven, tmp_path: Path) -> None:
    clip = source(tmp_path, "mono", [TONE], "-c:a", "pcm_s16le")
    element = b"\x9f\x81\x01"  # Channels (Matroska, RFC 9559 5.1.4.1.29.3): 1
    data = clip.read_bytes()
    assert data.count(element) == 1
    clip.write_bytes(data.replace(element, b"\x9f\x81\x00"))
    film = raven.encode(clip, tmp_path / "out", "quick")
    assert film.task["audio"] == []
    assert film.task["source"]["ignored"] == ["audio stream 1: of no known rate or channels"]


def test_of_immersive_sound_whose_parts_are_mixed_by_the_player_the_stereo_part_is_heard(
    raven: Raven, tmp_path: Path
) -> None:
    """IAMF is several streams of one track: the others alone are half a mix, and no language of their own."""
    parts = {"0|1:stereo": "front", "4|5:stereo": "back", "2:mono": "middle", "3:mono": "low"}
    groups = (
        "type=iamf_audio_element:id=1:st=0:st=1:st=2:st=3,demixing=parameter_id=998,recon_gain=parameter_id=101,"
        "layer=ch_layout=stereo,layer=ch_layout=5.1(side)",
        "type=iamf_mix_presentation:id=2:stg=0,submix=parameter_id=100:parameter_rate=48000"
        "|element=stg=0:parameter_id=100|layout=sound_system=stereo|layout=sound_system=5.1(side)",
    )
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", "sine=d=3:sample_rate=48000,aformat=channel_layouts=5.1(side)"),
            *("-filter_complex", ";".join(f"[0:a]channelmap={part}[{name}]" for part, name in parts.items())),
            *(word for name in parts.values() for word in ("-map", f"[{name}]")),
            *("-c:a", "libopus", "-b:a", "64k", *(word for group in groups for word in ("-stream_group", group))),
            *(word for n in range(4) for word in ("-streamid", f"{n}:{n}")),
            str(tmp_path / "mix.mp4"),
        ]
    )

    film = raven.encode(tmp_path / "mix.mp4", tmp_path / "out", "lossless")

    assert [(track["name"], track["channels"]) for track in film.task["audio"]] == [("und-1", 2)]
    assert film.task["source"]["ignored"] == [
        f"audio stream {n}: makes sense only mixed with another (IAMF and the like)" for n in (1, 2, 3)
    ]
