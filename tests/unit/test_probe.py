"""What is seen of a source whose beginning is not like the rest."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from raven.errors import SourceRefused, SourceUnreadable
from raven.media.probe import Opened, open_source
from tests.entries import put_into_entry
from tests.media import run_ffmpeg

TS_PACKET = 188


def probed(source: Path) -> Opened:
    opened = open_source(str(source))
    opened.close()
    return opened


def capture(folder: Path, keyframe: float, seconds: float = 10) -> Path:
    """A capture with sound that begins within a group of pictures: `keyframe` is the time of the next one."""
    whole = folder / "whole.ts"
    run_ffmpeg(
        [
            *("-loglevel", "fatal", "-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=10:d={seconds}"),
            *("-f", "lavfi", "-i", f"sine=d={seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "mp2"),
            *("-x264-params", "keyint=infinite:scenecut=0:bframes=2", "-force_key_frames", f"{keyframe}", str(whole)),
        ]
    )
    data = whole.read_bytes()
    source = folder / "capture.ts"
    source.write_bytes(data[len(data) // 16 // TS_PACKET * TS_PACKET :])
    return source


@pytest.mark.parametrize("keyframe", [6, 9])
def test_a_capture_that_begins_long_before_its_first_keyframe_has_its_picture(tmp_path: Path, keyframe: int) -> None:
    """A group of pictures of x264 lasts up to 250 frames, and a receiver is switched on at any time."""
    opened = probed(capture(tmp_path, keyframe))

    assert opened.facts.video is not None
    assert (opened.facts.video.width, opened.facts.video.height) == (64, 48)
    assert opened.facts.video.rate == 10
    assert opened.facts.origin == pytest.approx(keyframe + Fraction("1.4"), abs=0.3)


def test_a_video_without_one_whole_picture_does_not_become_sound_alone(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"the video \(stream 0\) has pictures, but none that can be decoded"):
        probed(capture(tmp_path, 60))


def dolby_vision(folder: Path, profile: int, compatible: int) -> Path:
    """HEVC in MP4 with a configuration record (Dolby Vision Streams Within the ISO BMFF, 3.2) put into its entry."""
    source = folder / "film.mp4"
    coding = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-tag:v", "hvc1"]
    run_ffmpeg(["-loglevel", "fatal", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:d=1", *coding, str(source)])
    flags = profile << 9 | 1 << 3 | 0b101  # level 1, with metadata and a base layer
    record = struct.pack(">I4sBBHI16x", 32, b"dvcC", 1, 0, flags, compatible << 28)
    put_into_entry(source, b"hvc1", record)
    return source


def test_dolby_vision_that_no_other_decoder_shows_right_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match=r"Dolby Vision profile 5, .* export it as HDR10"):
        probed(dolby_vision(tmp_path, 5, 0))


def test_dolby_vision_over_hdr10_is_taken_as_hdr10(tmp_path: Path) -> None:
    assert probed(dolby_vision(tmp_path, 8, 1)).facts.video is not None


def beside_a_large_picture(folder: Path, suffix: str, *still: str) -> Path:
    """A small film of 4 s, and beside it another track: a picture of twice its size."""
    source = folder / f"film.{suffix}"
    run_ffmpeg(
        [
            *("-loglevel", "fatal", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:d=4"),
            *("-f", "lavfi", "-i", "testsrc2=size=128x96:rate=10:d=4", "-map", "1", "-map", "0", *still),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(source)),
        ]
    )
    return source


SHORT = ("-filter:v:0", "trim=end_frame=1")
SELDOM = ("-filter:v:0", "select=not(mod(n\\,20))", "-fps_mode", "vfr")


@pytest.mark.parametrize(
    ("suffix", "still"), [("mp4", SHORT), ("mkv", SHORT), ("mp4", SELDOM)], ids=["mp4", "mkv", "shown for long"]
)
def test_a_still_beside_a_film_does_not_take_its_place(tmp_path: Path, suffix: str, still: tuple[str, ...]) -> None:
    """The photograph of a motion photo, a poster: it may be much larger."""
    facts = probed(beside_a_large_picture(tmp_path, suffix, *still)).facts

    assert facts.video is not None
    assert facts.video.width == 64
    assert facts.ignored == ("video stream 0",)


def test_of_two_films_the_larger_one_is_taken_though_it_has_fewer_frames(tmp_path: Path) -> None:
    """Slides beside their speaker."""
    facts = probed(beside_a_large_picture(tmp_path, "mp4", "-r:v:0", "5")).facts

    assert facts.video is not None
    assert facts.video.width == 128
