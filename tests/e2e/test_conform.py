"""Sources whose packets cannot be cut into chunks: workers find out, and the master decodes the source instead."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from master.cutter import Event, Order, cut, obey
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.context import Context
from raven.errors import ChunkUnusable, ObjectMissing, ProcessFailed, SourceUnreadable
from raven.media.probe import open_source
from raven.messages import EncodeJob
from raven.profile import Cutting
from raven.recheck import Recheck
from tests.builders import profile, rendition
from tests.e2e.lossless import check_lossless
from tests.e2e.tools import Raven, run
from tests.media import ffmpeg, run_ffmpeg
from worker.encode import Tools, encode

FRAMES = 110


def clip(target: Path, *options: str, frames: int = FRAMES) -> Path:
    picture = ["-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25", "-frames:v", str(frames)]
    run_ffmpeg([*picture, "-pix_fmt", "yuv420p", *options, str(target)])
    return target


def false_keyframes(folder: Path) -> Path:
    """Of H.263 in AVI libavformat takes every packet for a keyframe, and its decoder begins anywhere, with garbage."""
    return clip(folder / "film.avi", "-c:v", "h263p", "-g", "35")


def without_its_tag(folder: Path) -> Path:
    """Its decoder wants to know the AVI's own four letters, which NUT has no place for."""
    return clip(folder / "film.avi", "-c:v", "utvideo")


def times_of_decoding(folder: Path) -> Path:
    """AVI has no times: libavformat counts packets, and of H.264 it cannot tell which of them are shown later."""
    return clip(folder / "film.avi", "-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "35")


def broken_stretch(folder: Path) -> Path:
    """No packet of two seconds can be decoded, so nothing comes out of some chunks; the picture before stays."""
    whole, source = folder / "whole.mp4", folder / "film.mp4"
    clip(whole, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", frames=210)
    with av.open(str(whole)) as read, av.open(str(source), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(p for p in read.demux(video=0) if p.size):
            broken = av.Packet(b"\xff" * packet.size) if 70 <= number < 150 else packet
            broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
            broken.is_keyframe, broken.stream = packet.is_keyframe, stream
            write.mux(broken)
    return source


AWKWARD = [false_keyframes, without_its_tag, times_of_decoding, broken_stretch]


@pytest.mark.parametrize("make", AWKWARD, ids=lambda make: make.__name__)
def test_a_source_whose_chunks_do_not_decode_is_decoded_whole_and_none_of_its_frames_is_lost(
    raven: Raven, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    source = make(tmp_path)

    film = raven.encode(source, tmp_path / "out", "lossless", RAVEN_ATTEMPTS="2")

    assert film.task["source"]["video"]["way"] == "conform"
    check_lossless(film, source, 210 if make is broken_stretch else FRAMES)


PULLDOWN = (0x82, 0x00, 0x02, 0x80)
"""top_field_first and repeat_first_field of four frames of film, which take ten fields (ISO/IEC 13818-2, 6.3.10)."""


def pulled_down(folder: Path) -> Path:
    """MPEG-2 as a DVD has film: each second frame says that its first field is shown once more."""
    film = clip(folder / "flat.m2v", "-r", "30000/1001", "-c:v", "mpeg2video", "-g", "12", "-q:v", "3", frames=96)
    data, frames = bytearray(film.read_bytes()), 0
    for mark in re.finditer(b"\x00\x00\x01\xb5", bytes(data)):
        kind, place = data[mark.end()] >> 4, mark.end()
        if kind == 1:  # sequence extension: not progressive_sequence
            data[place + 1] &= ~0x08
        if kind == 8:  # picture coding extension: progressive_frame
            data[place + 3] = data[place + 3] & ~0x82 | PULLDOWN[frames % 4]
            data[place + 4] |= 0x80
            frames += 1
    assert frames == 96
    (folder / "film.m2v").write_bytes(data)
    return folder / "film.m2v"


def test_a_stream_without_times_is_as_long_as_its_pulldown_makes_it(raven: Raven, tmp_path: Path) -> None:
    """Else film from a DVD, as a raw stream, ran a quarter too fast."""
    source = pulled_down(tmp_path)
    film = raven.encode(source, tmp_path / "out", "lossless")
    check_lossless(film, source, 120, distinct=90)


def test_a_pipe_whose_chunks_do_not_decode_cannot_be_read_again(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)
    order = Order(path=str(pipe), folder=str(tmp_path), cutting=Cutting(), sample_rate=48000, conform=True)

    with pytest.raises(SourceUnreadable, match="a pipe cannot be read again"):
        obey(order, lambda _: None)


class TestAWorker:
    """With the second chunk of a film, in a storage of its own."""

    @pytest.fixture
    def tools(self, tmp_path: Path) -> Tools:
        return Tools(DirectoryStorage(tmp_path / "storage"), ffmpeg(), tmp_path, 10**7, 1000, 60)

    def job(self, source: Path, tools: Tools) -> EncodeJob:
        """Cuts the source and stores the chunk."""
        cutting = Cutting(gop_seconds=Fraction(1), gops_per_segment=1, chunk_segments=1)
        events: list[Event] = []
        order = Order(path=str(source), folder=str(source.parent), cutting=cutting, sample_rate=48000)
        opened = open_source(str(source))
        state = cut(opened, order, events.append)
        opened.close()
        (file,) = [event.file for event in events if event.key == names.chunk_name(1, "copy")]
        assert file is not None
        tools.storage.put(names.chunk_key(7, 1, "copy"), Path(file))
        assert state.facts.video is not None
        return EncodeJob(
            task=7, job=70, attempt=1, index=1, first=25, last=50, tail=0, video=state.facts.video,
            profile=profile(thumbs=None).model_copy(update={"cutting": cutting}),
            renditions=(rendition(width=176, height=144),),
        )  # fmt: skip

    def test_finds_out_that_its_chunk_is_to_blame(self, tmp_path: Path, tools: Tools) -> None:
        job = self.job(false_keyframes(tmp_path), tools)

        with pytest.raises(ChunkUnusable, match=r"chunk 1, frames 25 to 50, .*: 0 frames come out, wanted 25"):
            encode(job, Context(), tools)

    def test_does_not_blame_a_good_chunk_for_an_encoder_that_fails(self, tmp_path: Path, tools: Tools) -> None:
        """Were it blamed, a profile with an error in it would have every film decoded by the master."""
        job = self.job(clip(tmp_path / "film.mp4", "-c:v", "libx264", "-g", "20"), tools)
        wrong = job.renditions[0].model_copy(update={"preset": "warpnine"})

        with pytest.raises(ProcessFailed, match="warpnine"):
            encode(job.model_copy(update={"renditions": (wrong,)}), Context(), tools)

    def test_stores_nothing_of_a_chunk_that_is_not_there_any_more(self, tmp_path: Path, tools: Tools) -> None:
        """It was cut off, and meanwhile the source has been cut anew: what it made replaces nothing."""
        job = self.job(clip(tmp_path / "film.mp4", "-c:v", "libx264", "-g", "20"), tools)
        context = Context()
        context.progress = lambda *_: tools.storage.delete_prefix(names.chunk_prefix(7, "copy"))  # type: ignore[assignment]

        with pytest.raises(ObjectMissing):
            encode(job, context, tools)
        assert list(tools.storage.entries("out/")) == []

    def test_stores_nothing_of_a_chunk_that_an_old_order_has_brought_back(self, tmp_path: Path, tools: Tools) -> None:
        job = self.job(clip(tmp_path / "film.mp4", "-c:v", "libx264", "-g", "20"), tools)
        tools.storage.put(names.chunk_key(7, 0, "conform"), b"the source, cut anew")

        with pytest.raises(ObjectMissing, match="was cut anew"):
            encode(job, Context(), tools)
        assert list(tools.storage.entries("out/")) == []

    def test_that_hung_while_it_stored_a_chunk_looks_again(
        self, tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = self.job(clip(tmp_path / "film.mp4", "-c:v", "libx264", "-g", "20"), tools)
        monkeypatch.setattr("worker.encode.Recheck", partial(Recheck, seconds=0.0))
        put = tools.storage.put

        def and_then_it_hangs(key: str, content: bytes | Path) -> None:
            put(key, content)
            tools.storage.delete_prefix(names.chunk_prefix(7, "copy"))

        monkeypatch.setattr(tools.storage, "put", and_then_it_hangs)
        monkeypatch.setattr("worker.output.UPLOADS", 1)
        with pytest.raises(ObjectMissing):
            encode(job, Context(), tools)
        assert len(list(tools.storage.entries("out/"))) == 1


def moving_webp(folder: Path) -> Path:
    return clip(folder / "film.webp", "-c:v", "libwebp_anim", frames=75)


def still_jxl(folder: Path) -> Path:
    options = ("-loglevel", "error", "-c:v", "libjxl", "-pix_fmt", "rgb24", "-update", "1")  # it has a word on colours
    return clip(folder / "film.jxl", *options, frames=1)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "frames"), [(moving_webp, 75), (still_jxl, 1)])
def test_what_only_the_shipped_ffmpeg_decodes_is_decoded_by_it_first(
    raven: Raven, tmp_path: Path, make: Callable[[Path], Path], frames: int
) -> None:
    """PyAV has a decoder for neither. Picture by picture it is what that ffmpeg shows itself."""
    source = make(tmp_path)
    film = raven.encode(source, tmp_path / "out", "quick")
    assert abs(film.task["frames"] - frames) <= 1  # an animation does not say how long its last picture lasts
    scaled = f"fps={film.rate}:start_time=0,scale=128:-2,format=yuv420p"
    graph = f"[0:v]{scaled}[a];[1:v]{scaled}[b];[a][b]ssim=stats_file=-"
    both = ["-i", str(source), "-i", str(film.playlist("video", film.rungs[-1]))]
    told = run_ffmpeg([*both, "-loglevel", "error", "-lavfi", graph, "-f", "null", "-"])
    alike = [float(value) for value in re.findall(r"All:([\d.]+)", told)]
    assert len(alike) >= frames
    assert min(alike[:frames]) > 0.9


def test_probing_such_a_source_reads_its_beginning_alone(raven: Raven, tmp_path: Path) -> None:
    source = clip(tmp_path / "film.webp", "-c:v", "libwebp_anim", frames=20)
    ran = run([sys.executable, "-m", "raven", "probe", "--json", str(source)], raven.environment())
    assert ran.status == 0, ran.stderr
    facts = json.loads(ran.stdout)
    assert (facts["video"]["width"], facts["video"]["height"]) == (352, 288)
    assert (facts["duration"], facts["bytes"]) == (None, source.stat().st_size)
