"""Media segments: fragments, times and first pictures, from as few bytes as possible. Pure but for `read`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest

from raven.check.codecs import Codec
from raven.check.isobmff import Defaults
from raven.check.pictures import Front, front_of, is_random
from raven.check.sidx import Index, parse_index
from raven.check.source import Read, Source
from raven.media.boxes import Box, BoxError, boxes

MAX_SAMPLES = 1 << 20
"""Of a fragment."""
_NON_SYNC, _DEPENDS = 0x00010000, 1
"""Sample flags: that it is no sync sample, and that it depends on others (ISO/IEC 14496-12 8.8.3, 8.6.4)."""
_NAL_UNITS = ("avc", "hvc", "hev")
_SYNC_SAMPLES = 16
"""Of a fragment, that are looked at."""
_TFHD, _TRUN = (0x08, 0x10, 0x20), (0x100, 0x200, 0x400)
"""Flags of what is told of samples: duration, size, flags (ISO/IEC 14496-12 8.8.7, 8.8.8)."""


@dataclass(frozen=True)
class Fragment:
    """One moof with its mdat; times in ticks."""

    sequence: int
    track_id: int
    trafs: int
    truns: int
    decode_time: int | None
    duration: int
    samples: int
    shown_from: int
    shown_to: int
    sync: tuple[int, ...]
    """Decode times of the sync samples, from the fragment's start; of sound the first alone."""
    shortest: int
    """Shortest sample, ticks."""
    final: int
    """The sample that is shown last, ticks."""
    negative_offsets: bool
    relative: bool
    """default-base-is-moof, and no base-data-offset."""
    inside: bool
    """All samples lie in the mdat that follows, and are there."""
    spare: int
    """Bytes of that mdat that are of no sample."""
    encrypted: bool
    whole: bool
    """It tells durations, sizes and flags of its samples itself, nothing by the trex."""
    keys: int
    """Descriptions of keys that it brings along (ISO/IEC 23001-7 6)."""
    front: Front
    """What its first picture is."""
    in_row: bool
    """Whether the samples, if equally long, are shown one right after the other."""
    false_sync: bool
    """Whether a sync sample is none: by its flags, or by the picture in it."""

    @property
    def end(self) -> int:
        return (self.decode_time or 0) + self.duration


@dataclass(frozen=True)
class Segment:
    """A media segment of `bytes` bytes."""

    container: str
    """`mp4`; else what it is: `ts`, `audio` (packed), `text`, `image`, `encrypted`."""
    bytes: int
    brands: tuple[str, ...] = ()
    fragments: tuple[Fragment, ...] = ()
    index: Index | None = None
    size: tuple[int, int] | None = None
    """Width and height of an image."""
    stray: tuple[str, ...] = ()
    """Boxes that are none of a media segment: a moov, an mdat without a moof before it."""

    @property
    def decode_time(self) -> int | None:
        return self.fragments[0].decode_time if self.fragments else None

    @cached_property
    def duration(self) -> int:
        return sum(f.duration for f in self.fragments)

    @property
    def end(self) -> int:
        return (self.decode_time or 0) + self.duration


def container_of(head: bytes) -> str:
    """What a segment is, by its first bytes."""
    if head[:1] == b"\x47":
        return "ts"
    if head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xF0 == 0xF0):
        return "audio"
    if head.lstrip(b"\xef\xbb\xbf")[:6] == b"WEBVTT":
        return "text"
    return "mp4"


def parse_segment(read: Read, size: int, codec: Codec, defaults: Defaults | None, *, picture: bool = False) -> Segment:
    """A media segment of `size` bytes. The range of a `picture` may end within an mdat, once that is in it.

    Raises BoxError where boxes do not fit.
    """
    source = Source(read, size, whole=not picture)
    container = container_of(source.get(0, min(16, size)))
    if container != "mp4":
        return Segment(container, size)
    brands: tuple[str, ...] = ()
    fragments: list[Fragment] = []
    index = None
    walk = list(source.boxes())
    stray = [box.kind for box in walk if box.kind in ("ftyp", "moov")]
    stray += ["mdat" for before, box in pairwise(walk) if box.kind == "mdat" and before.kind not in ("moof", "mdat")]
    for box, after in zip_longest(walk, walk[1:]):
        if box.kind == "styp":
            data = source.get(box.payload, box.end - box.payload)
            brands = tuple(data[at : at + 4].decode("latin-1") for at in range(0, len(data) - 3, 4) if at != 4)
        elif box.kind == "sidx" and index is None:
            index = parse_index(source.get(box.start, box.end - box.start))
        elif box.kind == "moof":
            fragments.append(_fragment(source, box, after, codec, defaults))
    return Segment("mp4", size, brands, tuple(fragments), index, stray=tuple(stray))


def _fragment(source: Source, box: Box, mdat: Box | None, codec: Codec, defaults: Defaults | None) -> Fragment:
    data = source.get(box.start, box.end - box.start)
    moof = next(boxes(data))
    inside = {b.kind: b for b in reversed(list(boxes(data, moof.payload, moof.end)))}
    trafs = [b for b in boxes(data, moof.payload, moof.end) if b.kind == "traf"]
    if "mfhd" not in inside or not trafs:
        raise BoxError(f"the moof at {box.start} has no {'traf' if 'mfhd' in inside else 'mfhd'}")
    try:
        return _Traf(data, trafs, inside["mfhd"], defaults).fragment(source, box, mdat, codec)
    except (struct.error, IndexError) as error:
        raise BoxError(f"a box of the moof at {box.start} is cut short") from error


class _Traf:
    """The first traf of a moof, read field by field (ISO/IEC 14496-12 8.8)."""

    def __init__(self, data: bytes, trafs: list[Box], mfhd: Box, defaults: Defaults | None) -> None:
        traf = trafs[0]
        self.data, self.trafs = data, len(trafs)
        children = list(boxes(data, traf.payload, traf.end))
        self.kinds = {b.kind for b in children}
        self.runs = [b for b in children if b.kind == "trun"]
        self.keys = sum(_descriptions(data, b) for b in children if b.kind == "sgpd")
        (self.sequence,) = struct.unpack_from(">I", data, mfhd.payload + 4)
        tfhd = next((b for b in children if b.kind == "tfhd"), None)
        if tfhd is None:
            raise BoxError("a traf without a tfhd")
        self._tfhd(tfhd, defaults or Defaults(0, 0, 0))
        tfdt = next((b for b in children if b.kind == "tfdt"), None)
        wide = tfdt is not None and data[tfdt.payload] == 1
        self.decode_time = struct.unpack_from(">Q" if wide else ">I", data, tfdt.payload + 4)[0] if tfdt else None

    def _tfhd(self, box: Box, base: Defaults) -> None:
        flags, self.track_id = struct.unpack_from(">II", self.data, box.payload)
        at = box.payload + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
        values = [base.duration, base.size, base.flags]
        self.told = [bool(flags & bit) for bit in _TFHD]
        for n, bit in enumerate(_TFHD):
            if flags & bit:
                (values[n],) = struct.unpack_from(">I", self.data, at)
                at += 4
        self.defaults = Defaults(*values)
        self.relative = bool(flags & 0x020000) and not flags & 1

    def _samples(self, run: Box) -> Iterator[tuple[int, int, int, int]]:
        """Duration, size, flags and composition offset of each sample."""
        head, count = struct.unpack_from(">II", self.data, run.payload)
        at = run.payload + 8 + (4 if head & 1 else 0)
        first_flags = self.defaults.flags
        if head & 4:
            (first_flags,) = struct.unpack_from(">I", self.data, at)
            at += 4
        layout = ">" + "".join(
            code
            for bit, code in ((0x100, "I"), (0x200, "I"), (0x400, "I"), (0x800, "i" if head >> 24 else "I"))
            if head & bit
        )
        step = struct.calcsize(layout)
        if at + count * step > run.end or count > MAX_SAMPLES:
            raise BoxError(f"trun states {count} samples that do not fit in it")
        for n in range(count):
            values = iter(struct.unpack_from(layout, self.data, at + n * step))
            yield (
                next(values) if head & 0x100 else self.defaults.duration,
                next(values) if head & 0x200 else self.defaults.size,
                next(values) if head & 0x400 else self.defaults.flags if n else first_flags,
                next(values) if head & 0x800 else 0,
            )

    def _whole(self) -> bool:
        heads = [int.from_bytes(self.data[run.payload : run.payload + 4], "big") for run in self.runs]
        return all(told or all(head & bit for head in heads) for told, bit in zip(self.told, _TRUN, strict=True))

    def _offset(self, run: Box, moof: Box) -> int:
        (head,) = struct.unpack_from(">I", self.data, run.payload)
        return moof.start + (struct.unpack_from(">i", self.data, run.payload + 8)[0] if head & 1 else 0)

    def fragment(self, source: Source, moof: Box, mdat: Box | None, codec: Codec) -> Fragment:
        time = start = self.decode_time or 0
        sync: list[int] = []
        shown: list[int] = []
        ends: list[tuple[int, int]] = []
        count = size = 0
        shortest, negative, begins = 0, False, 0
        again: list[tuple[int, int]] = []
        false_sync, pictures = False, codec.text[:3] in _NAL_UNITS
        for duration, length, flags, offset in (s for run in self.runs for s in self._samples(run)):
            if not flags & _NON_SYNC:
                sync.append(time - start)
                false_sync |= flags >> 24 & 3 == _DEPENDS
                if pictures:
                    again.append((size, length))
            shown.append(time + offset)
            ends.append((time + offset + duration, duration))
            begins = begins or length
            time, size, count = time + duration, size + length, count + 1
            shortest, negative = min(shortest or duration, duration), negative or offset < 0
        data_at = self._offset(self.runs[0], moof) if self.runs else moof.end
        there = data_at + (size if source.whole else begins) <= source.size  # whatever the mdat says of itself
        inside = there and _holds(mdat, data_at, data_at + size)
        clear = inside and count and "senc" not in self.kinds
        if clear and len(again) < count:
            false_sync |= _depends(source, [(data_at + before, length) for before, length in again if before], codec)
        return Fragment(
            sequence=self.sequence,
            track_id=self.track_id,
            trafs=self.trafs,
            truns=len(self.runs),
            decode_time=self.decode_time,
            duration=time - start,
            samples=count,
            shown_from=min(shown, default=start),
            shown_to=max(ends, default=(start, 0))[0],
            sync=tuple(sync) if len(sync) < count else tuple(sync[:1]),
            shortest=shortest,
            final=max(ends, default=(start, 0))[1],
            negative_offsets=negative,
            relative=self.relative,
            inside=inside,
            spare=mdat.end - mdat.payload - size if mdat else 0,
            encrypted="senc" in self.kinds,
            whole=self._whole(),
            keys=self.keys,
            front=front_of(source, data_at, begins, codec) if clear else Front(),
            in_row=_in_row(shown, shortest, time - start),
            false_sync=false_sync,
        )


def _holds(mdat: Box | None, start: int, end: int) -> bool:
    """Whether what follows a moof is an mdat with these bytes in it."""
    return mdat is not None and mdat.kind == "mdat" and mdat.payload <= start and end <= mdat.end


def _depends(source: Source, samples: list[tuple[int, int]], codec: Codec) -> bool:
    """Whether one of these samples, told as (place, bytes), has a picture that no decoder can begin at."""
    fronts = (front_of(source, at, size, codec) for at, size in samples[:_SYNC_SAMPLES])
    return any(not is_random(codec.text, front.picture) for front in fronts)


def _in_row(shown: list[int], shortest: int, ticks: int) -> bool:
    """Of samples that are not equally long only that no two are shown at once."""
    if shortest * len(shown) != ticks or not ticks:
        return len(set(shown)) == len(shown)
    first = min(shown)
    return sorted(shown) == list(range(first, first + ticks, shortest))


def _descriptions(data: bytes, box: Box) -> int:
    """How many keys an sgpd of `seig` describes (ISO/IEC 14496-12 8.9.3)."""
    if data[box.payload + 4 : box.payload + 8] != b"seig":
        return 0
    (count,) = struct.unpack_from(">I", data, box.payload + (8 if data[box.payload] == 0 else 12))
    return int(count)
