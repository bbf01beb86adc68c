"""What raven makes plays to its end in the players that people use."""

from __future__ import annotations

import pytest

from raven import names
from tests.e2e.tools import Film, Raven
from tests.media import generate_clip
from tests.players.player import Player, missing, play
from tests.servers.fixtures import need

FRAMES = 310  # 12.4 s in six chunks, one second longer than the last whole one
PLAYERS: list[tuple[Player, str]] = [
    ("hls", names.MULTIVARIANT),
    ("dash", names.MPD),
    ("shaka", names.MPD),
    ("native", names.MULTIVARIANT),
]


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """A film of many chunks, two rungs and sound."""
    folder = tmp_path_factory.mktemp("playback")
    source = generate_clip(folder / "film.mkv", FRAMES, size="640x360", gop=77)
    return raven.encode(source, folder / "out", "quick")


@pytest.mark.players
@pytest.mark.xdist_group("e2e-playback")
@pytest.mark.parametrize(("player", "manifest"), PLAYERS, ids=[f"{player}-{name}" for player, name in PLAYERS])
def test_a_film_plays_to_its_end_without_a_hole(film: Film, player: Player, manifest: str) -> None:
    need(missing())
    playback = play(film.folder, manifest, player, rate=2)
    assert playback.passed, playback.problems
    assert playback.duration == pytest.approx(FRAMES / 25, abs=0.05)
    assert playback.max_buffered_ranges == 1
    assert playback.jumps == ()
    assert playback.audio_decoded_bytes > 20_000
    assert playback.decoded_frames + playback.dropped_frames >= FRAMES * 9 // 10
    assert (playback.video_width, playback.video_height) in film.sizes().values()
