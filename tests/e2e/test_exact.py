"""The frame law: what comes out has the very frames of the source, however it was cut."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from master.cutter import Event, Order, cut
from raven import names
from raven.media import boxes
from raven.media.probe import open_source
from raven.profile import Cutting
from tests.e2e.lossless import check_lossless
from tests.e2e.tools import (
    PACKET,
    SAMPLE_RATE,
    Film,
    Raven,
    StandIn,
    corpus_file,
    count_samples,
    extinf,
    read_frames,
)
from tests.media import generate_clip, run_ffmpeg

# generated sources: each is awkward to cut in its own way


@dataclass(frozen=True)
class Sort:
    """A sort of source: how a file of it is made, and how many frames of the grid it has."""

    name: str
    rate: Fraction
    frames: int
    make: Callable[[Path], Path]


def video(
    suffix: str, *options: str, rate: str = "25", frames: int = 210, select: str = "null"
) -> Callable[[Path], Path]:
    """A maker of clips of the moving test picture."""

    def make(folder: Path) -> Path:
        target = folder / f"source.{suffix}"
        picture = f"testsrc2=size=256x144:rate={rate},trim=end_frame={frames},{select}"
        run_ffmpeg(["-f", "lavfi", "-i", picture, "-fps_mode", "passthrough", *options, str(target)])
        return target

    return make


def h264(parameters: str, preset: str = "veryfast") -> tuple[str, ...]:
    return ("-c:v", "libx264", "-preset", preset, "-pix_fmt", "yuv420p", "-x264-params", parameters)


def trimmed(folder: Path) -> Path:
    """Cut out of a longer file without encoding: an edit list hides the frames between the keyframe and the cut."""
    whole = video("mp4", *h264("keyint=60:min-keyint=60:scenecut=0:bframes=3"), rate="30000/1001", frames=300)(folder)
    target = folder / "trimmed.mp4"
    run_ffmpeg(["-ss", "2.5025", "-i", str(whole), "-c", "copy", str(target)])
    return target


OPEN_GOP = "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=4:b-pyramid=normal:b-adapt=0"
SORTS = [
    Sort("h264-open-gop-b-pyramid", Fraction(25), 210, video("mp4", *h264(OPEN_GOP))),
    Sort(
        "hevc-open-gop",
        Fraction(25),
        210,
        video(
            "mkv",
            *("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
            *("-x265-params", "open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes=4:log-level=none"),
        ),
    ),
    Sort("mpeg2-ts", Fraction(25), 210, video("ts", "-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-g", "15")),
    # 5 of 7 frames, at their own times; the last one is there
    Sort(
        "vfr-mkv",
        Fraction(25),
        210,
        video("mkv", *h264("keyint=50:bframes=2"), select="select=not(eq(mod(n\\,7)\\,3)+eq(mod(n\\,7)\\,4))"),
    ),
    # no keyframe but the first: what counts as one is whole only a turn of the refresh later
    Sort("h264-intra-refresh", Fraction(25), 210, video("ts", *h264("intra-refresh=1:keyint=30:bframes=0"))),
    Sort("ntsc-edit-list", Fraction(30000, 1001), 225, trimmed),
    Sort("one-keyframe", Fraction(25), 310, video("mkv", *h264("keyint=infinite:scenecut=0:bframes=3"), frames=310)),
    Sort(
        "mjpeg",
        Fraction(25),
        210,
        video("mov", "-c:v", "mjpeg", "-q:v", "3", select="scale=out_range=pc,format=yuv420p"),
    ),
    Sort(
        "avi-without-time-stamps", Fraction(25), 210, video("avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-g", "33")
    ),
]


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_a_lossless_film_has_the_frames_of_one_run_over_the_whole_source(
    raven: Raven, tmp_path: Path, sort: Sort
) -> None:
    source = sort.make(tmp_path)
    film = raven.encode(source, tmp_path / "out", "lossless")
    assert film.rate == sort.rate
    assert len(extinf(film.playlist("video", "source"))) >= 7  # a chunk each
    check_lossless(film, source, sort.frames)


CORPUS = [
    # name, frames, profile, frames that differ
    ("openshot__sintel_trailer-720p.mp4", 1253, "lossless-small", None),
    ("danlucian__bbb_hls_720p_tail.ts", 1804, "lossless-small", None),
    ("ipywidgets__Big.Buck.Bunny.mp4", 795, "lossless-small", None),
    # of variable rate, 25 packets, each with a place on the grid of 30 frames/s
    ("moviepy__fire2.mp4", 71, "lossless", 25),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frames", "profile", "distinct"), CORPUS, ids=[name for name, *_ in CORPUS])
def test_a_real_film_has_the_frames_of_one_run_over_the_whole_source(
    raven: Raven, tmp_path: Path, name: str, frames: int, profile: str, distinct: int | None
) -> None:
    source = corpus_file(name)
    film = raven.encode(source, tmp_path / "out", profile)
    check_lossless(film, source, frames, distinct)
    check_segments(film)


def check_segments(film: Film) -> None:
    """What the playlists say sums to the film's length, and the sound ends with the picture."""
    length = film.task["frames"] / film.rate
    for rung in film.rungs:
        assert abs(sum(extinf(film.playlist("video", rung))) - length) < 1 / film.rate
        assert len(list((film.folder / "video" / rung).glob("*.m4s"))) == len(extinf(film.playlist("video", rung)))
    for track in film.task["audio"]:
        playlist = film.playlist("audio", track["name"])
        packet = Fraction(PACKET, SAMPLE_RATE)
        assert abs(sum(extinf(playlist)) - length) < packet
        assert abs(Fraction(count_samples(playlist, "0:a:0"), SAMPLE_RATE) - length) < packet


@pytest.mark.slow
class TestTheShippedProfile:
    """Its chunks are 18 s long, so these are the shortest films with a seam."""

    def test_keeps_every_frame_of_a_generated_film(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(generate_clip(tmp_path / "clip.mp4", 601, gop=77), tmp_path / "out", "default")
        assert film.rungs == ["234p", "234p-high"]
        film.check_frames(601)
        check_segments(film)

    def test_keeps_every_frame_of_a_real_film_in_every_rung(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(corpus_file("ipywidgets__Big.Buck.Bunny.mp4"), tmp_path / "out", "default")
        assert film.rungs == ["234p", "360p", "360p-high"]
        film.check_frames(795)
        check_segments(film)


@pytest.fixture(scope="module")
def chunks(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, StandIn]:
    """A film of seven chunks, two rungs and sound, and what the encoder wrote of each chunk."""
    folder = tmp_path_factory.mktemp("chunks")
    stand_in = StandIn.install(folder / "ffmpeg", keep=True)
    # noise and stillness, so that the chunks differ in all that an encoder could put into its headers
    picture = "testsrc2=size=320x180:rate=24000/1001,noise=alls=60:allf=t:enable='between(t,4,8)'"
    tone = f"sine=frequency=440:sample_rate=44100:duration={340 * 1001 / 24000:.6f}"
    source = folder / "film.mkv"
    coding = ["-frames:v", "340", *h264("keyint=100", "ultrafast"), "-c:a", "flac"]
    run_ffmpeg(["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, *coding, str(source)])
    return raven.encode(source, folder / "out", "quick", RAVEN_FFMPEG=str(stand_in.program)), stand_in


@pytest.mark.xdist_group("e2e-chunks")
class TestSegments:
    def test_sum_to_the_film_and_the_sound_ends_with_the_picture(self, chunks: tuple[Film, StandIn]) -> None:
        film, _ = chunks
        film.check_frames(340)
        check_segments(film)

    def test_have_one_header_in_all_chunks(self, chunks: tuple[Film, StandIn]) -> None:
        film, stand_in = chunks
        assert len(stand_in.kept()) == 7
        for rung in film.rungs:
            headers = {boxes.split((folder / f"{rung}.mp4").read_bytes())[0] for folder in stand_in.kept()}
            assert len(headers) == 1

    def test_begin_each_with_a_keyframe_at_the_time_that_the_manifests_say(self, chunks: tuple[Film, StandIn]) -> None:
        """Each segment alone, behind the header, decodes to its own frames and to no others."""
        film, _ = chunks
        whole = {rung: read_frames(film.playlist("video", rung))[0].hashes for rung in film.rungs}
        for rung in film.rungs:
            folder, begun = film.folder / "video" / rung, 0
            for number, length in enumerate(extinf(film.playlist("video", rung)), 1):
                alone = film.folder.parent / "alone.mp4"
                header, segment = (folder / name for name in (names.INIT, names.segment_name(number)))
                alone.write_bytes(header.read_bytes() + segment.read_bytes())
                hashes = read_frames(alone)[0].hashes
                assert len(hashes) == round(length * film.rate)
                assert hashes == whole[rung][begun : begun + len(hashes)]
                begun += len(hashes)
            assert begun == 340

    def test_are_the_same_in_both_manifests(self, chunks: tuple[Film, StandIn]) -> None:
        """The MPD's timelines, spelled out, are the playlists' lengths, and its length is the film's."""
        film, _ = chunks
        text = film.dash.read_text("utf-8")
        found = []
        for template in re.findall(r"<SegmentTemplate [^>]*[^/>]>.*?</SegmentTemplate>", text, re.DOTALL):
            scale = int(re.findall(r'timescale="(\d+)"', template)[0])
            runs = [dict(re.findall(r'(\w)="(\d+)"', line)) for line in re.findall(r"<S .*?/>", template)]
            found.append([Fraction(int(run["d"]), scale) for run in runs for _ in range(int(run.get("r", 0)) + 1)])
        video, audio = extinf(film.playlist("video", "small")), extinf(film.playlist("audio", "und-1"))
        said = [video, audio, video]  # the I-frames have the borders of the rungs
        rounded = [[Fraction(round(length * 1_000_000), 1_000_000) for length in lengths] for lengths in found]
        assert rounded == said
        (length,) = re.findall(r'mediaPresentationDuration="PT([\d.]+)S"', text)
        assert abs(Fraction(length) - 340 / film.rate) < Fraction(1, 1000)


def test_the_length_of_the_last_chunk_is_not_told_before_it_is_known(tmp_path: Path) -> None:
    """A worker that was quick took the last chunk for a whole one while the sound was still being put away."""
    source = generate_clip(tmp_path / "clip.mp4", 130)  # chunks of 50 frames: 50 and 80
    cutting = Cutting(gop_seconds=Fraction(1), gops_per_segment=2, chunk_segments=1)
    events: list[Event] = []
    opened = open_source(str(source))
    try:
        order = Order(path=str(source), folder=str(tmp_path), cutting=cutting, sample_rate=SAMPLE_RATE)
        end = cut(opened, order, events.append)
    finally:
        opened.close()
    assert (end.chunks, end.frames, end.complete) == (2, 130, True)
    assert [event.key for event in events if event.key] == ["chunk-000000.nut", "chunk-000001.nut", "audio-und-1.nut"]
    assert [event.state.chunks for event in events if event.state] == [0, 1, 1, 1]
