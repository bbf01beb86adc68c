"""Real films through the farm: the very frames of them, and the very bytes that one machine alone makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.lossless import check_lossless
from tests.e2e.tools import Film
from tests.farm.farm import ROOT, Farm, Servers
from tests.media import corpus

pytestmark = pytest.mark.servers
FILMS = {  # frames, and how many are distinct at the least
    "openshot__sintel_trailer-720p.mp4": (1253, None),
    "danlucian__bbb_hls_720p_tail.ts": (1804, None),
    "ipywidgets__Big.Buck.Bunny.mp4": (795, None),  # open GOP
    "moviepy__fire2.mp4": (71, 20),  # variable rate, rotated
}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[Farm]:
    with closing(Farm(tmp_path_factory.mktemp("films"), servers)) as farm:
        for role, node in (("watcher", "watcher"), ("master", "master"), ("worker", "one"), ("worker", "two")):
            farm.start(role, node)
        farm.until_seen()
        yield farm


def media_of(folder: Path) -> dict[str, bytes]:
    """All init segments and segments below a folder, by path."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.suffix in (".mp4", ".m4s")}


@pytest.mark.parametrize("name", FILMS)
def test_a_real_film_comes_out_of_the_farm_as_from_one_machine_with_the_frames_of_one_ffmpeg(
    farm: Farm, tmp_path: Path, name: str
) -> None:
    folder = corpus()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"{name} is not in a corpus of media files")
    source = Path(shutil.copy(folder / name, farm.sources / name))
    task = farm.submit(source, profile="lossless")
    row = farm.done(task, timeout=240)
    farmed = farm.download(task, tmp_path / "farmed")

    check_lossless(Film(farmed), source, *FILMS[name])
    assert row["progress"] == 1

    alone = tmp_path / "alone"
    subprocess.run(
        [sys.executable, "-m", "raven", "encode", str(source), "--output", str(alone), "--profile", "lossless"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        timeout=240,
        env={**os.environ, "RAVEN_PROFILES": str(Path(__file__).parent / "profiles")},
    )
    assert media_of(farmed) == media_of(alone)
