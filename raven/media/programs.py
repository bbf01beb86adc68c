"""Programs of an MPEG transport stream: which PIDs belong together (ISO/IEC 13818-1 2.4.4). Pure.

PyAV tells a stream's PID, but not its program; a capture of a whole multiplex would else give one film all the sounds.
"""

from __future__ import annotations

from collections.abc import Iterator

PACKET = 188
SYNC = 0x47
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2


def programs(data: bytes) -> dict[int, frozenset[int]]:
    """PIDs of the streams of each program, by program number, as told in the first bytes of a transport stream."""
    maps: dict[int, int] = {}
    found: dict[int, frozenset[int]] = {}
    for pid, section in _sections(data):
        if pid == PAT_PID and section[0] == PAT_TABLE:
            entries = section[8:-4]
            for at in range(0, len(entries) - 3, 4):
                number = int.from_bytes(entries[at : at + 2], "big")
                if number:  # 0 is the network's own table
                    maps[int.from_bytes(entries[at + 2 : at + 4], "big") & 0x1FFF] = number
        elif pid in maps and section[0] == PMT_TABLE:
            found.setdefault(maps[pid], frozenset(_streams(section)))
    return found


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tables that lie in one packet, as PAT and PMT nearly always do."""
    start = next((at for at in range(min(PACKET, len(data))) if _in_step(data, at)), None)
    if start is None:
        return
    for at in range(start, len(data) - PACKET + 1, PACKET):
        packet = data[at : at + PACKET]
        if packet[0] != SYNC or not packet[1] & 0x40 or not packet[3] & 0x10:  # a payload that starts a section
            continue
        payload = packet[5 + packet[4] if packet[3] & 0x20 else 4 :]
        section = payload[1 + payload[0] :] if payload else b""
        if len(section) < 12:
            continue
        size = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
        if 12 <= size <= len(section):
            yield int.from_bytes(packet[1:3], "big") & 0x1FFF, section[:size]


def _in_step(data: bytes, at: int) -> bool:
    """Whether sync bytes stand a packet's length apart from here on."""
    return all(data[i] == SYNC for i in range(at, min(len(data), at + 4 * PACKET), PACKET))


def _streams(section: bytes) -> Iterator[int]:
    at, end = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF), len(section) - 4
    while at + 5 <= end:
        yield int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
