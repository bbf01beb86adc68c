"""What cannot be encoded ends with one sentence that a person understands, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.tools import Ran, Raven, encode_command, files_of, run
from tests.media import generate_clip, run_ffmpeg


def missing(_: Path) -> None:
    """Nothing is there."""


def empty(source: Path) -> None:
    source.touch()


def text(source: Path) -> None:
    source.write_text("Dear diary, today I encoded nothing at all.\n" * 200, encoding="utf-8")


def noise(source: Path) -> None:
    source.write_bytes(bytes((n * n * 31 + n // 7) % 251 for n in range(200_000)))


def folder(source: Path) -> None:
    source.mkdir()


def device(source: Path) -> None:
    source.symlink_to("/dev/null")


def no_header(source: Path) -> None:
    """The index of an MP4 stands at its end; this one has lost it."""
    whole = generate_clip(source.with_suffix(".mp4"), 50).read_bytes()
    source.write_bytes(whole[: len(whole) // 2])


def broken_header(source: Path) -> None:
    whole = generate_clip(source.with_suffix(".mkv"), 50).read_bytes()
    source.write_bytes(whole[:300])


def subtitles_alone(source: Path) -> None:
    source.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n", encoding="utf-8")


def hostile_playlist(source: Path) -> None:
    """What it names exists and is a film; a playlist must not reach it."""
    film = generate_clip(source.with_suffix(".ts"), 50)
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", f"file://{film}"]
    source.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]), encoding="utf-8")


def hostile_list(source: Path) -> None:
    film = generate_clip(source.with_suffix(".mkv"), 50)
    source.write_text(f"ffconcat version 1.0\nfile '{film}'\n", encoding="utf-8")


SOURCES: dict[Callable[[Path], None], str] = {
    missing: "does not exist",
    empty: "is empty",
    text: "cannot be read as audio or video",
    noise: "cannot be read as audio or video",
    folder: "is a directory",
    device: "neither a file nor a pipe",
    no_header: "cannot be read as audio or video",
    broken_header: "cannot be read as audio or video",
    subtitles_alone: "neither a video nor an audio track",
    hostile_playlist: "is an HLS or M3U playlist, not a film",
    hostile_list: "is an ffmpeg concat script, not a film",
}


def check_refused(ran: Ran, status: int, saying: str) -> None:
    """An exit code, one sentence, and no traceback."""
    assert ran.status == status, ran.stderr
    assert "Traceback" not in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("raven: ")
    assert saying in last
    assert len(last) > len("raven: ") + 10


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_a_source_that_is_no_film_is_refused(raven: Raven, tmp_path: Path, make: Callable[[Path], None]) -> None:
    source, output = tmp_path / "source.bin", tmp_path / "out"
    make(source)
    ran = raven.run(source, output, "--profile", "quick", "--json")
    check_refused(ran, 1, SOURCES[make])
    assert ran.json == {"status": "failed", "message": ran.stderr.splitlines()[-1].removeprefix("raven: ")}
    assert not output.exists()


def test_without_json_stdout_stays_empty(raven: Raven, tmp_path: Path) -> None:
    ran = raven.run(tmp_path / "missing.mp4", tmp_path / "out")
    check_refused(ran, 1, "does not exist")
    assert ran.stdout == ""


def test_a_folder_that_was_there_stays_as_it_was(raven: Raven, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "notes.txt").write_text("mine", encoding="utf-8")
    check_refused(raven.run(tmp_path / "missing.mp4", output), 1, "does not exist")
    assert files_of(output) == {"notes.txt": b"mine"}
    assert sorted(path.name for path in output.iterdir()) == ["notes.txt"]


def without_override(command: list[str]) -> list[str]:
    """A command that has to respect permissions: root may read and write all, unless it gives that right away."""
    if os.geteuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv, of util-linux, is not here, and these tests run as root")
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]


def test_a_source_that_may_not_be_read_is_refused(raven: Raven, tmp_path: Path) -> None:
    source, output = generate_clip(tmp_path / "secret.mp4", 10), tmp_path / "out"
    source.chmod(0)
    check_refused(run(without_override(encode_command(source, output)), raven.environment()), 1, "permission denied")
    assert not output.exists()


def test_a_folder_that_may_not_be_written_is_wrong_use(raven: Raven, tmp_path: Path) -> None:
    source, locked = generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for output in (locked, locked / "new"):
        ran = run(without_override(encode_command(source, output)), raven.environment())
        check_refused(ran, 2, "cannot be written")
        assert list(locked.iterdir()) == []


def test_a_folder_below_a_file_is_wrong_use(raven: Raven, tmp_path: Path) -> None:
    source = generate_clip(tmp_path / "clip.mp4", 10)
    check_refused(raven.run(source, source / "out"), 2, "cannot be written")


def test_a_url_is_wrong_use_and_told_as_one(raven: Raven, tmp_path: Path) -> None:
    ran = raven.run(Path("https://media.example/a.mp4"), tmp_path / "out", "--json")
    check_refused(ran, 2, "https://media.example/a.mp4 is a URL")
    assert not (tmp_path / "out").exists()


def test_a_profile_that_is_not_known_is_wrong_use(raven: Raven, tmp_path: Path) -> None:
    source, output = generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out"
    ran = raven.run(source, output, "--profile", "cinema", "--json")
    check_refused(ran, 2, "there is no profile 'cinema'; known are archive, audio, ")
    assert ran.json["status"] == "failed"
    assert not output.exists()


PROFILES = {
    "not-toml": ("name = [", "is not TOML"),
    "no-rungs": ('name = "mine"\n[video]\npreset = "fast"\n', "video.0.rungs"),
    "misspelled": ('name = "mine"\nvidio = 1\n', "vidio"),
    "binary": ("\x00\x01", "is not TOML"),
}


@pytest.mark.parametrize("sort", PROFILES)
def test_a_profile_that_cannot_be_used_is_named_with_its_fault(raven: Raven, tmp_path: Path, sort: str) -> None:
    content, saying = PROFILES[sort]
    profiles, output = tmp_path / "profiles", tmp_path / "out"
    profiles.mkdir()
    (profiles / "mine.toml").write_text(content, encoding="utf-8")
    ran = raven.run(generate_clip(tmp_path / "clip.mp4", 10), output, "--profile", "mine", RAVEN_PROFILES=str(profiles))
    check_refused(ran, 2, saying)
    assert "mine.toml" in ran.stderr
    assert not output.exists()


def test_a_profile_that_the_encoder_refuses_fails_with_the_words_of_the_encoder(raven: Raven, tmp_path: Path) -> None:
    profiles, output = tmp_path / "profiles", tmp_path / "out"
    shutil.copytree(raven.profiles, profiles)
    file = profiles / "quick.toml"
    file.write_text(file.read_text("utf-8").replace('"ultrafast"', '"warpnine"'), encoding="utf-8")
    clip = generate_clip(tmp_path / "clip.mp4", 10, audio=False)
    ran = Raven(profiles).run(clip, output, "--profile", "quick", "--json")
    assert ran.status == 1
    assert "warpnine" in ran.json["message"]
    assert "Traceback" not in ran.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    "options", [("--workers", "0"), ("--workers", "many"), ("--colour",), ("--json", "--workers", "-1")], ids=" ".join
)
def test_an_option_that_does_not_exist_or_fit_is_wrong_use(
    raven: Raven, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, output = generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out"
    ran = raven.run(source, output, *options)
    assert (ran.status, ran.stdout) == (2, "")
    assert "Error: " in ran.stderr.splitlines()[-1]
    assert options[-2 if len(options) > 1 else 0] in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not output.exists()


def test_an_output_that_is_a_file_is_wrong_use(raven: Raven, tmp_path: Path) -> None:
    source, output = generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out"
    output.write_text("mine", encoding="utf-8")
    ran = raven.run(source, output)
    assert (ran.status, output.read_text("utf-8")) == (2, "mine")
    assert "is a file" in ran.stderr


@pytest.mark.parametrize(
    ("name", "value", "saying"),
    [
        ("RAVEN_CONFIG", "/nowhere/raven.toml", "/nowhere/raven.toml"),
        ("RAVEN_LOG_LEVEL", "loud", "log_level"),
        ("RAVEN_ATTEMPTS", "none", "attempts"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    raven: Raven, tmp_path: Path, name: str, value: str, saying: str
) -> None:
    source, output = generate_clip(tmp_path / "clip.mp4", 10), tmp_path / "out"
    ran = raven.run(source, output, "--json", **{name: value})
    check_refused(ran, 2, saying)
    assert json.loads(ran.stdout)["status"] == "failed"
    assert not output.exists()


def test_a_source_that_breaks_off_in_the_middle_is_encoded_as_far_as_it_goes(raven: Raven, tmp_path: Path) -> None:
    """A recording that was cut short is ordinary; its last packet may be broken."""
    whole = tmp_path / "whole.ts"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-frames:v", "250",
            "-c:v", "mpeg2video", "-q:v", "5", "-bf", "0", "-g", "10", str(whole),
        ]
    )  # fmt: skip
    size = whole.stat().st_size
    source = tmp_path / "part.ts"
    source.write_bytes(whole.read_bytes()[: size * 6 // 10])
    film = raven.encode(source, tmp_path / "out")
    frames = film.task["frames"]
    assert 130 < frames < 170
    film.check_frames(frames)
