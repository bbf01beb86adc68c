"""Which sources the master opens: a row of the database must not read the master's own files."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.sources import resolve
from raven.errors import SourceRefused, SourceUnreadable, TaskError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed root with a film in it, and a secret beside it."""
    folder = tmp_path / "in"
    (folder / "films").mkdir(parents=True)
    (folder / "films" / "a film.mkv").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "in-other").mkdir()
    (tmp_path / "in-other" / "film.mkv").write_bytes(b"x")
    return folder


def test_a_file_under_a_root_is_opened_by_its_path(root: Path) -> None:
    film = root / "films" / "a film.mkv"

    assert resolve(str(film), str(root)) == str(film)


def test_one_of_several_roots_is_enough(root: Path) -> None:
    film = root / "films" / "a film.mkv"

    assert resolve(str(film), f"/mnt/nas, {root} ,https://media.example/") == str(film)


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_url_is_a_path(root: Path, host: str) -> None:
    assert resolve(f"file://{host}{root}/films/a%20film.mkv", str(root)) == str(root / "films" / "a film.mkv")


def test_a_link_is_followed_within_the_roots(root: Path) -> None:
    (root / "link.mkv").symlink_to(root / "films" / "a film.mkv")

    assert resolve(str(root / "link.mkv"), str(root)) == str(root / "films" / "a film.mkv")


def test_a_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    """/srv/in on a NAS usually is."""
    (tmp_path / "srv").symlink_to(root)

    assert resolve(str(tmp_path / "srv" / "films" / "a film.mkv"), str(tmp_path / "srv"))


@pytest.mark.parametrize(
    "source",
    [
        "{root}/../secret",
        "{root}/films/../../secret",
        "file://{root}/%2e%2e/secret",
        "{root}-other/film.mkv",
        "/etc/passwd",
        "/proc/self/environ",
    ],
)
def test_a_file_outside_the_roots_is_refused(root: Path, source: str) -> None:
    with pytest.raises(SourceRefused, match="outside the allowed roots"):
        resolve(source.format(root=root), str(root))


@pytest.mark.parametrize("link", ["film.mkv", "films/out"])
def test_a_link_that_leads_outside_is_refused(root: Path, tmp_path: Path, link: str) -> None:
    (root / link).symlink_to(tmp_path if link == "films/out" else tmp_path / "secret")
    source = root / link / "secret" if link == "films/out" else root / link

    with pytest.raises(SourceRefused, match="outside the allowed roots"):
        resolve(str(source), str(root))


@pytest.mark.parametrize("roots", [None, "", " , ", "relative", "https://media.example/"])
def test_without_a_root_every_source_is_refused(root: Path, roots: str | None) -> None:
    """An unset setting must not open everything."""
    with pytest.raises(SourceRefused, match="RAVEN_SOURCES"):
        resolve(str(root / "films" / "a film.mkv"), roots)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("", "empty"),
        ("films/a film.mkv", "not an absolute path"),
        ("http://media.example/film.mkv", "http:// are not read"),
        ("s3://bucket/film.mkv", "s3:// are not read"),
        ("concat:/etc/passwd", "not an absolute path"),
        ("file:srv/in/film.mkv", "not an absolute path"),
        ("file://elsewhere/srv/in/film.mkv", "file:// are not read"),
        ("subfile,,start,0,end,0,,:/etc/passwd", "not an absolute path"),
    ],
)
def test_what_is_no_path_is_refused(root: Path, source: str, fault: str) -> None:
    """ffmpeg knows many protocols; none of them may be reached by a row."""
    with pytest.raises(SourceRefused, match=fault):
        resolve(source, "/")


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"films/none\.mkv does not exist"):
        resolve(str(root / "films" / "none.mkv"), str(root))


def test_a_missing_file_outside_the_roots_is_refused_as_any_other(root: Path, tmp_path: Path) -> None:
    """The answer must not tell which files the master has."""
    with pytest.raises(SourceRefused, match="outside"):
        resolve(str(tmp_path / "nothing here"), str(root))


def test_a_folder_is_not_a_film(root: Path) -> None:
    for folder in (root, root / "films"):
        with pytest.raises(SourceUnreadable, match="is a directory"):
            resolve(str(folder), str(root))


def test_an_empty_file_is_named(root: Path) -> None:
    (root / "empty.mkv").touch()

    with pytest.raises(SourceUnreadable, match=r"empty\.mkv is empty"):
        resolve(str(root / "empty.mkv"), str(root))


def test_a_file_that_may_not_be_read_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "closed.mkv").write_bytes(b"x")
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path).name == "closed.mkv" and mode == os.R_OK))

    with pytest.raises(SourceUnreadable, match="permission denied"):
        resolve(str(root / "closed.mkv"), str(root))


def test_a_pipe_is_as_good_as_a_file(root: Path) -> None:
    os.mkfifo(root / "live.ts")

    assert resolve(str(root / "live.ts"), str(root)) == str(root / "live.ts")


def test_a_device_or_a_socket_is_refused(root: Path) -> None:
    """/dev/zero never ends."""
    with socket.socket(socket.AF_UNIX) as listening, tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as short:
        listening.bind(f"{short}/s")  # a socket's path is limited to about 100 bytes
        for source, roots in (("/dev/zero", "/dev"), (f"{short}/s", short)):
            with pytest.raises(SourceRefused, match="neither a file nor a pipe"):
                resolve(source, roots)


def test_a_link_to_itself_is_named(root: Path) -> None:
    (root / "loop.mkv").symlink_to(root / "loop.mkv")

    with pytest.raises(TaskError, match=r"loop\.mkv"):
        resolve(str(root / "loop.mkv"), str(root))


@pytest.mark.parametrize("source", ["/srv/in/a\0b.mkv", "file:///srv/in/a%00b.mkv", "//[film.mkv", "http://[::1"])
def test_a_name_that_the_system_cannot_have_is_a_fault_of_the_source(source: str) -> None:
    """Each once was a ValueError, which counts as a fault of ours and is tried five times."""
    with pytest.raises(TaskError):
        resolve(source, "/")


def test_a_name_that_looks_like_a_broken_url_is_still_a_name(root: Path) -> None:
    film = root / "[x.mkv"
    film.write_bytes(b"x")

    assert resolve(f"/{film}", str(root)) == str(film)


@given(st.text())
def test_any_text_is_a_fault_of_the_source_or_a_readable_file(source: str) -> None:
    for text in (source, f"/{source}", f"//{source}", f"file:///{source}"):
        try:
            assert Path(resolve(text, "/nonexistent-root")).is_relative_to("/nonexistent-root")
        except TaskError as error:
            assert error.permanent
