"""Codecs as init segments and samples tell them: RFC 6381 strings, and what a decoder can start at. Pure."""

from __future__ import annotations

import struct

from raven.media import av1, boxes, nal
from raven.media.boxes import Box, BoxError

HEVC_IDR = (19, 20)
"""IDR_W_RADL and IDR_N_LP (H.265 7.4.2.2)."""


def _payload(init: bytes, entry: Box, kind: str, at_least: int) -> bytes:
    found = boxes.child(init, entry, kind)
    content = init[found.payload : found.end]
    if len(content) < at_least:
        raise BoxError(f"{kind} of {len(content)} bytes is too short")
    return content


def codec_string(init: bytes) -> str:
    """The RFC 6381 `codecs` value of an init segment, from its sample entry. Raises BoxError."""
    entry = boxes.sample_entry(init)[-1]
    match entry.kind:
        case "avc1":
            return f"avc1.{_payload(init, entry, 'avcC', 4)[1:4].hex()}"
        case "hvc1":
            return _hevc_string(_payload(init, entry, "hvcC", 13))
        case "av01":
            return av1.codec_string(_payload(init, entry, "av1C", 4))
        case "mp4a":
            return f"mp4a.40.{_audio_object_type(_payload(init, entry, 'esds', 4))}"
    raise BoxError(f"no codecs value is known for sample entry {entry.kind}")


def colour(init: bytes) -> tuple[int, int, int] | None:
    """Primaries, transfer and matrix (ITU-T H.273) that the sample entry states (ISO/IEC 14496-12 12.1.5)."""
    try:
        content = _payload(init, boxes.sample_entry(init)[-1], "colr", 11)
    except BoxError:
        return None
    return struct.unpack_from(">HHH", content, 4) if content[:4] == b"nclx" else None


def _hevc_string(config: bytes) -> str:
    """ISO/IEC 14496-15 E.3: profile, compatibility flags in reverse order of bits, tier and level, constraints."""
    space = ("", "A", "B", "C")[config[1] >> 6]
    compatible = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)
    tier = "H" if config[1] & 0x20 else "L"
    constraints = [f"{byte:X}" for byte in config[6:12].rstrip(b"\0")]
    return ".".join([f"hvc1.{space}{config[1] & 0x1F}", f"{compatible:X}", f"{tier}{config[12]}", *constraints])


def _audio_object_type(esds: bytes) -> int:
    """Audio object type of the AudioSpecificConfig in an esds box (ISO/IEC 14496-1 7.2.6, 14496-3 1.6.2.1)."""
    at = 4
    try:
        while at < len(esds):
            tag, at = esds[at], at + 1
            size, more = 0, True
            while more:
                byte, at = esds[at], at + 1
                size, more = size << 7 | byte & 0x7F, bool(byte & 0x80)
            if tag == 0x05:
                first, second = struct.unpack_from(">BB", esds, at)
                kind: int = first >> 3
                return kind if kind != 31 else 32 + ((first & 7) << 3 | second >> 5)
            at += {0x03: 3, 0x04: 13}.get(tag, size)
    except (IndexError, struct.error) as error:
        raise BoxError("the bytes end within an esds") from error
    raise BoxError("esds without an AudioSpecificConfig")


def start_fault(init: bytes, sample: bytes) -> str | None:
    """What is wrong with a sample as the start of a GOP that decodes alone (Apple 7.4), None if nothing is."""
    try:
        entry = boxes.sample_entry(init)[-1]
        match entry.kind:
            case "avc1":
                picture = nal.first_picture("h264", _payload(init, entry, "avcC", 5), sample)
                return None if picture == 5 else f"NAL type {picture}, not an IDR"
            case "hvc1":
                picture = nal.first_picture("hevc", _payload(init, entry, "hvcC", 22), sample)
                return None if picture in HEVC_IDR else f"NAL type {picture}, not an IDR"
            case "av01":
                return None if av1.shows_key_frame(sample) else "no key frame that is shown"
    except BoxError as error:
        return str(error)
    return f"sample entry {entry.kind}, for which no rule is known"


def with_true_header(init: bytes, starts: list[bytes]) -> bytes:
    """An AV1 init segment with the sequence header that its samples have; others as they are.

    SVT-AV1 states one before it has chosen its tools, another in the samples; they shall be one (AV1 in ISOBMFF 2.3.4).
    Raises BoxError where two of the `starts` of GOPs have different ones.
    """
    row = boxes.sample_entry(init)
    if row[-1].kind != "av01" or not starts:
        return init
    headers = {av1.header_of(sample) for sample in starts}
    if len(headers) != 1:
        raise BoxError(f"{len(headers)} sequence headers in one chunk")
    old = boxes.child(init, row[-1], "av1C")
    return boxes.spliced(init, row, old.start, old.end, boxes.box("av1C", av1.configuration(headers.pop())))
