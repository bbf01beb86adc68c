"""Runs `raven` as a process of its own, and reads with ffmpeg what it made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from raven import names
from tests.media import CORPUS_VARIABLE, corpus, ffmpeg, run_ffmpeg

SECONDS = 180
"""No run of raven in these tests takes longer, however busy the machine."""
SAMPLE_RATE = 48000
PACKET = 1024
"""Samples in a packet of AAC."""

_COMMON = """
[video]
preset = "ultrafast"
threads = 1
"""
_AUDIO = f"""
[audio]
codec = "aac"
bitrate = 96
channels = 2
sample_rate = {SAMPLE_RATE}
"""
_RUNG = """
[[video.rungs]]
name = "{name}"
width = {width}
height = {height}
crf = {crf}
"""
_SOURCE_SIZE = _RUNG.format(name="source", width=4096, height=4096, crf=0)
_LOSSLESS = """
encoder_profile = "high444"
"""
_SECOND_CHUNKS = """
[cutting]
gop_seconds = 1
gops_per_segment = 1
chunk_segments = 1
"""
PROFILES = {
    # two rungs in chunks of two seconds, so that short clips have seams
    "quick": """
[cutting]
gop_seconds = 1
gops_per_segment = 2
chunk_segments = 1
"""
    + _COMMON
    + _RUNG.format(name="small", width=160, height=90, crf=30)
    + _RUNG.format(name="large", width=640, height=360, crf=28)
    + _AUDIO,
    # the cutting that is shipped, but for the number of chunks; B-frames, as in the shipped profile
    "six": "[cutting]\nchunk_segments = 1\n"
    + _COMMON
    + 'options = { bframes = "3" }\n'
    + _RUNG.format(name="small", width=320, height=180, crf=28)
    + _AUDIO,
    # and the larger of two rungs for download
    "download": "[cutting]\nchunk_segments = 1\n"
    + _COMMON
    + 'options = { bframes = "3" }\n'
    + _RUNG.format(name="small", width=160, height=90, crf=30)
    + _RUNG.format(name="large", width=320, height=180, crf=28)
    + _AUDIO
    + "[download]\n",
    # every picture comes back bit by bit; without B-frames, which x264 leaves out where it is lossless (x265 does not)
    "lossless": _SECOND_CHUNKS + _COMMON + _LOSSLESS + _SOURCE_SIZE + _AUDIO,
    # beside a rung of all frames one of half as many, in HEVC, whose lossless mode has B-frames; and one of a quarter
    "lossless-half": _SECOND_CHUNKS
    + '[[video]]\ncodec = "libx265"\npreset = "ultrafast"\nthreads = 1\noptions = { lossless = "1", bframes = "3" }\n'
    + _RUNG.format(name="half", width=160, height=90, crf=0)
    + "max_rate = 30\n"
    + _SOURCE_SIZE
    + '[[video]]\npreset = "ultrafast"\nthreads = 1\nencoder_profile = "high444"\n'
    + _RUNG.format(name="quarter", width=64, height=36, crf=0)
    + "max_rate = 15\n"
    + _AUDIO
    + '[download]\nrungs = ["half"]\n',
    # the small rung at half the rate of films of 50 and 60 frames/s, with B-frames
    "half": _SECOND_CHUNKS
    + _COMMON
    + 'options = { bframes = "2" }\n'
    + _RUNG.format(name="small", width=160, height=90, crf=30)
    + "max_rate = 30\n"
    + _RUNG.format(name="large", width=320, height=180, crf=28)
    + _AUDIO,
    "lossless-fields": _SECOND_CHUNKS + "fields = true\n" + _COMMON + _LOSSLESS + _SOURCE_SIZE + _AUDIO,
    "lossless-small": "[cutting]\nchunk_segments = 1\n"
    + _COMMON
    + _LOSSLESS
    + _RUNG.format(name="small", width=320, height=180, crf=0)
    + _AUDIO,
    # so many chunks that every file has seams, in pictures so small that all frames can be compared
    "corpus": _SECOND_CHUNKS
    + _COMMON
    + _LOSSLESS
    + _RUNG.format(name="small", width=160, height=90, crf=0)
    + _AUDIO
    + "[thumbs]\nevery_seconds = 30\n",
    "lossless-hevc": _SECOND_CHUNKS
    + '[video]\ncodec = "libx265"\npreset = "ultrafast"\nthreads = 1\noptions = { lossless = "1", bframes = "3" }\n'
    + _SOURCE_SIZE
    + _AUDIO,
    "lossless-av1": _SECOND_CHUNKS
    + '[video]\ncodec = "libsvtav1"\npreset = "10"\nthreads = 1\noptions = { lossless = "1" }\n'
    + _SOURCE_SIZE
    + _AUDIO,
    # a ladder of each codec, capped
    "codecs": _SECOND_CHUNKS
    + "".join(
        f'[[video]]\ncodec = "{codec}"\npreset = "{preset}"\n'
        + _RUNG.format(name=name, width=160, height=90, crf=30)
        + "maxrate = 100\n"
        for name, codec, preset in (
            ("hevc", "libx265", "veryfast"),
            ("av1", "libsvtav1", "10"),
            ("avc", "libx264", "veryfast"),
        )
    )
    + _AUDIO,
    # many thumbnails: more than one sheet holds, of a short film
    "previews": "[cutting]\nchunk_segments = 1\n"
    + _COMMON
    + _RUNG.format(name="small", width=320, height=180, crf=28)
    + _AUDIO
    + '[thumbs]\nevery_seconds = "2/5"\nheight = 36\n',
    # three groups of sound, one of them for the small rung alone
    "groups": _SECOND_CHUNKS
    + _COMMON
    + _RUNG.format(name="small", width=160, height=90, crf=30)
    + 'audio = "low"\n'
    + _RUNG.format(name="large", width=320, height=180, crf=30)
    + "".join(
        f'[[audio]]\nname = "{name}"\ncodec = "aac"\nbitrate = {rate}\nchannels = {channels}\nsample_rate = 48000\n'
        for name, rate, channels in (("stereo", 128, 2), ("low", 48, 2), ("surround", 320, 6))
    ),
    # two rungs to change between at each second
    "levels": _SECOND_CHUNKS
    + _COMMON
    + _RUNG.format(name="small", width=320, height=180, crf=30)
    + _RUNG.format(name="large", width=640, height=360, crf=28)
    + _AUDIO,
    # many small jobs
    "seconds": _SECOND_CHUNKS + _COMMON + _RUNG.format(name="small", width=320, height=180, crf=30) + _AUDIO,
}


@dataclass(frozen=True)
class Ran:
    """A run of raven that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        value = json.loads(self.stdout)
        assert isinstance(value, dict)
        return value


def write_profiles(folder: Path) -> Path:
    """Fills a folder for RAVEN_PROFILES with the profiles above."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in PROFILES.items():
        (folder / f"{name}.toml").write_text(f'name = "{name}"\n{text}', encoding="utf-8")
    return folder


def clean_environment() -> dict[str, str]:
    """This process's environment without its settings of Raven."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("RAVEN_", "PYTEST_"))}


def encode_command(source: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "raven", "encode", str(source), "--output", str(output), *options]


def run(command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> Ran:
    """Runs a command to its end."""
    done = subprocess.run(
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Raven:
    """The command with the profiles of these tests."""

    profiles: Path

    def environment(self, **settings: str) -> dict[str, str]:
        return clean_environment() | {"RAVEN_PROFILES": str(self.profiles)} | settings

    def run(self, source: Path, output: Path, *options: str, **settings: str) -> Ran:
        """`raven encode` to its end, whatever that is."""
        return run(encode_command(source, output, *options), self.environment(**settings))

    def encode(self, source: Path, output: Path, profile: str = "quick", *options: str, **settings: str) -> Film:
        """`raven encode`, which has to succeed."""
        ran = self.run(source, output, "--profile", profile, *options, **settings)
        assert ran.status == 0, ran.stderr
        return Film(output)


@dataclass(frozen=True)
class Film:
    """What raven made."""

    folder: Path

    @property
    def hls(self) -> Path:
        return self.folder / names.MULTIVARIANT

    @property
    def dash(self) -> Path:
        return self.folder / names.MPD

    @property
    def manifests(self) -> tuple[Path, Path]:
        return self.hls, self.dash

    @property
    def task(self) -> dict[str, Any]:
        """The content of task.json."""
        value = json.loads((self.folder / names.TASK_JSON).read_text("utf-8"))
        assert isinstance(value, dict)
        return value

    @property
    def rate(self) -> Fraction:
        return Fraction(self.task["rate"])

    @property
    def rungs(self) -> list[str]:
        return [r["name"] for r in self.task["renditions"]]

    @property
    def every(self) -> dict[str, int]:
        """Of each rung the n of every n-th frame that it has."""
        return {r["name"]: int(self.rate / Fraction(r["rate"])) for r in self.task["renditions"]}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of each rung, as its decoder says."""
        return {name: picture_size(self.playlist("video", name)) for name in self.rungs}

    def playlist(self, kind: str, name: str) -> Path:
        return self.folder / kind / name / names.PLAYLIST

    def check_frames(self, frames: int) -> list[list[Frames]]:
        """Each rung decodes without a warning to so many frames at their exact times; for each manifest, what came."""
        assert self.task["frames"] == frames
        wanted = sorted([n / self.rate for n in range(0, frames, every)] for every in self.every.values())
        assert self.rungs
        # the MPD has the trick play rendition as one more stream; tests of its own read it
        decoded = [read_frames(manifest)[: len(self.rungs)] for manifest in self.manifests]
        for manifest, streams in zip(self.manifests, decoded, strict=True):
            assert sorted(stream.times for stream in streams) == wanted, manifest.name
        return decoded


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their bytes, without what differs between two equal runs: seconds spent."""
    found = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    if names.TASK_JSON in found:
        task = json.loads(found[names.TASK_JSON])
        task["check"].pop("seconds")
        found[names.TASK_JSON] = json.dumps(task | {"seconds": None}).encode()
    return found


def extinf(playlist: Path) -> list[Fraction]:
    """The lengths of a media playlist's segments, seconds."""
    lines = playlist.read_text("utf-8").splitlines()
    return [Fraction(line.removeprefix("#EXTINF:").rstrip(",")) for line in lines if line.startswith("#EXTINF:")]


@dataclass(frozen=True)
class Frames:
    """Decoded frames in order of presentation: times in seconds and a hash of the content of each."""

    times: list[Fraction]
    hashes: list[str]


def read_frames(source: Path, filters: str = "null", *options: str) -> list[Frames]:
    """Decodes each video stream of a file or manifest through filters. A word from the decoder is an error."""
    before: list[str] = []
    beside: list[str] = []
    if source.suffix == ".mpd":
        # else ffmpeg's DASH demuxer reads the last segment again of a film that it has read whole while probing
        before = ["-nofind_stream_info", "-guess_layout_max", "0"]
        # else it refuses the whole MPD of a local folder in which a text file is named; over HTTP it does not
        before += ["-allowed_extensions", "ALL"]
    if source.suffix in (".mpd", ".m3u8"):
        # else ffmpeg breaks off the sound in the middle of a segment, and complains of it
        beside = ["-map", "0:a?", "-c", "copy", "-f", "null", "-"]
    text = run_ffmpeg(
        [
            "-copyts", *before, "-i", str(source), "-map", "0:v", "-vf", filters,
            *options, "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5", "-", *beside,
        ]
    )  # fmt: skip
    return parse_frames(text)


def parse_frames(text: str) -> list[Frames]:
    """What ffmpeg's framehash muxer wrote, stream by stream."""
    lines = text.splitlines()
    found: list[Frames] = []
    for tick in [Fraction(line.split(":", 1)[1].strip()) for line in lines if line.startswith("#tb ")]:
        rows = [line.split(",") for line in lines if line.startswith(f"{len(found)},")]
        found.append(Frames([int(row[2]) * tick for row in rows], [row[-1].strip() for row in rows]))
    return found


def count_samples(manifest: Path, stream: str) -> int:
    """Decodes one audio stream; the number of samples. A word from the decoder is an error."""
    text = run_ffmpeg(["-i", str(manifest), "-map", stream, "-f", "framecrc", "-"])
    lines = text.splitlines()
    assert f"#tb 0: 1/{SAMPLE_RATE}" in lines
    return sum(int(line.split(",")[3]) for line in lines if line and not line.startswith("#"))


def picture_size(source: Path, stream: int | None = None) -> tuple[int, int]:
    """Width and height of what comes out of the decoder, orientation undone: of a stream, or of the first video."""
    which = "0:v:0" if stream is None else f"0:{stream}"
    text = run_ffmpeg(["-loglevel", "fatal", "-i", str(source), "-map", which, "-frames:v", "1", "-f", "framecrc", "-"])
    line = next(line for line in text.splitlines() if line.startswith("#dimensions 0:"))
    width, height = line.split(":", 1)[1].strip().split("x")
    return int(width), int(height)


def corpus_file(name: str) -> Path:
    """A real media file; skips the test where there is no corpus."""
    folder = corpus()
    if folder is None:
        pytest.skip(f"no corpus of media files ({CORPUS_VARIABLE}); a generated clip proves the same")
    return folder / name


# an ffmpeg that can be watched and held

_STAND_IN = """#!/bin/sh
# ffmpeg as raven sees it in these tests: notes each call, and holds encodes of chunks once the turns are used up
printf '%s\\n' "$*" >> '{folder}/calls'
case " $* " in
*" -fragment_index "*)
  for ticket in '{folder}'/turns/*; do
    if mv "$ticket" '{folder}/used/' 2>/dev/null; then turn=yes; break; fi
  done
  # a hundred thousand times slower than real time: it works, and never ends
  if [ -z "$turn" ] && [ -e '{folder}/held' ]; then exec '{ffmpeg}' -readrate 0.00001 "$@"; fi
  if [ -d '{folder}/kept' ]; then
    '{ffmpeg}' "$@" || exit
    for last do :; done
    made=$(dirname "$last")
    cp -r "$made" "{folder}/kept/$(basename "$made")"
    echo ended >> '{folder}/calls'
    exit
  fi
esac
exec '{ffmpeg}' "$@"
"""


@dataclass(frozen=True)
class StandIn:
    """A program for RAVEN_FFMPEG that runs the real one, notes its calls and keeps the encoders' files."""

    folder: Path

    @classmethod
    def install(cls, folder: Path, *, keep: bool = False) -> StandIn:
        """Writes it into a folder. With `keep` the encoders' files are kept, and the end of each encode is noted."""
        for name in ("turns", "used", *(["kept"] if keep else [])):
            (folder / name).mkdir(parents=True)
        stand_in = cls(folder)
        stand_in.program.write_text(_STAND_IN.format(folder=folder, ffmpeg=ffmpeg()), encoding="utf-8")
        stand_in.program.chmod(0o755)
        return stand_in

    @property
    def program(self) -> Path:
        return self.folder / "ffmpeg"

    def hold_after(self, chunks: int) -> None:
        """From now on `chunks` encodes run, and every later one never ends."""
        for number in range(chunks):
            (self.folder / "turns" / str(number)).touch()
        (self.folder / "held").touch()

    def release(self) -> None:
        """Encodes that begin from now on run."""
        (self.folder / "held").unlink()

    def calls(self) -> list[str]:
        """The command line of each call so far."""
        file = self.folder / "calls"
        return file.read_text("utf-8").splitlines() if file.exists() else []

    def forget(self) -> None:
        (self.folder / "calls").unlink()

    def chunks_begun(self) -> list[int]:
        """Number of the first GOP of each chunk that was given to the encoder, from 1, in order of the calls."""
        lines = [line.split() for line in self.calls()]
        return [int(words[words.index("-fragment_index") + 1]) for words in lines if "-fragment_index" in words]

    def most_at_once(self) -> int:
        """Encodes of chunks that ran side by side, at most. Kept ones only: of others no end is noted."""
        running = most = 0
        for line in self.calls():
            running += ("-fragment_index" in line) - (line == "ended")
            most = max(most, running)
        return most

    def kept(self) -> list[Path]:
        """The folders of encoded chunks, as the encoder left them."""
        return sorted((self.folder / "kept").iterdir())
