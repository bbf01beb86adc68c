"""The benchmark of what chunks cost measures what it says: frame against frame, and a worse encode shows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.bench import Bench
from benchmarks.figures import AIMS, Rung
from benchmarks.variants import WHOLE_SEGMENTS, variant
from master.prepare import probe
from raven.process import StopSignal
from raven.profile import load_profiles
from tests.e2e.tools import Raven, run
from tests.media import ffmpeg, generate_clip

pytestmark = pytest.mark.slow

FRAMES = 80  # two seams at a second a chunk, as the rest of 5 frames joins the chunk before it
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate_clip(tmp_path_factory.mktemp("quality") / "clip.mp4", FRAMES, size="160x90", audio=False)


def test_of_lossless_encodes_the_command_finds_the_very_frames(raven: Raven, clip: Path) -> None:
    # When a profile that loses nothing is measured in chunks of a second
    command = [sys.executable, "-m", "benchmarks.quality", str(clip), "--profile", "corpus", "--chunk-seconds", "1"]
    ran = run([*command, "--json"], raven.environment(), cwd=ROOT)

    # Then both encodes have every frame of the reference, at its place
    assert ran.status == 0, ran.stderr
    assert ran.json["aims"] == AIMS
    (film,) = ran.json["films"]
    assert (film["frames"], film["chunk_frames"], film["seams"]) == (FRAMES, 25, [25, 50])
    (rung,) = film["rungs"]
    assert (rung["name"], rung["size"]) == ("small", "160x90")
    assert rung["psnr"]["whole"] == rung["psnr"]["chunked"] == pytest.approx(60)  # libvmaf's highest
    assert rung["vmaf"]["whole"] > 95
    assert rung["vmaf"]["difference"] == rung["vmaf"]["step"] == 0
    assert {place: rung["vmaf"][place]["frames"] for place in ("before", "after", "away")} == {
        "before": 24,
        "after": 24,
        "away": FRAMES - 48,
    }
    assert rung["bytes_whole"] > 10_000
    assert rung["overhead_percent"] == pytest.approx(100 * (rung["bytes_chunked"] / rung["bytes_whole"] - 1))


def test_chunks_that_are_encoded_worse_show(raven: Raven, clip: Path) -> None:
    # When chunks at a coarser quality are compared with one piece at the profile's
    rung = measured(raven, clip, {"crf": 42})

    # Then the aims are missed, near the seams and away from them, and fewer bytes are seen
    assert rung.vmaf.difference < -AIMS["vmaf_difference"]
    assert max(rung.vmaf.before.mean, rung.vmaf.after.mean, rung.vmaf.away.mean) < -AIMS["vmaf_difference"]
    assert rung.psnr.difference < -1
    assert rung.overhead_percent < -AIMS["overhead_percent"]


def test_a_chunk_begins_as_well_as_the_middle_of_one_piece(raven: Raven, clip: Path) -> None:
    # When chunks are compared with one piece, by a preset in which x264 weighs frames by what is made of them
    rung = measured(raven, clip, {}, preset="fast")

    # Then no quality is lost after the seams
    assert rung.psnr.after.mean > -0.1
    assert rung.psnr.after.worst > -0.5


def measured(raven: Raven, clip: Path, chunked: dict[str, float], preset: str = "ultrafast") -> Rung:
    """The figures of one rung, in chunks of a second; `chunked` are other settings of the rung in the chunks."""
    profile = load_profiles(raven.profiles)["seconds"]
    ladder = profile.video[0].model_copy(update={"preset": preset})
    other = ladder.model_copy(update={"rungs": (ladder.rungs[0].model_copy(update=chunked),)})
    profiles = [
        variant(profile.model_copy(update={"video": (video,)}), name, ["small"], segments)
        for name, video, segments in (("chunked", other, 1), ("whole", ladder, WHOLE_SEGMENTS))
    ]
    film = Bench(ffmpeg(), workers=2, around=6).film(clip, probe(str(clip), StopSignal()), *profiles)
    (rung,) = film.rungs
    return rung
