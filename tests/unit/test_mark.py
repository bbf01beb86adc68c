"""A source that is replaced between two attempts to cut it: two films are never mixed into one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from master.mark import END_BYTES, check, mark
from master.prepare import Tools, prepare
from raven.adapters.directory import DirectoryStorage
from raven.config import Settings
from raven.context import Context
from raven.errors import SourceUnreadable
from raven.limits import Limits
from raven.messages import PrepareJob
from raven.model import PrepareResult
from raven.profile import load_profiles
from raven.sandbox import Box
from tests.media import ffmpeg, generate_clip

LONG = 5 * END_BYTES
ANOTHER = "the source is another one than when its first part was cut"


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("size", [1, END_BYTES, LONG])
def test_a_file_that_is_as_it_was_is_known_again_whatever_its_times_say(size: int, tmp_path: Path) -> None:
    path = written(tmp_path / "film", os.urandom(size))
    known = mark(path)
    os.utime(path, (0, 0))

    check(path, known)
    assert mark(path) == known


@pytest.mark.parametrize("added", [1, LONG])
def test_a_recording_that_has_grown_is_the_same_film(added: int, tmp_path: Path) -> None:
    path = written(tmp_path / "film", os.urandom(LONG))
    known = mark(path)
    with (tmp_path / "film").open("ab") as file:
        file.write(os.urandom(added))

    check(path, known)


@pytest.mark.parametrize(
    "other", [b"x" * LONG, b"a" * (LONG - 1), b"a" * (LONG - 1) + b"x", b"x" + b"a" * (LONG - 1), b""]
)
def test_another_file_in_its_place_is_told_apart(other: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "film", b"a" * LONG)
    known = mark(path)
    written(tmp_path / "film", other)

    with pytest.raises(SourceUnreadable, match=ANOTHER):
        check(path, known)


def test_a_pipe_has_no_mark_and_nobody_waits_for_its_other_end(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)

    assert mark(pipe) == ""
    check(pipe, mark(written(tmp_path / "film", b"a")))


def test_what_is_not_there_is_told_by_who_opens_it(tmp_path: Path) -> None:
    assert mark(str(tmp_path / "none")) == ""
    check(str(tmp_path / "none"), "1-" + 32 * "0")


def cut(source: Path, folder: Path, known: str = "") -> tuple[PrepareResult, Context]:
    """One attempt; its result, and what was reported of it before."""
    storage, context = DirectoryStorage(folder / "storage", ""), Context()
    tools = Tools(storage, str(source.parent), folder, Limits(), Box(), Settings().stall_seconds, ffmpeg())
    profile = load_profiles(None)["default"]
    job = PrepareJob(task=1, job=1, attempt=1, source=str(source), profile=profile, mark=known)
    return prepare(job, context, tools), context


def test_each_report_of_a_cut_says_of_which_source_it_is_and_the_next_attempt_takes_no_other(tmp_path: Path) -> None:
    source = generate_clip(tmp_path / "film.mkv", 100, size="160x90")
    first, context = cut(source, tmp_path)
    assert first.mark == mark(str(source))
    assert context.so_far is not None
    assert context.so_far.mark == first.mark, "the attempt may end at any moment"
    again, _ = cut(source, tmp_path, first.mark)
    assert again == first
    shutil.rmtree(tmp_path / "storage")

    generate_clip(source, 100, size="160x90", options=["-vf", "negate"])
    with pytest.raises(SourceUnreadable, match=ANOTHER):
        cut(source, tmp_path, first.mark)
    assert not list(tmp_path.glob("storage/**/*.nut")), "nothing of it was cut"
