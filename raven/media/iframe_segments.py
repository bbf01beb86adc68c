"""The I-frames that an encoder made as CMAF segments, checked as strictly as a rung's. Pure: bytes to values."""

from __future__ import annotations

from collections.abc import Sequence

from raven import names
from raven.errors import OutputWrong
from raven.media import boxes
from raven.media.boxes import Sample
from raven.media.cmaf import STYP, Segment, Track, split_file
from raven.media.codecs import codec_string, start_fault
from raven.media.grid import Grid, Span
from raven.media.iframes import IframeOrder, frames_in
from raven.media.presentation import IFrame, IframeTrack, joined, timed
from raven.model import IframeSegments


def cut_iframes(
    data: bytes | memoryview, grid: Grid, span: Span, places: Sequence[int], what: str
) -> tuple[Track, tuple[tuple[int, ...], ...]]:
    """The segments of a chunk's I-frames, and the sizes of the fragments in each.

    Raises OutputWrong unless there is an IDR at each wanted frame of the grid, at its exact time, and nothing else.
    """
    init, fragments = split_file(data, grid.timescale, what)
    samples = [s for f in fragments for s in f.samples]
    frames = frames_in(grid, places, span)
    _check(init, data, samples, [frame * grid.frame_ticks for frame in frames], what)
    first = len(frames_in(grid, places, Span(0, span.first)))
    ends = [*frames[1:], span.last]
    segments: list[Segment] = []
    sizes: list[tuple[int, ...]] = []
    for part in grid.segments(span):
        pieces: list[bytes | slice] = [STYP]
        inside = [i for i, frame in enumerate(frames) if part.first <= frame < part.last]
        for i in inside:
            duration = (ends[i] - frames[i]) * grid.frame_ticks
            head = boxes.sync_fragment(first + i + 1, frames[i] * grid.frame_ticks, duration, [samples[i].size])
            pieces += [head, slice(samples[i].offset, samples[i].offset + samples[i].size)]
        segments.append(Segment(grid.segment_number(part.first), part.frames, tuple(pieces)))
        sizes.append(tuple(len(head) + samples[i].size for i in inside))
    return Track(init, tuple(segments), frames[0] * grid.frame_ticks), tuple(sizes)


def _check(init: bytes, data: bytes | memoryview, samples: list[Sample], times: list[int], what: str) -> None:
    if len(samples) != len(times):
        raise OutputWrong(f"{what}: {len(samples)} I-frames came out, wanted {len(times)}")
    for index, (sample, time) in enumerate(zip(samples, times, strict=True)):
        if sample.decode_time != time or sample.presentation_time != time:
            raise OutputWrong(f"{what}: I-frame {index} is at {sample.presentation_time}, wanted {time}")
        fault = start_fault(init, bytes(data[sample.offset : sample.offset + sample.size]))
        if fault or not sample.sync:
            raise OutputWrong(f"{what}: I-frame {index} has {fault or 'no mark of a sync sample, so it is not an IDR'}")


def iframe_track(
    parts: Sequence[IframeSegments], order: IframeOrder, grid: Grid, frames: int, init: bytes
) -> IframeTrack:
    """The trick play rendition, checked: its segments last `frames`, and each I-frame has its place in them.

    Raises OutputWrong.
    """
    row = joined(parts, grid.frame_ticks, names.IFRAMES)
    sizes = [part for parts_of in sorted(parts, key=lambda p: p.first) for part in parts_of.frames]
    total = sum(s.length for s in row.segments)
    places = frames_in(grid, order.places, Span(0, frames))
    if total != frames or sum(map(len, sizes)) != len(places) or len(sizes) != len(row.segments):
        raise OutputWrong(f"{names.IFRAMES}: {sum(map(len, sizes))} I-frames over {total} frames, wanted {len(places)}")
    durations = (grid.time_of(end - start) for start, end in zip(places, [*places[1:], frames], strict=True))
    shown: list[IFrame] = []
    for number, (segment, inside) in enumerate(zip(row.segments, sizes, strict=True), 1):
        offset = segment.bytes - sum(inside)
        for size in inside:
            shown.append(IFrame(number, offset, size, next(durations)))
            offset += size
    return IframeTrack(
        name=names.IFRAMES,
        codec=codec_string(init),
        timescale=grid.timescale,
        segments=timed(row, grid.frame_ticks, grid.timescale),
        width=order.rendition.width,
        height=order.rendition.height,
        rate=len(order.places) / grid.time_of(grid.gop),
        frames=tuple(shown),
    )
