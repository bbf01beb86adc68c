"""Sources as the world hands them in: each comes out whole, at its own rate, or is refused with a reason."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from tests import paff
from tests.e2e.lossless import check_lossless
from tests.e2e.tools import PACKET, SAMPLE_RATE, Film, Raven, count_samples, read_frames
from tests.entries import clean_aperture, put_into_entry
from tests.media import run_ffmpeg

WEAVE = "tinterlace=interleave_top,setfield=tff"


def make(
    folder: Path,
    name: str,
    *options: str,
    rate: str = "25",
    seconds: str = "5",
    chain: str = "null",
    sound: bool = False,
) -> Path:
    target = folder / name
    picture = f"testsrc2=size=256x144:rate={rate}:d={seconds},{chain}"
    beep = ["-f", "lavfi", "-i", f"sine=d={seconds}", "-c:a", "mp2"] if sound else []
    run_ffmpeg(["-loglevel", "fatal", "-f", "lavfi", "-i", picture, *beep, *options, str(target)])
    return target


def h264(parameters: str) -> tuple[str, ...]:
    return ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params", parameters)


@dataclass(frozen=True)
class Sort:
    """A sort of source: how it is made, and what comes out."""

    name: str
    frames: int
    rate: Fraction
    make: Callable[[Path], Path]
    distinct: int | None = None
    """Frames that differ, where many are the same."""


SORTS = [
    Sort("fields as packets", 40, Fraction(25), lambda folder: paff.write_fields(folder / "fields.ts", 40)),
    Sort(
        "frames alone, though its sequence allows fields",
        125,
        Fraction(25),
        lambda folder: make(folder, "film.ts", *h264("fake-interlaced=1:bframes=2:keyint=40:open-gop=1")),
    ),
    Sort(
        "a still beginning of one frame a second",
        390,
        Fraction(30),
        lambda folder: make(
            folder,
            "screen.mkv",
            *h264("bframes=2:keyint=40"),
            *("-fps_mode", "vfr"),
            rate="30",
            seconds="13",
            chain="select=not(mod(n\\,30))+gte(t\\,12)",
        ),
        distinct=42,
    ),
    Sort(
        "slides",
        20,
        Fraction(1),
        lambda folder: make(folder, "slides.mp4", *h264("bframes=0:keyint=2"), rate="1/5", seconds="20"),
        distinct=4,
    ),
    Sort(
        "a console",
        121,
        Fraction(60),
        lambda folder: make(folder, "console.mp4", *h264("bframes=2"), rate="719503/11972", seconds="2"),
    ),
    # cut for half a minute, then decoded from the start
    Sort(
        "one keyframe in all",
        200,
        Fraction(5),
        lambda folder: make(
            folder, "call.mkv", *h264("keyint=infinite:scenecut=0:bframes=2"), rate="5", seconds="40"
        ),
    ),
    Sort("raw h264", 125, Fraction(25), lambda folder: make(folder, "raw.h264", *h264("bframes=3:keyint=30"))),
    Sort(
        "raw hevc at 50",
        250,
        Fraction(50),
        lambda folder: make(
            folder, "raw.hevc", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", rate="50"
        ),
    ),
    Sort("uncompressed", 125, Fraction(25), lambda folder: make(folder, "raw.y4m", "-pix_fmt", "yuv420p")),
    Sort("prores", 125, Fraction(25), lambda folder: make(folder, "pro.mov", "-c:v", "prores_ks")),
    Sort("sorenson", 125, Fraction(25), lambda folder: make(folder, "flv.flv", "-c:v", "flv", "-q:v", "3")),
    Sort(
        "240 frames a second",
        30,
        Fraction(60),
        lambda folder: make(folder, "slow.mp4", *h264("bframes=2"), rate="240", seconds="0.5"),
    ),
    Sort(
        "120 in milliseconds",
        181,
        Fraction(60),
        lambda folder: make(folder, "fast.mkv", *h264("keyint=60"), rate="120", seconds="3.01"),
    ),
    Sort(
        "a clock that wraps",
        200,
        Fraction(25),
        lambda folder: make(folder, "wrap.ts", *h264("bframes=2:keyint=25"), "-output_ts_offset", "95440", seconds="8"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_every_frame_of_an_awkward_source_comes_out_at_its_place(raven: Raven, tmp_path: Path, sort: Sort) -> None:
    source = sort.make(tmp_path)
    film = raven.encode(source, tmp_path / "out", "lossless")
    assert film.rate == sort.rate
    assert film.task["warnings"] == []
    check_lossless(film, source, sort.frames, sort.distinct)


def test_the_build_of_an_old_x264_reaches_every_chunk(raven: Raven, tmp_path: Path) -> None:
    """Its first packet alone says it, and 4:4:4 of builds before 151 is read by other rules."""
    source = make(tmp_path, "old.mp4", *h264("keyint=25"))
    source.write_bytes(re.sub(rb"x264 - core [0-9]{3}", b"x264 - core 142", source.read_bytes()))

    film = raven.encode(source, tmp_path / "out", "lossless")

    assert film.task["source"]["video"]["x264_build"] == 142
    check_lossless(film, source, 125)


def hashes(film: Film) -> list[str]:
    return read_frames(film.hls)[0].hashes


@pytest.mark.parametrize("order", [(0, 500), (500, 0)], ids=["forward", "back"])
def test_a_clock_that_jumps_in_the_middle_of_a_capture_leaves_no_mark(
    raven: Raven, tmp_path: Path, order: tuple[int, int]
) -> None:
    # Given two captures of 3 s that were joined by their bytes
    parts = [
        make(tmp_path, f"{n}.ts", *h264("bframes=2:keyint=25"), "-output_ts_offset", str(n), seconds="3", sound=True)
        for n in order
    ]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))

    # When the file is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then it lasts 6 s, and each half has the frames that it has alone
    film.check_frames(150)
    alone = [hashes(raven.encode(part, tmp_path / f"alone-{part.stem}", "lossless")) for part in parts]
    assert hashes(film) == [*alone[0], *alone[1]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("woven.ts", (*h264("tff=1:keyint=24:bframes=2:open-gop=1"),)),
        ("woven.mkv", ("-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ilme+ildct", "-g", "12", "-bf", "2")),
    ],
    ids=["h264", "mpeg2"],
)
def test_woven_fields_are_taken_apart_and_no_seam_shows(
    raven: Raven, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """A deinterlacer looks at the frames before and after: a chunk must carry them."""
    source = make(tmp_path, name, *options, rate="50", seconds="6", chain=WEAVE)
    film = raven.encode(source, tmp_path / "out", "lossless")
    assert film.task["source"]["video"]["interlaced"] == "flagged"
    decoded = film.check_frames(150)
    origin = read_frames(source, "null", "-frames:v", "1", "-loglevel", "fatal")[0].times[0]
    chain = f"bwdif=mode=send_frame:deint=interlaced,setpts=PTS-round(({origin})/TB),fps=25:start_time=0,format=yuv420p"
    wanted = read_frames(source, chain, "-frames:v", "150", "-loglevel", "fatal")[0].hashes
    assert [stream.hashes for streams in decoded for stream in streams] == [wanted, wanted]


def test_fields_that_come_after_a_progressive_trailer_are_taken_apart_and_its_frames_left_alone(
    raven: Raven, tmp_path: Path
) -> None:
    # Given a broadcast whose sequence allows fields, but whose first two seconds have none
    first = make(tmp_path, "a.ts", *h264("fake-interlaced=1:keyint=25:bframes=2"), seconds="2")
    second = make(
        tmp_path,
        "b.ts",
        *h264("tff=1:keyint=25:bframes=2"),
        *("-output_ts_offset", "2.08"),  # its decoder waits for nothing, so its times begin earlier
        rate="50",
        seconds="3",
        chain=WEAVE,
    )
    source = tmp_path / "joined.ts"
    source.write_bytes(first.read_bytes() + second.read_bytes())

    # When it is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then each frame is what one look at the whole makes of it
    decoded = film.check_frames(125)
    origin = read_frames(source, "null", "-frames:v", "1", "-loglevel", "fatal")[0].times[0]
    place = f"setpts=PTS-round(({origin})/TB),fps=25:start_time=0,format=yuv420p"
    chain = f"bwdif=mode=send_frame:deint=interlaced,{place}"
    wanted, plain = (read_frames(source, c, "-frames:v", "125", "-loglevel", "fatal")[0].hashes for c in (chain, place))
    assert [stream.hashes for streams in decoded for stream in streams] == [wanted, wanted]
    assert wanted[:50] == plain[:50]
    assert not set(wanted[50:]) & set(plain[50:])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("woven.ts", (*h264("tff=1:keyint=25:min-keyint=25:scenecut=0:bframes=2"),)),
        ("woven.mkv", ("-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ilme+ildct", "-g", "25", "-bf", "2")),
    ],
    ids=["h264", "mpeg2"],
)
def test_each_field_becomes_a_frame_where_the_profile_wishes_it(
    raven: Raven, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """Apple 1.15: what was 50 pictures a second before it was woven is that again. Its keyframes are at the seams."""
    source = make(tmp_path, name, *options, rate="50", seconds="5", chain=WEAVE)
    film = raven.encode(source, tmp_path / "out", "lossless-fields")
    assert film.rate == 50
    decoded = film.check_frames(250)
    origin = read_frames(source, "null", "-frames:v", "1", "-loglevel", "fatal")[0].times[0]
    chain = f"bwdif=mode=send_field:deint=interlaced,setpts=PTS-round(({origin})/TB),fps=50:start_time=0,format=yuv420p"
    wanted = read_frames(source, chain, "-frames:v", "250", "-loglevel", "fatal")[0].hashes
    assert len(set(wanted)) > 240
    assert [stream.hashes for streams in decoded for stream in streams] == [wanted, wanted]


def test_a_film_that_is_not_interlaced_keeps_its_rate_under_that_profile(raven: Raven, tmp_path: Path) -> None:
    source = make(tmp_path, "film.mp4", *h264("bframes=2"), seconds="2")
    film = raven.encode(source, tmp_path / "out", "lossless-fields")
    assert film.rate == 25
    film.check_frames(50)


def test_each_field_becomes_a_frame_on_the_other_way_in_too(raven: Raven, tmp_path: Path) -> None:
    """ProRes is decoded, and its fields taken apart, by the cutter."""
    source = make(tmp_path, "woven.mov", "-c:v", "prores_ks", "-flags", "+ildct", rate="50", seconds="2", chain=WEAVE)
    film = raven.encode(source, tmp_path / "out", "lossless-fields")
    assert film.task["source"]["video"]["way"] == "conform"
    assert film.rate == 50
    for streams in film.check_frames(100):
        assert len(set(streams[0].hashes)) == 100


def test_fields_in_an_order_that_only_the_container_tells_are_taken_apart(raven: Raven, tmp_path: Path) -> None:
    source = make(tmp_path, "woven.mov", "-c:v", "ffv1", "-field_order", "tt", rate="50", seconds="2", chain=WEAVE)
    film = raven.encode(source, tmp_path / "out", "lossless")
    film.check_frames(50)
    assert film.task["source"]["video"]["interlaced"] in ("flagged", "tff")


def test_a_change_of_size_in_the_middle_does_not_end_the_film(raven: Raven, tmp_path: Path) -> None:
    # Given two seconds of one size, then two of another
    first = make(tmp_path, "a.ts", *h264("keyint=25:bframes=0"), seconds="2")
    second = make(
        tmp_path, "b.ts", *h264("keyint=25:bframes=0"), "-output_ts_offset", "2", seconds="2", chain="scale=320x180"
    )
    source = tmp_path / "joined.ts"
    source.write_bytes(first.read_bytes() + second.read_bytes())

    # When it is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then all is there, in the size of the first
    film.check_frames(100)
    assert film.sizes() == {"source": (256, 144)}


def test_a_still_picture_is_a_film_of_one_frame(raven: Raven, tmp_path: Path) -> None:
    source = make(tmp_path, "still.png", "-frames:v", "1")
    raven.encode(source, tmp_path / "out", "lossless").check_frames(1)


def endless(folder: Path, *options: str) -> Path:
    """A film of 3 s whose last picture claims to last for 20 hours."""
    film = folder / "endless.mov"
    last = "setts=duration=if(eq(N\\,74)\\,20*3600/TB\\,DURATION)"
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:d=3", "-bsf:v", last, *options, str(film)])
    return film


@pytest.mark.parametrize("coding", [h264("bframes=0:keyint=25"), ("-c:v", "prores_ks")], ids=["cut", "decoded"])
def test_a_last_picture_of_many_hours_is_believed_for_a_minute(
    raven: Raven, tmp_path: Path, coding: tuple[str, ...]
) -> None:
    """A few bytes must not make work for days. What is cut goes the other way, too, as its keyframes are far apart."""
    ran = raven.run(endless(tmp_path, *coding), tmp_path / "out", "--profile", "seconds")

    assert ran.status == 0, ran.stderr
    assert Film(tmp_path / "out").task["frames"] == 74 + 60 * 25


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("mkv", h264("keyint=25")), ("mp4", h264("keyint=25")), ("mkv", ("-c:v", "png")), ("mov", ("-c:v", "prores_ks"))],
    ids=["mkv", "mp4", "photograph", "decoded"],
)
def test_a_picture_with_a_song_is_shown_as_long_as_the_song_lasts(
    raven: Raven, tmp_path: Path, suffix: str, options: tuple[str, ...]
) -> None:
    """Else it would end with the picture, which in many containers lasts no time at all."""
    # Given a video of one picture, and a sound of 23 s beside it
    picture = make(tmp_path, f"picture.{suffix}", "-frames:v", "1", *options)
    source = tmp_path / f"song.{suffix}"
    sound = ["-f", "lavfi", "-i", "sine=d=23", "-c:v", "copy", "-c:a", "aac"]
    run_ffmpeg(["-loglevel", "fatal", "-i", str(picture), *sound, str(source)])

    # When it is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then the picture is there from beginning to end, and so is the song
    assert film.task["warnings"] == []
    assert film.task["duration"] == pytest.approx(23, abs=0.1)
    frames = film.check_frames(film.task["frames"])[0][0].hashes
    assert len(set(frames)) == 1
    assert silent_at(film.playlist("audio", "und-1")) == []


def test_a_photograph_is_turned_as_its_exif_says(raven: Raven, tmp_path: Path) -> None:
    """Decoders attach Exif to a frame under a kind that PyAV has no name for."""
    source = make(tmp_path, "photograph.png", "-frames:v", "1", "-pix_fmt", "rgb24")
    turned = struct.pack("<HHII", 0x0112, 3, 1, 6)  # Orientation (Exif 2.32, 4.6.4): its first row is the right side
    exif = b"II*\0" + struct.pack("<IH", 8, 1) + turned + bytes(4)
    chunk = struct.pack(">I4s", len(exif), b"eXIf") + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    data = source.read_bytes()
    source.write_bytes(data[:33] + chunk + data[33:])  # behind the signature and IHDR

    film = raven.encode(source, tmp_path / "out", "lossless")

    assert {width < height for width, height in film.sizes().values()} == {True}
    film.check_frames(1)


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
@pytest.mark.parametrize(
    ("coding", "entry", "turn", "size"),
    [
        (h264("keyint=25:bframes=2"), b"avc1", ("-display_rotation", "90"), (112, 200)),
        (("-c:v", "prores_ks"), b"apch", (), (200, 112)),
    ],
    ids=["cut", "decoded"],
)
def test_what_a_container_hides_of_the_pictures_is_not_seen(
    raven: Raven,
    tmp_path: Path,
    coding: tuple[str, ...],
    entry: bytes,
    turn: tuple[str, ...],
    size: tuple[int, int],
    suffix: str,
) -> None:
    """The edges of a tape, or whatever an editor has cropped without encoding anew."""
    # Given a film of 256x144 whose container shows 200x112 of it, not from the middle, and may lay it on its side
    plain = make(tmp_path, "plain.mov", *coding, seconds="3")
    put_into_entry(plain, entry, clean_aperture(200, 112, 10, -6))
    source = tmp_path / f"cropped.{suffix}"
    run_ffmpeg([*turn, "-i", str(plain), "-c", "copy", str(source)])

    # When it is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then that is all there is of it, and it stands upright
    assert film.sizes() == {"source": size}
    check_lossless(film, source, 75)


def test_of_several_programs_the_largest_picture_goes_with_its_own_sound(raven: Raven, tmp_path: Path) -> None:
    target = tmp_path / "multiplex.ts"
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", "testsrc2=size=64x48:d=2", "-f", "lavfi", "-i", "sine=220:d=2"),
            *("-f", "lavfi", "-i", "testsrc=size=128x96:d=2", "-f", "lavfi", "-i", "sine=880:d=2"),
            *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:v", "mpeg2video", "-c:a", "mp2"),
            *("-program", "program_num=7:st=0:st=1", "-program", "program_num=9:st=2:st=3", str(target)),
        ]
    )
    film = raven.encode(target, tmp_path / "out", "lossless")
    assert film.sizes() == {"source": (128, 96)}
    assert [track["name"] for track in film.task["audio"]] == ["und-1"]
    assert film.task["source"]["audio"][0]["stream"] == 3
    assert "audio stream 1: of another program" in film.task["source"]["ignored"]


def test_films_that_were_joined_in_ogg_play_one_after_the_other(raven: Raven, tmp_path: Path) -> None:
    """RFC 3533 4 allows it. Headers come in the middle, which the decoder calls not permitted rather than invalid."""
    part = make(tmp_path, "part.ogv", "-c:v", "libtheora", "-q:v", "7", "-pix_fmt", "yuv420p", seconds="3").read_bytes()
    source = tmp_path / "joined.ogv"
    source.write_bytes(part + part)

    film = raven.encode(source, tmp_path / "out", "lossless")

    frames = film.check_frames(film.task["frames"])[0][0].hashes
    assert len(frames) == pytest.approx(150, abs=3)  # each header has the time of a picture
    assert frames[-75:] == frames[:75]
    assert len(set(frames)) == 75


def in_pids(folder: Path, name: str, begin: int, *pids: int) -> bytes:
    """Three seconds of a broadcast with one sound or more."""
    maps = [word for number in range(len(pids)) for word in ("-map", str(min(number, 1)))]
    ids = [word for number, pid in enumerate(pids) for word in ("-streamid", f"{number}:{pid}")]
    coding = (*h264("keyint=25:bframes=2"), *maps, *ids, "-output_ts_offset", str(begin))
    return make(folder, name, *coding, seconds="3", sound=True).read_bytes()


@pytest.mark.parametrize("later", [(256, 300), (400, 401)], ids=["the sound", "all"])
def test_streams_of_a_broadcast_go_on_where_they_come_to_other_pids(
    raven: Raven, tmp_path: Path, later: tuple[int, ...]
) -> None:
    """A multiplexer was started anew, or recordings were joined."""
    source = tmp_path / "joined.ts"
    source.write_bytes(in_pids(tmp_path, "a.ts", 0, 256, 257) + in_pids(tmp_path, "b.ts", 3, *later))

    film = raven.encode(source, tmp_path / "out", "lossless")

    assert [track["name"] for track in film.task["audio"]] == ["und-1"]
    assert film.task["source"]["ignored"] == []
    # the decoder's delay in the tables of the second part is another: its first two frames come where others were
    assert film.task["frames"] == pytest.approx(150, abs=2)
    frames = film.check_frames(film.task["frames"])[0][0].hashes
    assert len(set(frames[:73])) == len(set(frames[-73:])) == 73
    assert silent_at(film.playlist("audio", "und-1")) == []


def test_a_second_sound_that_comes_in_the_middle_takes_nothing_from_the_first(raven: Raven, tmp_path: Path) -> None:
    source = tmp_path / "joined.ts"
    source.write_bytes(in_pids(tmp_path, "a.ts", 0, 256, 257) + in_pids(tmp_path, "b.ts", 3, 256, 300, 257))

    film = raven.encode(source, tmp_path / "out", "lossless")

    assert silent_at(film.playlist("audio", "und-1")) == []


def silent_at(sound: Path) -> list[float]:
    """Seconds at which half a second of silence begins."""
    detect = "silencedetect=n=-40dB:d=0.5,ametadata=print:file=-"
    told = run_ffmpeg(["-i", str(sound), "-af", detect, "-f", "null", "-"])
    return [float(line.split("=")[1]) for line in told.splitlines() if line.startswith("lavfi.silence_start")]


def whole(folder: Path) -> Path:
    """Ten seconds with the index in front, so that the first part of the file can be read."""
    return make(folder, "whole.mp4", *h264("keyint=25"), "-movflags", "faststart", seconds="10", sound=True)


def test_a_truncated_source_is_encoded_as_far_as_it_goes_and_the_film_says_so(raven: Raven, tmp_path: Path) -> None:
    source = whole(tmp_path)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    film = raven.encode(source, tmp_path / "out", "lossless")
    assert 100 < film.task["frames"] < 200
    film.check_frames(film.task["frames"])
    assert any("that it claims" in warning for warning in film.task["warnings"])


def test_a_strict_encode_refuses_a_truncated_source(raven: Raven, tmp_path: Path) -> None:
    source = whole(tmp_path)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 10])
    ran = raven.run(source, tmp_path / "out", "--profile", "quick", "--strict")
    assert ran.status == 1
    assert "options.strict refuses" in ran.stderr
    assert not (tmp_path / "out" / "master.m3u8").exists()


def damaged(folder: Path) -> Path:
    """Ten seconds with a hole of noise in the pictures of the fifth second."""
    source = make(folder, "damaged.mp4", *h264("keyint=25"), seconds="10")
    data = bytearray(source.read_bytes())
    middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) * 9 // 20
    data[middle : middle + 4000] = bytes(4000)
    source.write_bytes(data)
    return source


def test_damaged_pictures_are_told_wherever_they_are_decoded(raven: Raven, tmp_path: Path) -> None:
    """The container says nothing of them: workers find out."""
    film = raven.encode(damaged(tmp_path), tmp_path / "out", "lossless")
    film.check_frames(250)
    (warning,) = film.task["warnings"]
    assert re.fullmatch(r"[12] of \d+ chunks have damaged pictures, the first of them begins at [34]\.\d\d s", warning)


def test_a_strict_encode_refuses_damaged_pictures(raven: Raven, tmp_path: Path) -> None:
    ran = raven.run(damaged(tmp_path), tmp_path / "out", "--profile", "quick", "--strict")
    assert ran.status == 1
    assert "has damaged pictures; options.strict refuses such a source" in ran.stderr


def test_too_little_of_a_truncated_source_is_refused(raven: Raven, tmp_path: Path) -> None:
    source = whole(tmp_path)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 6 // 100])
    ran = raven.run(source, tmp_path / "out", "--profile", "quick")
    assert ran.status == 1
    assert "less than a second of the source can be decoded" in ran.stderr


def test_sound_that_changes_from_stereo_to_six_channels_goes_on(raven: Raven, tmp_path: Path) -> None:
    """As broadcasts do at every break."""
    # Given two seconds of stereo, then two of 5.1
    parts = []
    for number, (channels, pitch) in enumerate(((2, 300), (6, 600))):
        part = tmp_path / f"{number}.ts"
        run_ffmpeg(
            [
                *("-loglevel", "fatal", "-f", "lavfi", "-i", "testsrc2=size=64x48:d=2"),
                *("-f", "lavfi", "-i", f"sine={pitch}:d=2", "-c:v", "mpeg2video", "-bf", "0"),
                *("-c:a", "ac3", "-ac", str(channels), "-output_ts_offset", str(2 * number), str(part)),
            ]
        )
        parts.append(part.read_bytes())
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(parts))

    # When the film is encoded
    film = raven.encode(source, tmp_path / "out", "lossless")

    # Then the sound is as long as the picture, the first part in it and the second too
    playlist = film.playlist("audio", film.task["audio"][0]["name"])
    samples = count_samples(playlist, "0:a:0")
    assert abs(Fraction(samples, SAMPLE_RATE) - Fraction(film.task["frames"]) / film.rate) < Fraction(
        PACKET, SAMPLE_RATE
    )
    loud = run_ffmpeg(
        [
            *("-loglevel", "fatal", "-i", str(playlist), "-af"),
            "asetnsamples=48000,astats=metadata=1:reset=1,ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-",
            *("-f", "null", "-"),
        ]
    )
    levels = [float(line.split("=")[1]) for line in loud.splitlines() if "RMS_level" in line]
    assert len(levels) >= 4
    assert min(levels[:4]) > -40


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("alac", "mkv"),
        ("truehd", "mkv"),
        ("dca", "mkv"),
        ("wmav2", "wmv"),
        ("adpcm_ms", "avi"),
        ("adpcm_ima_wav", "avi"),
    ],
)
def test_sound_of_a_codec_that_chunk_objects_cannot_hold_is_decoded_on_the_way(
    raven: Raven, tmp_path: Path, codec: str, suffix: str
) -> None:
    """They have no name for it, or no place for what its decoder must know."""
    source = tmp_path / f"film.{suffix}"
    run_ffmpeg(
        [
            *("-loglevel", "fatal", "-f", "lavfi", "-i", "testsrc2=size=64x48:d=4", "-f", "lavfi"),
            *("-i", "aevalsrc=0.5*sin(2*PI*500*t)*gte(t\\,2):s=48000:d=4", "-c:v", "mpeg4"),
            *("-c:a", codec, "-strict", "-2", str(source)),
        ]
    )
    film = raven.encode(source, tmp_path / "out", "lossless")
    assert film.task["warnings"] == []
    sound = film.playlist("audio", film.task["audio"][0]["name"])
    begins = run_ffmpeg(
        ["-i", str(sound), "-af", "silencedetect=n=-30dB:d=0.5,ametadata=print:file=-", "-f", "null", "-"]
    )
    ends = [float(line.split("=")[1]) for line in begins.splitlines() if line.startswith("lavfi.silence_end")]
    assert ends == [pytest.approx(2, abs=0.015)]  # the encoder of DTS is 11 ms late itself
