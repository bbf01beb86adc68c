"""An MPEG transport stream of one stream of private data, as a decoder of teletext wants it. Pure.

PyAV cannot write a stream that its libavcodec has no decoder for, so this does.
"""

from __future__ import annotations

from raven.media.programs import PACKET, PAT_PID, PAT_TABLE, PMT_TABLE, SYNC

PID, MAP_PID, PROGRAM = 0x100, 0x1000, 1
CLOCK = 90_000
"""Ticks in a second."""
WRAP = 1 << 33
"""Ticks that a time stamp can tell: 26.5 hours."""
HEADER = 45
"""Bytes of a PES packet before its data: EN 300 472 4.2 wants so many, that all lies in step with the packets."""
MOST_DATA = 65_504 - HEADER
"""Bytes of data in one PES packet: its length has 16 bits, and decoders of teletext take whole transport packets."""
_PRIVATE = 0x06  # stream type: PES packets of private data
_PAYLOAD = PACKET - 4


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC = _crc_table()


class PrivateStream:
    """Makes the bytes of the stream, piece by piece."""

    def __init__(self) -> None:
        self._counters: dict[int, int] = {}

    def tables(self, descriptors: bytes) -> bytes:
        """PAT and PMT, which come first; the descriptors say what the stream is."""
        about = bytes([_PRIVATE]) + (0xE000 | PID).to_bytes(2, "big") + _sized(descriptors)
        program = PROGRAM.to_bytes(2, "big") + (0xE000 | MAP_PID).to_bytes(2, "big")
        streams = (0xE000 | PID).to_bytes(2, "big") + _sized(b"") + about
        return self._table(PAT_PID, PAT_TABLE, program) + self._table(MAP_PID, PMT_TABLE, streams)

    def packet(self, data: bytes, time: int) -> bytes:
        """A PES packet (ISO/IEC 13818-1 2.4.3.6) of private stream 1, shown at `time` ticks."""
        bits = 0x21 | time >> 29 & 0x0E, time >> 22 & 0xFF, 0x01 | time >> 14 & 0xFE, time >> 7 & 0xFF
        stamp = bytes([*bits, 0x01 | time << 1 & 0xFE])
        length = (HEADER - 6 + len(data)).to_bytes(2, "big")
        header = b"\0\0\1\xbd" + length + bytes([0x84, 0x80, HEADER - 9]) + stamp
        return self._packets(PID, header.ljust(HEADER, b"\xff") + data)

    def _table(self, pid: int, table: int, content: bytes) -> bytes:
        length = (0xB000 | len(content) + 9).to_bytes(2, "big")
        section = bytes([table]) + length + PROGRAM.to_bytes(2, "big") + b"\xc1\0\0" + content
        whole = b"\0" + section + _crc(section).to_bytes(4, "big")
        return self._packets(pid, whole.ljust(-(-len(whole) // _PAYLOAD) * _PAYLOAD, b"\xff"))

    def _packets(self, pid: int, data: bytes) -> bytes:
        out = bytearray()
        for at in range(0, len(data), _PAYLOAD):
            part = data[at : at + _PAYLOAD]
            count = self._counters[pid] = (self._counters.get(pid, -1) + 1) & 0x0F
            stuffing = _stuffing(_PAYLOAD - len(part))
            start = (0 if at else 0x4000) | pid
            out += bytes([SYNC]) + start.to_bytes(2, "big") + bytes([(0x30 if stuffing else 0x10) | count])
            out += stuffing + part
        return bytes(out)


def _stuffing(size: int) -> bytes:
    """An adaptation field of `size` bytes that says nothing."""
    if size < 2:
        return b"\0" * size
    return bytes([size - 1, 0]).ljust(size, b"\xff")


def _sized(descriptors: bytes) -> bytes:
    return (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors


def _crc(data: bytes) -> int:
    """CRC-32 of ISO/IEC 13818-1 annex A: not mirrored, so not zlib's."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC[value >> 24 ^ byte]
    return value
