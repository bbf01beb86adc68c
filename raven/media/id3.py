"""The tags before each piece of packed audio, raw AAC or AC-3 of an HLS playlist (RFC 8216 3.4). Pure."""

from __future__ import annotations

_HEADER = 10
_CLOCK = b"com.apple.streaming.transportStreamTimestamp\0"


def tag_size(data: bytes) -> int:
    """Bytes of the ID3 tag (version 2) that data begins with; 0 where there is none."""
    if len(data) < _HEADER or data[:3] != b"ID3" or any(byte & 0x80 for byte in data[6:10]):
        return 0
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    return _HEADER + size + (_HEADER if data[5] & 0x10 else 0)  # a footer is as long as the header


def first_time(data: bytes) -> int | None:
    """When the first sample is heard, in ticks of 1/90000 s, as the tag at the beginning of data tells it."""
    at = data.find(_CLOCK, 0, tag_size(data))
    time = data[at + len(_CLOCK) :][:8]
    return int.from_bytes(time, "big") & ((1 << 33) - 1) if at >= 0 and len(time) == 8 else None
