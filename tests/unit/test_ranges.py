"""Metadata alone of a remote source: only what is looked at is fetched, and it says what the whole file says."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from master.prepare import Tools, prepare, probe
from master.ranges import Ranges
from master.reach import Reach
from raven.adapters.directory import DirectoryStorage
from raven.config import Settings
from raven.context import Context
from raven.errors import LimitExceeded, ProcessFailed, SourceRefused, SourceUnreadable, Unavailable
from raven.intake import PIECE_BYTES
from raven.limits import Limits
from raven.messages import PrepareJob
from raven.model import SourceFacts
from raven.process import StopSignal
from raven.profile import load_profiles
from raven.sandbox import Box
from raven.wiring import open_storage
from tests.media import ffmpeg, generate_clip, run_ffmpeg
from tests.unit.web_server import Server, reach


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def film(clips: Path, ending: str, *options: str) -> Path:
    """40 s of noise that hardly gets smaller: far more than is looked at."""
    target = clips / f"film{len(options)}.{ending}"
    if not target.exists():
        noise = ("-qp", "0", "-vf", "noise=alls=100:allf=t")
        generate_clip(target, 1000, size="160x90", options=[*noise, *options])
    return target


def pieces(server: Server, folder: Path) -> Ranges:
    found = reach(f"{server.url}/in", folder).pieces(f"{server.url}/in/film.bin")
    assert found is not None
    return found


def facts(server: Server, folder: Path, name: str, limits: Limits | None = None) -> SourceFacts:
    """What a task that wants only these is told."""
    roots = f"{server.url}/in"
    storage = DirectoryStorage(folder / "storage", "")
    tools = Tools(storage, roots, folder, limits or Limits(), Box(), 60.0, ffmpeg())
    profile = load_profiles(None)["default"]
    job = PrepareJob(task=1, job=1, attempt=1, source=server.url + name, profile=profile, metadata_only=True)
    return prepare(job, Context(), tools).facts


@pytest.mark.parametrize(
    ("ending", "options"), [("mkv", ()), ("mp4", ()), ("mp4", ("-movflags", "+faststart")), ("ts", ())]
)
def test_only_what_is_looked_at_is_fetched_and_it_says_what_the_whole_file_says(
    ending: str, options: tuple[str, ...], server: Server, clips: Path, tmp_path: Path
) -> None:
    source = film(clips, ending, *options)
    server.files["/in/film." + ending] = source.read_bytes()

    found = facts(server, tmp_path, f"/in/film.{ending}")

    assert found == probe(str(source), StopSignal())
    assert found.bytes == source.stat().st_size > 2 * server.sent


def test_a_server_that_gives_no_ranges_is_asked_for_the_whole_file(server: Server, clips: Path, tmp_path: Path) -> None:
    source = film(clips, "mp4")
    server.files["/in/film.mp4"] = source.read_bytes()
    server.gives_ranges = False

    assert facts(server, tmp_path, "/in/film.mp4") == probe(str(source), StopSignal())


def test_a_server_that_does_not_say_which_version_it_gives_is_asked_for_the_whole_file(
    server: Server, clips: Path, tmp_path: Path
) -> None:
    source = film(clips, "mp4")
    server.files["/in/film.mp4"] = source.read_bytes()
    server.tag = None

    assert facts(server, tmp_path, "/in/film.mp4") == probe(str(source), StopSignal())
    assert server.asked[-1] == ("/in/film.mp4", None)


def test_what_only_ffmpeg_decodes_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    """It cannot ask for what is missing."""
    picture = tmp_path / "picture.jxl"
    one = ("-frames:v", "1", "-update", "1", "-c:v", "libjxl", "-loglevel", "error")
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2=size=64x64", *one, str(picture)])
    server.files["/in/picture.jxl"] = picture.read_bytes()

    found = facts(server, tmp_path, "/in/picture.jxl")

    assert found == probe(str(picture), StopSignal(), ffmpeg=ffmpeg())
    assert server.asked[-1] == ("/in/picture.jxl", None)


def test_a_broken_connection_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.bin"] = bytes(range(256)) * 4096
    server.breaks_after = 400_000

    found = pieces(server, tmp_path)
    found.bring(0)

    assert found.path.read_bytes() == server.files["/in/film.bin"]
    assert [span for _, span in server.asked[1:]] == [
        "bytes=0-1048575", "bytes=400000-1048575", "bytes=800000-1048575",
    ]  # fmt: skip


def test_pieces_of_two_versions_are_not_joined(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.bin"] = bytes(5 * PIECE_BYTES)
    found = pieces(server, tmp_path)
    found.bring(0)
    server.tag = '"two"'

    with pytest.raises(Unavailable, match="the source changed while it was looked at"):
        found.bring(4)


def test_of_one_after_the_other_more_are_fetched_at_once_and_none_twice(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.bin"] = bytes(100 * PIECE_BYTES)
    found = pieces(server, tmp_path)

    for piece in [*range(50), 99, 0]:
        found.bring(piece)

    assert len(server.asked) < 10
    assert server.sent < 70 * PIECE_BYTES


def test_a_piece_that_no_source_has_is_a_fault_of_who_asks(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.bin"] = bytes(PIECE_BYTES)
    for piece in (-1, 1):
        with pytest.raises(ProcessFailed, match="asks for piece"):
            pieces(server, tmp_path).bring(piece)


def test_the_rules_of_sources_and_their_limits_hold(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.bin"] = bytes(1000)
    server.redirects = {"/in/away.bin": "http://localhost:1/in/film.bin", "/in/out.bin": f"{server.url}/secret"}

    for name in ("/in/away.bin", "/in/out.bin", "/secret"):
        with pytest.raises(SourceRefused, match="RAVEN_SOURCES"):
            facts(server, tmp_path, name)
    with pytest.raises(LimitExceeded, match="1000 bytes"):
        facts(server, tmp_path, "/in/film.bin", Limits(bytes=999))
    with pytest.raises(SourceUnreadable, match="404"):
        facts(server, tmp_path, "/in/none.bin")
    assert ("/secret", None) not in server.asked


@pytest.mark.servers
def test_of_an_object_in_a_bucket_no_more_is_fetched_either(s3_url: str, clips: Path, tmp_path: Path) -> None:
    source, bucket = film(clips, "mkv"), urlsplit(s3_url)
    open_storage(Settings(storage=s3_url)).put("in/film.mkv", source)
    way = Reach(s3_url.replace("?", "/in?"), tmp_path, Limits(), StopSignal(), ffmpeg(), Box(), 60.0)

    found = way.pieces(f"s3://{bucket.netloc}/in/film.mkv")

    assert found is not None
    found.bring(7)
    assert found.size == source.stat().st_size
    with source.open("rb") as whole, found.path.open("rb") as part:
        for file in (whole, part):
            file.seek(7 * PIECE_BYTES)
        assert part.read(PIECE_BYTES) == whole.read(PIECE_BYTES)
    assert found.path.stat().st_blocks * 512 < 4 * PIECE_BYTES
    with pytest.raises(SourceUnreadable, match="does not exist"):
        way.pieces(f"s3://{bucket.netloc}/in/none.mkv")
