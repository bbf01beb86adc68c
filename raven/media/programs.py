"""Programs of an MPEG transport stream: which PIDs belong together (ISO/IEC 13818-1 2.4.4). Pure.

PyAV tells a stream's PID, but neither its program nor its descriptors; a capture of a whole multiplex would else give
one film all the sounds.
"""

from __future__ import annotations

from collections.abc import Iterator

PACKET = 188
SYNC = 0x47
PAT_PID, PAT_TABLE, PMT_TABLE = 0, 0, 2

Program = dict[int, bytes]
"""The descriptors of each of its streams, by PID."""


def programs(data: bytes) -> dict[int, Program]:
    """The programs by their numbers, as told in the first bytes of a transport stream."""
    found: dict[int, Program] = {}
    for number, section in _maps(data):
        found.setdefault(number, {pid: about for pid, _, about in _streams(section)})
    return found


def moved(*pieces: bytes) -> bool:
    """Whether in these pieces of a transport stream, in their order, streams of a program come to other PIDs, and its
    tables change in nothing else: so the one at the same place goes on in the other."""
    told: dict[int, dict[int, int]] = {}
    moves = False
    for number, section in (found for data in pieces for found in _maps(data)):
        now = {pid: kind for pid, kind, _ in _streams(section)}
        before = told.get(number, now)
        if list(now.values()) != list(before.values()):
            return False
        changed = {pid for pid, old in zip(now, before, strict=True) if pid != old}
        if changed & before.keys():
            return False
        moves, told[number] = moves or bool(changed), now
    return moves


def _maps(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each table of the streams of a program, with its number."""
    maps: dict[int, int] = {}
    wanted = {PAT_PID}
    for pid, section in _sections(data, wanted):
        if pid == PAT_PID and section[0] == PAT_TABLE:
            entries = section[8:-4]
            for at in range(0, len(entries) - 3, 4):
                number = int.from_bytes(entries[at : at + 2], "big")
                if number:  # 0 is the network's own table
                    maps[int.from_bytes(entries[at + 2 : at + 4], "big") & 0x1FFF] = number
            wanted.update(maps)
        elif pid in maps and section[0] == PMT_TABLE:
            yield maps[pid], section


def program_of(pid: int, told: dict[int, Program]) -> Program | None:
    """Of several programs the one that a stream belongs to; None where there are no several."""
    return next((program for program in told.values() if pid in program), None) if len(told) > 1 else None


def _sections(data: bytes, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """The tables of the wanted PIDs; of several that begin in one packet the first."""
    start = next((at for at in range(min(PACKET, len(data))) if _in_step(data, at)), None)
    if start is None:
        return
    begun: dict[int, bytes] = {}
    for at in range(start, len(data) - PACKET + 1, PACKET):
        packet = data[at : at + PACKET]
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if packet[0] != SYNC or pid not in wanted or not packet[3] & 0x10:  # a packet with a payload
            continue
        payload = packet[5 + packet[4] if packet[3] & 0x20 else 4 :]
        if packet[1] & 0x40:
            begun[pid] = payload[1 + payload[0] :] if payload else b""
        elif pid in begun:
            begun[pid] += payload
        section = begun.get(pid, b"")
        size = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
        if 12 <= size <= len(section):
            del begun[pid]
            yield pid, section[:size]


def _in_step(data: bytes, at: int) -> bool:
    """Whether sync bytes stand a packet's length apart from here on."""
    return all(data[i] == SYNC for i in range(at, min(len(data), at + 4 * PACKET), PACKET))


def _streams(section: bytes) -> Iterator[tuple[int, int, bytes]]:
    """PID, type and descriptors of each stream."""
    at, end = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF), len(section) - 4
    while at + 5 <= end:
        size = int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF
        pid = int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        yield pid, section[at], section[at + 5 : min(end, at + 5 + size)]
        at += 5 + size


def descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each descriptor (ISO/IEC 13818-1 2.6)."""
    at = 0
    while at + 2 <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
