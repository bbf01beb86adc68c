"""The audio job: one whole track into CMAF segments cut next to the video's."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from raven import names
from raven.agent import Context
from raven.media.cmaf import cut_audio
from raven.media.command import audio_command
from raven.media.grid import AudioGrid
from raven.messages import AudioJob
from raven.model import AudioResult
from raven.process import pasteable, run
from worker.encode import Tools
from worker.output import mapped, store_track


def encode_audio(job: AudioJob, context: Context, tools: Tools) -> AudioResult:
    """Fetches the track, encodes it in one go, checks it and stores it. Never per chunk: each would begin with a click.

    Raises OutputWrong unless exactly the wanted packets came out.
    """
    rendition = job.profile.audio
    grid = AudioGrid(rendition.sample_rate, job.samples)
    with tempfile.TemporaryDirectory(prefix=f"raven-{job.task}-{job.job}-", dir=tools.temporary) as name:
        source, target = Path(name) / "audio.nut", Path(name) / "audio.mp4"
        tools.storage.fetch(names.audio_source_key(job.task, job.track.name), source)
        command = audio_command(tools.ffmpeg, str(source), str(target), rendition, job.samples)
        context.notes.update(command=pasteable(command), track=job.track.name)
        begun = time.monotonic()
        run(command, context.stop, lambda block: _progress(block, job, context))
        context.notes["speed"] = round(job.samples / rendition.sample_rate / (time.monotonic() - begun), 2)
        result = _store(job, grid, target, context, tools)
    context.notes["bytes"] = result.bytes
    return result


def _progress(block: dict[str, str], job: AudioJob, context: Context) -> None:
    time_us = block.get("out_time_us", "")
    if time_us.isdigit():
        samples = int(time_us) * job.profile.audio.sample_rate // 1_000_000
        context.progress(min(samples, job.samples))


def _store(job: AudioJob, grid: AudioGrid, file: Path, context: Context, tools: Tools) -> AudioResult:
    what = f"audio {job.track.name}"
    prefix = names.out_prefix(job.task) + names.audio_path(job.track.name)
    with mapped(file, what) as data:
        track = cut_audio(data, grid, job.segment_seconds, what)
        stored = store_track(track, data, prefix, context.stop, tools.storage, with_init=True)
    return AudioResult(track=stored, bytes=sum(s.bytes for s in stored.segments))
