"""The self-test of a worker: a known encode, by a sound ffmpeg and by others."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from raven.machine import ffmpeg_build
from raven.selftest import KNOWN, self_test
from tests.media import ffmpeg


def program(folder: Path, script: str) -> str:
    """An ffmpeg of another kind."""
    file = folder / "other-ffmpeg"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_the_shipped_ffmpeg_makes_the_bytes_that_are_known(tmp_path: Path) -> None:
    """Of a new build they have to be measured anew: run the command of raven/selftest.py on two kinds of CPUs."""
    build = ffmpeg_build(ffmpeg())

    assert self_test(ffmpeg(), build, tmp_path) == ""
    assert platform.machine() != "x86_64" or (build, "x86_64") in KNOWN
    assert list(tmp_path.iterdir()) == []


def test_of_another_build_two_runs_have_to_agree(tmp_path: Path) -> None:
    assert self_test(ffmpeg(), "ffmpeg version of somebody's own", tmp_path) == ""


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 1", "other-ffmpeg ended with status 1"),
        ("exit 0", "can be decoded"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ('for last; do :; done; head -c 99 /dev/urandom > "$last"', "can be decoded|other bytes"),
        ('{ffmpeg} "$@"; case "$*" in *again*) for last; do :; done; printf x >> "$last";; esac', "other bytes"),
    ],
)
def test_an_ffmpeg_that_does_not_encode_is_told_apart(script: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    found = self_test(program(tmp_path, script.replace("{ffmpeg}", ffmpeg())), "x", tmp_path / "temporary")

    assert any(words in found for words in fault.split("|")), found


def test_a_known_build_that_makes_other_bytes_is_not_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, ("x", platform.machine()), "0" * 64)

    assert "not sound" in self_test(ffmpeg(), "x", tmp_path)


def test_a_folder_that_cannot_be_written_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    assert "No such file" in self_test(ffmpeg(), "x", tmp_path / "none")


def test_a_program_that_states_no_version_is_told(tmp_path: Path) -> None:
    assert ffmpeg_build(ffmpeg()).startswith("ffmpeg version ")
    assert ffmpeg_build(program(tmp_path, "exit 3")) == "none: it ended with status 3"
    assert ffmpeg_build(str(tmp_path / "none")).startswith("none: ")
