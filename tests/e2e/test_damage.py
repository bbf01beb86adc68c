"""Damaged films through the whole way, probing to publishing: each ends as an output or with a reason, in bounded time.

RAVEN_FUZZ sets the number of cases. Where the corpus of real files is at hand, every second case is one of them.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import structlog

from raven.config import Settings
from raven.environment import load_settings
from raven.local import LocalFarm
from raven.snapshot import Snapshot
from tests.damage import damaged
from tests.e2e.tools import Film, Raven
from tests.media import corpus, run_ffmpeg, with_text
from tests.processes import children
from tests.teletext import SUBTITLES, Screen, descriptor, write_teletext
from tests.waiting import wait_until

CASES = int(os.environ.get("RAVEN_FUZZ", "40"))
BATCH = 10  # cases of one test, so that a fault is found again soon
SECONDS = 300
"""A case that lasts longer hangs, however busy the machine; most take about one."""
LIMITS = {
    "RAVEN_LIMIT_SECONDS": "30",  # every second that a film claims is encoded
    "RAVEN_LIMIT_CPU_HOURS": "0.01",
    "RAVEN_STALL_SECONDS": "20",
}
FILMS = ("film.mp4", "film.mkv", "film.ts", "film.avi", "film.ogg", "film.flv", "film.mov", "film.mxf", "film.mp3")
PICTURES = {"avi": "mpeg4", "ogg": "libtheora", "flv": "flv", "mxf": "mpeg2video"}
SOUNDS = {"avi": "mp2", "ogg": "libvorbis", "flv": "libmp3lame", "mxf": "pcm_s16le", "mp3": "libmp3lame"}
LARGEST = 700_000
"""Bytes of a real file; of a larger one, the beginning."""
LONGEST = 13
"""Seconds of a real file; of a longer one, the beginning."""


def generated(folder: Path) -> list[bytes]:
    """Small films of many containers, of a second."""
    made = []
    for name in FILMS:
        ending = name.rpartition(".")[2]
        picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1"] if ending != "mp3" else []
        coding = ["-c:v", PICTURES.get(ending, "libx264"), "-c:a", SOUNDS.get(ending, "aac"), "-ar", "48000"]
        sound = ["-f", "lavfi", "-i", "sine=duration=1"]
        run_ffmpeg(["-loglevel", "error", *picture, *sound, *coding, str(folder / name)])
        made.append((folder / name).read_bytes())
    text = write_teletext(folder / "text.ts", descriptor(("eng", SUBTITLES, 0x888)), [Screen(1.5, 0x888, ((20, "a"),))])
    made.append(with_text(folder / "film.ts", text, folder / "teletext.ts").read_bytes())
    return made


def real() -> list[bytes]:
    """Files of the corpus, or the beginnings of them where that can be read; none where it is absent."""
    folder = corpus()
    if folder is None:
        return []
    rows = [line.split("\t") for line in (folder / "MANIFEST.tsv").read_text("utf-8").splitlines()[1:]]
    films = []
    for name, seconds in sorted((row[0], float(row[4])) for row in rows):
        film = (folder / name).read_bytes()
        share = min(1, LARGEST / len(film), LONGEST / max(seconds, 0.001))
        if share == 1 or not name.endswith((".mp4", ".mov")):  # whose index may stand at the end
            films.append(film[: int(len(film) * share)])
    return films


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Made ones and real ones by turns, as long as there are any of both."""
    made, found = generated(tmp_path_factory.mktemp("films")), real()
    both = [film for n in range(len(found)) for film in (made[n % len(made)], found[n])]
    return both or made


@pytest.fixture
def settings(raven: Raven) -> Settings:
    return load_settings(raven.environment(**LIMITS))


def through(source: Path, output: Path, settings: Settings) -> Snapshot:
    """A farm in one process makes of a source what it can. Raises what breaks the farm."""
    farm = LocalFarm(settings, source, output, "six", 2)
    with farm.running():
        wait_until(lambda: farm.snapshot().ended, lambda: f"the task ends: {farm.snapshot()}", SECONDS)
        snapshot = farm.snapshot()
        if snapshot.status == "done":
            farm.collect()
    return snapshot


def faults(snapshot: Snapshot, output: Path) -> list[str]:
    """What a damaged film must not lead to."""
    if snapshot.status == "done":
        made = Film(output).task
        return [] if made["frames"] or made["audio"] else ["an output of nothing"]
    said = snapshot.message or ""
    found = [sign for sign in ("Traceback", "internal error", "killed by") if sign in said]
    if len(said) < 20:
        found.append("no reason")
    if output.exists():
        found.append("something is left")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(-(-CASES // BATCH)))
def test_a_damaged_film_ends_with_an_output_or_a_reason(
    batch: int, films: list[bytes], settings: Settings, tmp_path: Path
) -> None:
    for case in range(batch * BATCH, min(CASES, (batch + 1) * BATCH)):
        chance = random.Random(case)  # noqa: S311 - the same films in every run
        source, output = tmp_path / "film.bin", tmp_path / f"out-{case}"
        source.write_bytes(damaged(films[case % len(films)], chance))
        before = children(os.getpid())  # servers of other tests may be among them
        with structlog.testing.capture_logs() as lines:
            snapshot = through(source, output, settings)
        assert faults(snapshot, output) == [], (case, snapshot.message)
        assert [line for line in lines if line["log_level"] in ("error", "critical")] == [], case
        assert children(os.getpid()) <= before, case
