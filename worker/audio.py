"""The audio job: one whole track into CMAF segments cut next to the video's."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from raven import names
from raven.context import Context
from raven.errors import OutputWrong, ProcessFailed, SourceUnreadable
from raven.media.cmaf import cut_audio
from raven.media.grid import AudioGrid
from raven.media.sound import Damage, audio_command, damage_told, decode_command, renditions_of
from raven.messages import AudioJob
from raven.model import AudioResult, TrackSegments
from raven.process import pasteable, run
from raven.sandbox import Box, encoder_box
from raven.scratch import scratch
from worker.encode import Tools
from worker.output import mapped, store_track

OF_A_DECODER = "[dec:"
"""What ffmpeg begins a line with that tells of a packet that cannot be decoded; other lines stand for nothing lost."""

FEW = 2
"""Packets that may lean on what was before the first one: a track that was cut out of a longer one is not damaged."""


def encode_audio(job: AudioJob, context: Context, tools: Tools) -> AudioResult:
    """Fetches the track, encodes it whole, checks it and stores it. Never per chunk: each would begin with a click.

    Raises OutputWrong unless exactly the wanted packets came out, or SourceUnreadable of a track that has hardly any
    sound that can be decoded.
    """
    with scratch(job.task, job.job, tools.temporary) as folder:
        source = folder / "audio.nut"
        tools.storage.fetch(names.audio_source_key(job.task, job.track.name), source)
        try:
            result, complaints = _encode_any(job, source, context, tools)
        except (OutputWrong, ProcessFailed) as error:
            damage = _damage(job, source, context, tools)
            if damage is None or not damage.too_much:
                raise
            raise SourceUnreadable(f"{_named(job, damage)}; mend the source or leave this track out") from error
        damage = _damage(job, source, context, tools) if OF_A_DECODER in complaints else None
    if damage is not None and damage.faulty > FEW:
        result = result.model_copy(update={"warnings": (_warning(job, damage),)})
    context.notes["bytes"] = result.bytes
    return result


def _named(job: AudioJob, damage: Damage) -> str:
    return f"sound {job.track.name} ({job.track.codec}): {damage}"


def _warning(job: AudioJob, damage: Damage) -> str:
    if job.strict:
        raise SourceUnreadable(f"{_named(job, damage)}; options.strict refuses such a source")
    return f"{_named(job, damage)}; it is silent there"


def _damage(job: AudioJob, source: Path, context: Context, tools: Tools) -> Damage | None:
    """What is wrong with the track; None when that cannot be told, as this node may be to blame."""
    command = decode_command(tools.ffmpeg, str(source))
    try:
        return damage_told(run(command, context.stop, None, _box(job, tools), tools.stall_seconds))
    except ProcessFailed:
        return None


def _encode_any(job: AudioJob, source: Path, context: Context, tools: Tools) -> tuple[AudioResult, str]:
    """The result, and what ffmpeg complained of."""
    try:
        return _encode(job, source, context, tools, steady=False)
    except OutputWrong as error:
        context.notes["again"] = str(error)  # a change of channels in mid-track makes the count of samples wrong
        return _encode(job, source, context, tools, steady=True)


def _encode(job: AudioJob, source: Path, context: Context, tools: Tools, *, steady: bool) -> tuple[AudioResult, str]:
    audio, grid = job.profile.audio, AudioGrid(job.profile.sample_rate, job.samples)
    folder = source.parent
    command = audio_command(tools.ffmpeg, str(source), str(folder), job.track, audio, job.samples, steady=steady)
    context.notes.update(command=pasteable(command), track=job.track.name)
    begun = time.monotonic()
    box = _box(job, tools)
    words = run(command, context.stop, lambda block: _progress(block, job, context), box, tools.stall_seconds)
    context.notes["speed"] = round(job.samples / grid.sample_rate / (time.monotonic() - begun), 2)
    return _store(job, grid, folder, context, tools), words


def _box(job: AudioJob, tools: Tools) -> Box:
    """The walls for this encode: no sound is more than a small picture, no file more than its raw samples."""
    raw = job.samples * 8 * 4  # in as many as eight channels
    return replace(encoder_box(1 << 20, 0, 1, 0, tools.cpu_seconds), file_bytes=(64 << 20) + raw)


def _progress(block: dict[str, str], job: AudioJob, context: Context) -> None:
    time_us = block.get("out_time_us", "")
    if time_us.isdigit():
        samples = int(time_us) * job.profile.sample_rate // 1_000_000
        context.progress(min(samples, job.samples))


def _store(job: AudioJob, grid: AudioGrid, folder: Path, context: Context, tools: Tools) -> AudioResult:
    stored: dict[str, TrackSegments] = {}
    for name in renditions_of(job.profile.audio, job.track):
        what = f"audio {name}"
        prefix = names.out_prefix(job.task) + names.audio_path(name)
        with mapped(folder / f"{name}.mp4", what) as data:
            track = cut_audio(data, grid, job.segment_seconds, what)
            stored[name] = store_track(track, data, prefix, context.stop.check, tools.storage, with_init=True)
    return AudioResult(renditions=stored, bytes=sum(s.bytes for track in stored.values() for s in track.segments))
