"""Lossless chunks: what is put in comes back bit by bit, at its time, and captions are said once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from random import Random

import av
import pytest

from master.lossless import FFV1, H264, Chunk, Coding, coding_of, silent
from raven.media.filters import SHIFT
from raven.media.grid import Grid
from tests.builders import video_facts
from tests.captions import captioned_clip, pair, user_data

GRID = Grid.of(Fraction(30000, 1001), Fraction(1), 1, 1)
SIZE = (70, 38)
"""Not a whole number of macroblocks."""
KEPT = [(H264, name) for name in sorted(H264.formats)] + [(FFV1, name) for name in ("yuv420p", "gbrp12le")]


def noise(pixels: str, seed: int) -> av.VideoFrame:
    """A frame of random samples."""
    frame, random = av.VideoFrame(*SIZE, pixels), Random(seed)  # noqa: S311 - no secret
    deep = frame.format.components[0].bits
    for plane in frame.planes:
        count = plane.buffer_size // _bytes(frame)
        plane.update(b"".join(random.getrandbits(deep).to_bytes(_bytes(frame), "little") for _ in range(count)))
    return frame


def _bytes(frame: av.VideoFrame) -> int:
    """Of a sample."""
    return 2 if frame.format.components[0].bits > 8 else 1


def rows(frame: av.VideoFrame) -> list[bytes]:
    """The samples of a frame without what pads its lines."""
    found: list[bytes] = []
    for plane in frame.planes:
        data, line = bytes(plane), plane.line_size
        found += [data[at : at + plane.width * _bytes(frame)] for at in range(0, line * plane.height, line)]
    return found


def time(frame: av.VideoFrame) -> Fraction:
    """Seconds, the shift of chunk objects taken off."""
    assert frame.pts is not None
    assert frame.time_base is not None
    return frame.pts * Fraction(frame.time_base) - SHIFT


def read(file: Path) -> list[av.VideoFrame]:
    with av.open(str(file)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("coding", "pixels"), KEPT, ids=lambda value: value if isinstance(value, str) else value.encoder
)
def test_every_sample_comes_back_at_its_time(tmp_path: Path, coding: Coding, pixels: str) -> None:
    frames = [noise(pixels, seed) for seed in range(5)]
    assert coding.pixels(frames[0]) == pixels
    wanted = [rows(frame) for frame in frames]
    chunk = Chunk(tmp_path / "chunk.nut", GRID, coding, SIZE, pixels)

    for place, frame in enumerate(frames, 30):
        chunk.write(frame, place)
    chunk.close()

    back = read(chunk.path)
    assert [rows(frame) for frame in back] == wanted
    assert [time(frame) for frame in back] == [n / GRID.rate for n in range(30, 35)]
    assert back[0].key_frame


def test_a_chunk_takes_over_another_that_is_too_short(tmp_path: Path) -> None:
    frames = [noise("yuv420p", seed) for seed in range(6)]
    wanted = [rows(frame) for frame in frames]
    long, short = (Chunk(tmp_path / name, GRID, H264, SIZE, "yuv420p") for name in ("long.nut", "short.nut"))
    for place, frame in enumerate(frames):
        (long if place < 4 else short).write(frame, place)

    short.close()
    long.append(short.path)

    back = read(long.path)
    assert [rows(frame) for frame in back] == wanted
    assert [time(frame) for frame in back] == [n / GRID.rate for n in range(6)]


@pytest.mark.parametrize(
    ("codec", "pixels", "coding"),
    [
        ("h264", "yuv420p", H264),
        ("hevc", "yuv422p10le", H264),
        ("mpeg2video", "yuv422p", H264),
        ("h264", "yuvj420p", H264),
        ("hevc", "yuv420p12le", FFV1),  # x264 has ten bits at most
        ("hevc", "gbrp", FFV1),
        ("prores", "yuv422p10le", FFV1),  # it carries no captions, and FFV1 is smaller
    ],
)
def test_pictures_that_may_carry_captions_are_stored_with_them(codec: str, pixels: str, coding: Coding) -> None:
    facts = video_facts().model_copy(update={"codec": codec, "pixel_format": pixels})

    assert coding_of(facts) is coding


@pytest.mark.parametrize(
    ("coding", "pixels", "stored"),
    [
        (FFV1, "yuvj422p", "yuv422p"),
        (FFV1, "nv12", "bgra"),
        (FFV1, "p010le", "yuv444p12le"),
        (FFV1, "gbrp14le", "gbrp16le"),
        (H264, "yuv420p12le", "yuv444p10le"),  # in mid-stream
    ],
)
def test_other_pixels_become_the_nearest(coding: Coding, pixels: str, stored: str) -> None:
    assert coding.pixels(av.VideoFrame(*SIZE, pixels)) == stored


def test_a_picture_that_is_held_says_its_captions_once(tmp_path: Path) -> None:
    clip = captioned_clip(tmp_path / "clip.mp4", [user_data([(0, pair(0x14, 0x2C))])] * 2)
    frame = read(clip)[0]
    samples = rows(frame)
    chunk = Chunk(tmp_path / "chunk.nut", GRID, H264, (frame.width, frame.height), "yuv420p")

    for place in range(3):
        chunk.write(frame, place)
        frame = silent(frame)
    chunk.close()

    back = read(chunk.path)
    assert [frame.side_data.get("A53_CC") is not None for frame in back] == [True, False, False]
    assert [rows(frame) for frame in back] == [samples] * 3
    assert silent(back[2]) is back[2]
