"""Sprite sheets: the thumbnails tiled into a few large pictures, for previews over a seek bar. Pure.

All sheets of a film have the same size, as DASH describes them by one size and one duration: the last one is padded
with black, and nothing points at the padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from raven import names
from raven.media.command import COMMON
from raven.media.grid import Grid, round_nearest
from raven.media.ladder import thumb_size, thumb_step
from raven.model import VideoFacts
from raven.profile import Thumbs

MOST = 5
"""Tiles in a row, and rows: with a thumbnail each 10 s a sheet is four minutes of film, some 200 kB."""
MAX_SIDE = 4096
"""Pixels: more is beyond the textures of small devices."""


@dataclass(frozen=True)
class Tile:
    """Where a thumbnail lies: its sheet, from 0, its corner there in pixels, and the time that it stands for."""

    sheet: int
    x: int
    y: int
    start: Fraction
    end: Fraction


@dataclass(frozen=True)
class Sprites:
    """The sheets of a film: `count` thumbnails, each for `step` seconds, of `width` x `height` pixels."""

    count: int
    step: Fraction
    width: int
    height: int
    columns: int
    rows: int
    duration: Fraction
    """Of the film, seconds."""

    @property
    def sheets(self) -> int:
        return -(-self.count // (self.columns * self.rows))

    def thumbs_of(self, sheets: range) -> range:
        """The thumbnails on these sheets."""
        tiles = self.columns * self.rows
        return range(sheets.start * tiles, min(sheets.stop * tiles, self.count))

    @property
    def sheet_seconds(self) -> Fraction:
        """What one sheet stands for; the last one for more than there is."""
        return self.step * self.columns * self.rows

    def tiles(self) -> Iterator[Tile]:
        """The thumbnails in order: along the rows, then down."""
        for number in range(self.count):
            sheet, at = divmod(number, self.columns * self.rows)
            row, column = divmod(at, self.columns)
            end = min((number + 1) * self.step, self.duration)
            yield Tile(sheet, column * self.width, row * self.height, number * self.step, end)


@dataclass(frozen=True)
class Sheets:
    """The stored sheets of a film, and the bytes of each."""

    sprites: Sprites
    bytes: tuple[int, ...]

    @property
    def bandwidth(self) -> int:
        """Bit/s: the largest sheet over the time that it stands for."""
        return math.ceil(8 * max(self.bytes) / self.sprites.sheet_seconds)


def sprites_of(thumbs: Thumbs, grid: Grid, facts: VideoFacts, frames: int, count: int) -> Sprites | None:
    """The sheets of a film of `frames` with `count` thumbnails; None when there are no thumbnails."""
    if count < 1:
        return None
    width, height = thumb_size(thumbs, facts)
    columns = min(count, MOST, max(1, MAX_SIDE // width))
    rows = min(math.ceil(count / columns), MOST, max(1, MAX_SIDE // height))
    step = grid.time_of(thumb_step(grid, thumbs))
    return Sprites(count, step, width, height, columns, rows, grid.time_of(frames))


def sheets_command(ffmpeg: str, folder: str, sprites: Sprites, sheets: range) -> list[str]:
    """One ffmpeg: the thumbnails `folder/000000.jpg` ... of these sheets into `folder/sprite-000.jpg` ..."""
    literal = folder.replace("%", "%%")
    return [
        ffmpeg, *COMMON,
        "-protocol_whitelist", "file",  # pictures that came from a worker: no network
        "-f", "image2", "-framerate", "1", "-start_number", str(sprites.thumbs_of(sheets).start),
        "-i", f"{literal}/%06d.jpg",
        "-frames:v", str(len(sheets)),
        "-vf", f"tile={sprites.columns}x{sprites.rows}:nb_frames={sprites.columns * sprites.rows}",
        "-fps_mode", "passthrough",  # one file for each sheet
        "-c:v", "mjpeg", "-q:v", "4",  # about 90 in libjpeg's scale
        "-threads:v", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact",  # same bytes everywhere
        "-start_number", str(sheets.start),
        "-f", "image2", f"{literal}/sprite-%03d.jpg",
    ]  # fmt: skip


def thumbnail_track(sprites: Sprites) -> str:
    """The WebVTT file that says which part of which sheet belongs to which time (media fragments, `#xywh=`)."""
    cues = [
        f"{_clock(tile.start)} --> {_clock(tile.end)}\n"
        f"{names.sprite_name(tile.sheet)}#xywh={tile.x},{tile.y},{sprites.width},{sprites.height}\n"
        for tile in sprites.tiles()
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: Fraction) -> str:
    """A WebVTT time stamp, hh:mm:ss.ttt."""
    milliseconds = round_nearest(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
