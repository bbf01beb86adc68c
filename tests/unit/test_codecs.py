"""Codecs: the strings by which players choose, and what a decoder can start at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media import av1, boxes
from raven.media.av1 import SequenceHeader
from raven.media.boxes import BoxError
from raven.media.codecs import codec_string, start_fault, with_true_header
from tests.builders import IDR, SEI, SLICE, aac_entry, avc_entry, init_segment, nal

# what x265 and SVT-AV1 of the shipped ffmpeg wrote of a test picture, 320x180
HVCC = bytes.fromhex("0101600000009000000000003cf000fcfdf8f800000f00")
HVCC_MAIN10 = bytes.fromhex("0102200000009000000000003cf000fcfdfafa00000f00")
AV1_STATED = bytes.fromhex("0a0b0200000561e7f66017c002")
AV1_TRUE = bytes.fromhex("0a0b0200000561e7f66357cc02")
AV1_TEN_BITS = bytes.fromhex("0a0b0200000561e7f66357ce02")
AV1_KEY = AV1_TRUE + bytes.fromhex("3204140000a0")
AV1_INTER = bytes.fromhex("3204300000a0")


def hevc_entry(config: bytes = HVCC, kind: str = "hvc1") -> bytes:
    return boxes.box(kind, bytes(78), boxes.box("hvcC", config))


def av1_entry(header: bytes = AV1_STATED) -> bytes:
    return boxes.box("av01", bytes(78), boxes.box("av1C", b"\x81\x00\x0c\x00", header), boxes.box("pasp", bytes(8)))


def hevc_nal(kind: int) -> bytes:
    return nal(kind << 1)


@pytest.mark.parametrize(
    ("entry", "codec"),
    [
        (avc_entry(), "avc1.64001f"),
        (hevc_entry(), "hvc1.1.6.L60.90"),
        (hevc_entry(HVCC_MAIN10), "hvc1.2.4.L60.90"),
        (hevc_entry(bytes.fromhex("01622000000000000000000099")), "hvc1.A2.4.H153"),
        (hevc_entry(bytes.fromhex("010160000000b00000000001 5d".replace(" ", ""))), "hvc1.1.6.L93.B0.0.0.0.0.1"),
        (av1_entry(), "av01.0.00M.08"),
        (av1_entry(AV1_TEN_BITS), "av01.0.00M.10"),
        (aac_entry(), "mp4a.40.2"),
        (aac_entry(b"\x29\x90"), "mp4a.40.5"),
        (aac_entry(b"\xf9\x40\x00"), "mp4a.40.42"),
    ],
    ids=["high", "main", "main10", "high tier", "constraints", "av1", "av1 10 bits", "aac-lc", "he-aac", "xhe-aac"],
)
def test_the_codecs_value_is_that_of_the_sample_entry(entry: bytes, codec: str) -> None:
    """RFC 6381; a wrong one makes a browser refuse the film."""
    assert codec_string(init_segment(entry=entry)) == codec


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        boxes.box("vp09", bytes(78)),
        boxes.box("avc1", bytes(78)),
        boxes.box("avc1", bytes(78), boxes.box("avcC", b"\x01\x64")),
        hevc_entry(HVCC[:12]),
        hevc_entry(kind="hev1"),
        av1_entry(b""),
        av1_entry(AV1_TRUE[:-4]),
        av1_entry(b"\x0a\x02\x02\x00"),
        boxes.box("mp4a", bytes(28), boxes.box("esds", bytes(4))),
        boxes.box("mp4a", bytes(28), boxes.box("esds", bytes(4), b"\x03\xff\xff")),
    ],
    ids=[
        "none",
        "unknown",
        "no avcC",
        "short avcC",
        "short hvcC",
        "in-band",
        "no header",
        "header cut",
        "header of a byte",
        "empty esds",
        "short esds",
    ],
)
def test_an_init_segment_without_a_known_codec_is_an_error(entry: bytes) -> None:
    with pytest.raises(BoxError):
        codec_string(init_segment(entry=entry))


@pytest.mark.parametrize(
    ("entry", "sample", "fault"),
    [
        (avc_entry(), nal(SEI) + nal(IDR), None),
        (avc_entry(), nal(SEI) + nal(SLICE), "NAL type 1, not an IDR"),
        (avc_entry(), nal(SEI), "NAL type None, not an IDR"),
        (hevc_entry(), hevc_nal(39) + hevc_nal(19), None),
        (hevc_entry(), hevc_nal(20), None),
        (hevc_entry(), hevc_nal(21), "NAL type 21, not an IDR"),
        (hevc_entry(), hevc_nal(16), "NAL type 16, not an IDR"),
        (hevc_entry(), hevc_nal(1) + hevc_nal(20), "NAL type 1, not an IDR"),
        (av1_entry(), AV1_KEY, None),
        (av1_entry(), AV1_TRUE + AV1_INTER, "no key frame that is shown"),
        (av1_entry(), AV1_TRUE + bytes.fromhex("3204040000a0"), "no key frame that is shown"),
        (av1_entry(), AV1_TRUE + bytes.fromhex("1a019c"), "no key frame that is shown"),
        (av1_entry(), AV1_TRUE, "no key frame that is shown"),
    ],
    ids=[
        "idr", "slice", "no picture", "idr with leading", "idr", "cra", "bla", "late idr",
        "key frame", "inter frame", "hidden", "shown again", "no frame",
    ],
)  # fmt: skip
def test_a_gop_starts_where_a_decoder_can(entry: bytes, sample: bytes, fault: str | None) -> None:
    """Apple 7.4: an IDR; a CRA or a BLA may have pictures around it that a seek cannot show."""
    assert start_fault(init_segment(entry=entry), sample) == fault


# AV1


def test_the_sequence_header_is_read() -> None:
    (unit,) = av1.units(AV1_TRUE)

    assert av1.sequence_header(AV1_TRUE[unit.payload : unit.end]) == SequenceHeader(
        profile=0,
        level=0,
        tier=0,
        bit_depth=8,
        monochrome=False,
        subsampling=(1, 1),
        sample_position=0,
        colour=None,
        full_range=False,
    )


def test_the_init_segment_gets_the_sequence_header_of_the_samples() -> None:
    """SVT-AV1 states another in its extradata than it uses; a player that trusts it decodes wrongly."""
    init = init_segment(entry=av1_entry())

    true = with_true_header(init, [AV1_KEY, AV1_KEY])

    config = boxes.child(true, boxes.sample_entry(true)[-1], "av1C")
    assert true[config.payload : config.end] == b"\x81\x00\x0c\x00" + AV1_TRUE
    assert true == init.replace(AV1_STATED, AV1_TRUE)


def test_a_longer_sequence_header_moves_what_is_behind_it() -> None:
    init = init_segment(entry=av1_entry(b""))

    true = with_true_header(init, [AV1_KEY])

    assert len(true) == len(init) + len(AV1_TRUE)
    assert true == init_segment(entry=av1_entry(AV1_TRUE))


def test_two_sequence_headers_in_a_chunk_are_an_error() -> None:
    with pytest.raises(BoxError, match="2 sequence headers"):
        with_true_header(init_segment(entry=av1_entry()), [AV1_KEY, AV1_STATED + AV1_KEY])


def test_the_init_segments_of_other_codecs_stay_as_they_are() -> None:
    for entry in (avc_entry(), hevc_entry(), aac_entry()):
        init = init_segment(entry=entry)
        assert with_true_header(init, [b"x"]) == init


# garbage


@given(st.binary(max_size=100))
def test_any_sample_has_an_answer(sample: bytes) -> None:
    for entry in (avc_entry(), hevc_entry(), av1_entry()):
        assert start_fault(init_segment(entry=entry), sample) or len(sample) > 4


@given(st.binary(max_size=60))
def test_any_sequence_header_is_read_or_is_an_error(payload: bytes) -> None:
    try:
        assert av1.sequence_header(payload).bit_depth in (8, 10, 12)
    except BoxError:
        return


@given(st.sampled_from([avc_entry(), hevc_entry(), av1_entry(), aac_entry()]), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_init_segment_has_a_codec_or_is_an_error(entry: bytes, at: int, value: int) -> None:
    init = init_segment(entry=entry)
    data = init[:at] + bytes([value]) + init[at + 1 :]
    try:
        assert codec_string(data).startswith(("avc1.", "hvc1.", "av01.", "mp4a.40."))
        assert boxes.timescale(data) >= 0
    except BoxError:
        return
