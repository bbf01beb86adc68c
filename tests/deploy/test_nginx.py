"""nginx serves outputs as players want them: from a folder, and from an object storage."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from raven import names
from tests.deploy.bucket import NAME, made
from tests.deploy.tools import DEPLOY, check
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import need
from tests.servers.process import (
    HOST,
    ChildProcess,
    clean_environment,
    free_port,
    missing_program,
    private_directory,
    program,
    wait_until,
)
from tests.waiting import wait_until as wait_for

FOLDER_SITE, RGW_SITE = DEPLOY / "nginx" / "raven.conf", DEPLOY / "nginx" / "raven-rgw.conf"
PLAYLIST, SEGMENT = "out/1/master.m3u8", "out/1/video/720p/seg-000001.m4s"
OBJECTS = {
    PLAYLIST: b"#EXTM3U\n" + b"seg-000001.m4s\n" * 100,
    SEGMENT: bytes(range(256)) * 16,
    "out/1/manifest.mpd": b"<MPD/>",
    "out/1/task.json": b"{}",
    "out/1/text/eng-1/seg-000001.vtt": b"WEBVTT",
    "out/1/thumbs/000000.jpg": b"\xff\xd8",
    "out/1/video/720p/init.mp4": b"moov",
    "tmp/1/chunk-000000.nut": b"nut",
}


class Gateway(BaseHTTPRequestHandler):
    """Answers as RGW does for a bucket that everybody may read: objects by path, 403 for what there is not."""

    asked: list[str] = []  # noqa: RUF012 - of all its requests
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = OBJECTS.get(self.path.removeprefix("/raven/"))
        self.send_response(403 if body is None else 200)
        self.send_header("Content-Type", names.mime_type(self.path))
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
        """Quiet."""


@contextmanager
def gateway() -> Iterator[int]:
    """A stand-in of RGW; its port."""
    server = ThreadingHTTPServer((HOST, 0), Gateway)
    Gateway.asked.clear()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def nginx(site: Path, folder: Path, **replaced: str) -> Iterator[str]:
    """A running nginx with a site of deploy/, where only paths, ports and hosts are the test's; its address."""
    need(missing_program({"nginx": "nginx"}))
    port = free_port()
    text = site.read_text("utf-8").replace("listen 8080;", f"listen {HOST}:{port};")
    text = re.sub(r"^ *listen \[::\]:8080;\n", "", text, flags=re.M)
    for old, new in {
        "/srv/raven": str(folder / "storage"),
        "/var/cache/nginx-raven": f"{folder}/kept",
        **replaced,
    }.items():
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text, "utf-8")
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; include {folder}/site.conf; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;\n"
        f"scgi_temp_path {folder}/scgi; }}\n",
        "utf-8",
    )
    check("nginx", "nginx", "-t", "-e", folder / "error.log", "-c", main)
    command = [program("nginx"), "-e", str(folder / "error.log"), "-c", str(main)]
    server = ChildProcess("nginx", command, log=folder / "nginx.log", env=clean_environment(folder))
    address = f"http://{HOST}:{port}"
    wait_until(lambda: bool(get(f"{address}/")[0]), 30, server)
    yield address
    server.kill()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """With the objects in it, which another user's nginx reads."""
    with private_directory() as folder:
        folder.chmod(0o755)
        for key, body in OBJECTS.items():
            file = folder / "storage" / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        (folder / "storage" / "out" / "1" / "link.json").symlink_to("/etc/hostname")
        yield folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """From a folder."""
    with nginx(FOLDER_SITE, folder) as address:
        yield address


@pytest.fixture(scope="module")
def proxy() -> Iterator[str]:
    """From a stand-in of RGW."""
    with private_directory() as folder, gateway() as port:
        folder.chmod(0o755)
        with nginx(RGW_SITE, folder, **{"rgw.example:7480": f"{HOST}:{port}"}) as address:
            yield address


@pytest.fixture(scope="module")
def rgw(ceph_server: CephRgw) -> Iterator[str]:
    """From RGW itself, whose bucket has the policy of deploy/ceph."""
    with made(ceph_server) as bucket, private_directory() as folder:
        master = bucket.client("raven_master")
        for key, body in OBJECTS.items():
            master.put_object(Bucket=NAME, Key=key, Body=body, ContentType=names.mime_type(key))
        folder.chmod(0o755)
        with nginx(RGW_SITE, folder, **{"rgw.example:7480": f"{HOST}:{ceph_server.port}"}) as address:
            yield address


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer, whatever it is."""
    request = Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()}, method=method)  # noqa: S310 - the test's own server
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture(params=["site", "proxy", pytest.param("rgw", marks=pytest.mark.servers)])
def server(request: pytest.FixtureRequest) -> str:
    """Each way."""
    return str(request.getfixturevalue(request.param))


@pytest.mark.parametrize("key", [key for key in OBJECTS if key.startswith("out/")])
def test_each_object_comes_whole_with_its_type(key: str, server: str) -> None:
    status, headers, body = get(f"{server}/{key}")

    assert (status, headers["Content-Type"], body) == (200, names.mime_type(key), OBJECTS[key])


def test_the_types_are_those_that_raven_stores() -> None:
    block = re.search(r"types \{(.*?)\}", FOLDER_SITE.read_text("utf-8"), re.S)
    assert block
    types = {end: kind for kind, end in re.findall(r"(\S+)\s+(\w+);", block[1])}

    assert types == {end: kind for end, kind in names.MIME_TYPES.items() if end != "nut"}


def test_the_folder_of_what_is_kept_can_be_made_by_nginx() -> None:
    """Which makes no folder above it. Debian's package has none of its own below /var/cache."""
    need(missing_program({"nginx": "nginx"}))
    (kept,) = re.findall(r"^proxy_cache_path (\S+) ", RGW_SITE.read_text("utf-8"), re.M)

    assert Path(kept).parent.is_dir()


def test_text_is_compressed_and_media_is_not(server: str) -> None:
    _, headers, body = get(f"{server}/{PLAYLIST}", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == OBJECTS[PLAYLIST]

    _, headers, body = get(f"{server}/{SEGMENT}", Accept_Encoding="gzip")
    assert "Content-Encoding" not in headers
    assert body == OBJECTS[SEGMENT]


def test_byte_ranges_are_served(server: str) -> None:
    """I-frame playlists and seeking live by them; the second one comes from what was kept."""
    for _ in range(2):
        status, headers, body = get(f"{server}/{SEGMENT}", Range="bytes=10-19")
        assert (status, headers["Content-Range"], body) == (206, "bytes 10-19/4096", OBJECTS[SEGMENT][10:20])


def test_playlists_are_asked_for_again_and_segments_are_kept(server: str) -> None:
    assert get(f"{server}/{PLAYLIST}")[1]["Cache-Control"] == "no-cache"
    assert get(f"{server}/out/1/manifest.mpd")[1]["Cache-Control"] == "no-cache"
    assert get(f"{server}/{SEGMENT}")[1]["Cache-Control"] == "public, max-age=86400"


def test_nobody_keeps_that_something_is_missing(server: str) -> None:
    status, headers, _ = get(f"{server}/out/1/video/720p/seg-000099.m4s")

    assert status in (403, 404)
    assert "Cache-Control" not in headers


def test_players_on_other_sites_may_read(server: str) -> None:
    _, headers, _ = get(f"{server}/{SEGMENT}", Origin="https://player.example")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in headers["Access-Control-Expose-Headers"]

    status, headers, _ = get(f"{server}/{SEGMENT}", "OPTIONS", Origin="https://player.example")
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "Range" in headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "path", ["tmp/1/chunk-000000.nut", "out/../tmp/1/chunk-000000.nut", "out/1/", "", ".incoming/x"]
)
def test_nothing_but_outputs_is_served(path: str, server: str) -> None:
    assert get(f"{server}/{path}")[0] in (403, 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_nobody_writes(method: str, server: str) -> None:
    assert get(f"{server}/{SEGMENT}", method)[0] == 403


def test_a_link_is_no_way_out_of_the_folder(site: str) -> None:
    assert get(f"{site}/out/1/link.json")[0] in (403, 404)


def test_the_storage_is_asked_once_for_a_segment_and_each_time_for_a_playlist(proxy: str) -> None:
    Gateway.asked.clear()
    for _ in range(3):
        get(f"{proxy}/{SEGMENT}")
        get(f"{proxy}/{PLAYLIST}")

    assert Gateway.asked.count(f"/raven/{SEGMENT}") <= 1
    assert Gateway.asked.count(f"/raven/{PLAYLIST}") == 3


def test_a_playlist_that_grows_is_seen_to_grow(site: str, folder: Path) -> None:
    """Raven puts a new file in the old one's place."""
    playlist, new = folder / "storage" / "out" / "1" / "growing.m3u8", folder / "storage" / "new"
    playlist.write_bytes(b"one")
    assert get(f"{site}/out/1/growing.m3u8")[2] == b"one"
    new.write_bytes(b"one two")
    new.rename(playlist)

    wait_for(lambda: get(f"{site}/out/1/growing.m3u8")[2] == b"one two", "the new one is served", timeout=20)
