"""The benchmark against peers: what is measured of Raven and of one plain ffmpeg, and what is told of all others."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.peer_orders import TOOLS, Case, ladder_profile
from benchmarks.peers import compared
from master.prepare import probe
from raven.process import StopSignal
from raven.profile import load_profiles
from tests.e2e.tools import Raven, run
from tests.media import ffmpeg, generate_clip

FRAMES = 40
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # smaller than every rung: so it is one rung of its own size, and ends soon
    return generate_clip(
        tmp_path_factory.mktemp("peers") / "clip.mp4", FRAMES, size="160x90", gop=25, options=["-bf", "3"]
    )


@pytest.fixture(scope="module")
def case(clip: Path) -> Case:
    facts = probe(str(clip), StopSignal())
    assert facts.video
    return Case(clip, facts, facts.video, ladder_profile(load_profiles(None)["default"], "fast"), ffmpeg(), 2)


@pytest.mark.slow
def test_raven_and_ffmpeg_make_the_same_rungs(raven: Raven, clip: Path) -> None:
    # When both make the ladder and the single rung of a second of a film
    command = [sys.executable, "-m", "benchmarks.peers", str(clip), "--seconds", "1", "--tools", "raven"]
    ran = run([*command, "--preset", "ultrafast", "--json"], raven.environment(), cwd=ROOT)

    # Then of each there is every figure, of every frame, and settings that anyone can repeat
    assert ran.status == 0, ran.stderr
    assert [comparison["name"] for comparison in ran.json["comparisons"]] == ["ladder", "single"]
    for comparison in ran.json["comparisons"]:
        assert (comparison["frames"], comparison["size"], comparison["failed"]) == (25, "160x90", {})
        plain, ours = comparison["tools"]
        assert (plain["tool"], ours["tool"]) == ("ffmpeg", "raven")
        for figures in plain, ours:
            (rung,) = figures["rungs"]
            assert (rung["size"], rung["frames"]) == ("160x90", 25)
            assert rung["vmaf"] > 50
            assert figures["bytes"] == rung["bytes"] > 1000
            assert min(figures["wall"], figures["cpu"]) > 0
            assert figures["version"]
        assert "-preset ultrafast" in plain["command"]
        assert 'preset = "ultrafast"' in ours["files"]["profiles/peers.toml"].replace('"preset"', "preset")


def test_a_peer_that_is_not_here_is_named_with_its_package(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a PATH without any program
    monkeypatch.setenv("PATH", str(tmp_path))

    # When only peers are asked for
    peers = [tool for tool in TOOLS if tool.needs]
    found = compared("ladder", case, peers, tmp_path)

    # Then none has figures
    assert (found.tools, found.failed) == ((), {})
    assert found.skipped["HandBrakeCLI"] == ["apt-get install handbrake-cli"]
    assert set(found.skipped) == {"shaka-streamer", "HandBrakeCLI", "av1an"}


def test_shaka_gets_the_sizes_of_the_rungs_and_the_bit_rates_of_ffmpegs(case: Case) -> None:
    (shaka,) = (tool for tool in TOOLS if tool.name == "shaka-streamer")
    (rung,) = case.rungs
    order = shaka.order(case, Path("/nowhere"), {rung.name: 123})

    sizes = json.loads(order.files["bitrates.yaml"])["video_resolutions"]
    assert sizes == {rung.name: {"max_width": 160, "max_height": 90, "bitrates": {"h264": "123k"}}}
    assert json.loads(order.files["pipeline.yaml"])["resolutions"] == [rung.name]
