"""Films with closed captions, made by hand: ffmpeg can carry captions but has no way to put them in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from tests.media import run_ffmpeg

_START = b"\0\0\0\1"
_ACCESS_UNIT = _START + b"\x09"
NOTHING = (0x80, 0x80)

Pair = tuple[int, int]


def pair(first: int, second: int) -> Pair:
    """Two bytes of CEA-608 with their odd parity."""
    return _odd(first), _odd(second)


def _odd(byte: int) -> int:
    return byte | (0 if byte.bit_count() % 2 else 0x80)


def pop_on(text: str, frames: int, *, second_channel: bool = False) -> list[Pair]:
    """A caption that is shown once all is sent and cleared after `frames` more; one pair a frame."""
    code = 0x1C if second_channel else 0x14
    letters = [ord(c) for c in text + " " * (len(text) % 2)]
    show, clear = pair(code, 0x2F), pair(code, 0x2C)
    begin = [pair(code, 0x20), pair(code, 0x20), pair(code, 0x70), pair(code, 0x70)]
    words = [pair(a, b) for a, b in zip(letters[::2], letters[1::2], strict=True)]
    return [*begin, *words, show, show, *[NOTHING] * frames, clear, clear]


def user_data(pairs: Sequence[tuple[int, Pair]], count: int = 20) -> bytes:
    """The A/53 user data of one picture: kind and bytes of each pair, filled up to `count`."""
    triplets = [bytes([0xFC | kind, *both]) for kind, both in pairs]
    filler = [b"\xfa\0\0"] * (count - len(triplets))
    return b"GA94\x03" + bytes([0x40 | count, 0xFF]) + b"".join([*triplets, *filler]) + b"\xff"


def sei(data: bytes) -> bytes:
    """An H.264 NAL unit that carries user data."""
    payload = b"\xb5\x00\x31" + data
    return bytes([0x06, 4, len(payload)]) + payload + b"\x80"


def captioned_clip(target: Path, pictures: Sequence[bytes], *, rate: str = "30000/1001", gop: int = 25) -> Path:
    """A film whose n-th picture carries the n-th user data; empty ones carry none. Without B-frames."""
    plain, captioned = target.with_suffix(".plain.h264"), target.with_suffix(".h264")
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={rate}", "-frames:v", str(len(pictures)),
            "-c:v", "libx264", "-preset", "ultrafast", "-g", str(gop), "-bf", "0", "-aud", "1", "-pix_fmt", "yuv420p",
            str(plain),
        ]
    )  # fmt: skip
    units = plain.read_bytes().split(_ACCESS_UNIT)[1:]
    assert len(units) == len(pictures)
    captioned.write_bytes(b"".join(_with_captions(*both) for both in zip(units, pictures, strict=True)))
    run_ffmpeg(
        ["-r", rate, "-i", str(captioned), "-c", "copy", "-bsf:v", f"setts=ts=N:time_base=1/({rate})", str(target)]
    )
    return target


def _with_captions(unit: bytes, data: bytes) -> bytes:
    after = unit.index(b"\0\0\1") - (1 if unit[unit.index(b"\0\0\1") - 1 : unit.index(b"\0\0\1")] == b"\0" else 0)
    return _ACCESS_UNIT + unit[:after] + (_START + sei(data) if data else b"") + unit[after:]


def read_pairs(files: Sequence[Path], joined: Path) -> list[tuple[int, Pair]]:
    """All that is said in the pictures of a film, in order of presentation: kinds and bytes without padding."""
    joined.write_bytes(b"".join(file.read_bytes() for file in files))
    with av.open(str(joined)) as container:
        found: list[Any] = [frame.side_data.get("A53_CC") for frame in container.decode(video=0)]
    frames = [bytes(data) for data in found if data is not None]
    return [said for frame in frames for said in _said(frame)]


def _said(frame: bytes) -> Iterator[tuple[int, Pair]]:
    for i in range(0, len(frame), 3):
        both = frame[i + 1], frame[i + 2]
        if frame[i] & 4 and both != NOTHING:
            yield frame[i] & 3, both
