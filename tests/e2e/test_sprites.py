"""Sprite sheets: the WebVTT track and the MPD lead to the picture of each moment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raven import names
from tests.e2e.counting import STEP, brightness, make_clip
from tests.e2e.tools import Film, Raven, picture_size
from tests.players.player import Player, missing, play
from tests.servers.fixtures import need

FRAMES = 325  # 13 s at 25 frames/s: 33 thumbnails, eight more than a sheet holds
TIMES = (0, 0.3, 4.9, 11.9, 12.3, 12.6)


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("sprites 100%")  # which ffmpeg's patterns would take for a number
    return raven.encode(make_clip(folder / "clip.mkv", FRAMES), folder / "out", "previews")


def cues(film: Film) -> list[tuple[float, float, str, tuple[int, ...]]]:
    """Start and end in seconds, file and rectangle of each cue."""
    text = (film.folder / names.THUMBS / names.THUMBNAIL_TRACK).read_text("utf-8")
    found = re.findall(r"00:00:(\S+) --> 00:00:(\S+)\n(\S+)#xywh=(\S+)\n", text)
    return [(float(a), float(b), name, tuple(map(int, rect.split(",")))) for a, b, name, rect in found]


def shown(sheet: Path, x: float, y: float, width: float, height: float) -> int:
    return brightness(sheet, f"crop={width:.0f}:{height:.0f}:{x:.0f}:{y:.0f}")


@pytest.mark.xdist_group("e2e-sprites")
class TestTheSheets:
    def test_show_in_each_tile_of_the_track_what_the_film_shows_then(self, film: Film) -> None:
        found = cues(film)
        assert [cue[0] for cue in found] == [pytest.approx(n * 2 / 5) for n in range(33)]
        assert found[-1][1] == FRAMES / 25
        for start, _, name, rectangle in found:
            assert abs(shown(film.folder / names.THUMBS / name, *rectangle) - (16 + STEP * int(start + 1e-6))) <= 4

    def test_have_one_size_and_the_last_one_is_black_behind_the_last_tile(self, film: Film) -> None:
        sheets = sorted((film.folder / names.THUMBS).glob("sprite-*.jpg"))
        assert [sheet.name for sheet in sheets] == ["sprite-000.jpg", "sprite-001.jpg"]
        assert {picture_size(sheet) for sheet in sheets} == {(5 * 64, 5 * 36)}
        assert shown(sheets[1], 3 * 64, 36, 128, 36) <= 17
        assert shown(sheets[1], 0, 72, 320, 108) <= 17

    def test_stand_in_task_json(self, film: Film) -> None:
        stored = sum(f.stat().st_size for f in (film.folder / names.THUMBS).glob("sprite-*.jpg"))
        assert film.task["thumbs"] == 33
        assert film.task["sprites"] == {
            "sheets": 2, "columns": 5, "rows": 5, "width": 64, "height": 36, "seconds": 0.4, "bytes": stored,
        }  # fmt: skip


@pytest.mark.players
@pytest.mark.xdist_group("e2e-sprites")
@pytest.mark.parametrize("player", ["dash", "shaka"])
def test_a_player_finds_the_thumbnail_of_each_moment_through_the_mpd(film: Film, player: Player) -> None:
    need(missing())
    playback = play(film.folder, names.MPD, player, rate=4, thumbs=TIMES)
    assert playback.passed, playback.problems
    wanted = [(name, rect) for time in TIMES for start, end, name, rect in cues(film) if start <= time < end]
    found = [(t.url.rsplit("/", 1)[1], (t.x, t.y, t.width, t.height)) if t else None for t in playback.thumbnails]
    assert found == wanted
