"""The file for download: the pictures of its rung, frame for frame, with the sound in step, index in front."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from raven.media import boxes
from tests.e2e.test_sync import SOURCES, TOLERANCE, watch
from tests.e2e.tools import PACKET, SAMPLE_RATE, Film, Raven, count_samples, read_frames
from tests.media import generate_clip, run_ffmpeg

SOURCE = SOURCES[1]


@pytest.fixture(scope="module")
def film(raven: Raven, tmp_path_factory: pytest.TempPathFactory) -> Film:
    folder = tmp_path_factory.mktemp("download")
    return raven.encode(SOURCE.make(folder), folder / "out", "download")


def file_of(film: Film) -> Path:
    (stored,) = film.task["downloads"]
    return film.folder / str(stored["path"])


@pytest.mark.xdist_group("e2e-download")
class TestTheDownload:
    def test_is_the_largest_rung_and_stands_in_task_json(self, film: Film) -> None:
        size = (film.folder / "download" / "large.mp4").stat().st_size
        assert film.task["downloads"] == [{"path": "download/large.mp4", "rendition": "large", "bytes": size}]

    def test_has_its_index_in_front(self, film: Film) -> None:
        """So that it plays while it loads."""
        kinds = [box.kind for box in boxes.boxes(file_of(film).read_bytes())]
        assert kinds.index("moov") < kinds.index("mdat")
        assert "moof" not in kinds

    def test_has_every_frame_of_the_rung_bit_by_bit_at_its_time(self, film: Film) -> None:
        (streamed,), (loaded,) = (read_frames(f) for f in (film.playlist("video", "large"), file_of(film)))
        assert loaded.hashes == streamed.hashes
        assert loaded.times == [n / SOURCE.rate for n in range(SOURCE.frames)]

    def test_has_all_of_the_sound(self, film: Film) -> None:
        streamed = count_samples(film.playlist("audio", "und-1"), "0:a:0")
        assert abs(count_samples(file_of(film), "0:a:0") - streamed) <= PACKET
        assert abs(streamed - SOURCE.frames / SOURCE.rate * SAMPLE_RATE) <= 2 * PACKET

    def test_has_each_click_with_its_flash(self, film: Film, tmp_path: Path) -> None:
        seen = watch(file_of(film), tmp_path)
        wanted = [float(moment) for moment in SOURCE.moments]
        assert seen.flashes == pytest.approx(wanted, abs=0.001)
        assert seen.clicks == pytest.approx(wanted, abs=TOLERANCE)


def test_a_silent_film_has_a_silent_file(raven: Raven, tmp_path: Path) -> None:
    film = raven.encode(generate_clip(tmp_path / "clip.mp4", 30, audio=False), tmp_path / "out", "download")
    (found,) = read_frames(file_of(film))
    assert len(found.times) == 30


def test_the_file_has_the_main_track_and_its_language(raven: Raven, tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    tones = [f"sine=frequency={tone}:sample_rate={SAMPLE_RATE}:duration=2" for tone in (330, 550)]
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2",
            *(word for tone in tones for word in ("-f", "lavfi", "-i", tone)),
            "-map", "0:v", "-map", "1:a", "-map", "2:a", "-metadata:s:a:0", "language=eng",
            "-metadata:s:a:1", "language=deu", "-disposition:a:0", "0", "-disposition:a:1", "default",
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac", str(source),
        ]
    )  # fmt: skip
    film = raven.encode(source, tmp_path / "out", "download")
    with av.open(str(file_of(film))) as container:
        assert [track.language for track in container.streams.audio] == ["deu"]
