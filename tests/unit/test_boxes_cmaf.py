"""Boxes and CMAF: what an encoder hands over is believed in nothing before it goes to a player."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raven.errors import OutputWrong
from raven.media import boxes
from raven.media.boxes import BoxError, Fragment, Sample
from raven.media.cmaf import STYP, Track, cut_audio, cut_video
from raven.media.codecs import codec_string
from raven.media.grid import AudioGrid, Grid, Span
from raven.media.presentation import video_track
from raven.model import SegmentInfo, TrackSegments
from tests.builders import (
    SEI,
    SLICE,
    FakeFragment,
    FakeSample,
    aac_entry,
    audio_fragments,
    cutting,
    fragmented_mp4,
    gop,
    gops,
    init_segment,
    nal,
    rendition,
)

GRID = cutting().grid(Fraction(25))  # GOPs of 10, segments of 20, chunks of 60 frames
CHUNK = Span(60, 115)  # two whole segments and one of 15 frames
BY_ONE = Grid(Fraction(25), 1, 2, 4)
ONE_BY_ONE = [gop(BY_ONE, at, 1) for at in range(4)]
SOUND = AudioGrid(48_000, 3 * 48_000)


def cut(fragments: Sequence[FakeFragment], *, grid: Grid = GRID, span: Span = CHUNK, timescale: int = 25_000) -> Track:
    return cut_video(fragmented_mp4(fragments, timescale), grid, span, "720p")


# boxes


def test_a_box_says_where_its_payload_lies() -> None:
    data = boxes.box("free", b"abc") + boxes.box("skip")

    assert [(b.kind, data[b.payload : b.end]) for b in boxes.boxes(data)] == [("free", b"abc"), ("skip", b"")]


def test_a_box_with_a_long_size_is_read() -> None:
    data = struct.pack(">I4sQ", 1, b"mdat", 16 + 3) + b"abc"

    (box,) = boxes.boxes(data)

    assert data[box.payload : box.end] == b"abc"


def test_a_box_of_size_zero_goes_to_the_end() -> None:
    (box,) = boxes.boxes(struct.pack(">I4s", 0, b"mdat") + b"abcdef")

    assert (box.payload, box.end) == (8, 14)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0",
        struct.pack(">I4s", 7, b"free"),
        struct.pack(">I4s", 9, b"free"),
        struct.pack(">I4s", 1, b"free"),
        struct.pack(">I4sQ", 1, b"free", 15),
        struct.pack(">I4sQ", 1, b"free", 1 << 63),
    ],
    ids=["no header", "below 8", "beyond the end", "long size missing", "long size below 16", "long size beyond"],
)
def test_a_box_that_does_not_fit_is_an_error(data: bytes) -> None:
    with pytest.raises(BoxError):
        list(boxes.boxes(data))


def test_a_box_is_found_by_its_path_and_its_absence_is_named() -> None:
    data = init_segment(90_000)

    assert boxes.find(data, "moov/trak/mdia/mdhd").kind == "mdhd"
    with pytest.raises(BoxError, match="moov/udta"):
        boxes.find(data, "moov/udta")


@pytest.mark.parametrize("version", [0, 1])
def test_the_time_scale_is_read_from_both_versions_of_mdhd(version: int) -> None:
    assert boxes.timescale(init_segment(90_000, mdhd_version=version)) == 90_000


def test_splitting_gives_back_every_sample() -> None:
    # Given two fragments with B-frames
    fragments = [gop(GRID, 0, 10), gop(GRID, 10, 5)]

    # When the file is split
    data = fragmented_mp4(fragments)
    init, found = boxes.split(data)

    # Then the fragments follow the init segment without a gap, and the samples are as they were written
    assert init == init_segment()
    assert [found[0].start, found[-1].end] == [len(init), len(data)]
    for wanted, fragment in zip(fragments, found, strict=True):
        assert [_seen(data, s) for s in fragment.samples] == list(wanted.samples)
        assert fragment.samples[0].decode_time == wanted.decode_time
        assert all(b.decode_time == a.decode_time + a.duration for a, b in itertools.pairwise(fragment.samples))


def _seen(data: bytes, sample: Sample) -> FakeSample:
    content = data[sample.offset : sample.offset + sample.size]
    return FakeSample(content, sample.duration, sample.sync, sample.composition_offset)


def test_what_a_sample_does_not_state_comes_from_tfhd_and_trex() -> None:
    """ffmpeg writes equal durations and sizes once, in tfhd."""
    tfhd = boxes.box("tfhd", struct.pack(">IIII", 0x020000 | 0x8 | 0x10, 1, 500, 3))
    tfdt = boxes.box("tfdt", struct.pack(">II", 0, 77))
    trun = boxes.box("trun", struct.pack(">III", 0x4, 2, 0x02000000))  # flags of the first sample alone
    moof = boxes.box("moof", boxes.box("traf", tfhd, tfdt, trun))

    init, (fragment,) = boxes.split(init_segment() + moof + boxes.box("mdat", b"abcdef"))

    at = len(init) + len(moof) + 8
    assert fragment.samples == (Sample(77, 500, 0, 3, True, at), Sample(577, 500, 0, 3, False, at + 3))


def _moof(*children: bytes) -> bytes:
    return boxes.box("moof", boxes.box("traf", *children))


TFHD = boxes.box("tfhd", struct.pack(">II", 0x020000, 1))
TFDT = boxes.box("tfdt", struct.pack(">IQ", 1 << 24, 0))
ONE = struct.pack(">IIiII", 0x1 | 0x100 | 0x200, 1, 0, 1000, 4)


@pytest.mark.parametrize(
    "tail",
    [
        _moof(TFHD, TFDT, boxes.box("trun", ONE)),
        _moof(TFHD, TFDT, boxes.box("trun", ONE)) + boxes.box("free"),
        _moof(TFHD, TFDT) + boxes.box("mdat", b"abcd"),
        _moof(TFHD, boxes.box("trun", ONE)) + boxes.box("mdat", b"abcd"),
        _moof(TFDT, boxes.box("trun", ONE)) + boxes.box("mdat", b"abcd"),
        _moof(TFHD, TFDT, boxes.box("trun", ONE), boxes.box("trun", ONE)) + boxes.box("mdat", b"abcd"),
        boxes.box("moof") + boxes.box("mdat", b"abcd"),
    ],
    ids=["no mdat", "not mdat", "no trun", "no tfdt", "no tfhd", "two trun", "no traf"],
)
def test_a_fragment_that_lacks_a_part_is_an_error(tail: bytes) -> None:
    with pytest.raises(BoxError):
        boxes.split(init_segment() + tail)


def test_a_file_that_does_not_begin_with_ftyp_and_moov_is_an_error() -> None:
    whole = fragmented_mp4(gops(GRID, CHUNK))
    ftyp = next(boxes.boxes(whole)).end

    for wrong in (b"", whole[ftyp:], whole[:ftyp], whole[:ftyp] + whole, boxes.box("moov") + whole[:ftyp]):
        with pytest.raises(BoxError):
            boxes.split(wrong)


def test_samples_outside_their_mdat_are_an_error() -> None:
    """A segment cut by such numbers would hold somebody else's bytes."""
    good = fragmented_mp4([gop(GRID, 0, 10)])

    for offset in (0, 8, 10_000, -5):
        with pytest.raises(BoxError, match="mdat"):
            boxes.split(_with_data_offset(good, offset))


def _with_data_offset(data: bytes, offset: int) -> bytes:
    at = data.index(b"trun") + 4 + 8
    return data[:at] + struct.pack(">i", offset) + data[at + 4 :]


def test_a_number_of_samples_that_the_bytes_cannot_hold_is_an_error_at_once() -> None:
    """Four thousand million samples of no bytes would fill the memory of a worker."""
    trun = boxes.box("trun", struct.pack(">II", 0, 0xFFFFFFFF))

    with pytest.raises(BoxError, match="samples"):
        boxes.split(init_segment() + _moof(TFHD, TFDT, trun) + boxes.box("mdat", b"abcd"))


# the video of a chunk


def test_a_right_chunk_becomes_its_segments() -> None:
    fragments = gops(GRID, CHUNK)
    data = fragmented_mp4(fragments)

    # When the chunk is cut
    track = cut(fragments)

    # Then every segment has its frames, its number in the whole film, and the bytes of its GOPs behind a styp
    assert [(s.number, s.length) for s in track.segments] == [(4, 20), (5, 20), (6, 15)]
    contents = [s.content(data) for s in track.segments]
    assert all(content.startswith(STYP) for content in contents)
    assert b"".join(content[len(STYP) :] for content in contents) == data[len(init_segment()) :]
    assert track.start == fragments[0].decode_time == CHUNK.first * GRID.frame_ticks


def test_the_init_segment_has_the_brands_of_cmaf_and_is_that_of_all_chunks() -> None:
    track = cut(gops(GRID, CHUNK))

    ftyp = next(boxes.boxes(track.init))
    assert track.init[: ftyp.end] == boxes.type_box("ftyp", "iso6", "cmfc", "mp41")
    assert track.init_sha256 == cut(gops(GRID, Span(0, 60)), span=Span(0, 60)).init_sha256


@pytest.mark.parametrize("reorder", [1, 2])
def test_an_edit_list_takes_the_delay_of_reordering_off(reorder: int) -> None:
    """Else the picture would be late by it, and out of step with the sound."""
    # Given a chunk whose frames are shown some frames after they are decoded
    fragments = [gop(GRID, at, min(10, 115 - at), reorder=reorder) for at in range(60, 115, 10)]

    # When it is cut
    init = cut(fragments).init

    # Then its init segment shows the track from that time on, and is the encoder's but for that
    elst = boxes.find(init, "moov/trak/edts/elst")
    assert struct.unpack_from(">IIIiI", init, elst.payload) == (0, 1, 0, reorder * 1000, 0x10000)
    edts = boxes.find(init, "moov/trak/edts")
    assert _leaves(init) == _leaves(init_segment())
    assert boxes.find(init, "moov/trak/mdia").start == edts.end
    assert codec_string(init) == "avc1.64001f"


def _leaves(init: bytes) -> list[bytes]:
    """What the moov holds, without edit lists."""
    moov = boxes.find(init, "moov")
    trak = boxes.find(init, "moov/trak")
    inner = [b for b in boxes.boxes(init, trak.payload, trak.end) if b.kind != "edts"]
    outer = [b for b in boxes.boxes(init, moov.payload, moov.end) if b.kind != "trak"]
    return [init[b.start : b.end] for b in [*inner, *outer]]


def test_without_reordering_there_is_no_edit_list() -> None:
    still = [FakeFragment(f.decode_time, [replace(s, composition_offset=0) for s in f.samples]) for f in ONE_BY_ONE]

    init = cut_video(fragmented_mp4(still), BY_ONE, Span(0, 4), "720p").init

    assert boxes.find(init, "moov/trak").payload == boxes.find(init, "moov/trak/mdia").start


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(1), Fraction(119, 3)])
@pytest.mark.parametrize("reorder", [0, 1, 2])
def test_a_right_chunk_passes_at_any_rate_and_reordering(rate: Fraction, reorder: int) -> None:
    grid = Grid.of(rate, Fraction(2), 2, 2)
    span = grid.chunk_span(1, None)
    fragments = [
        gop(grid, at, min(grid.gop, span.last - at), reorder=max(1, reorder) if grid.gop > 1 else 0)
        for at in range(span.first, span.last, grid.gop)
    ]

    track = cut_video(fragmented_mp4(fragments, grid.timescale), grid, span, "720p")

    assert [s.length for s in track.segments] == [s.frames for s in grid.segments(span)]


HALF = Grid.of(Fraction(50), Fraction(2, 5), 2, 3)  # GOPs of 20, segments of 40, chunks of 120 frames


@given(st.integers(1, 400), st.sampled_from([1, 2, 4, 5]), st.integers(1, 3))
@example(241, 2, 1)
def test_a_rung_of_every_nth_frame_lasts_as_long_as_the_film(frames: int, every: int, reorder: int) -> None:
    """Its last frame is cut short where the film ends before the next one would come."""
    # Given all chunks of a rung as an encoder writes them
    time, shown, bodies = 0, [], []
    for span in HALF.chunks(frames):
        fragments = gops(HALF, span, reorder=reorder, every=every)
        data = fragmented_mp4(fragments, HALF.timescale)

        # When they are cut
        track = cut_video(data, HALF, span, "360p", every)

        # Then the segments have the borders of all rungs, and decode times run on through all of them
        assert [s.length for s in track.segments] == [part.frames for part in HALF.segments(span)]
        for segment in track.segments:
            whole = track.init + segment.content(data)
            for sample in (s for fragment in boxes.split(whole)[1] for s in fragment.samples):
                assert sample.decode_time == time
                time += sample.duration
                shown.append((sample.presentation_time, sample.duration, sample.sync))
                bodies.append(whole[sample.offset : sample.offset + sample.size])
        wanted = [s.content for f in fragments for s in f.samples]
        assert bodies[-len(wanted) :] == wanted
    # and each frame is shown at its place until the next one, the last one until the film's end
    step, delay = HALF.frame_ticks, shown[0][0]
    places = range(0, frames, every)
    assert time == frames * step
    assert [at - delay for at, _, _ in sorted(shown)] == [n * step for n in places]
    assert [lasts for _, lasts, _ in sorted(shown)] == [min(every, frames - n) * step for n in places]
    assert [sync for _, _, sync in sorted(shown)] == [n % HALF.gop == 0 for n in places]


@given(st.sampled_from([1, 2, 4, 5]), st.integers(0, 50))
def test_the_frames_that_an_encoder_looked_ahead_to_are_left_out(every: int, beyond: int) -> None:
    span = HALF.chunk_span(1, None)
    longer = Span(span.first, span.last + beyond)
    data, more = (fragmented_mp4(gops(HALF, s, every=every), HALF.timescale) for s in (span, longer))

    track, cut = (cut_video(d, HALF, span, "360p", every, longer) for d in (data, more))

    assert [segment.content(more) for segment in cut.segments] == [segment.content(data) for segment in track.segments]
    assert (cut.init, cut.start) == (track.init, track.start)


def test_more_frames_than_an_encoder_looked_ahead_to_are_a_fault() -> None:
    span = HALF.chunk_span(1, None)
    data = fragmented_mp4(gops(HALF, Span(span.first, span.last + 5)), HALF.timescale)
    with pytest.raises(OutputWrong, match="125 frames came out, wanted 120"):
        cut_video(data, HALF, span, "360p", encoded=Span(span.first, span.last + 4))


def test_the_frames_between_are_missed_where_they_belong() -> None:
    """A rung at the full rate for one at half the rate, and the other way round."""
    span = Span(120, 200)
    for made, wanted, fault in ((1, 2, "80 frames came out, wanted 40"), (2, 1, "40 frames came out, wanted 80")):
        data = fragmented_mp4(gops(HALF, span, every=made), HALF.timescale)
        with pytest.raises(OutputWrong, match=fault):
            cut_video(data, HALF, span, "360p", wanted)


def test_chunks_that_were_cut_side_by_side_join_into_a_rendition() -> None:
    """What the workers check and what the master checks must be one law."""
    parts = []
    for span in GRID.chunks(250):
        track = cut(gops(GRID, span), span=span)
        infos = tuple(SegmentInfo(length=s.length, bytes=1) for s in track.segments)
        first = track.segments[0].number
        parts.append(TrackSegments(first=first, segments=infos, start=track.start, init_sha256=track.init_sha256))

    whole = video_track(rendition(), parts[::-1], GRID, 250, track.init)

    assert len(whole.segments) == 13
    assert sum(s.duration for s in whole.segments) == 10


def _change(fragments: list[FakeFragment], at: int, index: int, **values: object) -> list[FakeFragment]:
    """The fragments with one sample changed."""
    samples = list(fragments[at].samples)
    samples[index] = replace(samples[index], **values)  # type: ignore[arg-type]
    return [*fragments[:at], replace(fragments[at], samples=samples), *fragments[at + 1 :]]


def _shift(fragments: list[FakeFragment], at: int, ticks: int) -> list[FakeFragment]:
    moved = replace(fragments[at], decode_time=fragments[at].decode_time + ticks)
    return [*fragments[:at], moved, *fragments[at + 1 :]]


Broken = Callable[[list[FakeFragment]], list[FakeFragment]]
FAULTS: dict[str, tuple[Broken, str]] = {
    "a frame too few": (lambda f: [*f[:-1], gop(GRID, 110, 4)], "54 frames"),
    "a frame too many": (lambda f: [*f[:-1], gop(GRID, 110, 6)], "56 frames"),
    "no frames": (lambda _: [], "0 frames"),
    "a GOP doubled": (lambda f: [f[0], *f], "65 frames"),
    "a hole in the times": (lambda f: _shift(f, 2, 1000), "frame 20 is decoded at 81000, wanted 80000"),
    "all times late": (lambda f: [_shift([g], 0, 1000)[0] for g in f], "frame 0 is decoded at 61000"),
    "times a tick off": (lambda f: _shift(f, 3, 1), "decoded at 90001, wanted 90000"),
    "two frames at one time": (lambda f: _change(f, 0, 1, composition_offset=0), "not shown in a row"),
    "a GOP shown later than the others": (
        lambda f: [*f[:2], gop(GRID, 80, 10, reorder=2), *f[3:]],
        "not shown in a row",
    ),
    "frames shown before they are decoded": (
        lambda _: [gop(GRID, at, min(10, 115 - at), reorder=-1) for at in range(60, 115, 10)],
        "not shown in a row from 60000 on; the first is at 59000",
    ),
    "GOPs in the wrong order": (lambda f: [f[1], f[0], *f[2:]], "frame 0 is decoded at 70000"),
    "a frame of the wrong duration": (lambda f: _change(f, 5, 4, duration=999), "frame 54 is decoded at"),
    "a key frame that is no IDR": (
        lambda f: _change(f, 2, 0, content=nal(SEI) + nal(SLICE)),
        "NAL type 1, not an IDR",
    ),
    "a key frame without a picture": (lambda f: _change(f, 2, 0, content=nal(SEI)), "NAL type None"),
    "an unwanted key frame": (lambda f: _change(f, 1, 4, sync=True), "frame 14 is an unwanted keyframe"),
    "a missing key frame": (lambda f: _change(f, 1, 0, sync=False), "frame 10 is no keyframe"),
    "a fragment over a border": (
        lambda f: [f[0], FakeFragment(f[1].decode_time, (*f[1].samples, *f[2].samples)), *f[3:]],
        "a segment has 30 frames",
    ),
}


@pytest.mark.parametrize(("broken", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_chunk_that_breaks_the_law_is_refused(broken: Broken, fault: str) -> None:
    """A wrong chunk is made again; let through, it would be a jump in every viewer's picture."""
    # Given a right chunk with one fault
    fragments = broken(gops(GRID, CHUNK))

    # Then it is refused, with the name of the rendition and the fault
    with pytest.raises(OutputWrong, match=fault) as refused:
        cut(fragments)
    assert str(refused.value).startswith("720p: ")


def test_a_chunk_in_another_time_scale_is_refused() -> None:
    with pytest.raises(OutputWrong, match="time scale 12500, wanted 25000"):
        cut(gops(GRID, CHUNK), timescale=12_500)


def test_the_chunk_of_another_place_is_refused() -> None:
    """A worker that mixed two jobs up."""
    with pytest.raises(OutputWrong, match="decoded at 0, wanted 60000"):
        cut(gops(GRID, Span(0, 55)))


# the sound of a track


def sound(grid: AudioGrid = SOUND, offset: int = 1) -> bytes:
    return fragmented_mp4(audio_fragments(grid, offset), grid.sample_rate, aac_entry())


def test_a_track_becomes_segments_next_to_the_video_s() -> None:
    data = sound()

    # When a track of 3 s is cut at every 0.8 s
    track = cut_audio(data, SOUND, Fraction(4, 5), "eng-1")

    # Then each segment is one fragment, written anew, and is read back as it should be
    assert [s.length // 1024 for s in track.segments] == [38, 37, 38, 28]
    time, packets = 0, []
    for segment in track.segments:
        fragment = _only_fragment(track.init, segment.content(data))
        assert all(s.sync and s.duration == 1024 and s.composition_offset == 0 for s in fragment.samples)
        assert fragment.samples[0].decode_time == time
        time += segment.length
        packets += [(track.init + segment.content(data))[s.offset : s.offset + s.size] for s in fragment.samples]
    # and all packets are there, in order, but for the priming: the sound starts at 0 as the picture does
    assert packets == [struct.pack(">I", n) * 3 for n in range(1, SOUND.packets + 1)]
    assert track.start == 0


def _only_fragment(init: bytes, segment: bytes) -> Fragment:
    read_init, (fragment,) = boxes.split(init + segment)
    assert read_init == init
    return fragment


@given(st.integers(0, 2**40), st.integers(1, 4096), st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_a_written_fragment_is_read_back(time: int, duration: int, sizes: list[int]) -> None:
    head = boxes.sync_fragment(3, time, duration, sizes)

    init, (fragment,) = boxes.split(init_segment() + head + bytes(sum(sizes)))

    assert [s.size for s in fragment.samples] == sizes
    assert [s.decode_time for s in fragment.samples] == [time + n * duration for n in range(len(sizes))]
    assert fragment.samples[0].offset == len(init) + len(head)
    assert all(s.sync for s in fragment.samples)


SOUND_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a packet too few": (
        lambda: sound(AudioGrid(48_000, SOUND.samples - 1024)),
        "packets came out, wanted 141 and one of priming",
    ),
    "a packet too many": (
        lambda: sound(AudioGrid(48_000, SOUND.samples + 1024)),
        "packets came out, wanted 141 and one of priming",
    ),
    "another offset": (lambda: sound(offset=2), "packet 0 is at 94976"),
    "another sample rate": (lambda: sound(AudioGrid(44_100, SOUND.samples)), "time scale 44100, wanted 48000"),
    "a hole": (
        lambda: fragmented_mp4(_shift(audio_fragments(SOUND), 1, 1024), 48_000, aac_entry()),
        "packet 47 is at",
    ),
    "a composition offset": (
        lambda: fragmented_mp4(_change(audio_fragments(SOUND), 0, 1, composition_offset=1), 48_000, aac_entry()),
        "packet 1 is at",
    ),
}


@pytest.mark.parametrize(("broken", "fault"), SOUND_FAULTS.values(), ids=SOUND_FAULTS.keys())
def test_a_track_that_breaks_the_law_is_refused(broken: Callable[[], bytes], fault: str) -> None:
    with pytest.raises(OutputWrong, match=fault):
        cut_audio(broken(), SOUND, Fraction(4, 5), "eng-1")


# garbage

VIDEO_FILE = fragmented_mp4(gops(GRID, CHUNK))
SOUND_FILE = sound()
edits = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from(["flip", "zero", "ones", "cut", "drop", "insert"]), st.binary()),
    min_size=1,
    max_size=6,
)


def damaged(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for where, how, extra in changes:
        at = where % (len(data) + 1)
        match how:
            case "flip":
                data = data[:at] + bytes(b ^ 0x81 for b in data[at : at + 1]) + data[at + 1 :]
            case "zero" | "ones":
                data = data[:at] + (b"\0" if how == "zero" else b"\xff") * min(4, len(data) - at) + data[at + 4 :]
            case "cut":
                data = data[:at]
            case "drop":
                data = data[:at] + data[at + 1 + len(extra) :]
            case "insert":
                data = data[:at] + extra + data[at:]
    return data


@given(edits)
def test_a_damaged_file_is_right_or_refused_but_never_breaks_the_worker(changes: list[tuple[int, str, bytes]]) -> None:
    """Any other exception would be taken for a fault of Raven's, and a hang would hold a slot for ever."""
    for what, data in (("video", damaged(VIDEO_FILE, changes)), ("sound", damaged(SOUND_FILE, changes))):
        try:
            if what == "video":
                cut_video(data, GRID, CHUNK, what)
            else:
                cut_audio(data, SOUND, Fraction(4, 5), what)
        except OutputWrong as error:
            assert str(error).startswith(f"{what}: ")


@pytest.mark.parametrize("data", [VIDEO_FILE, SOUND_FILE], ids=["video", "sound"])
def test_a_file_that_was_cut_short_anywhere_is_refused(data: bytes) -> None:
    """A full disk, a killed encoder."""
    for length in range(0, len(data), 7):
        with pytest.raises(OutputWrong):
            if data is VIDEO_FILE:
                cut_video(data[:length], GRID, CHUNK, "x")
            else:
                cut_audio(data[:length], SOUND, Fraction(4, 5), "x")


@given(st.binary(max_size=300))
@example(b"\0\0\0\1moof")
@example(b"\0\0\0\0moov\0\0\0\0mvex")
def test_any_bytes_split_or_are_an_error(data: bytes) -> None:
    for text in (data, init_segment() + data, init_segment() + _moof(TFHD, TFDT, boxes.box("trun", data)) + data):
        try:
            boxes.split(text)
        except BoxError:
            continue
