"""Which closed captions the pictures carry, from hand-made user data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.captions import HEAD, channels
from tests.captions import NOTHING, pair, sei, user_data

ROLL_UP = 0x25


def h264(*pairs: tuple[int, tuple[int, int]], count: int = 20) -> bytes:
    """A packet with captions in front of its slice."""
    unit = sei(user_data(pairs, count))
    slice_ = b"\x65" + bytes(range(200))
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in (b"\x09\xf0", unit, slice_))


@pytest.mark.parametrize(
    ("kind", "code", "channel"),
    [(0, 0x14, "CC1"), (0, 0x1C, "CC2"), (1, 0x14, "CC3"), (1, 0x1C, "CC4"), (1, 0x15, "CC3"), (1, 0x1D, "CC4")],
)
def test_each_channel_of_line_21_is_known_by_its_codes(kind: int, code: int, channel: str) -> None:
    for second in (0x20, ROLL_UP, 0x29):
        assert channels(h264((kind, pair(code, second)))) == {channel}


@pytest.mark.parametrize(
    "both",
    [
        NOTHING,
        pair(0x41, 0x42),  # letters, of whatever channel
        pair(0x14, 0x2C),  # erase: sent by encoders that have nothing to say
        pair(0x14, 0x2A),  # text mode
        pair(0x14, 0x70),  # where a row stands
        pair(0x01, 0x20),  # extended data service
        (0x14, 0x20),  # parity is wrong
    ],
)
def test_what_begins_no_caption_is_none(both: tuple[int, int]) -> None:
    assert channels(h264((0, both))) == set()


def test_services_of_cea_708_are_known_by_their_packets() -> None:
    packets = [(3, (0x41, service << 5 | 4)) for service in (1, 2, 6)]
    assert channels(h264(*packets)) == {"SERVICE1", "SERVICE2", "SERVICE6"}
    for second in (0, 1 << 5, 7 << 5 | 4):  # none, an empty block, a service whose number stands elsewhere
        assert channels(h264((3, (0x41, second)))) == set()


def test_both_standards_side_by_side() -> None:
    assert channels(h264((0, pair(0x14, 0x20)), (3, (0x42, 0x24)))) == {"CC1", "SERVICE1"}


def test_captions_of_mpeg_2_stand_in_user_data_of_the_picture() -> None:
    picture = (
        b"\0\0\1\0\x00\x0f\xff\xf8" + b"\0\0\1\xb2" + user_data([(0, pair(0x14, 0x20))]) + b"\0\0\1\x01" + bytes(99)
    )
    assert channels(picture) == {"CC1"}


def test_both_fields_of_a_picture_are_looked_at() -> None:
    assert channels(h264((0, pair(0x14, 0x20))) + h264((1, pair(0x14, 0x20)))) == {"CC1", "CC3"}


def test_a_picture_without_captions_has_none() -> None:
    assert channels(b"\0\0\0\2\x09\xf0" + bytes(5000)) == set()
    assert channels(b"") == set()
    assert channels(bytes(HEAD) + h264((0, pair(0x14, 0x20)))) == set()


@given(st.binary(max_size=200))
def test_any_bytes_are_borne(data: bytes) -> None:
    channels(b"GA94\x03" + data)
    channels(b"GA94\x03" + data + b"GA94\x03")
