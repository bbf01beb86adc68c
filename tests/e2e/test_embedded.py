"""`raven encode` as a person uses it: what it makes, what it says, and that the same command again does no harm."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from raven import names
from raven.adapters.local_broker import LocalBroker
from tests.e2e.tools import (
    PACKET,
    SAMPLE_RATE,
    SECONDS,
    Film,
    Ran,
    Raven,
    StandIn,
    count_samples,
    encode_command,
    files_of,
    read_frames,
    run,
)
from tests.media import ffmpeg, generate_clip, run_ffmpeg
from tests.waiting import wait_until

FRAMES = 525  # 21 s at 25 frames/s: eleven chunks of two seconds, the last one short, and three thumbnails
LANGUAGES = ("eng", "deu")


def make_film(target: Path) -> Path:
    """A clip with one video and two audio tracks."""
    tones = [f"sine=frequency={tone}:sample_rate={SAMPLE_RATE}:duration={FRAMES / 25}" for tone in (330, 550)]
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
            *(word for tone in tones for word in ("-f", "lavfi", "-i", tone)),
            "-map", "0:v", "-map", "1:a", "-map", "2:a",
            "-metadata:s:a:0", f"language={LANGUAGES[0]}", "-metadata:s:a:1", f"language={LANGUAGES[1]}",
            "-frames:v", str(FRAMES), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
            "-c:a", "flac", str(target),
        ]
    )  # fmt: skip
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("clip") / "film.mkv")


@pytest.fixture(scope="module")
def ran(raven: Raven, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, Ran]:
    """The clip encoded, and what raven said."""
    output = tmp_path_factory.mktemp("encoded") / "new" / "folder"
    return Film(output), raven.run(clip, output, "--profile", "quick", "--json")


@pytest.fixture
def film(ran: tuple[Film, Ran]) -> Film:
    return ran[0]


one_worker_for_the_shared_film = pytest.mark.xdist_group("e2e-embedded")


@one_worker_for_the_shared_film
class TestTheShippedFolder:
    def test_holds_exactly_the_files_of_the_design(self, film: Film) -> None:
        video = [names.INIT, names.PLAYLIST, *(f"seg-{n:06d}.m4s" for n in range(1, 12))]
        wanted = {"master.m3u8", "manifest.mpd", "task.json", *(f"thumbs/{n:06d}.jpg" for n in range(3))}
        wanted |= {f"video/{rung}/{name}" for rung in ("small", "large") for name in video}
        wanted |= {"thumbs/sprite-000.jpg", "thumbs/thumbs.vtt"}
        wanted |= {f"iframes/{name}" for name in video}
        wanted |= {f"audio/{track}/{name}" for track in ("eng-1", "deu-2") for name in video}
        assert files_of(film.folder).keys() == wanted
        assert not (film.folder / ".raven").exists()

    def test_decodes_to_the_frames_of_the_source_through_both_manifests(self, film: Film) -> None:
        assert len(film.rungs) == 2
        film.check_frames(FRAMES)

    def test_has_both_languages_in_both_manifests(self, film: Film) -> None:
        assert re.findall(r'LANGUAGE="(\w+)"', film.hls.read_text("utf-8")) == ["en", "de"]
        assert re.findall(r'lang="(\w+)"', film.dash.read_text("utf-8")) == ["en", "de"]

    def test_has_sound_of_the_length_of_the_picture_in_each_language(self, film: Film) -> None:
        for track in ("eng-1", "deu-2"):
            samples = count_samples(film.playlist("audio", track), "0:a:0")
            assert 0 <= samples - FRAMES * SAMPLE_RATE // 25 < PACKET

    def test_has_the_tone_of_each_language_in_its_own_track(self, film: Film) -> None:
        """The deep tone is gone from what is left above 450 Hz, the high one is not."""
        deep, high = (loudness(film.playlist("audio", track), "highpass=f=450:p=2") for track in ("eng-1", "deu-2"))
        assert deep + 3 < high

    def test_has_a_thumbnail_for_every_ten_seconds_that_shows_that_moment(self, film: Film, clip: Path) -> None:
        for number in range(3):
            thumb = film.folder / "thumbs" / f"{number:06d}.jpg"
            assert likeness(thumb, clip, frame=250 * number) > 30
            assert likeness(thumb, clip, frame=250 * number + 12) < 30  # and no other moment half a second away

    def test_carries_its_facts_in_task_json(self, film: Film) -> None:
        task = film.task
        assert (task["frames"], task["duration"], task["profile"], task["thumbs"]) == (FRAMES, 21.0, "quick", 3)
        assert [r["name"] for r in task["renditions"]] == ["small", "large"]
        media = film.folder.rglob("*.m4s")
        assert task["bytes"] == sum(f.stat().st_size for f in media)


def loudness(source: Path, filters: str) -> float:
    """Mean volume in dB of the first audio stream behind filters."""
    command = [ffmpeg(), "-nostdin", "-i", str(source), "-af", f"{filters},volumedetect", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"mean_volume: (-?[\d.]+) dB", done.stderr)
    assert found is not None
    return float(found[1])


def likeness(picture: Path, clip: Path, frame: int) -> float:
    """PSNR in dB between a picture and a frame of a clip."""
    graph = f"[1:v]select=eq(n\\,{frame}),scale=320:180,setpts=0[c];[0:v]scale=320:180,setpts=0[p];[p][c]psnr"
    command = [ffmpeg(), "-nostdin", "-i", str(picture), "-i", str(clip), "-lavfi", graph, "-frames:v", "1"]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"PSNR .*average:([\d.]+|inf)", done.stderr)
    assert found is not None
    return float(found[1])


@one_worker_for_the_shared_film
class TestWhatItSays:
    def test_with_json_stdout_is_one_object_and_nothing_else(self, ran: tuple[Film, Ran]) -> None:
        film, said = ran
        assert said.status == 0
        assert said.stdout.count("\n") == 1
        answer = said.json
        assert answer["status"] == "done"
        assert (answer["frames"], answer["already"]) == (FRAMES, False)
        assert (answer["output"], answer["hls"], answer["dash"]) == tuple(map(str, (film.folder, *film.manifests)))

    def test_off_a_terminal_stderr_is_plain_lines_of_progress(self, ran: tuple[Film, Ran]) -> None:
        lines = ran[1].stderr.splitlines()
        assert lines
        assert all(re.fullmatch(r"film\.mkv: +\d+\.\d %  \w+, .*", line) for line in lines), lines

    def test_without_json_stdout_names_both_manifests(self, raven: Raven, film: Film, clip: Path) -> None:
        said = raven.run(clip, film.folder, "--profile", "quick")
        assert str(film.hls) in said.stdout
        assert str(film.dash) in said.stdout

    def test_on_a_terminal_a_live_display_appears(self, raven: Raven, tmp_path: Path) -> None:
        source = generate_clip(tmp_path / "short.mp4", 100)
        command = encode_command(source, tmp_path / "out", "--profile", "quick", "--json")
        shown, stdout, status = run_on_terminal(command, raven.environment(TERM="xterm", COLUMNS="100"))
        assert status == 0
        assert '"status": "done"' in stdout
        assert "\x1b[?25l" in shown  # the cursor is hidden while the display is redrawn,
        assert "\x1b[?25h" in shown  # and comes back
        assert "short.mp4" in shown
        assert " %" in shown
        assert "\x1b" not in stdout


def run_on_terminal(command: list[str], environment: dict[str, str]) -> tuple[str, str, int]:
    """Runs a command whose stderr is a terminal: what appeared there, its stdout, its status."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True
        ) as process:
            os.close(theirs)
            shown = b""
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # how Linux says that the other side has closed
                pass
            stdout = process.stdout.read() if process.stdout else ""
            return shown.decode("utf-8", "replace"), stdout, process.wait(SECONDS)
    finally:
        os.close(ours)


@one_worker_for_the_shared_film
class TestTheSameFolderAgain:
    def test_the_same_command_says_that_it_is_done_and_touches_nothing(
        self, raven: Raven, film: Film, clip: Path
    ) -> None:
        before = stamps(film.folder)
        said = raven.run(clip, film.folder, "--profile", "quick")
        assert (said.status, said.stderr) == (0, "")
        assert said.stdout.startswith("Already encoded")
        assert raven.run(clip, film.folder, "--profile", "quick", "--json").json["already"] is True
        assert stamps(film.folder) == before

    def test_another_film_is_refused_and_the_first_one_stays(self, raven: Raven, film: Film, tmp_path: Path) -> None:
        other = generate_clip(tmp_path / "other.mp4", 10)
        before = stamps(film.folder)
        said = raven.run(other, film.folder, "--profile", "quick")
        assert said.status == 2
        assert "--force" in said.stderr
        assert stamps(film.folder) == before

    def test_another_profile_is_refused_too(self, raven: Raven, film: Film, clip: Path) -> None:
        assert raven.run(clip, film.folder, "--profile", "six").status == 2

    def test_a_source_or_a_profile_that_has_changed_since_is_told(
        self, raven: Raven, film: Film, clip: Path, tmp_path: Path
    ) -> None:
        """By name and size they are the same."""
        before, seen = stamps(film.folder), clip.stat()
        os.utime(clip, ns=(seen.st_atime_ns, seen.st_mtime_ns + 1))
        said = raven.run(clip, film.folder, "--profile", "quick")
        os.utime(clip, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        assert (said.status, "the source has changed since; give --force" in said.stderr) == (2, True)

        profile = (raven.profiles / "quick.toml").read_text("utf-8")
        (tmp_path / "quick.toml").write_text(profile.replace("crf = 28", "crf = 29"), encoding="utf-8")
        said = raven.run(clip, film.folder, "--profile", "quick", RAVEN_PROFILES=str(tmp_path))
        assert (said.status, "the profile has changed since; give --force" in said.stderr) == (2, True)
        assert stamps(film.folder) == before

    def test_force_replaces_the_film_and_leaves_foreign_files_alone(self, raven: Raven, tmp_path: Path) -> None:
        output = tmp_path / "out"
        raven.encode(generate_clip(tmp_path / "long.mp4", 200), output)
        (output / "notes.txt").write_text("mine", encoding="utf-8")
        short = generate_clip(tmp_path / "short.mp4", 60, audio=False)
        film = raven.encode(short, output, "quick", "--force")
        film.check_frames(60)
        left = {name.split("/")[0] for name in files_of(output)}
        assert left == {"master.m3u8", "manifest.mpd", "task.json", "video", "iframes", "thumbs", "notes.txt"}
        assert len(list((output / "video" / "small").glob("*.m4s"))) == 2

    def test_force_with_a_source_that_fails_keeps_the_film_that_is_there(self, raven: Raven, tmp_path: Path) -> None:
        output = tmp_path / "out"
        raven.encode(generate_clip(tmp_path / "clip.mp4", 10), output)
        before = stamps(output / "video")
        assert raven.run(tmp_path / "missing.mp4", output, "--profile", "quick", "--force").status == 1
        assert stamps(output / "video") == before
        Film(output).check_frames(10)
        assert not (output / ".raven").exists()

    @pytest.mark.parametrize("options", [(), ("--force",)], ids=["plain", "force"])
    def test_a_second_raven_in_the_same_folder_is_refused_and_the_first_one_finishes(
        self, raven: Raven, stand_in: StandIn, tmp_path: Path, options: tuple[str, ...]
    ) -> None:
        clip = generate_clip(tmp_path / "clip.mp4", 100)
        stand_in.hold_after(1)
        command = encode_command(clip, tmp_path / "out", "--profile", "quick", "--workers", "1")
        with running(command, raven.environment(RAVEN_FFMPEG=str(stand_in.program))) as first:
            wait_until(lambda: len(stand_in.chunks_begun()) == 2, "an encode that does not end")
            said = raven.run(clip, tmp_path / "out", "--profile", "quick", *options)
            assert said.status == 2
            assert "another raven" in said.stderr
            assert first.poll() is None
            first.send_signal(signal.SIGINT)
            assert first.wait(SECONDS) == 130
        stand_in.release()
        stand_in.forget()
        film = raven.encode(clip, tmp_path / "out", "quick", RAVEN_FFMPEG=str(stand_in.program))
        assert len(stand_in.chunks_begun()) == 1  # what the first one had done, nobody has thrown away
        film.check_frames(100)

    def test_a_folder_with_foreign_files_of_our_names_is_refused_unharmed(self, raven: Raven, tmp_path: Path) -> None:
        output = tmp_path / "holiday"
        (output / "video").mkdir(parents=True)
        (output / "video" / "beach.mp4").write_bytes(b"irreplaceable")
        clip = generate_clip(tmp_path / "clip.mp4", 10)
        for options in ((), ("--force",)):
            said = raven.run(clip, output, "--profile", "quick", *options)
            assert files_of(output) == {"video/beach.mp4": b"irreplaceable"}
            assert said.status == 2
            assert "video" in said.stderr

    def test_a_foreign_task_json_is_refused_unharmed(self, raven: Raven, tmp_path: Path) -> None:
        output = tmp_path / "project"
        output.mkdir()
        clip = generate_clip(tmp_path / "clip.mp4", 10)
        for text in ('{"tasks": ["build"]}', "not even JSON"):
            (output / "task.json").write_text(text, encoding="utf-8")
            for options in ((), ("--force",)):
                said = raven.run(clip, output, "--profile", "quick", *options)
                assert said.status == 2
                assert "Traceback" not in said.stderr
                assert (output / "task.json").read_text("utf-8") == text


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each file and folder."""
    about = {str(path): path.stat() for path in [folder, *folder.rglob("*")]}
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in about.items()}


class TestSettings:
    def test_workers_do_not_change_a_byte_and_one_worker_encodes_one_chunk_at_a_time(
        self, raven: Raven, tmp_path: Path
    ) -> None:
        stand_in = StandIn.install(tmp_path / "ffmpeg", keep=True)
        clip = generate_clip(tmp_path / "clip.mp4", 200)
        alone = raven.encode(clip, tmp_path / "alone", "quick", "--workers", "1", RAVEN_FFMPEG=str(stand_in.program))
        assert len(stand_in.kept()) == 4
        assert stand_in.most_at_once() == 1
        many = raven.encode(clip, tmp_path / "many", "quick", "--workers", "3")
        assert files_of(many.folder) == files_of(alone.folder)

    def test_workers_are_as_many_encodes_side_by_side(self, raven: Raven, stand_in: StandIn, tmp_path: Path) -> None:
        stand_in.hold_after(0)
        clip = generate_clip(tmp_path / "clip.mp4", 400, audio=False)
        command = encode_command(clip, tmp_path / "out", "--profile", "quick", "--workers", "3")
        with running(command, raven.environment(RAVEN_FFMPEG=str(stand_in.program))) as process:
            wait_until(lambda: len(stand_in.chunks_begun()) == 3, "three encodes that do not end")
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
        assert len(stand_in.chunks_begun()) == 3

    def test_a_profile_of_ones_own_is_found_through_raven_profiles(self, raven: Raven, tmp_path: Path) -> None:
        mine = (raven.profiles / "quick.toml").read_text("utf-8").replace('"quick"', '"mine"')
        folder = tmp_path / "profiles"
        folder.mkdir()
        (folder / "any-name.toml").write_text(mine.replace('"large"', '"grand"'), encoding="utf-8")
        clip = generate_clip(tmp_path / "clip.mp4", 10)
        film = raven.encode(clip, tmp_path / "out", "mine", RAVEN_PROFILES=str(folder))
        assert sorted(p.name for p in (film.folder / "video").iterdir()) == ["grand", "small"]

    def test_raven_ffmpeg_is_the_ffmpeg_that_runs(self, raven: Raven, stand_in: StandIn, tmp_path: Path) -> None:
        clip = generate_clip(tmp_path / "clip.mp4", 10)
        there = raven.encode(clip, tmp_path / "there", "quick", RAVEN_FFMPEG=str(stand_in.program))
        assert stand_in.chunks_begun() == [1]
        assert len(stand_in.calls()) == 3  # the chunk, the sound and the sheet of thumbnails
        assert files_of(raven.encode(clip, tmp_path / "here").folder) == files_of(there.folder)

    @pytest.mark.parametrize("wrong", ["missing", "not-executable", "folder"])
    def test_a_raven_ffmpeg_that_cannot_run_is_wrong_use(self, raven: Raven, tmp_path: Path, wrong: str) -> None:
        (tmp_path / "not-executable").write_text("no program", encoding="utf-8")
        (tmp_path / "folder").mkdir()
        clip = generate_clip(tmp_path / "clip.mp4", 10)
        said = raven.run(clip, tmp_path / "out", "--profile", "quick", RAVEN_FFMPEG=str(tmp_path / wrong))
        assert said.status == 2
        assert "RAVEN_FFMPEG" in said.stderr
        assert "Traceback" not in said.stderr
        assert not (tmp_path / "out").exists()


def test_consumers_side_by_side_never_wait_longer_than_they_said() -> None:
    """A slot that waited for ever kept raven from ending: CPython's SimpleQueue forgets its timeout in this crowd."""
    broker, over = LocalBroker(), threading.Event()

    def take() -> None:
        consumer = broker.consumer(names.lane_queue("worker"), prefetch=1)
        while not over.is_set():
            delivery = consumer.take(0.002)
            if delivery is not None:
                delivery.ack()

    def burn() -> None:
        while not over.is_set():
            sum(range(1000))

    burner = threading.Thread(target=burn)
    crowd = [threading.Thread(target=take, daemon=True) for _ in range(16)]
    for thread in (burner, *crowd):
        thread.start()
    for _ in range(200):
        broker.publish(names.lane_queue("worker"), b"one")
        time.sleep(0.002)
    over.set()
    burner.join()
    for thread in crowd:
        thread.join(10)
    assert not any(thread.is_alive() for thread in crowd)


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone afterwards."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class TestNames:
    @pytest.mark.parametrize(
        "name", ["-film #1", "100% fun %06d", 'what? & why; it\'s "quoted"', "Füße 日本 [a]:b,c=d\\e"]
    )
    def test_a_folder_and_a_source_may_have_any_name(self, raven: Raven, tmp_path: Path, name: str) -> None:
        plain = generate_clip(tmp_path / "plain.mp4", 60)
        folder = tmp_path / name
        folder.mkdir()
        source = plain.rename(folder / f"{name}.mp4")
        film = raven.encode(source, folder / name)
        assert film.task["source"]["name"] == source.name
        assert {f.parts[-1] for f in tmp_path.iterdir()} == {name}  # nothing beside the folder
        assert {"master.m3u8", "thumbs/000000.jpg", "video/small/seg-000002.m4s"} <= files_of(film.folder).keys()

    def test_relative_names_are_meant_from_the_working_directory(self, raven: Raven, tmp_path: Path) -> None:
        generate_clip(tmp_path / "clip.mp4", 10)
        command = encode_command(Path("clip.mp4"), Path("new/out"), "--profile", "quick")
        assert run(command, raven.environment(), cwd=tmp_path).status == 0
        Film(tmp_path / "new" / "out").check_frames(10)


def test_what_a_film_leaves_out_of_its_source_is_said(raven: Raven, tmp_path: Path) -> None:
    one, two = generate_clip(tmp_path / "one.mp4", 10), tmp_path / "two.mkv"
    run_ffmpeg(["-i", str(one), "-map", "0:v", "-map", "0:v", "-map", "0:a", "-c", "copy", str(two)])
    said = raven.run(two, tmp_path / "out", "--profile", "quick")
    assert (said.status, "  Note: not converted: video stream 1" in said.stdout) == (0, True), said.stdout


class TestPicturesOfAllShapes:
    @pytest.mark.parametrize(
        ("size", "rungs"),
        [
            pytest.param("180x320", {"small": (90, 160), "large": (180, 320)}, id="portrait"),
            pytest.param("321x181", {"small": (160, 90), "large": (320, 180)}, id="odd"),
            pytest.param("16x16", {"small": (16, 16)}, id="tiny"),
            pytest.param("640x64", {"small": (160, 16), "large": (640, 64)}, id="ribbon"),
            pytest.param("1280x720", {"small": (160, 90), "large": (640, 360)}, id="larger-than-the-ladder"),
        ],
    )
    def test_each_rung_is_the_source_fitted_into_its_box(
        self, raven: Raven, tmp_path: Path, size: str, rungs: dict[str, tuple[int, int]]
    ) -> None:
        source = tmp_path / "clip.mkv"
        picture = f"testsrc2=size={size}:rate=25"
        # ffv1 takes odd sizes in 4:2:0, which x264 does not
        run_ffmpeg(
            ["-f", "lavfi", "-i", picture, "-frames:v", "60", "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(source)]
        )
        film = raven.encode(source, tmp_path / "out")
        assert film.sizes() == rungs
        film.check_frames(60)

    @pytest.mark.parametrize(("angle", "size"), [(90, (180, 320)), (180, (320, 180)), (270, (180, 320))])
    def test_a_rotated_source_stands_upright(
        self, raven: Raven, tmp_path: Path, angle: int, size: tuple[int, int]
    ) -> None:
        lying = generate_clip(tmp_path / "lying.mp4", 30, audio=False)
        source = tmp_path / "clip.mp4"
        run_ffmpeg(["-display_rotation", str(angle), "-i", str(lying), "-c", "copy", str(source)])
        film = raven.encode(source, tmp_path / "out")
        assert film.sizes()["large"] == size
        film.check_frames(30)
        assert likeness_of_films(film.playlist("video", "large"), source) > 25  # ffmpeg turns it by itself

    @pytest.mark.parametrize(("suffix", "way"), [("mp4", "copy"), ("h264", "conform")])
    def test_a_source_that_is_turned_by_its_bitstream_is_turned_once(
        self, raven: Raven, tmp_path: Path, suffix: str, way: str
    ) -> None:
        turned = ["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"]
        source = generate_clip(tmp_path / f"clip.{suffix}", 60, size="96x64", gop=25, audio=False, options=turned)
        film = raven.encode(source, tmp_path / "out", "lossless")
        assert (film.sizes()["source"], film.task["source"]["video"]["way"]) == ((64, 96), way)
        (wanted,) = read_frames(source, "null", "-loglevel", "fatal")  # it has a word on the place of the message
        assert [stream.hashes for streams in film.check_frames(60) for stream in streams] == [wanted.hashes] * 2

    def test_an_anamorphic_source_gets_square_pixels(self, raven: Raven, tmp_path: Path) -> None:
        source = generate_clip(tmp_path / "clip.mp4", 30, size="240x192", audio=False, options=["-aspect", "16:9"])
        film = raven.encode(source, tmp_path / "out")
        width, height = film.sizes()["large"]
        assert abs(Fraction(width, height) - Fraction(16, 9)) < Fraction(1, 50)
        assert height == 192
        film.check_frames(30)

    @pytest.mark.parametrize(
        ("rate", "frames", "last"),
        [
            pytest.param("60", 301, Fraction(61, 60), id="60-fps"),
            pytest.param("10", 41, Fraction(1, 10), id="10-fps"),
            pytest.param("25", 1, Fraction(1, 25), id="one-frame"),
            pytest.param("25", 2, Fraction(2, 25), id="two-frames"),
            pytest.param("1", 7, Fraction(1), id="1-fps"),
        ],
    )
    def test_each_rate_and_the_shortest_films_keep_every_frame(
        self, raven: Raven, tmp_path: Path, rate: str, frames: int, last: Fraction
    ) -> None:
        film = raven.encode(generate_clip(tmp_path / "clip.mp4", frames, rate=rate), tmp_path / "out")
        assert film.rate == Fraction(rate)
        film.check_frames(frames)
        lines = film.playlist("video", "small").read_text("utf-8").splitlines()
        assert Fraction(lines[-3].removeprefix("#EXTINF:").rstrip(",")) == round(last, 6)

    def test_twice_sixty_frames_a_second_are_halved(self, raven: Raven, tmp_path: Path) -> None:
        film = raven.encode(generate_clip(tmp_path / "clip.mp4", 239, rate="120", audio=False), tmp_path / "out")
        assert film.rate == 60
        film.check_frames(120)


def likeness_of_films(first: Path, second: Path) -> float:
    """PSNR in dB of two films, frame by frame."""
    graph = "[0:v]settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];[a][b]psnr"
    command = [ffmpeg(), "-nostdin", "-i", str(first), "-i", str(second), "-lavfi", graph, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"PSNR .*average:([\d.]+|inf)", done.stderr)
    assert found is not None
    return float(found[1])


class TestSoundAlone:
    SECONDS = 15

    def test_becomes_a_film_of_sound_that_plays_through_both_manifests(self, raven: Raven, tmp_path: Path) -> None:
        source = tmp_path / "song.flac"
        run_ffmpeg(["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={self.SECONDS}", str(source)])
        film = raven.encode(source, tmp_path / "out")
        assert film.task["renditions"] == []
        assert film.task["duration"] == self.SECONDS
        assert not (film.folder / "video").exists()
        assert not (film.folder / "thumbs").exists()
        for manifest in film.manifests:
            samples = count_samples(manifest, "0:a:0")
            assert 0 <= samples - self.SECONDS * SAMPLE_RATE < PACKET
            assert -25 < loudness(manifest, "anull") < -15  # the tone, neither silence nor noise

    def test_cover_art_is_not_a_film(self, raven: Raven, tmp_path: Path) -> None:
        source = tmp_path / "song.mp3"
        run_ffmpeg(
            [
                "-f", "lavfi", "-i", f"sine=sample_rate={SAMPLE_RATE}:duration=3",
                "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1:duration=1",
                "-map", "0:a", "-map", "1:v", "-c:v", "png", "-disposition:v", "attached_pic",
                str(source),
            ]
        )  # fmt: skip
        film = raven.encode(source, tmp_path / "out")
        assert film.task["renditions"] == []
        assert [t["name"] for t in film.task["audio"]] == ["und-1"]
