"""A field-coded H.264 stream (PAFF), made by hand, as no encoder at hand makes one: two flat grey fields a frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT = 2, 4
"""Macroblocks of a frame."""
PERIOD = 6
"""Frames from one IDR to the next."""
TICKS = 3600
"""Of 90 kHz in a frame: 25 frames/s."""


class Bits:
    """Writes the syntax elements of ITU-T H.264 7.2."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def u(self, *fields: tuple[int, int]) -> Bits:
        """Numbers as (bits, value)."""
        for count, value in fields:
            self._bits += [value >> at & 1 for at in reversed(range(count))]
        return self

    def ue(self, *values: int) -> Bits:
        for value in values:
            self.u((2 * (value + 1).bit_length() - 1, value + 1))
        return self

    def align(self) -> Bits:
        self._bits += [0] * (-len(self._bits) % 8)
        return self

    def unit(self, head: int) -> bytes:
        """The NAL unit, stopped, aligned and guarded against start codes."""
        self.u((1, 1)).align()
        text = "".join(map(str, self._bits))
        payload = int(text, 2).to_bytes(len(text) // 8, "big")
        guarded, zeros = bytearray(), 0
        for value in payload:
            if zeros >= 2 and value <= 3:
                guarded.append(3)
                zeros = 0
            guarded.append(value)
            zeros = zeros + 1 if value == 0 else 0
        return b"\x00\x00\x00\x01" + bytes([head]) + bytes(guarded)


def headers() -> bytes:
    """SPS (Main profile, fields allowed, 50 fields/s) and PPS."""
    sps = Bits().u((8, 77), (8, 0), (8, 30)).ue(0, 4, 0, 4, 1).u((1, 0)).ue(WIDTH - 1, HEIGHT // 2 - 1)
    sps.u((1, 0), (1, 0), (1, 1), (1, 0), (1, 1))
    sps.u((4, 0), (1, 1), (32, 1), (32, 50), (1, 1), (4, 0))
    pps = Bits().ue(0, 0).u((2, 0)).ue(0, 0, 0).u((3, 0)).ue(0, 0, 0).u((3, 0))
    return sps.unit(0x67) + pps.unit(0x68)


def luma(frame: int) -> int:
    """The grey of a frame."""
    return 16 + frame * 5 % 200


def field(frame: int, *, bottom: bool) -> bytes:
    """One field picture of PCM macroblocks; the first field of a period is an IDR."""
    number = frame % PERIOD
    idr = number == 0 and not bottom
    slice_ = Bits().ue(0, 7, 0).u((8, number), (1, 1), (1, bottom))
    if idr:
        slice_.ue(0)
    slice_.u((8, 2 * number + bottom)).u(*[(1, 0)] * (2 if idr else 1)).ue(0)
    for _ in range(WIDTH * HEIGHT // 2):
        slice_.ue(25).align().u(*[(8, luma(frame))] * 256, *[(8, 128)] * 128)
    return slice_.unit(0x65 if idr else 0x61)


def picture(frame: int) -> bytes:
    """Both fields of a frame, as a muxer takes them."""
    head = Bits().u((3, 0)).unit(0x09) + (headers() if frame % PERIOD == 0 else b"")
    return head + field(frame, bottom=False) + field(frame, bottom=True)


def write_fields(path: Path, frames: int) -> Path:
    """A file of `frames` frames; in a transport stream each field becomes a packet of its own when it is read."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16 * WIDTH, 16 * HEIGHT, "yuv420p"
        for frame in range(frames):
            packet = av.Packet(picture(frame))
            packet.stream, packet.time_base = stream, Fraction(1, 90_000)
            packet.pts = packet.dts = 90_000 + frame * TICKS
            packet.is_keyframe = frame % PERIOD == 0
            container.mux(packet)
    return path
