"""The folder that a film goes into if nobody names one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raven.errors import UsageError
from raven.film import own_folder


def test_it_has_the_name_of_the_film_where_one_stands_wherever_the_film_lies(tmp_path: Path) -> None:
    assert own_folder(Path("/films/of/others/a film.part1.mkv"), tmp_path) == tmp_path / "a film.part1"


@pytest.mark.parametrize(
    "holds",
    [(), (".raven/",), ("task.json", "master.m3u8", "notes.txt")],
    ids=["nothing", "a film on its way", "a film of Raven"],
)
def test_a_folder_that_is_empty_or_holds_a_film_of_raven_is_taken(tmp_path: Path, holds: tuple[str, ...]) -> None:
    """Whether it is this very film is asked later, as of a folder that was named."""
    _fill(tmp_path / "film", holds)

    assert own_folder(Path("film.mkv"), tmp_path) == tmp_path / "film"


@pytest.mark.parametrize("holds", [("holiday.jpg",), ("video/",)])
def test_a_folder_of_something_else_is_not_filled(tmp_path: Path, holds: tuple[str, ...]) -> None:
    _fill(tmp_path / "film", holds)

    with pytest.raises(UsageError, match=r"film.* name a(nother)? folder"):
        own_folder(Path("film.mkv"), tmp_path)


def test_a_folder_that_may_not_be_read_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path / "film", ())
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path / "film")  # root may read all

    with pytest.raises(UsageError, match=r"something else; name a folder with --output$"):
        own_folder(Path("film.mkv"), tmp_path)


@pytest.mark.parametrize("source", ["film", ".mkv/..", "/"])
def test_a_source_that_leaves_no_name_for_a_folder_asks_for_one(tmp_path: Path, source: str) -> None:
    (tmp_path / "film").touch()

    with pytest.raises(UsageError, match=r"something else; name a folder with --output$"):
        own_folder(Path(source), tmp_path)


def _fill(folder: Path, holds: tuple[str, ...]) -> None:
    folder.mkdir()
    for name in holds:
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_text('{"raven": "1.0"}', "utf-8")
