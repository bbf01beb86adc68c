"""ISO base media file format boxes (ISO/IEC 14496-12), as far as fragmented MP4 needs them. Pure: bytes to values."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SYNC_FLAG = 0x00010000  # 14496-12 8.8.3.1: sample_is_non_sync_sample
_INDEPENDENT, _DEPENDENT = 0x02000000, 0x01000000  # sample_depends_on
VISUAL_ENTRY, AUDIO_ENTRY = 78, 28
"""Bytes of a sample entry before its child boxes."""
_STSD = "moov/trak/mdia/minf/stbl/stsd"
_ENTRY_PATHS = [_STSD[: m.start()] for m in re.finditer("/|$", _STSD)]


class BoxError(ValueError):
    """The bytes are not the boxes that they should be."""


@dataclass(frozen=True)
class Box:
    """A box: its type, where it starts, where its payload starts and where it ends."""

    kind: str
    start: int
    payload: int
    end: int


@dataclass(frozen=True)
class Sample:
    """A sample of a fragment: times in ticks of the track, `offset` and `size` in bytes within the file."""

    decode_time: int
    duration: int
    composition_offset: int
    size: int
    sync: bool
    offset: int

    @property
    def presentation_time(self) -> int:
        return self.decode_time + self.composition_offset


@dataclass(frozen=True)
class Fragment:
    """One moof with its mdat: a byte range of the file and its samples."""

    start: int
    end: int
    samples: tuple[Sample, ...]


def _unpack(layout: str, data: bytes | memoryview, at: int) -> tuple[int, ...]:
    """Numbers at `at`. Raises BoxError where the bytes end before them."""
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        raise BoxError(f"the bytes end within a box, at {at}") from error


def boxes(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes side by side in `data[start:end]`. Raises BoxError where one does not fit."""
    end = len(data) if end is None else end
    while start < end:
        if end - start < 8:
            raise BoxError(f"{end - start} bytes left over at {start}")
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1:
            (size,) = _unpack(">Q", data, start + 8)
            header = 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise BoxError(f"box {kind!r} at {start} has size {size}, {end - start} bytes are there")
        yield Box(kind.decode("latin-1"), start, start + header, start + size)
        start += size


def find(data: bytes | memoryview, path: str, start: int = 0, end: int | None = None) -> Box:
    """The first box at `path`, such as `moov/trak/mdia`. Raises BoxError when there is none."""
    box = Box("", start, start, len(data) if end is None else end)
    for kind in path.split("/"):
        found = next((b for b in boxes(data, box.payload, box.end) if b.kind == kind), None)
        if found is None:
            raise BoxError(f"no box {path}")
        box = found
    return box


@dataclass(frozen=True)
class _Defaults:
    duration: int
    size: int
    flags: int


def _tfhd(data: bytes | memoryview, traf: Box, base: _Defaults) -> _Defaults:
    box = find(data, "tfhd", traf.payload, traf.end)
    (flags,) = _unpack(">I", data, box.payload)
    at = box.payload + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
    values = []
    for bit, default in ((0x8, base.duration), (0x10, base.size), (0x20, base.flags)):
        if flags & bit:
            (default,) = _unpack(">I", data, at)  # noqa: PLW2901 - the box overrides the default
            at += 4
        values.append(default)
    return _Defaults(*values)


def _tfdt(data: bytes | memoryview, traf: Box) -> int:
    box = find(data, "tfdt", traf.payload, traf.end)
    (version,) = _unpack(">B", data, box.payload)
    return _unpack(">Q" if version == 1 else ">I", data, box.payload + 4)[0]


def _trun(data: bytes | memoryview, run: Box, moof: Box, mdat: Box, base: _Defaults, time: int) -> Iterator[Sample]:
    version_flags, count = _unpack(">II", data, run.payload)
    if count > mdat.end - mdat.payload:
        raise BoxError(f"{count} samples in {mdat.end - mdat.payload} bytes")
    flags, at = version_flags & 0xFFFFFF, run.payload + 8
    offset, first_flags = moof.end + 8, base.flags
    if flags & 0x1:
        offset = moof.start + _unpack(">i", data, at)[0]
        at += 4
    if flags & 0x4:
        (first_flags,) = _unpack(">I", data, at)
        at += 4
    cts_format = ">i" if version_flags >> 24 else ">I"
    for index in range(count):
        duration, size, sample_flags, cts = base.duration, base.size, base.flags if index else first_flags, 0
        if flags & 0x100:
            (duration,) = _unpack(">I", data, at)
            at += 4
        if flags & 0x200:
            (size,) = _unpack(">I", data, at)
            at += 4
        if flags & 0x400:
            (sample_flags,) = _unpack(">I", data, at)
            at += 4
        if flags & 0x800:
            (cts,) = _unpack(cts_format, data, at)
            at += 4
        if not mdat.payload <= offset <= offset + size <= mdat.end:
            raise BoxError(f"sample {index} of {size} bytes at {offset} is outside its mdat")
        yield Sample(time, duration, cts, size, not sample_flags & SYNC_FLAG, offset)
        time += duration
        offset += size


def _trex(data: bytes | memoryview) -> _Defaults:
    box = find(data, "moov/mvex/trex")
    return _Defaults(*_unpack(">III", data, box.payload + 12))


def split(data: bytes | memoryview) -> tuple[bytes, list[Fragment]]:
    """The init segment (ftyp and moov) and the fragments of a one-track fragmented MP4. Raises BoxError."""
    top = list(boxes(data))
    header = [b for b in top if b.kind in ("ftyp", "moov")]
    if [b.kind for b in header] != ["ftyp", "moov"]:
        raise BoxError("a fragmented MP4 starts with ftyp and moov")
    init = bytes(data[header[0].start : header[1].end])
    base = _trex(init)
    fragments = []
    for moof, mdat in itertools.zip_longest(top, top[1:]):
        if moof.kind == "moof":
            if mdat is None or mdat.kind != "mdat":
                raise BoxError(f"a moof is followed by {mdat.kind if mdat else 'nothing'}, not mdat")
            fragments.append(_fragment(data, moof, mdat, base))
    return init, fragments


def _fragment(data: bytes | memoryview, moof: Box, mdat: Box, base: _Defaults) -> Fragment:
    traf = find(data, "traf", moof.payload, moof.end)
    runs = [b for b in boxes(data, traf.payload, traf.end) if b.kind == "trun"]
    if len(runs) != 1:
        raise BoxError(f"{len(runs)} trun in a traf; CMAF wants one")
    defaults = _tfhd(data, traf, base)
    samples = tuple(_trun(data, runs[0], moof, mdat, defaults, _tfdt(data, traf)))
    return Fragment(moof.start, mdat.end, samples)


def timescale(init: bytes) -> int:
    """Ticks per second of the track of an init segment."""
    box = find(init, "moov/trak/mdia/mdhd")
    (version,) = _unpack(">B", init, box.payload)
    return _unpack(">I", init, box.payload + (20 if version == 1 else 12))[0]


def sample_entry(init: bytes) -> tuple[Box, ...]:
    """The first sample entry of an init segment, last in the row of the boxes that it stands in."""
    row = tuple(find(init, path) for path in _ENTRY_PATHS)
    entry = next(boxes(init, row[-1].payload + 8, row[-1].end), None)
    if entry is None:
        raise BoxError("stsd without a sample entry")
    return (*row, entry)


def child(data: bytes, entry: Box, kind: str) -> Box:
    """The box of a kind in a sample entry, behind its fixed fields (ISO/IEC 14496-12 12.1.3, 12.2.3)."""
    fixed = AUDIO_ENTRY if entry.kind == "mp4a" else VISUAL_ENTRY
    return find(data, kind, entry.payload + fixed, entry.end)


def spliced(data: bytes, around: Sequence[Box], start: int, end: int, content: bytes) -> bytes:
    """`data[start:end]` replaced by `content`, the sizes of the boxes `around` it adapted."""
    changed = bytearray(data[:start] + content + data[end:])
    for outer in around:
        struct.pack_into(">I", changed, outer.start, outer.end - outer.start + len(content) - (end - start))
    return bytes(changed)


def box(kind: str, *payload: bytes) -> bytes:
    """A box around `payload`."""
    body = b"".join(payload)
    return struct.pack(">I4s", 8 + len(body), kind.encode("latin-1")) + body


def with_edit(init: bytes, media_time: int) -> bytes:
    """An init segment whose track is shown from `media_time` ticks on (ISO/IEC 14496-12 8.6.6), unless that is 0."""
    if media_time == 0:
        return init
    moov, trak, mdia = find(init, "moov"), find(init, "moov/trak"), find(init, "moov/trak/mdia")
    # version 0, one entry: duration 0 is all that the fragments have, at normal rate
    edts = box("edts", box("elst", struct.pack(">IIIiI", 0, 1, 0, media_time, 0x00010000)))
    return spliced(init, (moov, trak), mdia.start, mdia.start, edts)


def type_box(kind: str, *brands: str) -> bytes:
    """An ftyp or styp; the first brand is the major one."""
    return box(kind, brands[0].encode(), bytes(4), "".join(brands).encode())


def with_samples(data: bytes | memoryview, fragment: Fragment, samples: Sequence[Sample]) -> tuple[bytes, slice]:
    """A fragment with other times: a moof of `samples`, and where its mdat lies in `data`. Raises BoxError.

    Track 1, one traf, one trun, offsets relative to the moof (ISO/IEC 23000-19 7.3.2.3, 7.5.13).
    """
    old = find(data, "moof", fragment.start, fragment.end)
    mfhd = find(data, "mfhd", old.payload, old.end)
    tfhd = box("tfhd", struct.pack(">II", 0x020000, 1))
    tfdt = box("tfdt", struct.pack(">IQ", 1 << 24, samples[0].decode_time))
    row = b"".join(
        struct.pack(
            ">IIII", s.duration, s.size, _INDEPENDENT if s.sync else _DEPENDENT | SYNC_FLAG, s.composition_offset
        )
        for s in samples
    )
    kept = bytes(data[mfhd.start : mfhd.end])
    moof_size = 8 + len(kept) + 8 + len(tfhd) + len(tfdt) + 20 + len(row)
    to_data = moof_size + samples[0].offset - old.end
    trun = box("trun", struct.pack(">IIi", 0x1 | 0x100 | 0x200 | 0x400 | 0x800, len(samples), to_data), row)
    return box("moof", kept, box("traf", tfhd, tfdt, trun)), slice(old.end, fragment.end)


def sync_fragment(sequence: int, decode_time: int, duration: int, sizes: list[int]) -> bytes:
    """The moof and the mdat's header of a fragment of sync samples of equal `duration`; their bytes follow it.

    Track 1, one traf, one trun, offsets relative to the moof (ISO/IEC 23000-19 7.3.2.3, 7.5.13).
    """
    tfhd = box("tfhd", struct.pack(">IIII", 0x020000 | 0x8 | 0x20, 1, duration, _INDEPENDENT))
    tfdt = box("tfdt", struct.pack(">IQ", 1 << 24, decode_time))
    mfhd = box("mfhd", struct.pack(">II", 0, sequence))
    trun_size = 8 + 12 + 4 * len(sizes)
    moof_size = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + trun_size
    trun = box("trun", struct.pack(f">IIi{len(sizes)}I", 0x1 | 0x200, len(sizes), moof_size + 8, *sizes))
    moof = box("moof", mfhd, box("traf", tfhd, tfdt, trun))
    return moof + struct.pack(">I4s", 8 + sum(sizes), b"mdat")
