"""The progressive MP4s of a task, made from its stored segments."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from master.tools import FETCHES, MediaTools
from raven import names
from raven.context import Context
from raven.media.download import check_download, chosen_rungs, download_command
from raven.media.grid import Span
from raven.media.presentation import Presentation, Track
from raven.messages import PublishJob
from raven.model import Rendition
from raven.process import run
from raven.scratch import scratch


@dataclass(frozen=True)
class Stored:
    """A file for download: its path under the task's prefix, its rung, and its size."""

    path: str
    rendition: str
    bytes: int


def make_downloads(
    job: PublishJob, presentation: Presentation, context: Context, tools: MediaTools
) -> tuple[Stored, ...]:
    """Stores the files that the profile asks for, one after the other.

    Needs temporary space of twice a file's size, and no memory to speak of. Raises OutputWrong, ObjectMissing.
    """
    return tuple(
        _make(job, rung, presentation, context, tools) for rung in chosen_rungs(job.profile.download, job.renditions)
    )


def _make(job: PublishJob, rung: Rendition, presentation: Presentation, context: Context, tools: MediaTools) -> Stored:
    path = names.download_path(rung.name)
    sound = next((track for track in presentation.audio if track.default), None)
    language = next((facts.language for facts in job.facts.audio if sound and facts.name == sound.name), "und")
    picture = next(track for track in presentation.video if track.name == rung.name)
    with scratch(job.task, "download", tools.temporary) as folder:
        video, audio, target = (folder / file for file in ("video.mp4", "audio.mp4", "target.mp4"))
        prefix = names.out_prefix(job.task)
        _join(picture, prefix + names.video_path(rung.name), video, context, tools)
        if sound:
            _join(sound, prefix + names.audio_path(sound.name), audio, context, tools)
        command = download_command(tools.ffmpeg, str(video), str(audio) if sound else None, language, str(target))
        run(command, context.stop)
        with (
            target.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory,
            memoryview(memory) as data,
        ):
            check_download(data, Span(0, job.frames).taken(rung.every), path)
        context.stop.check()
        tools.storage.put(prefix + path, target)
        return Stored(path, rung.name, target.stat().st_size)


def _join(track: Track, folder: str, target: Path, context: Context, tools: MediaTools) -> None:
    """The init segment and all segments of a track in one file; some segments at a time are in memory."""
    wanted = [names.INIT, *(names.segment_name(number) for number in range(1, len(track.segments) + 1))]
    with target.open("wb") as file, ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch") as pool:
        for at in range(0, len(wanted), FETCHES):
            context.stop.check()
            for content in pool.map(lambda name: tools.storage.get(f"{folder}/{name}"), wanted[at : at + FETCHES]):
                file.write(content)
