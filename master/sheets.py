"""Sprite sheets of a task, made from its stored thumbnails."""

from __future__ import annotations

import tempfile
from pathlib import Path

from master.tools import MediaTools
from raven import names
from raven.agent import Context
from raven.errors import OutputWrong
from raven.media.sprites import Sheets, Sprites, sheets_command, sprites_of
from raven.messages import PublishJob
from raven.process import run


def sheets_of(job: PublishJob, context: Context, tools: MediaTools) -> Sheets | None:
    """Makes the sheets of a task that has thumbnails."""
    video, thumbs = job.facts.video, job.profile.thumbs
    if video is None or thumbs is None:
        return None
    sprites = sprites_of(thumbs, job.profile.cutting.grid(video.rate), video, job.frames, job.thumbs)
    return make_sheets(job.task, sprites, context, tools) if sprites else None


def make_sheets(task: int, sprites: Sprites, context: Context, tools: MediaTools) -> Sheets:
    """Tiles the stored thumbnails of a task and stores the sheets.

    Raises ObjectMissing where a thumbnail is gone, OutputWrong where a sheet did not come out.
    """
    prefix = names.out_prefix(task)
    with tempfile.TemporaryDirectory(prefix=f"raven-{task}-sheets-", dir=tools.temporary) as name:
        folder = Path(name)
        thumbs = range(sprites.count)
        tools.fetch_all([(prefix + names.thumb_path(n), folder / names.thumb_name(n)) for n in thumbs], context.stop)
        run(sheets_command(tools.ffmpeg, str(folder), sprites), context.stop)
        sheets = [folder / names.sprite_name(n) for n in range(sprites.sheets)]
        missing = [sheet.name for sheet in sheets if not sheet.exists()]
        if missing:
            raise OutputWrong(f"{', '.join(missing)} did not come out")
        for sheet in sheets:
            context.stop.check()
            tools.storage.put(f"{prefix}{names.THUMBS}/{sheet.name}", sheet)
        return Sheets(sprites, tuple(sheet.stat().st_size for sheet in sheets))
