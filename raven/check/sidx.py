"""Segment indexes (ISO/IEC 14496-12 8.16.3). Pure: bytes to values; raises BoxError."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from raven.media.boxes import BoxError, boxes


@dataclass(frozen=True)
class Index:
    """A sidx: sizes and durations of its subsegments."""

    timescale: int
    earliest: int
    offset: int
    """From the end of the sidx to the first subsegment, bytes."""
    entries: tuple[tuple[int, int], ...]
    """(bytes, ticks) of each."""


def parse_index(data: bytes) -> Index:
    """A sidx box (ISO/IEC 14496-12 8.16.3). Raises BoxError."""
    box = next(boxes(data), None)
    if box is None or box.kind != "sidx":
        raise BoxError(f"a sidx is wanted, here is {box.kind if box else 'nothing'}")
    try:
        version, timescale = data[box.payload], struct.unpack_from(">I", data, box.payload + 8)[0]
        layout = ">QQxxH" if version else ">IIxxH"
        earliest, offset, count = struct.unpack_from(layout, data, box.payload + 12)
        at = box.payload + 12 + struct.calcsize(layout)
        rows = [struct.unpack_from(">III", data, at + 12 * n) for n in range(count)]
    except (struct.error, IndexError) as error:
        raise BoxError("sidx is cut short") from error
    return Index(timescale, earliest, offset, tuple((size & 0x7FFFFFFF, ticks) for size, ticks, _ in rows))
