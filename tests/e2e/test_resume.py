"""However an encode ends, the same command goes on where it was, and the film is the same as without the trouble."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.tools import SECONDS, Raven, StandIn, encode_command, files_of, run
from tests.media import generate_clip
from tests.processes import descendants, processes
from tests.waiting import wait_until

FRAMES = 260  # chunks of one second, 25 frames; a rest shorter than a chunk joins the last one
CHUNKS = 10
HELD_AFTER = 4
QUICKLY = 3.0
"""Seconds in which an interrupted raven is gone."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_clip(tmp_path_factory.mktemp("clip") / "film.mkv", FRAMES)


@pytest.fixture(scope="module")
def undisturbed(raven: Raven, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The film of a run that nothing came across."""
    return files_of(raven.encode(clip, tmp_path_factory.mktemp("undisturbed") / "out", "seconds").folder)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards, and what it says."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def alive(those: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Which of them have not ended."""
    return those & {(number, begun) for number, (_, begun) in processes().items()}


def ended(those: set[tuple[int, int]]) -> bool:
    return not alive(those)


def at_work_in(folder: Path) -> list[str]:
    """Command lines that name a folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def done_chunks(output: Path) -> dict[int, tuple[int, int]]:
    """Attempt and time of the last change of the chunks that are encoded, by number."""
    file = output / ".raven" / "raven.db"
    if not file.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            rows = database.execute(
                "SELECT position, attempt, changed_at FROM jobs WHERE kind='encode' AND state='done'"
            )
            return {position: (attempt, changed) for position, attempt, changed in rows}
    except sqlite3.OperationalError:
        return {}  # it is just being made


def segments(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each video segment, by number."""
    about = {file.name: file.stat() for file in folder.glob("video/small/*.m4s")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in about.items()}


def disturb(
    raven: Raven, clip: Path, output: Path, stand_in: StandIn, number: signal.Signals
) -> tuple[int, str, dict[int, tuple[int, int]]]:
    """Begins an encode, sends a signal when some chunks are done and others under way.

    Returns the exit status, what it said, and the chunks that were done. Afterwards chunks encode at full speed.
    """
    stand_in.hold_after(HELD_AFTER)
    environment = raven.environment(RAVEN_FFMPEG=str(stand_in.program))
    with running(encode_command(clip, output, "--profile", "seconds", "--workers", "2"), environment) as process:
        wait_until(
            lambda: len(done_chunks(output)) == HELD_AFTER and len(stand_in.chunks_begun()) == HELD_AFTER + 2,
            "four chunks done, two that do not end",
        )
        before, below = done_chunks(output), descendants(process.pid)
        assert len(alive(below)) >= 2  # the two encodes
        assert at_work_in(output)
        sent = time.monotonic()
        process.send_signal(number)
        status = process.wait(SECONDS)
        assert time.monotonic() - sent < QUICKLY
        said = process.stderr.read() if process.stderr else ""
    wait_until(partial(ended, below), "no process of raven's is left", timeout=10)
    assert not at_work_in(output)
    stand_in.release()
    stand_in.forget()
    return status, said, before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_an_encode_that_was_stopped_goes_on_where_it_was(
    raven: Raven, clip: Path, undisturbed: dict[str, bytes], stand_in: StandIn, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "out"
    status, said, before = disturb(raven, clip, output, stand_in, number)
    if number == signal.SIGKILL:
        assert status == -signal.SIGKILL
    else:
        assert status == 130
        assert said.splitlines()[-1] == "raven: interrupted; the same command resumes"
        assert "Traceback" not in said
    assert not (output / "master.m3u8").exists()
    assert done_chunks(output) == before
    stored = segments(output / ".raven" / "objects" / "out" / "1")
    assert len(stored) >= HELD_AFTER

    film = raven.encode(clip, output, "seconds", RAVEN_FFMPEG=str(stand_in.program))

    again = stand_in.chunks_begun()
    assert sorted(again) == [chunk + 1 for chunk in range(CHUNKS) if chunk not in before]  # a chunk is a GOP here
    kept = {f"seg-{chunk + 1:06d}.m4s" for chunk in before}
    found = segments(film.folder)
    assert {name: found[name] for name in kept} == {name: stored[name] for name in kept}  # the very files
    assert files_of(film.folder) == undisturbed


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "the folder is there": lambda output: (output / ".raven").exists(),
    "the database is there": lambda output: (output / ".raven" / "raven.db").exists(),
    "it cuts": lambda output: any((output / ".raven" / "objects").glob("tmp/1/chunk-*")),
    "the first chunk is done": lambda output: len(done_chunks(output)) >= 1,
    "half is done": lambda output: len(done_chunks(output)) >= CHUNKS // 2,
    "all chunks are done": lambda output: len(done_chunks(output)) == CHUNKS,
    "manifests are written": lambda output: any((output / ".raven" / "objects").glob("out/1/manifest.mpd")),
}


def watch_until(process: subprocess.Popen[str], moment: Callable[[], bool], what: str) -> set[tuple[int, int]]:
    """Waits for a moment, or the end of a process; all processes that were seen below it."""
    seen: set[tuple[int, int]] = set()

    def reached() -> bool:
        seen.update(descendants(process.pid))
        return process.poll() is not None or moment()

    wait_until(reached, what, pause=0.02)
    return seen


def test_kill_at_every_stage_of_one_encode_changes_no_byte(
    raven: Raven, clip: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    command = encode_command(clip, output, "--profile", "seconds")
    killed = 0
    for name, moment in MOMENTS.items():
        with running(command, raven.environment()) as process:
            below = watch_until(process, partial(moment, output), name)
            process.kill()
            killed += process.wait(SECONDS) == -signal.SIGKILL
        wait_until(partial(ended, below), "no process of raven's is left", timeout=10)
    assert killed >= 5  # the last ones may come too late
    film = raven.encode(clip, output, "seconds")
    assert files_of(film.folder) == undisturbed
    assert not (output / ".raven").exists()


def test_a_source_that_has_changed_is_encoded_from_its_start(
    raven: Raven, clip: Path, stand_in: StandIn, tmp_path: Path
) -> None:
    source, output = tmp_path / "film.mkv", tmp_path / "out"
    shutil.copyfile(clip, source)
    disturb(raven, source, output, stand_in, signal.SIGINT)
    source.unlink()
    generate_clip(source, 130, size="192x108", gop=13)
    resumed = raven.encode(source, output, "seconds")
    assert resumed.task["frames"] == 130
    assert files_of(resumed.folder) == files_of(raven.encode(source, tmp_path / "fresh", "seconds").folder)


def test_a_profile_that_has_changed_is_not_mixed_with_the_old_one(
    raven: Raven, clip: Path, stand_in: StandIn, tmp_path: Path
) -> None:
    profiles, output = tmp_path / "profiles", tmp_path / "out"
    shutil.copytree(raven.profiles, profiles)
    disturb(Raven(profiles), clip, output, stand_in, signal.SIGINT)
    file = profiles / "seconds.toml"
    file.write_text(file.read_text("utf-8").replace("crf = 30", "crf = 40"), encoding="utf-8")
    resumed = Raven(profiles).encode(clip, output, "seconds")
    fresh = Raven(profiles).encode(clip, tmp_path / "fresh", "seconds")
    assert files_of(resumed.folder) == files_of(fresh.folder)


STOPPED_AT_THE_LAST_MOMENT = """
import os, sys, time
from pathlib import Path
from raven import local
from raven.environment import load_settings

clip, output, parts = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
farm = local.LocalFarm(load_settings(os.environ), clip, output, "seconds", 2)
with farm.running():
    while not farm.snapshot().ended:
        time.sleep(0.05)
    local.PARTS = local.PARTS[:parts]
    if parts:
        farm.collect()
    raise KeyboardInterrupt
"""


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_finished_film_is_not_lost_when_it_is_stopped_while_it_moves_into_its_folder(
    raven: Raven, clip: Path, undisturbed: dict[str, bytes], stand_in: StandIn, tmp_path: Path, parts: int
) -> None:
    output = tmp_path / "out"
    script = [sys.executable, "-c", STOPPED_AT_THE_LAST_MOMENT, str(clip), str(output), str(parts)]
    assert run(script, raven.environment()).status != 0
    assert len(list(output.iterdir())) == 1 + parts
    film = raven.encode(clip, output, "seconds", RAVEN_FFMPEG=str(stand_in.program))
    assert stand_in.calls() == []
    assert files_of(film.folder) == undisturbed
