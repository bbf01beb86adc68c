"""Hostile sources, through the child that opens every source: nothing but the source is touched."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.prepare import probe
from raven.errors import TaskError
from raven.limits import Limits
from raven.process import StopSignal
from raven.sandbox import cutter_box
from tests.media import generate_clip, run_ffmpeg

SECONDS = 60
"""A case that lasts longer hangs; most take less than one."""


def look(source: Path) -> None:
    """What is in a source, as the master finds out."""
    probe(str(source), StopSignal(), Limits(), cutter_box(Limits(), 30), SECONDS / 2)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of somebody else, last read long ago."""
    film = generate_clip(tmp_path_factory.mktemp("secret") / "film.ts", 10)
    os.utime(film, (1, 2))
    return film


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def hls(film: str) -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{film}\n#EXT-X-ENDLIST\n"


def concat(film: str) -> str:
    return f"ffconcat version 1.0\nfile '{film}'\n"


def dash(film: str) -> str:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT2S">'
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="9"><BaseURL>{film}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    )


def sdp(film: str) -> str:
    port = film.partition("127.0.0.1:")[2].partition("/")[0] or "9"
    return f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n"


def smil(film: str) -> str:
    return f'<smil><body><video src="{film}"/></body></smil>'


def metadata(film: str) -> str:
    return f";FFMETADATA1\ntitle={film}\n"


@pytest.mark.parametrize("write", [hls, concat, dash, sdp, smil, metadata])
@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".sdp"])
def test_a_list_touches_nothing_that_it_names(
    write: object, ending: str, secret: Path, listening: socket.socket, tmp_path: Path
) -> None:
    assert callable(write)
    port = listening.getsockname()[1]
    names = [str(secret), f"file:{secret}", f"http://127.0.0.1:{port}/film.ts", f"tcp://127.0.0.1:{port}"]
    source = tmp_path / f"film{ending}"
    source.write_text("".join(write(name) for name in names), encoding="utf-8")

    with pytest.raises(TaskError):
        look(source)

    assert secret.stat().st_atime == 1, "the secret was read"
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_numbered_pictures_beside_a_source_are_not_read(tmp_path: Path) -> None:
    """The format image2 would take the source's name for a pattern."""
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=64x48", "-frames:v", "3", str(tmp_path / "%03d.jpg")])
    (tmp_path / "%03d.jpg").write_bytes(b"no picture")

    with pytest.raises(TaskError):
        look(tmp_path / "%03d.jpg")
