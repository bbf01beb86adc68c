"""Init segments and media segments (ISO/IEC 14496-12, 23000-19) as values. Pure: bytes to values; raises BoxError."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from raven.check.codecs import AUDIO_ENTRY, VIDEO_ENTRY, Codec, codec_of
from raven.check.headers import Headers, has, headers_of
from raven.media.boxes import Box, BoxError, boxes, find

_TABLES = ("stsz", "stz2", "stts", "stsc", "stco", "co64")
_HEADERS = {"vide": VIDEO_ENTRY, "soun": AUDIO_ENTRY}


@dataclass(frozen=True)
class Edit:
    """An entry of an edit list: times in ticks of the movie and of the media; media time -1 is an empty edit."""

    duration: int
    media_time: int
    rate: int


@dataclass(frozen=True)
class Defaults:
    """What a trex or tfhd says of all samples that say nothing else."""

    duration: int
    size: int
    flags: int


@dataclass(frozen=True)
class Init:
    """An init segment. Of several tracks the first is described; `tracks` tells their number."""

    brands: tuple[str, ...]
    tracks: int
    track_id: int
    handler: str
    language: str
    timescale: int
    entry: str
    """Format of the sample entry; of a protected one the original format."""
    entries: int
    codec: Codec
    width: int
    height: int
    shape: tuple[int, int] | None
    """pasp: horizontal and vertical spacing."""
    colour: tuple[int, int, int] | None
    """colr nclx: primaries, transfer, matrix (ISO/IEC 23091-2)."""
    channels: int
    sample_rate: int
    edits: tuple[Edit, ...]
    defaults: Defaults | None
    """trex; None without one."""
    samples: int
    """Entries of the sample tables of the moov itself; a fragmented file has none."""
    protected: bool
    scheme: str
    """Of its encryption, such as `cbcs`; "" for clear media."""
    pattern: tuple[int, int] | None
    """tenc: encrypted and clear blocks of 16 bytes in turn."""
    constant_iv: int | None
    """tenc: bytes of the initialization vector that all samples have; 0 where each has its own."""
    configured: bool
    """Whether the decoder configuration stands in the sample entry."""
    told: frozenset[str]
    """What the sample entry tells of HDR10, in boxes or messages: `mdcv`, `clli`."""
    loudness: bool
    """Whether there is a ludt."""
    headers: Headers

    @property
    def skipped(self) -> int:
        """Ticks that the edit list takes off the start."""
        return next((e.media_time for e in self.edits if e.media_time >= 0), 0)


def parse_init(data: bytes) -> Init:
    """The init segment at the start of `data`. Raises BoxError."""
    top = {box.kind: box for box in boxes(data)}
    if "ftyp" not in top or "moov" not in top:
        raise BoxError(f"an init segment has ftyp and moov, here are {', '.join(top) or 'no boxes'}")
    moov = top["moov"]
    traks = [b for b in boxes(data, moov.payload, moov.end) if b.kind == "trak"]
    if not traks:
        raise BoxError("moov without a trak")
    try:
        return _init(data, top["ftyp"], moov, traks)
    except (struct.error, IndexError) as error:
        raise BoxError("a box of the moov is cut short") from error


def _init(data: bytes, ftyp: Box, moov: Box, traks: list[Box]) -> Init:
    trak = traks[0]
    mdia = find(data, "mdia", trak.payload, trak.end)
    tkhd, mdhd = (find(data, kind, box.payload, box.end) for kind, box in (("tkhd", trak), ("mdhd", mdia)))
    hdlr, stbl = (find(data, path, mdia.payload, mdia.end) for path in ("hdlr", "minf/stbl"))
    stsd = find(data, "stsd", stbl.payload, stbl.end)
    handler = _word(data, hdlr.payload + 8)
    entry = next(boxes(data, stsd.payload + 8, stsd.end), None)
    if entry is None:
        raise BoxError("stsd without a sample entry")
    header = _HEADERS.get(handler, 8)
    inside = {b.kind: b for b in boxes(data, entry.payload + header, entry.end)} if header > 8 else {}
    protected = "sinf" in inside
    kind = (
        _word(data, find(data, "frma", inside["sinf"].payload, inside["sinf"].end).payload) if protected else entry.kind
    )
    codec, configured = _codec(data, entry, kind)
    scale = mdhd.payload + (20 if data[mdhd.payload] == 1 else 12)
    (language,) = struct.unpack_from(">H", data, scale + (12 if data[mdhd.payload] == 1 else 8))
    video = handler == "vide"
    return Init(
        brands=_brands(data, ftyp),
        tracks=len(traks),
        track_id=struct.unpack_from(">I", data, tkhd.payload + (20 if data[tkhd.payload] == 1 else 12))[0],
        handler=handler,
        language="".join(chr(0x60 + (language >> shift & 0x1F)) for shift in (10, 5, 0)),
        timescale=struct.unpack_from(">I", data, scale)[0],
        entry=kind,
        entries=struct.unpack_from(">I", data, stsd.payload + 4)[0],
        codec=codec,
        width=struct.unpack_from(">H", data, entry.payload + 24)[0] if video else 0,
        height=struct.unpack_from(">H", data, entry.payload + 26)[0] if video else 0,
        shape=_shape(data, inside.get("pasp")),
        colour=_colour(data, inside.get("colr")),
        channels=(codec.channels or struct.unpack_from(">H", data, entry.payload + 16)[0]) if handler == "soun" else 0,
        sample_rate=(codec.sample_rate or struct.unpack_from(">H", data, entry.payload + 24)[0])
        if handler == "soun"
        else 0,
        edits=_edits(data, trak),
        defaults=_trex(data, moov),
        samples=_samples(data, stbl),
        protected=protected,
        scheme=_scheme(data, inside["sinf"]) if protected else "",
        pattern=_pattern(data, inside["sinf"]) if protected else None,
        constant_iv=_constant_iv(data, inside["sinf"]) if protected else None,
        configured=configured,
        told=codec.told | {kind for kind in ("mdcv", "clli") if kind in inside},
        loudness=has(data, "udta/ludt", trak),
        headers=headers_of(data, moov, tkhd, find(data, "minf", mdia.payload, mdia.end), entry),
    )


def _codec(data: bytes, entry: Box, kind: str) -> tuple[Codec, bool]:
    try:
        return codec_of(data, entry, kind), True
    except BoxError:
        return Codec(kind), False


def _scheme(data: bytes, sinf: Box) -> str:
    """ISO/IEC 14496-12 8.12.5."""
    return _word(data, find(data, "schm", sinf.payload, sinf.end).payload + 4)


def _pattern(data: bytes, sinf: Box) -> tuple[int, int] | None:
    """ISO/IEC 23001-7 8.2; version 0 has no pattern."""
    tenc = find(data, "schi/tenc", sinf.payload, sinf.end)
    blocks = data[tenc.payload + 5]
    return (blocks >> 4, blocks & 15) if data[tenc.payload] else None


def _constant_iv(data: bytes, sinf: Box) -> int | None:
    """ISO/IEC 23001-7 8.2; None where no tenc says that samples are protected."""
    tenc = find(data, "schi/tenc", sinf.payload, sinf.end)
    protected, own = data[tenc.payload + 6], data[tenc.payload + 7]
    return (0 if own else data[tenc.payload + 24]) if protected else None


def _word(data: bytes, at: int) -> str:
    if at + 4 > len(data):
        raise BoxError("a box is cut short")
    return data[at : at + 4].decode("latin-1")


def _brands(data: bytes, box: Box) -> tuple[str, ...]:
    """Major brand first, without the minor version."""
    words = [_word(data, at) for at in range(box.payload, box.end - 3, 4)]
    return (*words[:1], *words[2:])


def _shape(data: bytes, pasp: Box | None) -> tuple[int, int] | None:
    return struct.unpack_from(">II", data, pasp.payload) if pasp else None


def _colour(data: bytes, colr: Box | None) -> tuple[int, int, int] | None:
    if colr is None or _word(data, colr.payload) not in ("nclx", "nclc"):
        return None
    return struct.unpack_from(">HHH", data, colr.payload + 4)


def _edits(data: bytes, trak: Box) -> tuple[Edit, ...]:
    try:
        elst = find(data, "edts/elst", trak.payload, trak.end)
    except BoxError:
        return ()
    version, count = data[elst.payload], struct.unpack_from(">I", data, elst.payload + 4)[0]
    layout = ">Qqi" if version == 1 else ">Iii"
    step = struct.calcsize(layout)
    if elst.payload + 8 + count * step > elst.end:
        raise BoxError("elst is cut short")
    return tuple(Edit(*struct.unpack_from(layout, data, elst.payload + 8 + n * step)) for n in range(count))


def _trex(data: bytes, moov: Box) -> Defaults | None:
    try:
        trex = find(data, "mvex/trex", moov.payload, moov.end)
    except BoxError:
        return None
    return Defaults(*struct.unpack_from(">III", data, trex.payload + 12))


def _samples(data: bytes, stbl: Box) -> int:
    """Of stsz and stz2 the count is the second number."""
    found = {b.kind: b.payload + (8 if b.kind in ("stsz", "stz2") else 4) for b in boxes(data, stbl.payload, stbl.end)}
    return max((struct.unpack_from(">I", data, found[kind])[0] for kind in _TABLES if kind in found), default=0)
