"""Sprite sheets: each thumbnail has its tile and its time, in the WebVTT track as in the MPD."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.media import dash
from raven.media.grid import STANDARD_RATES, Grid, Span
from raven.media.ladder import thumbs_in
from raven.media.sprites import MAX_SIDE, MOST, Sheets, Sprites, sheets_command, sprites_of, thumbnail_track
from raven.profile import Thumbs
from tests.builders import presentation, video_facts

MPD = "{urn:mpeg:dash:schema:mpd:2011}"
CUE = re.compile(
    r"(\d\d+):(\d\d):(\d\d)\.(\d{3}) --> (\d\d+):(\d\d):(\d\d)\.(\d{3})\n"
    r"sprite-(\d{3,}).jpg#xywh=(\d+),(\d+),(\d+),(\d+)\n"
)


@st.composite
def films(draw: st.DrawFn) -> Sprites:
    """The sheets of any film with thumbnails."""
    grid = Grid.of(draw(st.sampled_from(STANDARD_RATES)), Fraction(2), 3, 3)
    thumbs = Thumbs(
        every_seconds=draw(st.fractions(Fraction(1, 50), 60, max_denominator=50)), height=draw(st.integers(16, 2160))
    )
    frames = draw(st.integers(1, 4000))
    facts = video_facts(width=draw(st.integers(2, 8192)), height=draw(st.integers(2, 8192)), rate=grid.rate)
    sprites = sprites_of(thumbs, grid, facts, frames, len(thumbs_in(grid, thumbs, Span(0, frames))))
    assert sprites is not None
    return sprites


def sprites(count: int = 4, *, step: Fraction = Fraction(10), duration: Fraction = Fraction(35)) -> Sprites:
    return Sprites(count=count, step=step, width=320, height=180, columns=2, rows=1, duration=duration)


def test_without_thumbnails_there_are_no_sheets() -> None:
    assert sprites_of(Thumbs(), Grid.of(Fraction(25), Fraction(2), 3, 3), video_facts(), 100, 0) is None


@pytest.mark.parametrize(
    ("count", "grid", "sheets"), [(1, (1, 1), 1), (4, (4, 1), 1), (6, (5, 2), 1), (25, (5, 5), 1), (26, (5, 5), 2)]
)
def test_a_short_film_has_one_sheet_that_is_no_larger_than_it_must(
    count: int, grid: tuple[int, int], sheets: int
) -> None:
    made = sprites_of(Thumbs(), Grid.of(Fraction(25), Fraction(2), 3, 3), video_facts(), count * 250, count)

    assert made is not None
    assert ((made.columns, made.rows), made.sheets) == (grid, sheets)


@given(films())
def test_tiles_lie_side_by_side_and_never_over_the_edge(film: Sprites) -> None:
    corners = [(tile.sheet, tile.x, tile.y) for tile in film.tiles()]

    assert len(set(corners)) == film.count
    assert {sheet for sheet, _, _ in corners} == set(range(film.sheets))
    assert all(x % film.width == y % film.height == 0 for _, x, y in corners)
    assert max(x for _, x, _ in corners) < film.width * film.columns
    assert max(y for _, _, y in corners) < film.height * film.rows
    assert film.columns <= MOST
    assert film.columns == 1 or film.width * film.columns <= MAX_SIDE
    assert film.rows == 1 or film.height * film.rows <= MAX_SIDE


@given(films())
def test_tiles_cover_the_time_of_the_film_without_a_gap(film: Sprites) -> None:
    tiles = list(film.tiles())

    assert tiles[0].start == 0
    assert tiles[-1].end == film.duration
    assert all(a.end == b.start for a, b in itertools.pairwise(tiles))
    assert all(tile.start < tile.end <= tile.start + film.step for tile in tiles)


@given(films())
def test_a_player_of_the_mpd_finds_the_tile_of_the_webvtt_track(film: Sprites) -> None:
    """DASH knows no list of tiles: a player counts from one duration, so sheets and times must be what it counts."""
    # Given what the MPD says
    text = dash.mpd(replace(presentation(), sheets=Sheets(film, (1000,) * film.sheets)))
    root = ET.fromstring(text)  # noqa: S314 - our own
    image = next(s for s in root.iter(f"{MPD}AdaptationSet") if s.get("contentType") == "image")
    template, sheet = image.find(f"{MPD}SegmentTemplate"), image.find(f"{MPD}Representation")
    assert template is not None
    assert sheet is not None
    tiling = sheet.find(f"{MPD}EssentialProperty")
    assert tiling is not None
    columns, rows = map(int, str(tiling.get("value")).split("x"))
    seconds = Fraction(int(str(template.get("duration"))), int(str(template.get("timescale"))))
    width, height = int(str(sheet.get("width"))) // columns, int(str(sheet.get("height"))) // rows

    # When a player looks for each thumbnail's own time
    found = []
    for tile in film.tiles():
        number, rest = divmod(tile.start, seconds)
        at = int(rest / (seconds / (columns * rows)))
        found.append((int(number), at % columns * width, at // columns * height))

    # Then it is where the track says, and it asks for no sheet that is not there
    assert found == [(tile.sheet, tile.x, tile.y) for tile in film.tiles()]
    assert -(-film.duration // seconds) == film.sheets


def test_the_image_set_of_a_small_film() -> None:
    text = dash.mpd(replace(presentation(), sheets=Sheets(sprites(), (21_000, 30_000))))

    assert (
        '    <AdaptationSet id="2" contentType="image" mimeType="image/jpeg">\n'
        '      <SegmentTemplate timescale="1" duration="20" startNumber="0" media="thumbs/sprite-$Number%03d$.jpg" />\n'
        '      <Representation id="thumbs" bandwidth="12000" width="640" height="180">\n'
        '        <EssentialProperty schemeIdUri="http://dashif.org/guidelines/thumbnail_tile" value="2x1" />\n'
        "      </Representation>\n"
        "    </AdaptationSet>\n"
    ) in text


def test_the_thumbnail_track_of_a_small_film() -> None:
    assert thumbnail_track(sprites(3, step=Fraction(1001, 100), duration=Fraction(21))) == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:10.010\nsprite-000.jpg#xywh=0,0,320,180\n\n"
        "00:00:10.010 --> 00:00:20.020\nsprite-000.jpg#xywh=320,0,320,180\n\n"
        "00:00:20.020 --> 00:00:21.000\nsprite-001.jpg#xywh=0,0,320,180\n"
    )


@given(films())
def test_every_cue_is_one_that_a_player_can_read(film: Sprites) -> None:
    # Given the track of any film
    head, *cues = thumbnail_track(film).split("\n\n")

    # Then each cue has its form, and times go on from cue to cue
    assert head == "WEBVTT"
    read = [CUE.fullmatch(cue + "\n" * (not cue.endswith("\n"))) for cue in cues]
    assert len(read) == film.count
    clocks = [[int(n) for n in match.groups()[:8]] for match in read if match]
    times = [((h * 60 + m) * 60 + s) * 1000 + ms for c in clocks for h, m, s, ms in (c[:4], c[4:])]
    assert times == sorted(times)
    assert all(m < 60 and s < 60 for c in clocks for m, s in (c[1:3], c[5:7]))


def test_a_long_film_has_hours() -> None:
    *_, last = thumbnail_track(sprites(720, duration=Fraction(7200))).split("\n\n")

    assert last == "01:59:50.000 --> 02:00:00.000\nsprite-359.jpg#xywh=320,0,320,180\n"


def test_the_command_that_tiles_the_thumbnails() -> None:
    assert sheets_command("ff", "/t/100%", sprites(), range(2)) == [
        "ff", "-hide_banner", "-nostdin", "-loglevel", "warning", "-progress", "pipe:1", "-nostats", "-y",
        "-protocol_whitelist", "file", "-f", "image2", "-framerate", "1", "-start_number", "0",
        "-i", "/t/100%%/%06d.jpg", "-frames:v", "2", "-vf", "tile=2x1:nb_frames=2", "-fps_mode", "passthrough",
        "-c:v", "mjpeg", "-q:v", "4", "-threads:v", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        "-start_number", "0", "-f", "image2", "/t/100%%/sprite-%03d.jpg",
    ]  # fmt: skip


def test_sheets_can_be_tiled_as_they_become_full() -> None:
    film = sprites(720, duration=Fraction(7200))
    tiles = film.columns * film.rows

    command = sheets_command("ff", "/t", film, range(3, 5))

    starts = [command[at + 1] for at, word in enumerate(command) if word == "-start_number"]
    assert starts == [str(3 * tiles), "3"], "the first thumbnail, the first sheet"
    assert command[command.index("-frames:v") + 1] == "2"
    assert film.thumbs_of(range(3, 5)) == range(3 * tiles, 5 * tiles)
    assert film.thumbs_of(range(film.sheets)) == range(720)
