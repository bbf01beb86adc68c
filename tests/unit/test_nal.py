"""Which keyframes a decoder can begin at cleanly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.nal import length_size, starts_clean

START = b"\x00\x00\x01"
AVCC = bytes([1, 0x64, 0, 0x1F, 0xFF])  # lengths of four bytes
HVCC = bytes([1]) + bytes(20) + bytes([0xFF])
SPS, PPS, SEI, AUD, IDR, SLICE = 0x67, 0x68, 0x06, 0x09, 0x65, 0x41


def annexb(*heads: int) -> bytes:
    return b"".join(START + bytes([head, 0xAB]) for head in heads)


def prefixed(*heads: int, size: int = 4) -> bytes:
    return b"".join((2).to_bytes(size, "big") + bytes([head, 0xAB]) for head in heads)


def hevc(kind: int) -> int:
    return kind << 1


@pytest.mark.parametrize(
    ("heads", "clean"),
    [
        ((IDR,), True),
        ((AUD, SPS, PPS, SEI, IDR), True),
        ((AUD, SPS, PPS, SEI, SLICE), False),
        ((SLICE, IDR), False),
        ((AUD, SEI), False),
        ((), False),
    ],
    ids=["idr", "idr after headers", "recovery point", "a slice first", "no picture", "nothing"],
)
def test_only_an_idr_is_clean_in_h264(heads: tuple[int, ...], clean: bool) -> None:
    """A recovery point recovers late: a chunk that begins there would begin with grey."""
    assert starts_clean("h264", None, annexb(*heads)) is clean
    assert starts_clean("h264", AVCC, prefixed(*heads)) is clean


@pytest.mark.parametrize(
    ("kind", "clean"),
    [(1, False), (9, False), (16, True), (17, True), (18, True), (19, True), (20, True), (21, False), (32, False)],
    ids=str,
)
def test_idr_and_bla_are_clean_in_hevc_but_cra_is_not(kind: int, clean: bool) -> None:
    """A CRA may have leading pictures that need what was before it."""
    headers = [hevc(32), hevc(33), hevc(34)]

    assert starts_clean("hevc", None, annexb(*headers, hevc(kind))) is clean
    assert starts_clean("hevc", HVCC, prefixed(*headers, hevc(kind))) is clean


@pytest.mark.parametrize("codec", ["vp9", "av1", "prores"])
def test_a_keyframe_of_any_other_codec_is_clean(codec: str) -> None:
    assert starts_clean(codec, None, b"")


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_only_a_closed_group_of_pictures_is_clean_in_mpeg_2(codec: str) -> None:
    """13818-2 6.2.2.6: 25 bits of time code, then closed_gop and broken_link."""
    sequence, picture = b"\0\0\1\xb3" + bytes(8), b"\0\0\1\0" + bytes(4)
    group = b"\0\0\1\xb8\xff\xff\xff"

    for last, clean in ((0xC0, True), (0xE0, True), (0x40, True), (0x80, False), (0xA0, False), (0, False)):
        assert starts_clean(codec, None, sequence + group + bytes([last]) + picture) is clean
    assert not starts_clean(codec, None, sequence + group)
    assert not starts_clean(codec, None, sequence + picture)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_length_of_the_lengths_is_read_from_the_extradata(size: int) -> None:
    avcc = AVCC[:4] + bytes([0xFC | size - 1])

    assert length_size("h264", avcc) == size
    assert starts_clean("h264", avcc, prefixed(SEI, IDR, size=size))
    assert length_size("hevc", HVCC[:21] + bytes([0xFC | size - 1])) == size


@pytest.mark.parametrize("extradata", [None, b"", START + b"\x67", b"\x01\x64"], ids=["none", "empty", "annexb", "cut"])
def test_extradata_that_states_no_length_means_start_codes(extradata: bytes | None) -> None:
    assert length_size("h264", extradata) is None


def test_start_codes_of_four_bytes_are_start_codes() -> None:
    assert starts_clean("h264", None, b"\x00" + START + bytes([IDR, 1]))


@given(
    st.sampled_from(["h264", "hevc", "vp9", "mpeg2video"]),
    st.one_of(st.none(), st.binary(max_size=30), st.just(AVCC), st.just(HVCC)),
    st.binary(max_size=200),
)
def test_any_bytes_have_an_answer(codec: str, extradata: bytes | None, packet: bytes) -> None:
    """The packets come from a stranger's file."""
    assert starts_clean(codec, extradata, packet) in (True, False)
