"""Cutting: chunk objects that overlap in packets, never in frames, whatever the source's keyframes are."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest

from master.ahead import cutter_command
from master.conform_sound import audio_copy
from master.cut import EARLY_AUDIO, LEAD_OUT, AudioCopy, VideoCutter, VideoSource
from master.cutter import Event, Order, cut
from master.prepare import _child
from raven import names
from raven.errors import NoRoom, SourceUnreadable
from raven.media.filters import SHIFT
from raven.media.grid import Grid, Span
from raven.media.probe import Opened, open_source
from raven.model import PrepareResult
from raven.process import StopSignal
from raven.profile import Cutting
from tests.builders import cutting, video_facts
from tests.media import run_ffmpeg

CUTTING = cutting(chunk_segments=2)  # at 25 frames/s: GOPs of 10, segments of 20, chunks of 40 frames


@dataclass(frozen=True)
class Clip:
    """A way to make a film that is hard to cut."""

    suffix: str
    frames: int
    options: tuple[str, ...]
    rate: str = "25"


def h264(parameters: str) -> tuple[str, ...]:
    return ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x264-params", parameters)


CLIPS = {
    "keyframes off the grid, B-frames": Clip("mp4", 170, h264("bframes=3:b-adapt=0:keyint=17:scenecut=0")),
    "one keyframe": Clip("mkv", 130, h264("bframes=2:b-adapt=0:keyint=infinite:scenecut=0")),
    "open GOPs": Clip("ts", 170, h264("bframes=3:b-adapt=0:keyint=15:open-gop=1:scenecut=0")),
    "keyframes only": Clip("avi", 90, ("-c:v", "mpeg4", "-g", "1")),
    "NTSC in milliseconds": Clip("mkv", 150, h264("bframes=3:b-adapt=0:keyint=30"), rate="30000/1001"),
    "shorter than a chunk": Clip("mp4", 13, h264("bframes=3:b-adapt=0")),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def make(clips: Path, clip: Clip) -> Path:
    name = hashlib.sha256(repr(clip).encode()).hexdigest()[:16]
    file = clips / f"{name}.{clip.suffix}"
    if not file.exists():
        picture = f"testsrc2=size=64x48:rate={clip.rate}"
        run_ffmpeg(["-f", "lavfi", "-i", picture, "-frames:v", str(clip.frames), *clip.options, str(file)])
    return file


@dataclass(frozen=True)
class Cut:
    """A film that was cut."""

    opened: Opened
    grid: Grid
    state: PrepareResult
    events: list[Event]
    folder: Path

    @property
    def chunks(self) -> list[Path]:
        return sorted(self.folder.glob("chunk-*.nut"))


def cut_up(film: Path, folder: Path, settings: Cutting = CUTTING) -> Cut:
    opened, events = open_source(str(film)), list[Event]()
    order = Order(path=str(film), folder=str(folder), cutting=settings, sample_rate=48_000)
    try:
        state = cut(opened, order, events.append)
    finally:
        opened.close()
    assert state.facts.video is not None
    return Cut(opened, settings.grid(state.facts.video.rate), state, events, folder)


def pictures(file: Path, grid: Grid, origin: Fraction) -> dict[int, str]:
    """Hash of every frame that can be decoded, by its place on the grid."""
    found: dict[int, str] = {}
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert frame.time_base is not None
            place = grid.frame_at(frame.pts * Fraction(frame.time_base) - origin)
            found[place] = _hash(frame)
    return found


def _hash(frame: av.VideoFrame) -> str:
    """Of the picture alone: what pads its lines is arbitrary."""
    seen = hashlib.sha256()
    for plane in frame.planes:
        data = bytes(plane)
        for line in range(plane.height):
            seen.update(data[line * plane.line_size : line * plane.line_size + plane.width])
    return seen.hexdigest()


def packets(file: Path) -> list[tuple[int, bool]]:
    """Size of every packet of an object and whether it is a keyframe."""
    with av.open(str(file)) as container:
        return [(p.size, p.is_keyframe) for p in container.demux(container.streams[0]) if p.size]


@pytest.mark.parametrize("clip", CLIPS.values(), ids=CLIPS.keys())
def test_every_chunk_holds_every_frame_of_its_range(clip: Clip, clips: Path, tmp_path: Path) -> None:
    """The frame law begins here: what a chunk does not hold, no worker can encode."""
    # Given a film that is hard to cut
    film = make(clips, clip)

    # When it is cut
    done = cut_up(film, tmp_path)

    # Then its chunks are those of the grid
    assert done.state.frames == clip.frames
    assert done.state.chunks == len(done.chunks) == done.grid.chunk_count(clip.frames)
    assert done.state.complete
    # and each, decoded alone, has the frames of its range exactly as the whole film has them
    whole = pictures(film, done.grid, done.state.facts.origin)
    assert set(whole) == set(range(clip.frames))
    for span, chunk in zip(done.grid.chunks(clip.frames), done.chunks, strict=True):
        alone = pictures(chunk, done.grid, Fraction(SHIFT))
        assert {n: alone.get(n) for n in range(span.first, span.last)} == {
            n: whole[n] for n in range(span.first, span.last)
        }


def test_a_chunk_holds_the_frames_that_its_encoder_looks_ahead_to(clips: Path, tmp_path: Path) -> None:
    """All chunks but the last, which nothing follows, and up to the film's end."""
    # Given a film in chunks of 100 frames, the last one of 25
    film = make(clips, Clip("ts", 225, h264("bframes=3:b-adapt=0:keyint=15:open-gop=1:scenecut=0")))

    # When it is cut
    done = cut_up(film, tmp_path, cutting(chunk_segments=5))

    # Then two frames beyond its range can be decoded from each as from the whole
    assert done.grid.look_ahead == 2
    whole = pictures(film, done.grid, done.state.facts.origin)
    for span, chunk in list(zip(done.grid.chunks(225), done.chunks, strict=True))[:-1]:
        alone = pictures(chunk, done.grid, Fraction(SHIFT))
        seen = range(span.first, span.last + 2)
        assert {n: alone.get(n) for n in seen} == {n: whole[n] for n in seen}


def test_a_chunk_holds_little_more_than_its_range(clips: Path, tmp_path: Path) -> None:
    """A worker decodes all that is in its object: lead-in from the keyframe before, and a little after."""
    clip = CLIPS["keyframes off the grid, B-frames"]
    done = cut_up(make(clips, clip), tmp_path)

    for span, chunk in zip(done.grid.chunks(clip.frames), done.chunks, strict=True):
        found = packets(chunk)
        assert found[0][1], "it begins with a keyframe"
        reordered = 4  # packets of frames after the end that are decoded before it
        assert span.frames <= len(found) <= span.frames + 17 + LEAD_OUT + reordered


def test_no_time_in_an_object_is_below_zero(clips: Path, tmp_path: Path) -> None:
    """NUT refuses them, and libavformat would shift that one chunk silently by the B-frame delay."""
    done = cut_up(make(clips, CLIPS["keyframes off the grid, B-frames"]), tmp_path)

    with av.open(str(done.chunks[0])) as container:
        times = [p.pts * p.time_base for p in container.demux(container.streams[0]) if p.size and p.pts is not None]
    assert min(times) == SHIFT


def test_every_object_is_whole_when_it_is_handed_over(clips: Path, tmp_path: Path) -> None:
    """The master stores it and removes it at once."""
    film, sizes = make(clips, CLIPS["open GOPs"]), list[int]()

    def hand_over(event: Event) -> None:
        if event.file is not None:
            sizes.append(len(packets(Path(event.file))))
            Path(event.file).unlink()

    opened = open_source(str(film))
    order = Order(path=str(film), folder=str(tmp_path), cutting=CUTTING, sample_rate=48_000)
    state = cut(opened, order, hand_over)
    opened.close()

    assert len(sizes) == state.chunks == 4
    assert min(sizes) >= 40
    assert list(tmp_path.iterdir()) == []


def test_the_first_chunk_is_handed_over_long_before_the_source_ends(clips: Path, tmp_path: Path) -> None:
    """A pipe or a growing file is as good as a file: the farm works while the master reads."""
    film = make(clips, CLIPS["keyframes off the grid, B-frames"])
    fed, read = list[int](), list[int]()
    opened = open_source(str(film))
    assert opened.video is not None
    grid = CUTTING.grid(Fraction(25))
    origin = opened.facts.origin
    cutter = VideoCutter(
        VideoSource(opened.video, video_facts(), origin, grid, tmp_path, lambda _, __: read.append(len(fed)))
    )

    for packet in opened.packets():
        fed.append(packet.size)
        cutter.feed(packet)
    cutter.finish()
    opened.close()

    # a chunk is whole one segment after its end at the latest, and some packets for reordering
    assert all(seen <= (index + 1) * grid.chunk + grid.segment + 8 for index, seen in enumerate(read))
    assert len(read) == grid.chunk_count(170)


@pytest.mark.parametrize(("hold", "tail"), [("1", 1), ("3", 3)], ids=["as long as the others", "held"])
def test_the_last_frame_lasts_as_long_as_the_source_says(hold: str, tail: int, tmp_path: Path) -> None:
    """Slides end with a picture that stays: were it cut short, sound would go on over nothing."""
    film = tmp_path / "slides.mp4"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "30",
            "-bsf:v", f"setts=duration=if(eq(N\\,29)\\,{hold}*DURATION\\,DURATION)",
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(film),
        ]
    )  # fmt: skip

    done = cut_up(film, tmp_path)

    assert (done.state.frames, done.state.tail) == (29 + tail, tail)


def begun(film: Path, folder: Path) -> tuple[Opened, VideoCutter]:
    """A film that is open and a cutter that has seen nothing of it yet."""
    opened = open_source(str(film))
    assert opened.video is not None
    grid = CUTTING.grid(Fraction(25))
    return opened, VideoCutter(VideoSource(opened.video, video_facts(), Fraction(0), grid, folder, lambda _, __: None))


def test_a_source_without_a_frame_is_unreadable(clips: Path, tmp_path: Path) -> None:
    opened, cutter = begun(make(clips, CLIPS["shorter than a chunk"]), tmp_path)

    with pytest.raises(SourceUnreadable, match="no video frame"):
        cutter.finish()
    opened.close()


def test_a_packet_without_a_time_is_refused_rather_than_guessed(clips: Path, tmp_path: Path) -> None:
    """A guess would move all frames after it."""
    opened, cutter = begun(make(clips, CLIPS["shorter than a chunk"]), tmp_path)
    packet = next(opened.packets())
    packet.pts = None

    with pytest.raises(SourceUnreadable, match="without time stamps"):
        cutter.feed(packet)
    opened.close()


# sound


def sound_and_picture(folder: Path, options: Sequence[str] = ()) -> Path:
    """A film of 2 s with a tone of 2 s; options before the tone's input can move it."""
    film = folder / "film.mkv"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2",
            *options, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2",
            "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le", str(film),
        ]
    )  # fmt: skip
    return film


def test_each_track_is_one_object_after_all_chunks(tmp_path: Path) -> None:
    """Audio is encoded as a whole: a chunk of it would begin with a click."""
    done = cut_up(sound_and_picture(tmp_path), tmp_path)

    keys = [event.key for event in done.events if event.key is not None]
    assert keys == ["chunk-000000.nut", "audio-und-1.nut"]
    assert done.state.samples == {"und-1": 96_000}
    assert [track.name for track in done.state.facts.audio] == ["und-1"]


def test_sound_keeps_its_place_beside_the_picture(tmp_path: Path) -> None:
    """Origin of all times is the first picture; what comes half a second later stays half a second later."""
    done = cut_up(sound_and_picture(tmp_path, ["-itsoffset", "0.5"]), tmp_path)

    with av.open(str(tmp_path / "audio-und-1.nut")) as container:
        first = next(p for p in container.demux(container.streams[0]) if p.size)
        assert first.pts is not None
        assert first.pts * first.time_base - SHIFT == pytest.approx(0.5, abs=0.002)
    assert done.state.samples["und-1"] == pytest.approx(120_000, abs=100)


def test_sound_from_long_before_the_picture_is_left_out(tmp_path: Path) -> None:
    """A recording that waited for its first keyframe: the encoder trims to the origin, from not too far away."""
    film = tmp_path / "late.mkv"
    run_ffmpeg(
        [
            "-itsoffset", "20", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1",
            "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=21",
            "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le", str(film),
        ]
    )  # fmt: skip

    done = cut_up(film, tmp_path)

    with av.open(str(tmp_path / "audio-und-1.nut")) as container:
        times = [p.pts * p.time_base - SHIFT for p in container.demux(container.streams[0]) if p.pts is not None]
    assert -EARLY_AUDIO - 1 < min(times) <= -EARLY_AUDIO + 1
    assert done.state.samples["und-1"] == pytest.approx(48_000, abs=100)


def test_a_track_without_a_packet_is_no_track(tmp_path: Path) -> None:
    """An audio job for it would fail, and the whole film with it."""
    opened = open_source(str(sound_and_picture(tmp_path)))
    stream = opened.audio["und-1"]
    copy = AudioCopy(stream, Fraction(1000), tmp_path / "empty.nut")
    for packet in opened.packets():
        if packet.stream_index == stream.index:
            copy.feed(packet)
    copy.close()
    opened.close()

    assert copy.packets == 0
    assert copy.length == 0


def test_sound_that_claims_to_begin_before_what_an_object_can_hold_is_left_out(tmp_path: Path) -> None:
    """A time base of a second and a packet of minutes: NUT has no times below zero."""
    opened = open_source(str(sound_and_picture(tmp_path)))
    stream = opened.audio["und-1"]
    tick = Fraction(stream.time_base or 1)
    copy = AudioCopy(stream, Fraction(0), tmp_path / "early.nut")
    first = next(packet for packet in opened.packets() if packet.stream_index == stream.index)
    first.pts, first.duration = -round((SHIFT + 1) / tick), round(2 * SHIFT / tick)

    copy.feed(first)

    copy.close()
    opened.close()
    assert copy.packets == 0


# the child


def events_of(order: Order, answers: int = 1000) -> Iterator[Event]:
    """What the child says; it gets at most so many answers."""
    with subprocess.Popen(cutter_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(order.model_dump_json().encode() + b"\n" + b"\n" * answers)
        child.stdin.close()
        for line in child.stdout:
            yield Event.model_validate(json.loads(line))


def order(film: Path, folder: Path, *, probe_only: bool = False) -> Order:
    return Order(path=str(film), folder=str(folder), cutting=CUTTING, sample_rate=48_000, probe_only=probe_only)


def test_the_child_tells_what_it_cuts_and_ends_with_the_result(clips: Path, tmp_path: Path) -> None:
    *events, last = events_of(order(make(clips, CLIPS["one keyframe"]), tmp_path))

    assert [e.key for e in events] == [None, *(f"chunk-{n:06d}.nut" for n in range(3))]
    assert last.state is not None
    assert (last.state.complete, last.state.chunks, last.state.frames) == (True, 3, 130)


def test_the_child_waits_until_each_object_was_taken(clips: Path, tmp_path: Path) -> None:
    """So no more than the open objects lie on the disk; and without a master it goes."""
    events = list(events_of(order(make(clips, CLIPS["one keyframe"]), tmp_path), answers=1))

    assert [e.key for e in events] == [None, "chunk-000000.nut", "chunk-000001.nut"]
    assert not any(e.state.complete for e in events if e.state is not None)


RARE = Clip("mkv", 1000, h264("bframes=2:keyint=infinite:scenecut=0"))


def test_a_film_with_too_few_keyframes_is_decoded_once_instead_of_for_each_chunk(clips: Path, tmp_path: Path) -> None:
    """Each chunk would hold all packets since the keyframe: bytes and work that grow with the square of the length."""
    *events, last = events_of(order(make(clips, RARE), tmp_path))

    # Given that chunks of its packets were handed over before that was seen
    way = [event.key.startswith("chunk-") for event in events if event.key is not None]
    copied = way.index(False)
    assert way == [True] * copied + [False] * 25
    assert 30 * 25 // 40 <= copied < 25

    # Then the end is complete, and no state on the way had fewer chunks than one before, or another way without them
    states = [event.state for event in [*events, last] if event.state is not None]
    assert [state.chunks for state in states] == sorted(state.chunks for state in states)
    assert all(state.facts.video is not None for state in states)
    assert {state.facts.video.way for state in states if state.chunks < copied and state.facts.video} == {"copy"}
    assert last.state is not None
    assert last.state.facts.video is not None
    assert last.state.facts.video.way == "conform"
    assert (last.state.complete, last.state.chunks, last.state.frames) == (True, 25, 1000)


def test_a_pipe_with_too_few_keyframes_is_cut_all_the_same(clips: Path, tmp_path: Path) -> None:
    """It cannot be read again."""
    os.mkfifo(tmp_path / "pipe")
    opened = open_source(str(make(clips, RARE)))
    with closing(opened):
        state = cut(opened, order(tmp_path / "pipe", tmp_path), lambda event: None)

    assert state.facts.video is not None
    assert (state.facts.video.way, state.complete, state.chunks) == ("copy", True, 25)


def test_the_child_can_look_without_cutting(clips: Path, tmp_path: Path) -> None:
    (event,) = events_of(order(make(clips, CLIPS["one keyframe"]), tmp_path / "none", probe_only=True))

    assert event.state is not None
    assert event.state.facts.video is not None
    assert (event.state.facts.video.width, event.state.facts.video.rate) == (64, Fraction(25))


@pytest.mark.parametrize("content", [b"", b"no film at all\n" * 100, bytes(5000)], ids=["empty", "text", "zeros"])
def test_what_is_no_film_is_a_permanent_fault_with_a_reason(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "film.mkv").write_bytes(content)

    (event,) = events_of(order(tmp_path / "film.mkv", tmp_path))

    assert event.permanent
    assert event.error is not None
    assert event.error.startswith("the source ")


def test_a_full_disk_is_no_fault_of_the_source(clips: Path, tmp_path: Path) -> None:
    """Else a film would fail for good because of the host that happened to cut it."""
    (tmp_path / names.chunk_name(0, "copy")).symlink_to("/dev/full")
    film = make(clips, CLIPS["shorter than a chunk"])

    with (
        pytest.raises(NoRoom, match="No space left on device"),
        _child(order(film, tmp_path), StopSignal(), None, None) as (_, events),
    ):
        list(events)


def test_a_span_of_the_grid_is_what_a_chunk_is_named_after(clips: Path, tmp_path: Path) -> None:
    done = cut_up(make(clips, CLIPS["one keyframe"]), tmp_path)

    assert [chunk.name for chunk in done.chunks] == ["chunk-000000.nut", "chunk-000001.nut", "chunk-000002.nut"]
    assert done.grid.chunk_span(2, done.state.frames) == Span(80, 130)


@pytest.mark.parametrize("suffix", ["avi", "wav", "wtv", "mkv", "ts"])
@pytest.mark.parametrize("codec", ["mp2", "libmp3lame"])
def test_sound_whose_packets_are_of_two_sizes_is_in_its_object_as_it_was(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    """At 44.1 kHz MPEG audio is padded now and then. Where AVI and others say how large its blocks are, NUT broke."""
    film = tmp_path / f"film.{suffix}"
    run_ffmpeg(["-f", "lavfi", "-i", "sine=sample_rate=44100:duration=1", "-b:a", "224k", "-c:a", codec, str(film)])

    opened = open_source(str(film))
    copy = audio_copy(opened.audio["und-1"], opened.facts.origin, tmp_path / "sound.nut")
    for packet in opened.packets():
        copy.feed(packet)
    copy.close()
    opened.close()

    assert packets_of(copy.path) == packets_of(film)


def packets_of(file: Path) -> list[bytes]:
    with av.open(str(file)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
