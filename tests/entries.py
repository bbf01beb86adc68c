"""Boxes that no muxer at hand writes, put into the sample entry of a film in MP4."""

from __future__ import annotations

import struct
from pathlib import Path

_AROUND = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def put_into_entry(film: Path, entry: bytes, box: bytes) -> None:
    """Adds a box at the end of the first sample entry of that name. The index must stand behind the media."""
    data = bytearray(film.read_bytes())
    begin = data.index(entry, data.index(b"stsd")) - 4
    end = begin + int.from_bytes(data[begin : begin + 4], "big")
    for name in (*_AROUND, entry):
        at = data.rindex(name, 0, begin + 8) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(box)).to_bytes(4, "big")
    data[end:end] = box
    film.write_bytes(data)


def clean_aperture(width: int, height: int, right: int, down: int) -> bytes:
    """A `clap` box (ISO/IEC 14496-12 12.1.4): what is shown, and how far its middle is off the picture's, pixels."""
    return struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, right, 1, down, 1)
