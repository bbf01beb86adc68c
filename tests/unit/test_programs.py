"""Which streams of a transport stream belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media.programs import PACKET, moved, programs
from tests.media import run_ffmpeg


def multiplex(folder: Path) -> Path:
    """Two programs: a small picture with a low sound, a large one with a high sound."""
    target = folder / "multiplex.ts"
    run_ffmpeg(
        [
            *("-f", "lavfi", "-i", "testsrc2=size=64x48:d=2", "-f", "lavfi", "-i", "sine=220:d=2"),
            *("-f", "lavfi", "-i", "testsrc=size=128x96:d=2", "-f", "lavfi", "-i", "sine=880:d=2"),
            *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-c:v", "mpeg2video", "-c:a", "mp2"),
            *("-program", "program_num=7:st=0:st=1", "-program", "program_num=9:st=2:st=3", str(target)),
        ]
    )
    return target


def test_the_tables_tell_the_programs(tmp_path: Path) -> None:
    data = multiplex(tmp_path).read_bytes()

    told = programs(data)

    assert {number: set(program) for number, program in told.items()} == {7: {0x100, 0x101}, 9: {0x102, 0x103}}
    assert programs(b"\x47junk" + data) == programs(data)


def test_what_is_no_transport_stream_has_no_programs() -> None:
    assert programs(b"") == {}
    assert programs(b"\x00" * 10_000) == {}


@given(st.lists(st.binary(min_size=PACKET - 4, max_size=PACKET - 4), max_size=8))
def test_damaged_tables_are_no_tables(payloads: list[bytes]) -> None:
    data = b"".join(b"\x47\x40\x00\x10" + payload for payload in payloads)

    assert isinstance(programs(data), dict)


def tables(*streams: tuple[int, int]) -> bytes:
    """PAT and PMT of one program: type and PID of each stream."""
    pmt = b"".join(bytes([kind]) + (0xE000 | pid).to_bytes(2, "big") + b"\xf0\0" for kind, pid in streams)
    return _packet(0, 0, b"\0\1\xf0\0") + _packet(0x1000, 2, b"\xe1\0\xf0\0" + pmt)


def _packet(pid: int, table: int, content: bytes) -> bytes:
    section = bytes([table]) + (0xB000 | len(content) + 9).to_bytes(2, "big") + b"\0\1\xc1\0\0" + content + bytes(4)
    return (b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10\0" + section).ljust(PACKET, b"\xff")


H264, MP2, AC3 = 0x1B, 0x03, 0x81


@pytest.mark.parametrize(
    ("later", "is_so"),
    [
        ([(H264, 256), (MP2, 257)], False),
        ([(H264, 256), (MP2, 300)], True),
        ([(H264, 400), (MP2, 401)], True),
        ([(H264, 256), (AC3, 300)], False),
        ([(H264, 256), (MP2, 300), (MP2, 257)], False),
        ([(H264, 257), (MP2, 256)], False),
        ([(H264, 256)], False),
    ],
    ids=["nothing", "the sound", "all", "to another codec", "one came before it", "two changed places", "one went"],
)
def test_streams_that_move_go_on_where_nothing_else_has_changed(later: list[tuple[int, int]], is_so: bool) -> None:
    first, second = tables((H264, 256), (MP2, 257)), tables(*later)

    assert moved(first * 3 + second * 3) is is_so
    assert moved(first * 5, second * 5) is is_so


def test_a_stream_that_moves_twice_has_moved() -> None:
    first, second = tables((H264, 256), (MP2, 257)), tables((H264, 256), (MP2, 300))

    assert moved(first * 3 + second * 2, first * 5)
