"""Sprite sheets of a task, made from its stored thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

from master.tools import MediaTools
from raven import names
from raven.context import Context
from raven.errors import OutputWrong
from raven.media.sprites import Sheets, Sprites, sheets_command, sprites_of
from raven.messages import AnnounceJob, FinishingJob
from raven.ports import Storage
from raven.process import run
from raven.scratch import scratch


def sheets_of(job: FinishingJob, context: Context, tools: MediaTools) -> Sheets | None:
    """Makes the sheets of a task that has thumbnails, but for those that were made when they were full."""
    sprites = _sprites(job)
    if sprites is None:
        return None
    prefix = names.out_prefix(job.task)
    # a film that was conformed on a second thought may have sheets of its first cutting
    stored = {} if job.way == "conform" else _stored(prefix, tools.storage)
    _make([n for n in range(sprites.sheets) if n not in stored], sprites, job.task, context, tools)
    stored = _stored(prefix, tools.storage)
    return Sheets(sprites, tuple(stored[n] for n in range(sprites.sheets)))


def full_sheets(job: AnnounceJob, context: Context, tools: MediaTools) -> None:
    """Makes the sheets whose thumbnails are all stored, and that are not there yet."""
    sprites = _sprites(job)
    if sprites is None or job.way == "conform":
        return
    prefix = names.out_prefix(job.task)
    stored = _stored(prefix, tools.storage)
    full = int(job.ready / job.frames * sprites.duration / sprites.sheet_seconds)
    _make([n for n in range(full) if n not in stored], sprites, job.task, context, tools)


def _sprites(job: FinishingJob) -> Sprites | None:
    video, thumbs = job.facts.video, job.profile.thumbs
    if video is None or thumbs is None:
        return None
    return sprites_of(thumbs, job.profile.cutting.grid(video.rate), video, job.frames, job.thumbs)


def _stored(prefix: str, storage: Storage) -> dict[int, int]:
    """Bytes of the sheets that are there, by number."""
    sheets = f"{prefix}{names.THUMBS}/{names.SPRITE}"
    found = {entry.key.rpartition("/")[2]: entry.bytes for entry in storage.entries(sheets)}
    return {number: found[name] for number in range(len(found)) if (name := names.sprite_name(number)) in found}


def _make(wanted: Sequence[int], sprites: Sprites, task: int, context: Context, tools: MediaTools) -> None:
    """Tiles stored thumbnails and stores the sheets, from the first wanted one to the last.

    Raises ObjectMissing where a thumbnail is gone, OutputWrong where a sheet did not come out.
    """
    if not wanted:
        return
    sheets, prefix = range(wanted[0], wanted[-1] + 1), names.out_prefix(task)
    with scratch(task, "sheets", tools.temporary) as folder:
        thumbs = sprites.thumbs_of(sheets)
        tools.fetch_all([(prefix + names.thumb_path(n), folder / names.thumb_name(n)) for n in thumbs], context.stop)
        run(sheets_command(tools.ffmpeg, str(folder), sprites, sheets), context.stop)
        made = [folder / names.sprite_name(n) for n in sheets]
        missing = [sheet.name for sheet in made if not sheet.exists()]
        if missing:
            raise OutputWrong(f"{', '.join(missing)} did not come out")
        for sheet in made:
            context.stop.check()
            tools.storage.put(f"{prefix}{names.THUMBS}/{sheet.name}", sheet)
