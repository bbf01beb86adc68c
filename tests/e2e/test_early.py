"""Early playback: a film plays while it is encoded, and to its end once it is whole."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import tests.players.player as players
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.environment import load_settings
from raven.film import STATE
from raven.local import LocalFarm
from tests.e2e.tools import Film, Raven, extinf
from tests.media import ffmpeg, generate_clip
from tests.players.player import Player, missing, play
from tests.players.server import TreeServer, serve
from tests.servers.fixtures import need
from tests.waiting import wait_until

SECONDS = 14  # a chunk each
FIRST = 6
"""So many chunks are encoded before the others may begin."""

_STAND_IN = """#!/bin/sh
case " $* " in
*" -fragment_index "*)
  all="$*"
  rest="${{all#* -fragment_index }}"
  if [ "${{rest%% *}}" -gt {first} ]; then
    while [ -e '{folder}/held' ]; do sleep 0.1; done
  fi
esac
exec '{ffmpeg}' "$@"
"""


class SlowFarm:
    """A film on its way whose later chunks wait until they are released."""

    def __init__(self, raven: Raven, folder: Path) -> None:
        self._gate, output = folder / "gate", folder / "out"
        self._gate.mkdir()
        (self._gate / "held").touch()
        program = self._gate / "ffmpeg"
        program.write_text(_STAND_IN.format(folder=self._gate, ffmpeg=ffmpeg(), first=FIRST), encoding="utf-8")
        program.chmod(0o755)
        clip = generate_clip(folder / "film.mkv", SECONDS * 25)
        settings = load_settings(raven.environment(RAVEN_FFMPEG=str(program)))
        self.farm = LocalFarm(settings, clip, output, "seconds", SECONDS + 2)  # none waits for another
        # as a farm has it: one machine alone shows a film when it is whole
        self.farm._settings = self.farm._settings.model_copy(update={"early_playback": True})
        self.tree = output / STATE / "objects" / names.out_prefix(1)

    def release(self) -> None:
        (self._gate / "held").unlink(missing_ok=True)

    def announced(self) -> bool:
        """Whether all that is ready is announced, and nothing more is to be done for it."""
        with closing(sqlite3.connect(self.farm._state / "raven.db")) as database:
            states = database.execute("SELECT position, state FROM jobs WHERE kind = 'announce'").fetchall()
        return bool(states) and max(states) == (FIRST, "done")

    def playlist(self) -> str:
        """The text of the picture's playlist, empty as long as there is none."""
        file = self.tree / names.video_path("small") / names.PLAYLIST
        return file.read_text("utf-8") if file.exists() else ""


@pytest.fixture
def slow(raven: Raven, tmp_path: Path) -> Iterator[SlowFarm]:
    slow = SlowFarm(raven, tmp_path)
    with slow.farm.running():
        try:
            yield slow
        finally:
            slow.release()


def test_the_playlists_grow_from_the_beginning_and_end_as_those_of_the_whole_film(slow: SlowFarm) -> None:
    # When the first chunks are encoded, and the others not yet
    wait_until(slow.announced, "the beginning is announced")

    # Then picture and sound can be played so far, and the task says where
    growing = slow.playlist()
    assert f"seg-{FIRST:06d}.m4s" in growing
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in growing
    assert "#EXT-X-ENDLIST" not in growing
    sound = slow.tree / names.audio_path("und-1") / names.PLAYLIST
    assert len(extinf(sound)) == growing.count("#EXTINF") == FIRST
    for playlist in (sound, slow.tree / names.video_path("small") / names.PLAYLIST):
        named = re.findall(r"seg-\d+\.m4s", playlist.read_text("utf-8"))
        assert all((playlist.parent / name).exists() for name in named)
    assert (slow.tree / names.MULTIVARIANT).exists()
    assert not (slow.tree / names.MPD).exists()
    wait_until(lambda: slow.farm.snapshot().url, "the task says where it can be played")
    assert slow.farm.snapshot().status == "encoding"

    # And when the others are encoded too, then each playlist is the whole film's, with what was there unchanged
    slow.release()
    wait_until(lambda: slow.farm.snapshot().ended, "the film is done")
    whole = slow.playlist()
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in whole
    assert whole.endswith("#EXT-X-ENDLIST\n")
    assert growing.split("#EXTINF", 1)[1] in whole
    assert re.findall("TARGETDURATION:.*", growing) == re.findall("TARGETDURATION:.*", whole)
    Film(slow.farm.collect().output).check_frames(SECONDS * 25)


def test_what_was_read_for_the_checker_while_the_film_grew_is_not_read_again(
    slow: SlowFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours in six rungs and trick play are ten thousand segments, for which everybody would wait at the end."""
    reads: list[str] = []
    get = DirectoryStorage.get

    def noted(storage: DirectoryStorage, key: str, start: int = 0, length: int | None = None) -> bytes:
        reads.append(key)
        return get(storage, key, start, length)

    monkeypatch.setattr(DirectoryStorage, "get", noted)
    wait_until(slow.announced, "the beginning is announced, and what it has is read")
    early = {f"seg-{number:06d}.m4s" for number in range(1, FIRST + 1)}
    trick = names.out_prefix(1) + names.IFRAMES
    assert {key.rpartition("/")[2] for key in reads if key.startswith(trick)} >= early
    reads.clear()
    slow.release()
    wait_until(lambda: slow.farm.snapshot().ended, "the film is done")
    assert slow.farm.snapshot().status == "done"
    assert reads
    assert not [key for key in reads if key.rpartition("/")[2] in early]


@pytest.mark.players
@pytest.mark.parametrize("player", ["hls", "shaka", "native"])
def test_a_player_that_started_early_plays_to_the_end(
    slow: SlowFarm, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(missing())
    asked: list[TreeServer] = []

    @contextmanager
    def noted(tree: Path) -> Iterator[TreeServer]:
        with serve(tree) as server:
            asked.append(server)
            yield server

    monkeypatch.setattr(players, "serve", noted)
    last = f"/{names.video_path('small')}/seg-{FIRST:06d}.m4s"
    wait_until(lambda: last.rsplit("/", 1)[1] in slow.playlist(), "the beginning is announced")

    # When a player has all that there is of the film, and only then the rest is encoded
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(play, slow.tree, names.MULTIVARIANT, player)
        wait_until(lambda: playing.done() or (asked and last in asked[0].asked), "the player has what is there")
        assert slow.farm.snapshot().status == "encoding"
        slow.release()
        playback = playing.result()

    # Then it plays on to the end of the whole film
    assert playback.passed, playback.problems
    if player == "native":  # it knows no EXT-X-START and begins where it takes the film to be live
        return
    assert playback.duration == pytest.approx(SECONDS, abs=0.1)
    assert playback.current_time == pytest.approx(SECONDS, abs=0.1)
    assert playback.decoded_frames + playback.dropped_frames >= SECONDS * 25 * 9 // 10
