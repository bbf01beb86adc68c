"""The encode job: one chunk into final CMAF segments of every rendition, and its thumbnails."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from raven import names
from raven.agent import Context
from raven.errors import LimitExceeded, OutputWrong
from raven.media.cmaf import cut_video
from raven.media.command import TOO_LARGE, ChunkOrder, encode_command
from raven.media.grid import Grid
from raven.media.iframe_segments import cut_iframes
from raven.media.iframes import IframeOrder, iframe_order
from raven.media.ladder import thumb_size, thumbs_in
from raven.messages import EncodeJob
from raven.model import EncodeResult, IframeSegments, TrackSegments
from raven.ports import Storage
from raven.process import StopSignal, pasteable, run
from raven.profile import Thumbs
from raven.sandbox import Box, encoder_box
from worker.output import mapped, store_track, upload


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
    """Fetches the chunk, encodes it, checks it and stores it. Raises OutputWrong when the frame law is broken."""
    order = chunk_order(job, tools.max_pixels)
    with tempfile.TemporaryDirectory(prefix=f"raven-{job.task}-{job.job}-", dir=tools.temporary) as name:
        folder = Path(name)
        source = folder / "chunk.nut"
        tools.storage.fetch(names.chunk_key(job.task, job.index), source)
        command = encode_command(tools.ffmpeg, str(source), str(folder), order)
        context.notes.update(command=pasteable(command), frames=job.span.frames)
        begun = time.monotonic()
        words = run(
            command,
            context.stop,
            lambda block: _progress(block, order.grid, job.span.frames, context),
            _box(job, tools),
            tools.stall_seconds,
        )
        context.notes["speed"] = round(float(order.grid.time_of(job.span.frames)) / (time.monotonic() - begun), 2)
        source.unlink()
        try:
            result = _store(job, order, folder, context.stop, tools.storage)
        except OutputWrong as error:
            if TOO_LARGE in words:
                limit = f"{tools.max_pixels} pixels (RAVEN_LIMIT_PIXELS)"
                raise LimitExceeded(f"the pictures grow beyond the limit of {limit} in mid-stream") from error
            raise
    context.notes["bytes"] = result.bytes
    return result


def _box(job: EncodeJob, tools: Tools) -> Box:
    """The walls for this encode."""
    sizes = [r.width * r.height for r in job.renditions]
    threads = sum(r.threads for r in job.renditions)
    source = job.video.coded_width * job.video.coded_height
    return encoder_box(source, sum(sizes), threads, job.span.frames, tools.cpu_seconds)


def _progress(block: dict[str, str], grid: Grid, frames: int, context: Context) -> None:
    """Frames that came out of ffmpeg, and how many times faster than real time."""
    frame, fps = block.get("frame", ""), block.get("fps", "")
    if frame.isdigit():
        speed = float(fps) / float(grid.rate) if fps.replace(".", "", 1).isdigit() else 0.0
        context.progress(min(int(frame), frames), round(speed, 2))


def _store(job: EncodeJob, order: ChunkOrder, folder: Path, stop: StopSignal, storage: Storage) -> EncodeResult:
    stored: dict[str, TrackSegments] = {}
    for rendition in job.renditions:
        prefix = names.out_prefix(job.task) + names.video_path(rendition.name)
        stored[rendition.name] = _store_rendition(folder / f"{rendition.name}.mp4", prefix, order, stop, storage)
    iframes = _store_iframes(job, order, order.iframes, folder, stop, storage) if order.iframes else None
    thumbs = _store_thumbs(job, order, folder, stop, storage)
    tracks = [*stored.values(), *([iframes] if iframes else [])]
    size = sum(s.bytes for track in tracks for s in track.segments) + thumbs
    return EncodeResult(
        renditions=stored, iframes=iframes, frames=order.span.frames, thumbs=len(order.thumbs), bytes=size
    )


def _store_rendition(file: Path, prefix: str, order: ChunkOrder, stop: StopSignal, storage: Storage) -> TrackSegments:
    what = f"{file.stem} frames {order.span.first} to {order.span.last}"
    with mapped(file, what) as data:
        track = cut_video(data, order.grid, order.span, what)
        # chunk 0 carries the init segment for all: the hashes in the reports show that it fits all
        return store_track(track, data, prefix, stop, storage, with_init=order.span.first == 0)


def _store_iframes(
    job: EncodeJob, order: ChunkOrder, iframes: IframeOrder, folder: Path, stop: StopSignal, storage: Storage
) -> IframeSegments:
    what = f"{names.IFRAMES} frames {order.span.first} to {order.span.last}"
    prefix = names.out_prefix(job.task) + names.IFRAMES
    with mapped(folder / f"{iframes.rendition.name}.mp4", what) as data:
        track, sizes = cut_iframes(data, order.grid, order.span, iframes.places, what)
        stored = store_track(track, data, prefix, stop, storage, with_init=order.span.first == 0)
    return IframeSegments(**dict(stored), frames=sizes)


def _store_thumbs(job: EncodeJob, order: ChunkOrder, folder: Path, stop: StopSignal, storage: Storage) -> int:
    prefix = names.out_prefix(job.task)
    wanted = [(number, folder / names.thumb_name(number)) for number in sorted(order.thumbs.values())]
    missing = [str(number) for number, file in wanted if not file.exists()]
    if missing:
        raise OutputWrong(f"thumbnail {', '.join(missing)} did not come out")
    return sum(upload([(prefix + names.thumb_path(number), file.read_bytes) for number, file in wanted], stop, storage))
