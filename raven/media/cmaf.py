"""Cuts an encoder's fragmented MP4 into CMAF segments and checks the frame law on the way. Pure: bytes to values.

The offset that all media start at (see `grid.presentation_offset`) is in every time here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from raven.errors import OutputWrong
from raven.media import boxes
from raven.media.boxes import BoxError, Fragment, Sample
from raven.media.grid import AudioGrid, Grid, Span, presentation_offset

STYP = boxes.type_box("styp", "cmfs", "msdh")  # ISO/IEC 23000-19 7.3.3.1, ISO/IEC 23009-1 6.3.4.2
BRANDS = ("iso6", "cmfc", "mp41")  # ISO/IEC 23000-19 7.2: cmfc, no negative composition offsets
IDR_NAL = 5


@dataclass(frozen=True)
class Segment:
    """One segment: its number from 1, length (frames or samples), and byte pieces: literal, or ranges of the file."""

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


def _split(data: bytes | memoryview, what: str) -> tuple[bytes, list[Fragment]]:
    try:
        init, fragments = boxes.split(data)
        moov = boxes.find(init, "moov")
    except BoxError as error:
        raise OutputWrong(f"{what}: not a fragmented MP4: {error}") from error
    return boxes.type_box("ftyp", *BRANDS) + init[moov.start : moov.end], fragments


def cut_video(data: bytes | memoryview, grid: Grid, span: Span, what: str) -> Track:
    """The segments of a chunk of one rendition; `what` names it in errors.

    Raises OutputWrong where the law is broken: exactly `span`'s frames, at their exact times, each of one frame's
    length, an IDR at every GOP and nowhere else.
    """
    init, fragments = _split(data, what)
    samples = [s for f in fragments for s in f.samples]
    if boxes.timescale(init) != grid.timescale:
        raise OutputWrong(f"{what}: time scale {boxes.timescale(init)}, wanted {grid.timescale}")
    _check_frames(samples, grid, span, what)
    _check_keyframes(data, samples, grid, what)
    cut: list[Segment] = []
    first = 0
    wanted = [s.frames for s in grid.segments(span)]
    for count in wanted:
        pieces: list[bytes | slice] = [STYP]
        frames = 0
        while frames < count and first < len(fragments):
            pieces.append(slice(fragments[first].start, fragments[first].end))
            frames += len(fragments[first].samples)
            first += 1
        if frames != count:
            raise OutputWrong(f"{what}: a segment has {frames} frames, wanted {count}")
        cut.append(Segment(grid.segment_number(span.first) + len(cut), count, tuple(pieces)))
    return Track(init, tuple(cut), samples[0].decode_time)


def _check_frames(samples: list[Sample], grid: Grid, span: Span, what: str) -> None:
    if len(samples) != span.frames:
        raise OutputWrong(f"{what}: {len(samples)} frames came out, wanted {span.frames}")
    step = grid.frame_ticks
    start = presentation_offset(grid.rate) * grid.timescale + span.first * step
    shown = sorted(s.presentation_time for s in samples)
    if shown != list(range(start, start + span.frames * step, step)):
        raise OutputWrong(f"{what}: the frames are not at their times; the first is at {shown[0]}, wanted {start}")
    decode = samples[0].decode_time
    for index, sample in enumerate(samples):
        if sample.duration != step or sample.decode_time != decode + index * step:
            raise OutputWrong(f"{what}: frame {index} breaks the row of decode times")


def _check_keyframes(data: bytes | memoryview, samples: list[Sample], grid: Grid, what: str) -> None:
    for index, sample in enumerate(samples):
        wanted = index % grid.gop == 0
        if sample.sync != wanted:
            raise OutputWrong(f"{what}: frame {index} is {'no' if wanted else 'an unwanted'} keyframe")
        if wanted:
            kinds = boxes.nal_types_avc(bytes(data[sample.offset : sample.offset + sample.size]))
            picture = next((kind for kind in kinds if 1 <= kind <= IDR_NAL), None)
            if picture != IDR_NAL:
                raise OutputWrong(f"{what}: frame {index} starts a GOP with NAL type {picture}, not an IDR")


def cut_audio(data: bytes | memoryview, grid: AudioGrid, segment_seconds: Fraction, offset: int, what: str) -> Track:
    """The segments of a whole track. Raises OutputWrong unless it has exactly the packets and times of its grid."""
    init, fragments = _split(data, what)
    samples = [s for f in fragments for s in f.samples]
    if boxes.timescale(init) != grid.sample_rate:
        raise OutputWrong(f"{what}: time scale {boxes.timescale(init)}, wanted {grid.sample_rate}")
    if len(samples) != grid.packets:
        raise OutputWrong(f"{what}: {len(samples)} packets came out, wanted {grid.packets}")
    start = offset * grid.sample_rate - grid.packet  # one packet of priming before the origin
    for index, sample in enumerate(samples):
        if sample.decode_time != start + index * grid.packet or sample.composition_offset:
            raise OutputWrong(f"{what}: packet {index} is at {sample.decode_time}, not in the row from {start}")
    cut: list[Segment] = []
    first = 0
    for count in grid.segments(segment_seconds):
        part = samples[first : first + count]
        head = boxes.audio_fragment(len(cut) + 1, part[0].decode_time, grid.packet, [s.size for s in part])
        body = tuple(slice(s.offset, s.offset + s.size) for s in part)
        cut.append(Segment(len(cut) + 1, count * grid.packet, (STYP, head, *body)))
        first += count
    return Track(init, tuple(cut), start)
