"""Remote sources: only allowed hosts and folders, also through redirects and playlists; resumed, limited, whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import master.fetch
from master.reach import Reach
from master.replay import listed
from master.sources import allow
from raven.check.m3u8 import parse
from raven.errors import LimitExceeded, RavenError, SourceRefused, SourceUnreadable, Unavailable
from raven.limits import Limits
from raven.media.probe import open_source
from raven.process import StopSignal
from tests.media import generate_clip, run_ffmpeg

ROOTS = "/srv/in,https://media.example/in,http://media.example:8080/,s3://films/in?endpoint=https://ceph.example"


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example/in/film.mkv", "https://MEDIA.example:443/in/a/b.mp4?token=x",
        "http://media.example:8080/film.mkv",
    ],
)  # fmt: skip
def test_a_url_under_an_allowed_prefix_is_fetched(url: str) -> None:
    assert allow(url, ROOTS) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://media.example/intern/film.mkv", "https://media.example/", "http://media.example/in/film.mkv",
        "https://media.example.evil/in/film.mkv", "https://user@media.example/in/x", "https://media.example:444/in/x",
        "https://media.example@evil/in/x", "https://media.example/in/../secret", "https://media.example/in/%2e%2e/secret",
        "https://media.example/in/%252e%252e/secret", "https://media.example/in\\..\\x", "https://media.example/in/\nx",
        "ftp://media.example/in/x", "https://[::1", "https://media.example:x/in/", "s3://films/out/film.mkv",
        "s3://other/in/film.mkv", "s3://films/in/film.mkv?endpoint=https://evil", "https:///in/x",
    ],
)  # fmt: skip
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(SourceRefused):
        allow(url, ROOTS)


def test_the_endpoint_of_a_bucket_is_the_master_s_never_the_row_s() -> None:
    """Else a row could send the master's keys anywhere."""
    assert allow("s3://films/in/film.mkv", ROOTS) == "s3://films/in/film.mkv?endpoint=https://ceph.example"


def test_no_url_is_allowed_where_only_folders_are() -> None:
    with pytest.raises(SourceRefused, match="RAVEN_SOURCES"):
        allow("http://127.0.0.1/film.mkv", "/srv/in,/")


# a real server


class Server:
    """Files over HTTP, with the faults of the world."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.breaks_after: int | None = None
        self.faults = 0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, span = request.path.partition("?")[0], request.headers.get("Range")
        self.asked.append((path, span))
        if self.faults:
            self.faults -= 1
            request.send_error(503)
        elif path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[path])
            request.end_headers()
        elif path not in self.files:
            request.send_error(404)
        else:
            self._send(request, self.files[path], int(span[6:-1]) if span else 0)

    def _send(self, request: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.send_header("ETag", '"one"')
        request.end_headers()
        request.wfile.write(data[start:][: self.breaks_after])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(master.fetch, "FIRST_WAIT", 0.01)
    running = Server()
    yield running
    running.close()


def reach(server: Server, folder: Path, limits: Limits | None = None, *, roots: str = "") -> Reach:
    return Reach(roots or f"{server.url}/in", folder, limits or Limits(), StopSignal())


def test_a_film_is_fetched_byte_for_byte_under_its_ending(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(range(256)) * 5000

    got = reach(server, tmp_path).path(f"{server.url}/in/film.mkv?token=x")

    assert Path(got).read_bytes() == server.files["/in/film.mkv"]
    assert got.endswith(".mkv")


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(range(256)) * 1000
    server.breaks_after = 100_000

    got = reach(server, tmp_path).path(f"{server.url}/in/film.mkv")

    assert Path(got).read_bytes() == server.files["/in/film.mkv"]
    assert [span for _, span in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = b"film"
    server.faults = 3

    assert Path(reach(server, tmp_path).path(f"{server.url}/in/film.mkv")).read_bytes() == b"film"


def test_a_server_that_stays_away_is_a_fault_that_may_pass(server: Server, tmp_path: Path) -> None:
    server.faults = 100

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 does not answer: status 503"):
        reach(server, tmp_path).path(f"{server.url}/in/film.mkv")


def test_a_film_that_is_not_there_is_refused_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="says 404"):
        reach(server, tmp_path).path(f"{server.url}/in/film.mkv")
    assert len(server.asked) == 1


@pytest.mark.parametrize("place", ["/secret", "http://localhost:1/in/x", "file:///etc/passwd", "s3://films/x"])
def test_a_redirect_leads_only_to_where_a_source_may_lie(server: Server, tmp_path: Path, place: str) -> None:
    server.files["/secret"] = b"secret"
    server.redirects["/in/film.mkv"] = server.url + place if place.startswith("/") else place

    with pytest.raises(RavenError) as refused:
        reach(server, tmp_path).path(f"{server.url}/in/film.mkv")
    assert refused.value.permanent
    assert [path for path, _ in server.asked] == ["/in/film.mkv"]


def test_a_redirect_within_the_prefix_is_followed(server: Server, tmp_path: Path) -> None:
    server.files["/in/b.mkv"] = b"film"
    server.redirects["/in/a.mkv"] = "/in/b.mkv"

    assert Path(reach(server, tmp_path).path(f"{server.url}/in/a.mkv")).read_bytes() == b"film"


def test_a_download_over_the_limit_is_refused_before_it_begins(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(10_000)

    with pytest.raises(LimitExceeded, match="RAVEN_LIMIT_BYTES"):
        reach(server, tmp_path, Limits(bytes=5000)).path(f"{server.url}/in/film.mkv")


# replays


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """An HLS recording of 3 s at 25 frames/s in pieces of a second."""
    folder = tmp_path_factory.mktemp("hls")
    clip = generate_clip(folder / "clip.mp4", 75, gop=25)
    arguments = ["-i", str(clip), "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"]
    run_ffmpeg([*arguments, str(folder / "film.m3u8")])
    arguments += ["-hls_segment_type", "fmp4", "-hls_segment_filename", str(folder / "part%d.m4s")]
    run_ffmpeg([*arguments, str(folder / "parts.m3u8")])
    return {f"/in/{file.name}": file.read_bytes() for file in folder.iterdir()}


def frames(film: str) -> int:
    opened = open_source(film)
    assert opened.video is not None
    times = [
        p.pts * p.time_base for p in opened.packets() if p.stream_index == opened.video.index and p.pts is not None
    ]
    opened.close()
    assert max(times) - min(times) == pytest.approx(Fraction(len(times) - 1, 25), abs=0.05)
    return len(times)


@pytest.mark.parametrize("name", ["film.m3u8", "parts.m3u8"])
def test_a_playlist_that_has_ended_is_one_film(
    server: Server, pieces: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    server.files = pieces

    assert frames(reach(server, tmp_path).path(f"{server.url}/in/{name}")) == 75
    assert [file.name for file in tmp_path.iterdir()] == ["replay"], "one piece at a time takes room"


def test_the_largest_variant_is_taken(server: Server, pieces: dict[str, bytes], tmp_path: Path) -> None:
    variants = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=64x36\nsmall.m3u8\n"
    variants += "#EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=320x180\nfilm.m3u8\n"
    server.files = {**pieces, "/in/all.m3u8": variants.encode()}

    assert frames(reach(server, tmp_path).path(f"{server.url}/in/all.m3u8")) == 75


def test_a_list_of_pieces_is_one_film_even_where_their_clock_starts_anew(
    pieces: dict[str, bytes], tmp_path: Path
) -> None:
    """A recorder that was restarted."""
    whole = tmp_path / "one.ts"
    whole.write_bytes(b"".join(pieces[f"/in/film{n}.ts"] for n in range(3)))

    joined = Reach(str(tmp_path), tmp_path, Limits(), StopSignal()).path(json.dumps([str(whole), str(whole)]))

    assert frames(joined) == 150


REFUSED = {
    "live": ("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfilm0.ts\n", "is live: it has no EXT-X-ENDLIST"),
    "encrypted": (
        '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="key"\n#EXTINF:1,\nfilm0.ts\n#EXT-X-ENDLIST\n',
        "encrypted",
    ),
    "another host": (
        "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.2/in/film0.ts\n#EXT-X-ENDLIST\n",
        "outside the allowed hosts",
    ),
    "a file": ("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "outside"),
    "above": ("#EXTM3U\n#EXTINF:1,\n../secret.ts\n#EXT-X-ENDLIST\n", "outside the allowed hosts"),
    "no film": ("#EXTM3U\n#EXTINF:1,\nparts.m3u8\n#EXT-X-ENDLIST\n", "is not MPEG-TS"),
    "nothing": ("#EXTM3U\n#EXT-X-ENDLIST\n", "names no piece"),
}


@pytest.mark.parametrize("sort", REFUSED)
def test_a_playlist_that_cannot_be_one_film_is_refused(
    server: Server, pieces: dict[str, bytes], tmp_path: Path, sort: str
) -> None:
    text, saying = REFUSED[sort]
    server.files = {**pieces, "/in/x.m3u8": text.encode(), "/secret.ts": pieces["/in/film0.ts"]}

    with pytest.raises(SourceRefused, match=saying):
        reach(server, tmp_path).path(f"{server.url}/in/x.m3u8")
    assert "/secret.ts" not in [path for path, _ in server.asked]


def test_a_playlist_in_a_folder_reaches_nothing_outside_the_roots(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    (tmp_path / "secret.ts").write_bytes(b"G" * 188)
    (root / "x.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n../secret.ts\n#EXT-X-ENDLIST\n", encoding="utf-8")

    with pytest.raises(SourceRefused, match="outside the allowed roots"):
        Reach(str(root), tmp_path, Limits(), StopSignal()).path(str(root / "x.m3u8"))


@pytest.mark.parametrize("text", ["[", "[]", "[1]", '["a.m3u8"]', '["[1]"]', '{"a": 1}', '[""]'])
def test_what_is_no_list_of_pieces_is_refused(text: str) -> None:
    with pytest.raises(SourceRefused):
        listed(text)


def test_the_checker_s_parser_and_ours_are_one() -> None:
    assert parse("x", "#EXTM3U\n#EXTINF:1,\na.ts\n").segments[0].uri == "a.ts"


# a bucket


@pytest.mark.servers
def test_an_object_of_an_allowed_bucket_is_fetched(s3_url: str, tmp_path: Path) -> None:
    from raven.wiring import open_bucket

    place, _, options = s3_url.partition("?")
    bucket, _ = open_bucket(f"{place}/in/film.mkv?{options}")
    bucket.put("in/film.mkv", b"film" * 1000)
    brought = Reach(f"{place}/in?{options}", tmp_path, Limits(), StopSignal())

    assert Path(brought.path(f"{place}/in/film.mkv")).read_bytes() == b"film" * 1000
    with pytest.raises(SourceUnreadable, match="does not exist"):
        brought.path(f"{place}/in/none.mkv")
    with pytest.raises(SourceRefused, match="outside"):
        brought.path(f"{place}/out/film.mkv")
    with pytest.raises(LimitExceeded):
        Reach(f"{place}/in?{options}", tmp_path, Limits(bytes=5), StopSignal()).path(f"{place}/in/film.mkv")
