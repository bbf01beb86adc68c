"""Remote sources: only allowed hosts and folders, also through redirects and playlists; resumed, limited, whole."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from master.fetch import fetch
from master.ranges import ranges
from master.sources import allow
from raven.errors import (
    LimitExceeded,
    NoRoom,
    RavenError,
    SourceAway,
    SourceRefused,
    SourceUnreadable,
    StorageAway,
    Unavailable,
)
from raven.limits import Limits
from raven.ports import Entry
from raven.process import StopSignal
from tests.unit.web_server import Server, fetched, reach

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


def test_a_film_is_fetched_byte_for_byte_under_its_ending(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(range(256)) * 5000

    got = fetched(server, tmp_path, "/in/film.mkv?token=x")

    assert got.read_bytes() == server.files["/in/film.mkv"]
    assert got.suffix == ".mkv"


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(range(256)) * 1000
    server.breaks_after = 100_000

    got = fetched(server, tmp_path, "/in/film.mkv")

    assert got.read_bytes() == server.files["/in/film.mkv"]
    assert [span for _, span in server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_piece_from_another_place_than_asked_for_is_never_taken_for_the_whole(server: Server, tmp_path: Path) -> None:
    """As from a cache that rounds down to its blocks: then all is asked for again."""
    server.files["/in/film.mkv"] = bytes(range(256)) * 1000
    server.breaks_after, server.starts_early = 200_000, 1000
    steps = iter([200_000, None, None])
    answer = server.answer

    def mended(request: BaseHTTPRequestHandler) -> None:
        server.breaks_after = next(steps)
        answer(request)

    server.answer = mended  # type: ignore[method-assign]

    got = fetched(server, tmp_path, "/in/film.mkv")

    assert got.read_bytes() == server.files["/in/film.mkv"]
    assert [span for _, span in server.asked] == [None, "bytes=200000-", None]


def test_a_disk_that_runs_full_is_not_the_server_s_fault(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master asked the server again and again, and then named it as what does not answer."""

    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    server.files["/in/film.mkv"] = b"x" * 1000
    monkeypatch.setattr("master.fetch.room", full)
    with pytest.raises(NoRoom, match=r"no room for the source.*quota"):
        fetched(server, tmp_path, "/in/film.mkv")
    assert len(server.asked) == 1


def test_a_server_that_is_busy_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = b"film"
    server.faults = 3

    assert fetched(server, tmp_path, "/in/film.mkv").read_bytes() == b"film"


def test_a_server_that_stays_away_is_a_fault_that_may_pass(server: Server, tmp_path: Path) -> None:
    server.faults = 100

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 does not answer: status 503"):
        fetched(server, tmp_path, "/in/film.mkv")


def test_a_film_that_is_not_there_is_refused_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="says 404"):
        fetched(server, tmp_path, "/in/film.mkv")
    assert len(server.asked) == 1


@pytest.mark.parametrize("place", ["/secret", "http://localhost:1/in/x", "file:///etc/passwd", "s3://films/x"])
def test_a_redirect_leads_only_to_where_a_source_may_lie(server: Server, tmp_path: Path, place: str) -> None:
    server.files["/secret"] = b"secret"
    server.redirects["/in/film.mkv"] = server.url + place if place.startswith("/") else place

    with pytest.raises(RavenError) as refused:
        fetched(server, tmp_path, "/in/film.mkv")
    assert refused.value.permanent
    assert [path for path, _ in server.asked] == ["/in/film.mkv"]


def test_a_redirect_within_the_prefix_is_followed(server: Server, tmp_path: Path) -> None:
    server.files["/in/b.mkv"] = b"film"
    server.redirects["/in/a.mkv"] = "/in/b.mkv"

    assert fetched(server, tmp_path, "/in/a.mkv").read_bytes() == b"film"


def test_a_download_over_the_limit_is_refused_before_it_begins(server: Server, tmp_path: Path) -> None:
    server.files["/in/film.mkv"] = bytes(10_000)

    with pytest.raises(LimitExceeded, match="RAVEN_LIMIT_BYTES"):
        fetched(server, tmp_path, "/in/film.mkv", Limits(bytes=5000))


# a bucket


@pytest.mark.servers
def test_an_object_of_an_allowed_bucket_is_fetched(s3_url: str, tmp_path: Path) -> None:
    from raven.wiring import open_bucket

    place, _, options = s3_url.partition("?")
    bucket, _ = open_bucket(f"{place}/in/film.mkv?{options}")
    bucket.put("in/film.mkv", b"film" * 1000)
    brought = reach(f"{place}/in?{options}", tmp_path)

    assert Path(brought.path(f"{place}/in/film.mkv")[0]).read_bytes() == b"film" * 1000
    with pytest.raises(SourceUnreadable, match="does not exist"):
        brought.path(f"{place}/in/none.mkv")
    with pytest.raises(SourceRefused, match="outside"):
        brought.path(f"{place}/out/film.mkv")
    with pytest.raises(LimitExceeded):
        reach(f"{place}/in?{options}", tmp_path, Limits(bytes=5)).path(f"{place}/in/film.mkv")


class Away:
    """A bucket whose server does not answer."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        raise StorageAway("storage: connection refused")


@pytest.mark.parametrize("pieces", [True, False])
def test_a_bucket_of_sources_that_is_away_is_not_taken_for_the_storage(
    pieces: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one dead server of somebody's films would let masters rest."""
    for module in ("master.fetch", "master.ranges"):
        monkeypatch.setattr(f"{module}.open_bucket", lambda url: (Away(), "film.mkv"))
    how = ranges if pieces else fetch

    with pytest.raises(SourceAway, match="connection refused"):
        how("s3://films/film.mkv", tmp_path / "film", str, Limits(), StopSignal())
