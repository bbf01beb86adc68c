"""What raven makes plays to its end in the players that people use, whatever the viewer does on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven import names
from tests.e2e.tools import Film, Raven
from tests.media import run_ffmpeg
from tests.players.player import Player, Tour, missing, play
from tests.servers.fixtures import need

RATE = 25
FRAMES = 456
"""18.24 s in chunks of a second, the last one longer. Sound and picture end together: where the sound is longer by a
part of its last packet, dash.js 5.2.1 may go back half a second when it has reached the end, and stay there."""
SOON = 5
"""Frames after a seek in which the first one is noticed on a busy machine."""
BORDERS = ((7.9, 8.3), (12.9, 13.2), (1.9, 2.4))
"""From shortly before the end of a chunk into the next one: ahead, further ahead, and back."""
LEVELS = (180, 360, 180)
PLAYERS: dict[str, tuple[Player, str, Tour]] = {
    "hls.js": ("hls", names.MULTIVARIANT, Tour(BORDERS, LEVELS, rest=2)),
    "shaka-hls": ("shaka", names.MULTIVARIANT, Tour(BORDERS, LEVELS, rest=2)),
    "shaka-dash": ("shaka", names.MPD, Tour(BORDERS, LEVELS, rest=2)),
    "video.js-hls": ("vjs", names.MULTIVARIANT, Tour(BORDERS, LEVELS, rest=2)),
    "video.js-dash": ("vjs", names.MPD, Tour(BORDERS, LEVELS, rest=2)),
    # it loses its way when it seeks back to what it has not fetched, with ffmpeg's own MPD too
    "dash.js": ("dash", names.MPD, Tour(((7.9, 8.3), (12.9, 13.2), (8.9, 9.3)), LEVELS, rest=2)),
    "native": ("native", names.MULTIVARIANT, Tour(BORDERS, rest=2)),  # levels cannot be chosen
}


def make_clip(target: Path) -> Path:
    """A film whose every picture says its own number, as tests/players/page/tour.js reads it."""
    bars = [f"drawbox=x={64 * bit}:w=64:h=45:color=white:t=fill:enable='mod(floor(n/{2**bit}),2)'" for bit in range(10)]
    picture = ",".join([f"testsrc2=size=640x360:rate={RATE}", "drawbox=h=45:color=black:t=fill", *bars])
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=48000", "-shortest"]
    coding = ["-frames:v", str(FRAMES), "-c:v", "libx264", "-preset", "ultrafast", "-g", "77", "-pix_fmt", "yuv420p"]
    run_ffmpeg(["-f", "lavfi", "-i", picture, *sound, *coding, str(target)])
    return target


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """A film of many chunks, two rungs and sound."""
    folder = tmp_path_factory.mktemp("playback")
    return raven.encode(make_clip(folder / "film.mkv"), folder / "out", "levels")


def number_at(seconds: float) -> int:
    return int(seconds * RATE)


@pytest.mark.players
@pytest.mark.xdist_group("e2e-playback")
@pytest.mark.parametrize("name", PLAYERS)
def test_a_film_plays_to_its_end_over_seeks_and_changes_of_level(film: Film, name: str) -> None:
    need(missing())
    player, manifest, tour = PLAYERS[name]
    playback = play(film.folder, manifest, player, tour=tour)

    # It came to the end by itself: nothing was skipped, nothing ran dry but where the viewer sought
    assert playback.passed, playback.problems
    assert playback.duration == pytest.approx(FRAMES / RATE, abs=0.01)
    assert playback.jumps == ()
    assert playback.stalls == ()
    assert playback.buffered_ranges[-1][1] == pytest.approx(FRAMES / RATE, abs=0.01)
    assert playback.audio_decoded_bytes > 20_000
    assert playback.tour is not None
    last_seek = tour.seeks[-1][0]
    assert playback.decoded_frames >= (FRAMES - number_at(last_seek)) * 9 // 10

    # Each picture was the one of its time, up to the last
    frames = playback.tour.frames
    assert [frame for frame in frames if round(frame[0] * RATE) != frame[1]] == []
    assert frames[-1][1] >= FRAMES - SOON
    # A seek showed the frame of the moment first
    assert [seek.to for seek in playback.tour.seeks] == [to for to, _ in tour.seeks]
    for seek in playback.tour.seeks:
        assert number_at(seek.to) <= seek.shown[1] <= number_at(seek.to) + SOON
    # And each level was shown when it was asked for
    assert tuple(switch.shown[2] for switch in playback.tour.switches) == tour.levels
    assert {height for *_, height in frames} <= {180, 360}
