"""Which streams of a transport stream belong together."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from raven.media.programs import PACKET, programs
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
