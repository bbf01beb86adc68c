"""What PyAV cannot decode goes to the shipped ffmpeg; a node whose ffmpeg is sick refuses nothing for good."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from master.prepare import probe
from raven.errors import NoDecoder, ProcessFailed
from raven.process import StopSignal
from tests.media import ffmpeg, generate_clip

UNKNOWN = "the video is coded as zzz1"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a codec that nothing decodes."""
    clip = generate_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 10)
    clip.write_bytes(clip.read_bytes().replace(b"avc1", b"zzz1"))
    return clip


def sick(folder: Path, does: str, only_with: str = "") -> str:
    """An ffmpeg that, run on a command with these words, does this instead."""
    program = folder / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *{shlex.quote(only_with)}*) {does} ;; esac\nexec {ffmpeg()} "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return str(program)


def test_what_a_sound_ffmpeg_cannot_decode_either_is_refused_by_name(source: Path) -> None:
    with pytest.raises(NoDecoder, match=UNKNOWN):
        probe(str(source), StopSignal(), ffmpeg=ffmpeg())


def test_an_ffmpeg_that_makes_nothing_at_all_is_the_fault_of_the_node(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="no library"):
        probe(str(source), StopSignal(), ffmpeg=sick(tmp_path, "echo no library >&2; exit 127"))


def test_an_ffmpeg_that_is_killed_is_run_again_elsewhere(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="SIGKILL"):
        probe(str(source), StopSignal(), ffmpeg=sick(tmp_path, "kill -9 $$", only_with=source.name))


def test_an_ffmpeg_that_hangs_is_run_again_elsewhere(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="hung"):
        probe(
            str(source),
            StopSignal(),
            stall_seconds=0.2,
            ffmpeg=sick(tmp_path, "exec sleep 60", only_with=source.name),
        )
