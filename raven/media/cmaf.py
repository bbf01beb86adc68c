"""Cuts an encoder's fragmented MP4 into CMAF segments and checks the frame law on the way. Pure: bytes to values.

Time stamps. A frame's decode time is its place on the grid, so that `tfdt` is the sum of all durations before it (CMAF
7.3.2.2). Composition offsets are positive and carry the B-frame delay, which an edit list in the video's init segment
takes off (brand cmfc, CMAF 7.5.13). Audio starts at 0, without its packet of priming, and needs no edit list. So the
first decode time and, after the edit, the first presentation time are 0 in all tracks; players align on one of them.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from fractions import Fraction

from raven.errors import OutputWrong
from raven.media import boxes, codecs
from raven.media.boxes import BoxError, Fragment, Sample
from raven.media.grid import AudioGrid, Grid, Span
from raven.media.sound import AUDIO_OFFSET

STYP = boxes.type_box("styp", "cmfs", "msdh")  # ISO/IEC 23000-19 7.3.3.1, ISO/IEC 23009-1 6.3.4.2
BRANDS = ("iso6", "cmfc", "mp41")  # ISO/IEC 23000-19 7.2: cmfc, no negative composition offsets


@dataclass(frozen=True)
class Segment:
    """One segment: its number from 1, its length (frames of the grid, or samples of sound), and its bytes in pieces:
    literal, or ranges of the file."""

    number: int
    length: int
    pieces: tuple[bytes | slice, ...]

    def content(self, data: bytes | memoryview) -> bytes:
        """The segment's bytes, `data` being the file that it was cut from."""
        return b"".join(p if isinstance(p, bytes) else bytes(data[p]) for p in self.pieces)


@dataclass(frozen=True)
class Track:
    """An init segment and the segments that belong to it."""

    init: bytes
    segments: tuple[Segment, ...]
    start: int
    """Decode time of the first sample, ticks."""

    @property
    def init_sha256(self) -> str:
        return hashlib.sha256(self.init).hexdigest()


def split_file(data: bytes | memoryview, timescale: int, what: str) -> tuple[bytes, list[Fragment]]:
    """The init segment with CMAF's brands, and the fragments, of what `what` names. Raises OutputWrong."""
    try:
        init, fragments = boxes.split(data)
        moov, found = boxes.find(init, "moov"), boxes.timescale(init)
    except BoxError as error:
        raise OutputWrong(f"{what}: not a fragmented MP4: {error}") from error
    if found != timescale:
        raise OutputWrong(f"{what}: time scale {found}, wanted {timescale}")
    brands = (*BRANDS, "av01") if b"av01" in init[: moov.start] else BRANDS  # AV1 in ISOBMFF 2.1
    return boxes.type_box("ftyp", *brands) + init[moov.start : moov.end], fragments


def cut_video(
    data: bytes | memoryview, grid: Grid, span: Span, what: str, every: int = 1, encoded: Span | None = None
) -> Track:
    """The segments of a chunk of one rendition, which has every n-th frame; `what` names it in errors.

    `encoded` is the span with the frames after it that the encoder could look ahead to; these are left out. Raises
    OutputWrong where the law is broken: exactly `span`'s frames, at their exact times, each of one frame's length, an
    IDR (in AV1 a key frame) at every GOP and nowhere else.
    """
    init, fragments = split_file(data, grid.timescale, what)
    fragments = _first(fragments, span.taken(every), (encoded or span).taken(every))
    samples = [s for f in fragments for s in f.samples]
    delay = _check_frames(samples, grid, span, every, what)
    init = _check_keyframes(init, data, samples, grid.gop // every, what)
    surplus = (span.taken(every) * every - span.frames) * grid.frame_ticks
    cut: list[Segment] = []
    first = 0
    for part in grid.segments(span):
        pieces: list[bytes | slice] = [STYP]
        frames, count = 0, part.taken(every)
        while frames < count and first < len(fragments):
            pieces += _pieces(data, fragments[first], surplus if first == len(fragments) - 1 else 0)
            frames += len(fragments[first].samples)
            first += 1
        if frames != count:
            raise OutputWrong(f"{what}: a segment has {frames} frames, wanted {count}")
        cut.append(Segment(grid.segment_number(part.first), part.frames, tuple(pieces)))
    return Track(boxes.with_edit(init, delay), tuple(cut), samples[0].decode_time)


def _first(fragments: list[Fragment], count: int, most: int) -> list[Fragment]:
    """The fragments with the first `count` samples, if whole ones have them and all have `most` at most; else all."""
    starts = list(itertools.accumulate((len(f.samples) for f in fragments), initial=0))
    return fragments[: starts.index(count)] if count in starts and starts[-1] <= most else fragments


def _pieces(data: bytes | memoryview, fragment: Fragment, surplus: int) -> tuple[bytes | slice, ...]:
    """A fragment as it is, but for the frame that is shown last: `surplus` ticks of it are beyond the film's end."""
    if not surplus:
        return (slice(fragment.start, fragment.end),)
    last = max(fragment.samples, key=lambda sample: sample.presentation_time)
    at = fragment.samples.index(last)
    # what is decoded after it moves up, and is shown when it was
    after = [
        replace(s, decode_time=s.decode_time - surplus, composition_offset=s.composition_offset + surplus)
        for s in fragment.samples[at + 1 :]
    ]
    samples = [*fragment.samples[:at], replace(last, duration=last.duration - surplus), *after]
    return boxes.with_samples(data, fragment, samples)


def _check_frames(samples: list[Sample], grid: Grid, span: Span, every: int, what: str) -> int:
    """The B-frame delay in ticks."""
    count = span.taken(every)
    if len(samples) != count:
        raise OutputWrong(f"{what}: {len(samples)} frames came out, wanted {count}")
    start = span.first * grid.frame_ticks
    step = every * grid.frame_ticks
    for index, sample in enumerate(samples):
        if sample.duration != step or sample.decode_time != start + index * step:
            raise OutputWrong(
                f"{what}: frame {index} is decoded at {sample.decode_time}, wanted {start + index * step}"
            )
    shown = sorted(s.presentation_time for s in samples)
    delay = shown[0] - start
    if delay < 0 or shown != list(range(shown[0], shown[0] + count * step, step)):
        raise OutputWrong(f"{what}: the frames are not shown in a row from {start} on; the first is at {shown[0]}")
    return delay


def _check_keyframes(init: bytes, data: bytes | memoryview, samples: list[Sample], gop: int, what: str) -> bytes:
    """The init segment that fits the samples."""
    starts: list[bytes] = []
    try:
        for index, sample in enumerate(samples):
            wanted = index % gop == 0
            if sample.sync != wanted:
                raise OutputWrong(f"{what}: frame {index} is {'no' if wanted else 'an unwanted'} keyframe")
            if wanted:
                starts.append(bytes(data[sample.offset : sample.offset + sample.size]))
                if fault := codecs.start_fault(init, starts[-1]):
                    raise OutputWrong(f"{what}: frame {index} starts a GOP with {fault}")
        return codecs.with_true_header(init, starts)
    except BoxError as error:
        raise OutputWrong(f"{what}: {error}") from error


def cut_audio(data: bytes | memoryview, grid: AudioGrid, segment_seconds: Fraction, what: str) -> Track:
    """The segments of a whole track, without the packet of priming that the encoder put before the origin.

    Raises OutputWrong unless it has exactly the packets and times of its grid.
    """
    init, fragments = split_file(data, grid.sample_rate, what)
    samples = [s for f in fragments for s in f.samples]
    if len(samples) != grid.packets + 1:
        raise OutputWrong(f"{what}: {len(samples)} packets came out, wanted {grid.packets} and one of priming")
    start = AUDIO_OFFSET * grid.sample_rate - grid.packet
    for index, sample in enumerate(samples):
        if sample.decode_time != start + index * grid.packet or sample.composition_offset:
            raise OutputWrong(f"{what}: packet {index} is at {sample.decode_time}, not in the row from {start}")
    cut: list[Segment] = []
    first = 1
    for count in grid.segments(segment_seconds):
        part = samples[first : first + count]
        head = boxes.sync_fragment(len(cut) + 1, (first - 1) * grid.packet, grid.packet, [s.size for s in part])
        body = tuple(slice(s.offset, s.offset + s.size) for s in part)
        cut.append(Segment(len(cut) + 1, count * grid.packet, (STYP, head, *body)))
        first += count
    return Track(init, tuple(cut), 0)
