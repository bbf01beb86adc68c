"""The text job: the cues of one track into WebVTT, in segments for HLS and whole for DASH."""

from __future__ import annotations

from functools import partial

from raven import names
from raven.context import Context
from raven.errors import OutputWrong
from raven.media import webvtt
from raven.messages import TextJob
from raven.model import TextResult
from worker.encode import Tools
from worker.output import upload


def make_text(job: TextJob, context: Context, tools: Tools) -> TextResult:
    """Fetches the cues, cuts them to the film and stores them. Raises OutputWrong when the object is damaged."""
    body = tools.storage.get(names.text_source_key(job.task, job.track.name))
    try:
        cues = webvtt.clipped(webvtt.read_cues(body), job.duration)
    except ValueError as error:
        raise OutputWrong(f"the cues of text {job.track.name} cannot be read: {error}") from error
    prefix = names.out_prefix(job.task) + names.text_path(job.track.name)
    whole = webvtt.document(cues).encode()
    files = webvtt.segments(cues, webvtt.borders(job.duration, job.segment_seconds))
    contents = [(names.text_segment_name(number), text.encode()) for number, text in enumerate(files, 1)]
    contents.append((names.WHOLE_TEXT, whole))
    keyed = [(f"{prefix}/{name}", partial(bytes, content)) for name, content in contents]
    *sizes, size = upload(keyed, context.stop.check, tools.storage)
    context.notes.update(track=job.track.name, cues=len(cues), bytes=sum(sizes) + size)
    return TextResult(segments=tuple(sizes), whole=size, cues=len(cues))
