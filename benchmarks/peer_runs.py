"""Runs one tool of the comparison with peers, and takes the figures of what it made."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import av

from benchmarks.bench import tell
from benchmarks.measure import Measured, measure, media_bytes
from benchmarks.peer_orders import Case, Order, Rates, Tool
from benchmarks.vmaf import scores
from raven.errors import UsageError


@dataclass(frozen=True)
class Rung:
    """One rung as a tool made it; its VMAF is None where it has not the frames of the clip."""

    name: str
    size: str
    bytes: int
    kbits: int
    """A second, on average."""
    frames: int
    vmaf: float | None


@dataclass(frozen=True)
class Figures:
    """One tool: seconds, CPU seconds of all its processes, and what it was told."""

    tool: str
    version: str
    about: str
    command: str
    files: Mapping[str, str]
    wall: float
    cpu: float
    bytes: int
    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class Comparison:
    """All tools that make the same: the clip, figures, what to install for those that are not here, and failures."""

    name: str
    frames: int
    rate: str
    size: str
    tools: tuple[Figures, ...]
    skipped: Mapping[str, list[str]]
    failed: Mapping[str, str]


@dataclass(frozen=True)
class Ran:
    """A tool has run: its order, where, and what that took."""

    tool: Tool
    order: Order
    home: Path
    took: Measured


def run(tool: Tool, case: Case, home: Path, rates: Rates) -> Ran:
    """Runs a tool in a new folder. Raises RuntimeError when it fails."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "ffmpeg").symlink_to(case.ffmpeg)  # for tools that call one by its name
    order = tool.order(case, home, rates)
    for name, text in order.files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text, "utf-8")
    path = {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    return Ran(tool, order, home, measure(order.command, home, {**path, **order.environment}))


def take(ran: Ran, case: Case, frames: int) -> Figures:
    """The figures of a run. Raises RuntimeError where a rung is missing or cannot be compared."""
    rungs = tuple(_rung(ran, name, pattern, case, frames) for name, pattern in ran.order.outputs.items())
    return Figures(
        tool=ran.tool.name,
        version=_version(ran.order),
        about=ran.tool.about,
        command=shlex.join(ran.order.command),
        files=ran.order.files,
        wall=ran.took.wall,
        cpu=ran.took.cpu,
        bytes=sum(rung.bytes for rung in rungs),
        rungs=rungs,
    )


def _rung(ran: Ran, name: str, pattern: str, case: Case, frames: int) -> Rung:
    files = list(ran.home.glob(pattern))
    if len(files) != 1:
        raise RuntimeError(f"{ran.tool.name} has made {len(files)} files {pattern}")
    (media,) = files
    size = media_bytes(media.parent) if media.suffix == ".m3u8" else media.stat().st_size
    made = count_frames(media)
    vmaf = None
    if made == frames:
        tell(f"  VMAF of {name}")
        judged = scores(case.ffmpeg, media, case.clip, ran.home, (case.video.width, case.video.height)).vmaf
        vmaf = fmean(judged) if len(judged) == frames else None
    with av.open(str(media)) as container:
        stream = container.streams.video[0]
        dimensions = f"{stream.width}x{stream.height}"
    seconds = frames / float(case.video.rate)
    return Rung(name, dimensions, size, round(size * 8 / 1000 / seconds), made, vmaf)


def cut(film: Path, seconds: float | None, clip: Path) -> Path:
    """Copies the video up to the first keyframe after so many seconds: elsewhere reordered frames would be lacking."""
    with av.open(str(film)) as source, av.open(str(clip), "w") as copy:
        video = source.streams.best("video")
        if not isinstance(video, av.VideoStream):
            raise UsageError(f"{film.name} has no video")
        stream, end = copy.add_stream_from_template(video), None
        for packet in source.demux(video):
            if seconds and packet.is_keyframe and packet.pts is not None and video.time_base:
                end = packet.pts + seconds / video.time_base if end is None else end
                if packet.pts >= end:
                    break
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    return clip


def count_frames(media: Path) -> int:
    """Packets of the first video."""
    with av.open(str(media)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def _version(order: Order) -> str:
    told = subprocess.run(order.version, capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+(\.\d+)+\S*", told)
    return found.group() if found else ""
