"""Films damaged by chance: bytes changed, lost, doubled or cut off, and lies in the structure of their containers.

Most random bytes are refused by the first check that they meet. What goes further are lies where a reader believes: a
length, a number, an edit list. So the pieces of a container are found first (boxes of MP4, elements of Matroska, chunks
of AVI, packets of MPEG-TS), and then one of them lies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from raven.media.boxes import BoxError, box, boxes, find, spliced

NEAR = 60
"""Pieces from the beginning in which most damage is done: headers, and the first pictures."""
BOXES_OF_BOXES = {"moov", "trak", "mdia", "minf", "stbl", "dinf", "edts", "mvex", "moof", "traf", "udta", "meta"}
ELEMENTS_OF_ELEMENTS = {
    # Matroska: Segment, SeekHead, Info, Tracks, TrackEntry, Video, Audio, Cluster, BlockGroup, Cues, CuePoint
    *(0x18538067, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x1F43B675, 0xA0, 0x1C53BB6B, 0xBB),
}
TS_PACKET = 188


@dataclass(frozen=True)
class Piece:
    """Part of a container: its name stands at `start`, its length in the bytes `length`, its content from `payload`."""

    start: int
    length: slice
    payload: int
    end: int


def mp4_boxes(film: bytes, start: int, end: int) -> Iterator[Piece]:
    """Boxes, those inside of others too (ISO/IEC 14496-12 4.2)."""
    try:
        for found in boxes(film, start, end):
            yield Piece(found.start, slice(found.start, found.start + 4), found.payload, found.end)
            if found.kind in BOXES_OF_BOXES:
                yield from mp4_boxes(film, found.payload, found.end)
            elif found.kind == "stsd":
                yield from mp4_boxes(film, found.payload + 8, found.end)
    except BoxError:
        return


def matroska_elements(film: bytes, start: int, end: int) -> Iterator[Piece]:
    """Elements, those inside of others too (RFC 8794 4 to 6)."""
    at = start
    while at < end and film[at]:
        name = 9 - film[at].bit_length()
        sized = at + name
        if sized >= end or not film[sized]:
            return
        width = 9 - film[sized].bit_length()
        value = int.from_bytes(film[sized : sized + width], "big") & ((1 << 7 * width) - 1)
        payload = sized + width
        stop = end if value == (1 << 7 * width) - 1 else min(payload + value, end)
        yield Piece(at, slice(sized, payload), payload, stop)
        if int.from_bytes(film[at:sized], "big") in ELEMENTS_OF_ELEMENTS:
            yield from matroska_elements(film, payload, stop)
        at = stop


def riff_chunks(film: bytes, start: int, end: int) -> Iterator[Piece]:
    """Chunks and the lists of them, as AVI has them."""
    at = start
    while at + 8 <= end:
        size = int.from_bytes(film[at + 4 : at + 8], "little")
        stop = min(at + 8 + size, end)
        yield Piece(at, slice(at + 4, at + 8), at + 8, stop)
        if film[at : at + 4] in (b"RIFF", b"LIST"):
            yield from riff_chunks(film, at + 12, stop)
        at = stop + size % 2


def ts_packets(film: bytes, start: int, end: int) -> Iterator[Piece]:
    """Packets of a transport stream; the byte of length is an adaptation field's, or a section's pointer."""
    for at in range(start, end - TS_PACKET + 1, TS_PACKET):
        yield Piece(at, slice(at + 4, at + 5), at + 4, at + TS_PACKET)


def pieces_of(film: bytes) -> list[Piece]:
    """What a container is made of; none where this module does not know it."""
    readers: list[tuple[bool, Callable[[bytes, int, int], Iterator[Piece]]]] = [
        (film[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"), mp4_boxes),
        (film[:4] == b"\x1a\x45\xdf\xa3", matroska_elements),
        (film[:4] == b"RIFF", riff_chunks),
        (film[:1] == b"\x47" == film[TS_PACKET : TS_PACKET + 1], ts_packets),
    ]
    return next((list(read(film, 0, len(film))) for known, read in readers if known), [])


def any_number(width: int, chance: random.Random) -> bytes:
    """A number of `width` bytes that readers like least."""
    top = 1 << 8 * width
    number = chance.choice([0, 1, 2, top - 1, top - 2, top // 2, top // 2 - 1, chance.randrange(top)])
    return number.to_bytes(width, chance.choice(["big", "little"]))


def _one_of(pieces: Sequence[Piece], chance: random.Random) -> Piece:
    return chance.choice(pieces[:NEAR] if chance.random() < 0.7 else pieces)


def wrong_length(film: bytearray, pieces: Sequence[Piece], chance: random.Random) -> None:
    """A length that is off by a little, or absurd."""
    where = _one_of(pieces, chance).length
    old, width = film[where], where.stop - where.start
    near = (int.from_bytes(old, "big") + chance.choice([-9, -8, -1, 1, 8, 9])) % (1 << 8 * width)
    film[where] = near.to_bytes(width, "big") if chance.random() < 0.5 else any_number(width, chance)


def wrong_number(film: bytearray, pieces: Sequence[Piece], chance: random.Random) -> None:
    """A number somewhere in a piece: a duration, a size, a rate, a time, an offset."""
    piece = _one_of(pieces, chance)
    width = chance.choice([1, 2, 4, 8])
    room = min(piece.end, piece.payload + 200) - piece.payload - width
    if room >= 0:
        at = piece.payload + chance.randrange(room + 1)
        film[at : at + width] = any_number(width, chance)


def wrong_name(film: bytearray, pieces: Sequence[Piece], chance: random.Random) -> None:
    """A piece that another thing is said to be; of MPEG-TS, a lost sync byte or another stream's packet."""
    piece, other = _one_of(pieces, chance), _one_of(pieces, chance)
    film[piece.start : piece.start + 4] = film[other.start : other.start + 4]
    if chance.random() < 0.5:
        film[piece.start + chance.randrange(4)] = chance.randrange(256)


def lost_piece(film: bytearray, pieces: Sequence[Piece], chance: random.Random) -> None:
    """A piece that is not there, though the lengths around it count it."""
    piece = _one_of(pieces, chance)
    del film[piece.start : piece.end]


def doubled_piece(film: bytearray, pieces: Sequence[Piece], chance: random.Random) -> None:
    """A piece that comes twice, the second time at the place of another."""
    piece, other = _one_of(pieces, chance), _one_of(pieces, chance)
    film[other.start : other.start] = film[piece.start : min(piece.end, piece.start + 50_000)]


def wrong_edits(film: bytearray, _: Sequence[Piece], chance: random.Random) -> None:
    """An edit list of nonsense in a track of an MP4 (ISO/IEC 14496-12 8.6.6); nothing in other films."""
    data = bytes(film)
    try:
        around = [find(data, "moov"), find(data, "moov/trak")]
    except BoxError:
        return
    edits = [any_number(4, chance) + any_number(4, chance) + chance.choice([b"\0\1\0\0", any_number(4, chance)])]
    edits *= chance.choice([1, 2, 1000])
    content = box("edts", box("elst", bytes(4), len(edits).to_bytes(4, "big"), *edits))
    film[:] = spliced(data, around, around[1].payload, around[1].payload, content)


def changed_bytes(film: bytearray, _: Sequence[Piece], chance: random.Random) -> None:
    """Some bytes, most of them near the beginning or the end."""
    for _byte in range(chance.choice([1, 4, 32])):
        at = min(int(chance.expovariate(1 / 600)), len(film) - 1)
        at = at if chance.random() < 0.7 else len(film) - 1 - at
        film[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])


def moved_bytes(film: bytearray, _: Sequence[Piece], chance: random.Random) -> None:
    """A stretch that is lost or doubled."""
    start = chance.randrange(len(film))
    stretch = film[start : start + chance.randrange(1, 500)]
    film[start : start + len(stretch)] = stretch * chance.choice([0, 2])


def cut_off(film: bytearray, _: Sequence[Piece], chance: random.Random) -> None:
    """An end before its time."""
    del film[chance.randrange(1, len(film)) :]


ANYWHERE = (changed_bytes, moved_bytes, cut_off)
IN_PIECES = (wrong_length, wrong_number, wrong_number, wrong_name, lost_piece, doubled_piece, wrong_edits)


def damaged(film: bytes, chance: random.Random) -> bytes:
    """The film with one damage or some."""
    data = bytearray(film)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        pieces = pieces_of(bytes(data))
        kinds = IN_PIECES if pieces and chance.random() < 0.75 else ANYWHERE
        if data:
            chance.choice(kinds)(data, pieces, chance)
    return bytes(data)
