"""The encode job: one chunk into final CMAF segments of every rendition, and its thumbnails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from raven import names
from raven.context import Context
from raven.errors import ChunkUnusable, LimitExceeded, ObjectMissing, OutputWrong, ProcessFailed, SourceUnreadable
from raven.media.cmaf import cut_video
from raven.media.command import TOO_LARGE, ChunkOrder, decode_command, encode_command, trial_command
from raven.media.iframe_segments import cut_iframes
from raven.media.iframes import IframeOrder, iframe_order
from raven.media.ladder import thumb_size, thumbs_in
from raven.messages import EncodeJob
from raven.model import EncodeResult, IframeSegments, TrackSegments
from raven.ports import Storage
from raven.process import StopSignal, pasteable, run
from raven.profile import Thumbs
from raven.recheck import Recheck
from raven.sandbox import Box, encoder_box
from raven.scratch import scratch
from worker.output import mapped, store_track, upload

DAMAGE = ("corrupt decoded frame", "Error submitting packet to decoder")
"""What ffmpeg says of a picture that is damaged, and of one that is lost."""


@dataclass(frozen=True)
class Tools:
    """What the jobs of a worker need of the machine."""

    storage: Storage
    ffmpeg: str
    temporary: Path | None
    max_pixels: int
    """The largest picture that is decoded."""
    cpu_seconds: int
    """Of one ffmpeg."""
    stall_seconds: float


def chunk_order(job: EncodeJob, max_pixels: int) -> ChunkOrder:
    """What is made of the chunk, from the job alone."""
    grid = job.profile.cutting.grid(job.video.rate)
    return ChunkOrder(
        grid=grid,
        span=job.span,
        tail=job.tail,
        video=job.video,
        renditions=job.renditions,
        thumbs=thumbs_in(grid, job.profile.thumbs, job.span),
        thumb_size=thumb_size(job.profile.thumbs or Thumbs(), job.video),
        iframes=iframe_order(job.profile.iframes, grid, job.video),
        max_pixels=max_pixels,
    )


def encode(job: EncodeJob, context: Context, tools: Tools) -> EncodeResult:
    """Fetches the chunk, encodes it, checks it and stores it.

    Raises OutputWrong when the frame law is broken, or ChunkUnusable where the chunk is to blame for what went wrong.
    """
    order = chunk_order(job, tools.max_pixels)
    with scratch(job.task, job.job, tools.temporary) as folder:
        try:
            result = _encode(job, order, folder, context, tools)
        except (OutputWrong, ProcessFailed) as error:
            fault = _chunk_fault(job, order, folder, context, tools)
            if fault is None:
                raise
            what = f"chunk {job.index}, frames {job.first} to {job.last}, cannot be decoded by itself: {fault}"
            raise ChunkUnusable(what) from error
    context.notes["bytes"] = result.bytes
    return result


def _encode(job: EncodeJob, order: ChunkOrder, folder: Path, context: Context, tools: Tools) -> EncodeResult:
    source = folder / "chunk.nut"
    tools.storage.fetch(_key(job), source)
    command = encode_command(tools.ffmpeg, str(source), str(folder), order)
    context.notes.update(command=pasteable(command), frames=job.span.frames)
    begun = time.monotonic()
    words = run(
        command,
        context.stop,
        lambda block: _progress(block, order, context),
        _box(job, order, tools),
        tools.stall_seconds,
    )
    film_seconds = float(order.grid.time_of(job.span.frames))
    context.notes.update(film_seconds=film_seconds, speed=round(film_seconds / (time.monotonic() - begun), 2))
    source.unlink()
    damaged = any(sign in words for sign in DAMAGE)
    if damaged and job.strict:
        what = f"chunk {job.index}, frames {job.first} to {job.last}, has damaged pictures"
        raise SourceUnreadable(f"{what}; options.strict refuses such a source")
    try:
        result = _store(job, order, folder, context.stop, tools.storage)
    except OutputWrong as error:
        if TOO_LARGE in words:
            limit = f"{tools.max_pixels} pixels (RAVEN_LIMIT_PIXELS)"
            raise LimitExceeded(f"the pictures grow beyond the limit of {limit} in mid-stream") from error
        raise
    return result.model_copy(update={"damaged": damaged})


def _key(job: EncodeJob) -> str:
    return names.chunk_key(job.task, job.index, job.video.way)


def _chunk_fault(job: EncodeJob, order: ChunkOrder, folder: Path, context: Context, tools: Tools) -> str | None:
    """What is wrong with the chunk, which is fetched anew and only decoded; None when all its frames come out.

    Then the encoder is to blame, or this node, of which it is None too. Raises Unavailable, ObjectMissing.
    """
    source, box = folder / "chunk.nut", _box(job, order, tools)
    tools.storage.fetch(_key(job), source)
    told = {"frame": "0"}
    try:
        run(trial_command(tools.ffmpeg), context.stop, None, box, tools.stall_seconds)
    except ProcessFailed:
        return None
    try:
        run(decode_command(tools.ffmpeg, str(source), order), context.stop, told.update, box, tools.stall_seconds)
    except ProcessFailed as error:
        return str(error)
    frames, wanted = told["frame"], job.span.frames
    return None if frames == str(wanted) else f"{frames} frames come out, wanted {wanted}"


def _box(job: EncodeJob, order: ChunkOrder, tools: Tools) -> Box:
    """The walls for this encode."""
    sizes = [r.width * r.height for r in job.renditions]
    threads = sum(r.threads for r in job.renditions)
    source = job.video.coded_width * job.video.coded_height
    return encoder_box(source, sum(sizes), threads, order.encoded.frames, tools.cpu_seconds)


def _progress(block: dict[str, str], order: ChunkOrder, context: Context) -> None:
    """Frames of the grid that came out of ffmpeg, and how many times faster than real time."""
    frame, fps = block.get("frame", ""), block.get("fps", "")
    every = order.renditions[-1].every  # ffmpeg counts the frames of its first output
    if frame.isdigit():
        speed = float(fps) * every / float(order.grid.rate) if fps.replace(".", "", 1).isdigit() else 0.0
        context.progress(min(int(frame) * every, order.span.frames), round(speed, 2))


def _wanted(job: EncodeJob, storage: Storage) -> None:
    """Raises ObjectMissing where the chunk is gone or its source was cut anew: what it gave must replace nothing.

    The chunk being there does not suffice: a master with an old order may have brought it back.
    """
    storage.get(_key(job), 0, 1)
    if job.video.way == "copy":
        try:
            storage.get(names.chunk_key(job.task, 0, "conform"), 0, 1)
        except ObjectMissing:
            return
        raise ObjectMissing(f"chunk {job.index} of task {job.task} counts no more: its source was cut anew")


def _store(job: EncodeJob, order: ChunkOrder, folder: Path, stop: StopSignal, storage: Storage) -> EncodeResult:
    wanted = Recheck(partial(_wanted, job, storage))

    def check() -> None:
        stop.check()
        wanted()

    stored: dict[str, TrackSegments] = {}
    for rendition in job.renditions:
        prefix = names.out_prefix(job.task) + names.video_path(rendition.name)
        file = folder / f"{rendition.name}.mp4"
        stored[rendition.name] = _store_rendition(file, prefix, order, rendition.every, check, storage)
    iframes = _store_iframes(job, order, order.iframes, folder, check, storage) if order.iframes else None
    thumbs = _store_thumbs(job, order, folder, check, storage)
    tracks = [*stored.values(), *([iframes] if iframes else [])]
    size = sum(s.bytes for track in tracks for s in track.segments) + thumbs
    return EncodeResult(
        renditions=stored, iframes=iframes, frames=order.span.frames, thumbs=len(order.thumbs), bytes=size
    )


def _store_rendition(
    file: Path, prefix: str, order: ChunkOrder, every: int, check: Callable[[], None], storage: Storage
) -> TrackSegments:
    what = f"{file.stem} frames {order.span.first} to {order.span.last}"
    with mapped(file, what) as data:
        track = cut_video(data, order.grid, order.span, what, every, order.encoded)
        # chunk 0 carries the init segment for all: the hashes in the reports show that it fits all
        return store_track(track, data, prefix, check, storage, with_init=order.span.first == 0)


def _store_iframes(
    job: EncodeJob, order: ChunkOrder, iframes: IframeOrder, folder: Path, check: Callable[[], None], storage: Storage
) -> IframeSegments:
    what = f"{names.IFRAMES} frames {order.span.first} to {order.span.last}"
    prefix = names.out_prefix(job.task) + names.IFRAMES
    with mapped(folder / f"{iframes.rendition.name}.mp4", what) as data:
        track, sizes = cut_iframes(data, order.grid, order.span, iframes.places, what)
        stored = store_track(track, data, prefix, check, storage, with_init=order.span.first == 0)
    return IframeSegments(**dict(stored), frames=sizes)


def _store_thumbs(job: EncodeJob, order: ChunkOrder, folder: Path, check: Callable[[], None], storage: Storage) -> int:
    prefix = names.out_prefix(job.task)
    wanted = [(number, folder / names.thumb_name(number)) for number in sorted(order.thumbs.values())]
    missing = [str(number) for number, file in wanted if not file.exists()]
    if missing:
        raise OutputWrong(f"thumbnail {', '.join(missing)} did not come out")
    return sum(
        upload([(prefix + names.thumb_path(number), file.read_bytes) for number, file in wanted], check, storage)
    )
