"""Builders of valid values: a test names what it is about, the rest is a plain default.

The default film: 1280x720, 25 frames/s, 10 s, one stereo track; the default profile has tiny GOPs, so that a few
hundred frames make several chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from raven.media import boxes
from raven.media.grid import AudioGrid, Grid, Span
from raven.media.ladder import choose_renditions, thumbs_in
from raven.media.presentation import AudioTrack, Presentation, TextTrack, TimedSegment, VideoTrack
from raven.media.sound import AUDIO_OFFSET
from raven.messages import AnnounceJob, AudioJob, EncodeJob, PrepareJob, PublishJob, PurgeJob, TextJob
from raven.model import (
    AudioFacts,
    AudioRendition,
    AudioResult,
    Cue,
    EncodeResult,
    MasteringDisplay,
    PrepareResult,
    Rendition,
    SegmentInfo,
    SourceFacts,
    TextFacts,
    TextResult,
    TrackSegments,
    VideoFacts,
)
from raven.profile import Cutting, Ladder, Profile, Rung, Thumbs
from watcher.rows import JobRow, TaskRow

INIT_SHA256 = "5e" * 32

# facts


def video_facts(
    *,
    width: int = 1280,
    height: int = 720,
    rate: Fraction = Fraction(25),
    orient: tuple[str, ...] = (),
    colour: Mapping[str, str] | None = None,
    bit_depth: int = 8,
    rgb: bool = False,
    alpha: bool = False,
    light: tuple[int, int] | None = None,
    mastering: MasteringDisplay | None = None,
) -> VideoFacts:
    """An H.264 stream with square pixels."""
    return VideoFacts(
        stream=0,
        codec="h264",
        width=width,
        height=height,
        coded_width=width,
        coded_height=height,
        sample_aspect=Fraction(1),
        rate=rate,
        constant_rate=True,
        orient=orient,
        pixel_format="yuv420p",
        bit_depth=bit_depth,
        rgb=rgb,
        alpha=alpha,
        light=light,
        mastering=mastering,
        colour=dict(colour or {}),
    )


def audio_facts(
    *,
    stream: int = 1,
    name: str = "eng-1",
    language: str = "eng",
    title: str = "",
    default: bool = True,
    channels: int = 2,
    layout: str = "stereo",
) -> AudioFacts:
    return AudioFacts(
        stream=stream,
        name=name,
        codec="aac",
        channels=channels,
        layout=layout,
        sample_rate=48000,
        language=language,
        title=title,
        default=default,
    )


def text_facts(
    *, stream: int = 2, name: str = "eng-1", language: str = "eng", title: str = "", forced: bool = False
) -> TextFacts:
    return TextFacts(stream=stream, name=name, codec="subrip", language=language, title=title, forced=forced)


def cue(start: int, end: int, text: str, *, settings: str = "") -> Cue:
    """Times in milliseconds."""
    return Cue(start=start, end=end, text=text, settings=settings)


_VIDEO = video_facts()


def source_facts(
    *,
    video: VideoFacts | None = _VIDEO,
    audio: tuple[AudioFacts, ...] | None = None,
    text: tuple[TextFacts, ...] = (),
) -> SourceFacts:
    """A film with one track; `video=None` for sound alone, `audio=()` for a silent film."""
    return SourceFacts(
        container="mov,mp4,m4a,3gp,3g2,mj2",
        duration=10.0,
        bytes=1_000_000,
        origin=Fraction(0),
        video=video,
        audio=(audio_facts(),) if audio is None else audio,
        text=text,
    )


# profiles and renditions


def rung(
    name: str = "720p",
    width: int = 1280,
    height: int = 720,
    *,
    maxrate: int | None = 4000,
    max_rate: Fraction | None = None,
) -> Rung:
    return Rung(name=name, width=width, height=height, crf=22.5, maxrate=maxrate, bufsize=None, max_rate=max_rate)


def cutting(
    *, gop_seconds: Fraction = Fraction(2, 5), gops_per_segment: int = 2, chunk_segments: int = 3
) -> Cutting:  # at 25 frames/s: GOPs of 10, segments of 20, chunks of 60 frames
    return Cutting(gop_seconds=gop_seconds, gops_per_segment=gops_per_segment, chunk_segments=chunk_segments)


_THUMBS = Thumbs(every_seconds=Fraction(1), height=180)


def profile(
    *,
    rungs: tuple[Rung, ...] | None = None,
    cuts: Cutting | None = None,
    thumbs: Thumbs | None = _THUMBS,
    audio: tuple[AudioRendition, ...] | None = None,
) -> Profile:
    """Two rungs, tiny chunks, a thumbnail each second."""
    return Profile(
        name="default",
        cutting=cuts or cutting(),
        video=(Ladder(encoder_profile="high", rungs=rungs or (rung("360p", 640, 360, maxrate=1000), rung())),),
        audio=audio or (audio_rendition(),),
        thumbs=thumbs,
    )


def audio_rendition(name: str = "audio", *, bitrate: int = 128, channels: int = 2) -> AudioRendition:
    return AudioRendition(name=name, codec="aac", bitrate=bitrate, channels=channels, sample_rate=48000)


def rendition(
    *,
    name: str = "720p",
    width: int = 1280,
    height: int = 720,
    crf: float = 22.5,
    maxrate: int | None = 4000,
    bufsize: int | None = 8000,
    encoder_profile: str = "high",
    every: int = 1,
    options: Mapping[str, str] | None = None,
) -> Rendition:
    return Rendition(
        name=name,
        width=width,
        height=height,
        codec="libx264",
        preset="medium",
        crf=crf,
        maxrate=maxrate,
        bufsize=bufsize,
        threads=2,
        encoder_profile=encoder_profile,
        every=every,
        options=dict(options or {}),
    )


# rows


def task_row(
    *,
    id: int = 7,  # noqa: A002 - the column's name
    source: str = "/srv/in/film.mkv",
    profile: str = "default",
    priority: int = 0,
    options: str | None = None,
    status: str = "new",
) -> TaskRow:
    return TaskRow(id=id, source=source, profile=profile, priority=priority, options=options, status=status)


def job_row(
    *,
    id: int = 70,  # noqa: A002 - the column's name
    kind: str = "encode",
    position: int = 0,
    state: str = "waiting",
    attempt: int = 1,
    failures: int = 0,
    node: str | None = None,
    message: str | None = None,
    result: str | None = None,
    lease_until: int = 0,
    seconds: float = 0.0,
    done: int = 0,
    moved_at: int = 0,
    faults: str | None = None,
    passes: int = 0,
) -> JobRow:
    return JobRow(
        id=id,
        task_id=7,
        kind=kind,
        position=position,
        state=state,
        attempt=attempt,
        failures=failures,
        node=node,
        message=message,
        result=result,
        lease_until=lease_until,
        seconds=seconds,
        done=done,
        moved_at=moved_at,
        faults=faults,
        passes=passes,
    )


# results


def prepare_result(
    *,
    facts: SourceFacts | None = None,
    frames: int = 250,
    chunks: int | None = None,
    complete: bool = True,
    samples: Mapping[str, int] | None = None,
    tail: int = 1,
    warnings: tuple[str, ...] = (),
) -> PrepareResult:
    """A source that is cut by the default profile; of 250 frames that makes four chunks."""
    facts = facts or source_facts()
    if facts.video is None:
        frames, chunks = 0, 0
    elif chunks is None:
        chunks = cutting().grid(facts.video.rate).chunk_count(frames)
    return PrepareResult(
        facts=facts,
        chunks=chunks,
        frames=frames,
        tail=tail,
        samples=dict(samples or {}),
        complete=complete,
        warnings=warnings,
    )


def track_segments(
    lengths: Iterable[int], *, first: int = 1, start: int = 0, init_sha256: str = INIT_SHA256, per_unit_bytes: int = 100
) -> TrackSegments:
    infos = tuple(SegmentInfo(length=n, bytes=n * per_unit_bytes) for n in lengths)
    return TrackSegments(first=first, segments=infos, start=start, init_sha256=init_sha256)


def video_segments(grid: Grid, span: Span, *, init_sha256: str = INIT_SHA256) -> TrackSegments:
    """What a right encoder makes of a chunk of one rendition."""
    return track_segments(
        [s.frames for s in grid.segments(span)],
        first=grid.segment_number(span.first),
        start=span.first * grid.frame_ticks,
        init_sha256=init_sha256,
    )


def encode_result(
    grid: Grid,
    span: Span,
    renditions: Iterable[str] = ("360p", "720p"),
    *,
    init_sha256: str = INIT_SHA256,
    bytes: int = 1,  # noqa: A002 - the field's name
) -> EncodeResult:
    """The result of a worker that has encoded `span`."""
    tracks = {name: video_segments(grid, span, init_sha256=init_sha256) for name in renditions}
    return EncodeResult(renditions=tracks, frames=span.frames, thumbs=0, bytes=bytes)


def audio_result(
    samples: int = 480_000, segment_seconds: Fraction = Fraction(4, 5), *, name: str = "eng-1"
) -> AudioResult:
    """The result of a worker that has encoded a whole track."""
    grid = AudioGrid(48000, samples)
    lengths = [packets * grid.packet for packets in grid.segments(segment_seconds)]
    track = track_segments(lengths, per_unit_bytes=1)
    return AudioResult(renditions={name: track}, bytes=sum(s.bytes for s in track.segments))


def text_result(segments: int = 2) -> TextResult:
    """The result of a worker that has made a text track of two cues."""
    return TextResult(segments=(100,) * segments, whole=150, cues=2)


# messages


def prepare_job() -> PrepareJob:
    return PrepareJob(task=7, job=70, attempt=1, source="/srv/in/film.mkv", profile=profile())


def encode_job(*, first: int = 0, last: int = 60, video: VideoFacts | None = None) -> EncodeJob:
    facts = video or video_facts()
    return EncodeJob(
        task=7,
        job=71,
        attempt=2,
        index=first // 60,
        first=first,
        last=last,
        tail=0,
        video=facts,
        profile=profile(),
        renditions=choose_renditions(profile().video, facts, profile().cutting.grid(facts.rate)),
    )


def audio_job() -> AudioJob:
    return AudioJob(
        task=7,
        job=72,
        attempt=1,
        index=0,
        track=audio_facts(),
        profile=profile(),
        samples=480_000,
        segment_seconds=Fraction(4, 5),
    )


def text_job() -> TextJob:
    return TextJob(
        task=7,
        job=75,
        attempt=1,
        index=0,
        track=text_facts(),
        duration=Fraction(10),
        segment_seconds=Fraction(4, 5),
    )


def publish_job() -> PublishJob:
    chosen = profile()
    grid = chosen.cutting.grid(Fraction(25))
    spans = list(grid.chunks(250))
    return PublishJob(
        task=7,
        job=73,
        attempt=1,
        source="/srv/in/film.mkv",
        profile=chosen,
        facts=source_facts(),
        frames=250,
        samples=480_000,
        renditions=choose_renditions(chosen.video, video_facts(), grid),
        video={name: tuple(video_segments(grid, span) for span in spans) for name in ("360p", "720p")},
        audio=audio_result().renditions,
        text={},
        thumbs=sum(len(thumbs_in(grid, chosen.thumbs, span)) for span in spans),
        seconds={"encode": 12.5},
    )


def announce_job() -> AnnounceJob:
    """The first two chunks of four are stored."""
    whole = publish_job()
    video = {name: parts[:2] for name, parts in whole.video.items()}
    return AnnounceJob(**{**dict(whole), "kind": "announce", "video": video, "ready": 120})


def purge_job() -> PurgeJob:
    return PurgeJob(task=7, job=74, attempt=1, prefixes=("tmp/7/", "out/7/"))


# presentations


def video_track(
    *,
    name: str = "720p",
    width: int = 1280,
    height: int = 720,
    frames: Sequence[int] = (150, 150, 75),
    sizes: Sequence[int] = (1_500_000, 750_000, 300_000),
    timescale: int = 25_000,
    frame_ticks: int = 1000,
    every: int = 1,
    audio: str | None = None,
    codec: str = "avc1.64001f",
    colour: tuple[int, int, int] | None = None,
) -> VideoTrack:
    """15 s on a grid of 25 frames/s: two segments of 6 s and one of 3 s."""
    segments = tuple(
        TimedSegment(n * frame_ticks, Fraction(n * frame_ticks, timescale), size)
        for n, size in zip(frames, sizes, strict=True)
    )
    return VideoTrack(
        name=name,
        codec=codec,
        timescale=timescale,
        segments=segments,
        width=width,
        height=height,
        rate=Fraction(timescale, frame_ticks * every),
        audio=audio,
        colour=colour,
    )


def audio_track(
    *,
    name: str = "eng-1",
    source: str | None = None,
    group: str = "audio",
    channels: int = 2,
    label: str = "English",
    language: str = "en",
    default: bool = True,
    describes: bool = False,
    packets: Sequence[int] = (281, 282, 141),
    sizes: Sequence[int] = (96_000, 96_000, 48_000),
) -> AudioTrack:
    segments = tuple(
        TimedSegment(n * 1024, Fraction(n * 1024, 48000), size) for n, size in zip(packets, sizes, strict=True)
    )
    return AudioTrack(
        name=name,
        codec="mp4a.40.2",
        timescale=48000,
        segments=segments,
        source=source or name,
        group=group,
        language=language,
        label=label,
        channels=channels,
        describes=describes,
        sample_rate=48000,
        default=default,
    )


def text_track(
    *, name: str = "eng-1", label: str = "English", language: str = "en", forced: bool = False, deaf: bool = False
) -> TextTrack:
    """15 s in one segment of 300 bytes."""
    return TextTrack(
        name=name,
        codec="wvtt",
        timescale=1000,
        segments=(TimedSegment(15_000, Fraction(15), 300),),
        language=language,
        label=label,
        forced=forced,
        hearing_impaired=deaf,
        whole=260,
        cues=2,
    )


def presentation(
    *,
    video: tuple[VideoTrack, ...] | None = None,
    audio: tuple[AudioTrack, ...] | None = None,
    text: tuple[TextTrack, ...] = (),
    captions: tuple[str, ...] = (),
) -> Presentation:
    video = (video_track(),) if video is None else video
    return Presentation(
        duration=Fraction(15),
        rate=Fraction(25) if video else None,
        video=video,
        audio=(audio_track(),) if audio is None else audio,
        text=text,
        captions=captions,
    )


# fragmented MP4

NO_SYNC = 0x01010000
SYNC = 0x02000000
IDR, SLICE, SEI = 5, 1, 6


def nal(kind: int, size: int = 6) -> bytes:
    """A length-prefixed AVC NAL unit, in which there are no three zeros in a row."""
    return struct.pack(">IB", size, kind) + b"\xa5" * (size - 1)


@dataclass(frozen=True)
class FakeSample:
    """A sample as a trun can state it."""

    content: bytes
    duration: int
    sync: bool = False
    composition_offset: int = 0


@dataclass(frozen=True)
class FakeFragment:
    decode_time: int
    samples: Sequence[FakeSample] = field(default_factory=tuple)


def avc_entry() -> bytes:
    """The sample entry of High profile, level 3.1."""
    configuration = boxes.box("avcC", bytes([1, 0x64, 0x00, 0x1F, 0xFF, 0xE0, 0]))
    return boxes.box("avc1", bytes(78), configuration)


def aac_entry(audio_specific_config: bytes = b"\x11\x90") -> bytes:
    """The sample entry of AAC-LC."""
    specific = bytes([0x05, len(audio_specific_config)]) + audio_specific_config
    decoder = bytes([0x04, 0x80, 0x80, 0x80, 13 + len(specific), 0x40]) + bytes(12) + specific
    es = bytes([0x03, 0x80, 0x80, 0x80, 3 + len(decoder), 0, 1, 0]) + decoder
    return boxes.box("mp4a", bytes(7), b"\1", bytes(20), boxes.box("esds", bytes(4), es))


def init_segment(timescale: int = 25_000, entry: bytes | None = None, *, mdhd_version: int = 0) -> bytes:
    """ftyp and moov of one track."""
    times = bytes(8) if mdhd_version == 0 else bytes(16)
    duration = bytes(4) if mdhd_version == 0 else bytes(8)
    mdhd = boxes.box("mdhd", struct.pack(">I", mdhd_version << 24), times, struct.pack(">I", timescale), duration)
    stsd = boxes.box("stsd", struct.pack(">II", 0, 1), avc_entry() if entry is None else entry)
    mdia = boxes.box("mdia", mdhd, boxes.box("minf", boxes.box("stbl", stsd)))
    trex = boxes.box("trex", struct.pack(">IIIIII", 0, 1, 1, 0, 0, NO_SYNC))
    moov = boxes.box("moov", boxes.box("trak", mdia), boxes.box("mvex", trex))
    return boxes.type_box("ftyp", "iso5", "iso6") + moov


def fragment(sequence: int, content: FakeFragment) -> bytes:
    """moof and mdat, with everything of each sample stated in the trun."""
    rows = b"".join(
        struct.pack(">IIIi", s.duration, len(s.content), SYNC if s.sync else NO_SYNC, s.composition_offset)
        for s in content.samples
    )
    mfhd = boxes.box("mfhd", struct.pack(">II", 0, sequence))
    tfhd = boxes.box("tfhd", struct.pack(">II", 0x020000, 1))
    tfdt = boxes.box("tfdt", struct.pack(">IQ", 1 << 24, content.decode_time))
    size = 8 + len(mfhd) + 8 + len(tfhd) + len(tfdt) + 20 + len(rows)
    trun = boxes.box("trun", struct.pack(">IIi", 1 << 24 | 0xF01, len(content.samples), size + 8), rows)
    return boxes.box("moof", mfhd, boxes.box("traf", tfhd, tfdt, trun)) + boxes.box(
        "mdat", *(s.content for s in content.samples)
    )


def fragmented_mp4(fragments: Iterable[FakeFragment], timescale: int = 25_000, entry: bytes | None = None) -> bytes:
    return init_segment(timescale, entry) + b"".join(fragment(n, f) for n, f in enumerate(fragments, 1))


def gop(grid: Grid, first: int, frames: int, *, reorder: int = 1, every: int = 1) -> FakeFragment:
    """A closed GOP from frame `first` on, as a right encoder writes it: an IDR, then pairs in B-frame order.

    It has `frames` frames, every n-th one of the grid. Decode times are their places on it; what is shown is late by
    `reorder` frames.
    """
    step = grid.frame_ticks * every
    order = [0]
    for at in range(1, frames, 2):
        order += [at + 1, at] if at + 1 < frames else [at]
    samples = tuple(
        FakeSample(
            content=nal(SEI) + nal(IDR, 20) if shown == 0 else nal(SLICE),
            duration=step,
            sync=shown == 0,
            composition_offset=(shown - decoded + reorder) * step,
        )
        for decoded, shown in enumerate(order)
    )
    return FakeFragment(first * grid.frame_ticks, samples)


def gops(grid: Grid, span: Span, *, reorder: int = 1, every: int = 1) -> list[FakeFragment]:
    """The fragments of a chunk, one for each GOP."""
    parts = [Span(at, min(at + grid.gop, span.last)) for at in range(span.first, span.last, grid.gop)]
    return [gop(grid, part.first, part.taken(every), reorder=reorder, every=every) for part in parts]


def audio_fragments(grid: AudioGrid, offset: int = AUDIO_OFFSET, per_fragment: int = 47) -> list[FakeFragment]:
    """A whole track as ffmpeg writes it: fragments of about a second, one packet of priming in front."""
    start, packets = offset * grid.sample_rate - grid.packet, grid.packets + 1
    return [
        FakeFragment(
            start + at * grid.packet,
            tuple(
                FakeSample(content=struct.pack(">I", n) * 3, duration=grid.packet, sync=True)
                for n in range(at, min(at + per_fragment, packets))
            ),
        )
        for at in range(0, packets, per_fragment)
    ]
