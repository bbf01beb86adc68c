"""Hostile sources, through the child that opens every source: nothing but the source is touched, and each case ends.

RAVEN_FUZZ sets the number of damaged films; each is real media with bytes changed, lost or cut off.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.prepare import Tools, prepare, probe
from raven.agent import Context
from raven.config import Settings
from raven.errors import RavenError, TaskError
from raven.limits import Limits
from raven.messages import PrepareJob
from raven.process import StopSignal
from raven.profile import load_profiles
from raven.sandbox import cutter_box
from raven.wiring import open_storage
from tests.media import generate_clip, run_ffmpeg

CASES = int(os.environ.get("RAVEN_FUZZ", "100"))
BATCH = 10  # cases of one test, so that a fault is found again soon
SECONDS = 60
"""A case that lasts longer hangs; most take less than one."""


def look(source: Path) -> None:
    """What is in a source, as the master finds out."""
    probe(str(source), StopSignal(), Limits(), cutter_box(Limits(), 30), SECONDS / 2)


def cut(source: Path, folder: Path) -> None:
    """All that the master does with a source."""
    tools = Tools(
        open_storage(Settings(storage=f"file://{folder}/objects")),
        str(folder),
        folder,
        Limits(),
        cutter_box(Limits(), 30),
        SECONDS / 2,
    )
    profile = load_profiles()["default"]
    prepare(PrepareJob(task=1, job=1, attempt=1, source=str(source), profile=profile), Context(), tools)


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


# damaged films


FILMS = ("film.mp4", "film.mkv", "film.ts", "film.avi", "film.ogg", "film.flv", "film.mov", "film.mxf", "film.mp3")
CODECS = {"avi": "mpeg4", "ogg": "libtheora", "flv": "flv", "mxf": "mpeg2video"}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Small films of many containers."""
    folder = tmp_path_factory.mktemp("films")
    made = []
    for name in FILMS:
        ending = name.rpartition(".")[2]
        picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1"]
        coding = ["-c:v", CODECS.get(ending, "libx264")]
        if ending == "mp3":
            picture, coding = ["-f", "lavfi", "-i", "sine=duration=1"], []
        run_ffmpeg(["-loglevel", "error", *picture, *coding, str(folder / name)])
        made.append((folder / name).read_bytes())
    return made


def damaged(film: bytes, chance: random.Random) -> bytes:
    """The film with bytes changed, most of them in its headers, or a piece lost, doubled, or cut off."""
    data = bytearray(film)
    for _ in range(chance.choice([1, 4, 32])):
        at = min(int(chance.expovariate(1 / 600)), len(data) - 1)
        at = at if chance.random() < 0.7 else len(data) - 1 - at
        data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    if chance.random() < 0.3:
        start = chance.randrange(len(data))
        piece = data[start : start + chance.randrange(1, 500)]
        data[start : start + len(piece)] = piece * chance.choice([0, 2])
    return bytes(data[: chance.randrange(1, len(data))] if chance.random() < 0.2 else data)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(-(-CASES // BATCH)))
def test_a_damaged_film_ends_with_facts_or_a_reason(batch: int, films: list[bytes], tmp_path: Path) -> None:
    for case in range(batch * BATCH, min(CASES, (batch + 1) * BATCH)):
        chance = random.Random(case)  # noqa: S311 - the same films in every run
        source = tmp_path / "film.bin"
        source.write_bytes(damaged(films[case % len(films)], chance))
        begun = time.monotonic()
        try:
            cut(source, tmp_path)
        except RavenError as error:
            assert str(error), case
        assert time.monotonic() - begun < SECONDS, case
