"""What a sample entry says of its codec: the RFC 6381 `codecs` value, profile and level. Pure: bytes to values.

Derived here once more, and not by the writers' code, as this is what the writers' values are held against.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from raven.check.messages import messages, plain
from raven.check.sps import Sps, h264, hevc
from raven.media.boxes import Box, BoxError, find

VIDEO_ENTRY = 78
"""Bytes of a VisualSampleEntry before its child boxes (ISO/IEC 14496-12 12.1.3)."""
AUDIO_ENTRY = 28
CONFIGURATION = {
    "avc1": "avcC", "avc3": "avcC", "hvc1": "hvcC", "hev1": "hvcC", "dvh1": "hvcC", "dvhe": "hvcC",
    "av01": "av1C", "vp09": "vpcC", "mp4a": "esds", "ac-3": "dac3", "ec-3": "dec3", "Opus": "dOps", "fLaC": "dfLa",
    "alac": "alac", "wvtt": "vttC",
}  # fmt: skip
_PREFIX_SEI = 39
_SPS = 33
_PARAMETER_SETS = {32: "VPS", _SPS: "SPS", 34: "PPS"}
"""Of HEVC, by NAL unit type (H.265 7.4.2.2)."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)  # of channelConfiguration, ISO/IEC 14496-3 table 1.19


@dataclass(frozen=True)
class Codec:
    """`text` is the codecs value; profile and level as the codec numbers them; 0 where it has none."""

    text: str
    profile: int = 0
    level: int = 0
    high_tier: bool = False
    bits: int = 8
    channels: int = 0
    sample_rate: int = 0
    nal_length: int = 4
    fields: bool = False
    """Whether pictures may be pairs of fields: interlaced video."""
    chroma: int = 1
    """chroma_format_idc: 1 is 4:2:0."""
    sbr: bool = False
    """Whether the configuration of AAC says that there is SBR (ISO/IEC 14496-3 1.6.5)."""
    told: frozenset[str] = frozenset()
    """What the messages of the configuration carry, by the names of `raven.check.messages`."""
    lacks: tuple[str, ...] = ()
    """The parameter sets that the configuration should have and has not."""
    sps: Sps | None = None
    """The first sequence parameter set of the configuration."""
    profile_bytes: bytes = b""
    """Profile, constraints and level as the configuration has them, to be those of the parameter set."""


def codec_of(data: bytes, entry: Box, kind: str) -> Codec:
    """The codec of a sample entry whose format (the original one, if protected) is `kind`. Raises BoxError."""
    reader = {
        "avcC": _avc, "hvcC": _hevc, "av1C": _av1, "esds": _aac, "dec3": _plain, "dac3": _plain,
    }.get(CONFIGURATION.get(kind, ""), _plain)  # fmt: skip
    if reader is _plain:
        return Codec(kind)
    header = AUDIO_ENTRY if kind == "mp4a" else VIDEO_ENTRY
    box = find(data, CONFIGURATION[kind], entry.payload + header, entry.end)
    try:
        return reader(data[box.payload : box.end], kind)
    except (struct.error, IndexError) as error:
        raise BoxError(f"{box.kind} of {box.end - box.start} bytes is cut short") from error


def _plain(_: bytes, kind: str) -> Codec:
    return Codec(kind)


def _avc(box: bytes, kind: str) -> Codec:
    """ISO/IEC 14496-15 5.3.3.1; the value is written with capitals or without, both are right."""
    _known_version(box)
    profile, compatible, level, lengths = box[1], box[2], box[3], box[4]
    bits = 10 if profile in (110, 122, 244) else 8
    units, at = [], 6
    for count, wanted in ((box[5] & 0x1F, 7), (None, 8)):  # H.264 7.4.1
        found, at = _units(box, at, count)
        units.append([unit for unit in found if unit[0] & 0x1F == wanted])
    first = h264(units[0][0]) if units[0] else None
    return Codec(
        f"{kind}.{profile:02x}{compatible:02x}{level:02x}",
        profile,
        level,
        bits=bits,
        nal_length=(lengths & 3) + 1,
        fields=bool(first and first.fields),
        lacks=tuple(name for name, found in zip(("SPS", "PPS"), units, strict=True) if not found),
        sps=first,
        profile_bytes=box[1:4],
    )


def _known_version(box: bytes) -> None:
    """Raises BoxError where the configurationVersion is none that a reader knows."""
    if box[0] != 1:
        raise BoxError(f"a decoder configuration of version {box[0]}")


def _units(box: bytes, at: int, count: int | None) -> tuple[list[bytes], int]:
    """NAL units with 16 bits of length each, and where they end; `count` of them, or as many as the byte there says."""
    if count is None:
        count, at = box[at], at + 1
    found = []
    for _ in range(count):
        size = int.from_bytes(box[at : at + 2], "big")
        if at + 2 + size > len(box) or not size:
            raise IndexError(at)
        found.append(box[at + 2 : at + 2 + size])
        at += 2 + size
    return found, at


def _hevc(box: bytes, kind: str) -> Codec:
    """ISO/IEC 14496-15 8.3.3.1 and annex E.3."""
    _known_version(box)
    first, compatible = box[1], struct.unpack_from(">I", box, 2)[0]
    space, tier, profile = first >> 6, bool(first & 0x20), first & 0x1F
    constraints = box[6:12].rstrip(b"\0")
    level = box[12]
    reversed_bits = int(f"{compatible:032b}"[::-1], 2)
    units = dict.fromkeys(_PARAMETER_SETS, b"") | dict(reversed(list(_hevc_units(box))))
    parts = [
        kind,
        f"{('', 'A', 'B', 'C')[space]}{profile}",
        f"{reversed_bits:X}",
        f"{'H' if tier else 'L'}{level}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return Codec(
        ".".join(parts),
        profile,
        level,
        tier,
        8 + (box[17] & 7),
        nal_length=(box[21] & 3) + 1,
        fields=box[6] >> 6 == 1,  # general_interlaced_source_flag without the progressive one
        chroma=box[16] & 3,
        told=frozenset(name for kind, unit in _hevc_units(box) if kind == _PREFIX_SEI for name in _told(unit)),
        lacks=tuple(name for kind, name in _PARAMETER_SETS.items() if not units[kind]),
        sps=hevc(units[_SPS]) if units[_SPS] else None,
        profile_bytes=box[1:13],
    )


def _told(unit: bytes) -> Iterator[str]:
    return messages(plain(unit[2:]))


def _hevc_units(box: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of the NAL units of an hvcC (ISO/IEC 14496-15 8.3.3.1.2)."""
    at = 23
    for _ in range(box[22]):
        kind, count = box[at] & 0x3F, int.from_bytes(box[at + 1 : at + 3], "big")
        found, at = _units(box, at + 3, count)
        yield from ((kind, unit) for unit in found)


def _av1(box: bytes, kind: str) -> Codec:
    """AV1 codec ISO media file format binding 2.3.3 and 5."""
    profile, level = box[1] >> 5, box[1] & 0x1F
    tier, high, twelve = bool(box[2] & 0x80), bool(box[2] & 0x40), bool(box[2] & 0x20)
    bits = 12 if twelve else 10 if high else 8
    return Codec(f"{kind}.{profile}.{level:02d}{'H' if tier else 'M'}.{bits:02d}", profile, level, tier, bits)


def _aac(box: bytes, kind: str) -> Codec:
    """ISO/IEC 14496-1 7.2.6.5 (descriptors) and 14496-3 1.6.2.1 (AudioSpecificConfig)."""
    at = 4
    while at < len(box):
        tag, at = box[at], at + 1
        size, more = 0, True
        while more:
            size, more, at = size << 7 | box[at] & 0x7F, bool(box[at] & 0x80), at + 1
        if tag == 0x03:
            at += 3
        elif tag == 0x04:
            if box[at] != 0x40:
                return Codec(f"{kind}.{box[at]:02x}")
            at += 13
        elif tag == 0x05:
            return _audio_config(box[at : at + size], kind)
        else:
            at += size
    raise BoxError("esds without an AudioSpecificConfig")


def _audio_config(config: bytes, kind: str) -> Codec:
    value, left = int.from_bytes(config, "big"), 8 * len(config)

    def take(bits: int) -> int:
        nonlocal left
        left -= bits
        if left < 0:
            raise BoxError("AudioSpecificConfig is cut short")
        return value >> left & (1 << bits) - 1

    object_type = take(5)
    object_type = 32 + take(6) if object_type == 31 else object_type
    index = take(4)
    sample_rate = take(24) if index == 15 else _RATES[index] if index < len(_RATES) else 0
    channels = take(4)
    extension = object_type
    if object_type in (5, 29):  # explicit SBR: the rate after it is what comes out
        index = take(4)
        sample_rate = take(24) if index == 15 else _RATES[index] if index < len(_RATES) else 0
    count = 2 if extension == 29 else _CHANNELS[channels] if channels < len(_CHANNELS) else 0
    sbr = object_type in (5, 29) or (channels > 0 and left >= 20 and _synced(value, left))
    return Codec(f"{kind}.40.{extension}", extension, channels=count, sample_rate=sample_rate, sbr=sbr)


def _synced(value: int, left: int) -> bool:
    """Whether SBR is told behind the configuration of AAC-LC, and is there (ISO/IEC 14496-3 1.6.5.3)."""
    plain_core = value >> left - 2 & 1 == 0 and value >> left - 3 & 1 == 0  # no core coder, no extension
    return plain_core and value >> left - 14 & 0x7FF == 0x2B7 and bool(value >> left - 20 & 1)
