"""Play a tree of streams to its end with a real player in headless Chromium and tell what happened.

playback = play(tree, "master.m3u8", "hls", rate=4)
assert playback.passed, playback.problems
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from tests.players.modules import node_modules
from tests.players.server import serve

Player = Literal["hls", "dash", "shaka", "vjs", "native"]
Range = tuple[float, float]
Frame = tuple[float, int, int]
"""A frame that was shown: its time in seconds, the number that its picture says, the height of the picture."""

_SCRIPT = Path(__file__).with_name("play.mjs")
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 60  # for Chromium to start and stop, on top of the time to play
_END_SECONDS = 5  # for play.mjs to close Chromium after SIGTERM


class PlayerBroken(RuntimeError):
    """The machinery failed, so nothing is known about the streams."""


@dataclass(frozen=True)
class PlayerError:
    """What a player reported, and at which second of the presentation."""

    fatal: bool
    kind: str
    detail: str
    at: float


@dataclass(frozen=True)
class FailedRequest:
    """A request that was refused or broke off."""

    url: str
    reason: str


@dataclass(frozen=True)
class Append:
    """A segment as it went into the browser: presentation time = time in the segment + timestamp_offset."""

    decode_time: float | None
    timestamp_offset: float
    append_window_start: float


@dataclass(frozen=True)
class Buffer:
    """One SourceBuffer of the player; native playback has none."""

    type: str
    appends: tuple[Append, ...]


@dataclass(frozen=True)
class Sync:
    """Where white flashes were seen and clicks were heard, in seconds of the presentation.

    An offset is a click minus its flash: above zero the sound is late.
    """

    flashes: tuple[float, ...]
    clicks: tuple[float, ...]
    offsets: tuple[float, ...]
    median_offset: float | None


@dataclass(frozen=True)
class Text:
    """A cue that was active: its times and text, and the positions at which it was seen first and last, seconds."""

    language: str
    start: float
    end: float
    text: str
    first: float
    last: float


@dataclass(frozen=True)
class Thumbnail:
    """Where a player looks for the thumbnail of a time: a part of a picture, in its pixels."""

    url: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Tour:
    """What a viewer does once the film plays; without any, it plays through.

    `seeks` are pairs of seconds: where to go, and how far to play there. `levels` are heights of rungs to be shown
    after that. What is left then is played `rest` times as fast.
    """

    seeks: tuple[Range, ...] = ()
    levels: tuple[int, ...] = ()
    rest: float = 1.0


@dataclass(frozen=True)
class Seek:
    """A seek of the viewer's, in seconds, and the first frame that was shown there."""

    origin: float
    to: float
    buffered: bool
    shown: Frame


@dataclass(frozen=True)
class Switch:
    """Another level, where it was asked for, and the first frame of it."""

    height: int
    at: float
    shown: Frame


@dataclass(frozen=True)
class Travelled:
    """What came of a tour."""

    frames: tuple[Frame, ...]
    seeks: tuple[Seek, ...]
    switches: tuple[Switch, ...]


@dataclass(frozen=True)
class Playback:
    """What became of one playback, in seconds of the presentation, frames and bytes."""

    player: str
    ended: bool
    duration: float | None
    current_time: float
    errors: tuple[PlayerError, ...]
    buffered_ranges: tuple[Range, ...]
    max_buffered_ranges: int  # above 1 the streams have a hole, or the player jumped
    stalls: tuple[float, ...]
    jumps: tuple[Range, ...]  # the player itself moved the position, from and to
    video_width: int
    video_height: int
    decoded_frames: int
    dropped_frames: int
    audio_decoded_bytes: int
    failed_requests: tuple[FailedRequest, ...]
    buffers: tuple[Buffer, ...]
    sync: Sync | None
    texts: tuple[Text, ...]
    thumbnails: tuple[Thumbnail | None, ...]  # of the seconds that were asked for
    tour: Travelled | None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why this was not a good playback, in sentences for a failing test."""
        fatal = [f"{error.kind}: {error.detail} (at {error.at} s)" for error in self.errors if error.fatal]
        failed = [f"{request.reason}: {request.url}" for request in self.failed_requests]
        ended = [] if self.ended else [f"stopped at {self.current_time:.3f} s of {self.duration} s"]
        return (*fatal, *failed, *ended)

    @property
    def passed(self) -> bool:
        """Whether it played to its end with no fatal error and no failed request."""
        return not self.problems


def missing() -> str | None:
    """Say in one sentence what has to be installed before anything can be played."""
    absent = [name for name in ("node", "npm") if shutil.which(name) is None]
    if _chromium() is None:
        absent.insert(0, "chromium")
    return f"Players need {' and '.join(absent)}: run tests/install.sh." if absent else None


def play(
    tree: Path,
    manifest: str,
    player: Player,
    *,
    rate: float = 1.0,
    limit: float = 120,
    start: float = 0.0,
    sync: bool = False,
    text: str = "",
    thumbs: Sequence[float] = (),
    trick: float = 0,
    tour: Tour | None = None,
) -> Playback:
    """Play `manifest`, a path inside of `tree`, at `rate` times its speed.

    `limit` is in seconds of real time. `sync` measures sound against picture for a source of flashes and
    clicks (see README.md) and needs rate 1. `text` is the language of the subtitles to show.
    `thumbs` are seconds whose thumbnails dash.js and shaka-player are asked for. `trick` lets shaka-player fast
    forward so many times faster by the I-frames. `tour` is what the viewer does meanwhile; its source is described in
    README.md.
    """
    chromium = _chromium()
    if chromium is None:
        raise PlayerBroken(str(missing()))
    options = {
        "player": player,
        "chromium": chromium,
        "modules": node_modules(),
        "rate": rate,
        "from": start,
        "seconds-limit": limit,
        "text": text,
        "thumbs": ",".join(map(str, thumbs)),
        "trick": trick,
        "tour": json.dumps(tour and asdict(tour)),
    }
    with serve(tree) as server:
        command = ["node", str(_SCRIPT), f"--url={server.url}/{manifest}"]
        command += [f"--{name}={value}" for name, value in options.items()]
        result = _run(command + ["--sync"] * sync, limit + _START_SECONDS)
        refused = tuple(server.refused)
    return _with_refusals(_parse(result), refused)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)


def _run(command: list[str], seconds: float) -> str:
    """Run play.mjs in its own process group and return its output; exit status 1 is a result too."""
    with tempfile.TemporaryDirectory(prefix="raven-player-", ignore_cleanup_errors=True) as scratch:
        # Chromium's profile goes here, and no user's settings come in.
        environment = {**os.environ, "HOME": scratch, "TMPDIR": scratch}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        with _ended_at_last(process):
            try:
                output, complaint = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                raise PlayerBroken(f"{command[1]} still ran after {seconds:.0f} s") from None
    if process.returncode not in (0, 1) or not output:
        raise PlayerBroken(f"{command[1]} failed with status {process.returncode}:\n{complaint[-2000:]}")
    return output


@contextlib.contextmanager
def _ended_at_last(process: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind: SIGTERM lets play.mjs close Chromium, and Chromium ends when its pipe does."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_END_SECONDS)


def _parse(output: str) -> Playback:
    return TypeAdapter(Playback).validate_python(_snake(json.loads(output)))


def _snake(value: Any) -> Any:
    """JavaScript's names in Python's spelling."""
    if isinstance(value, dict):
        return {re.sub("([A-Z])", r"_\1", key).lower(): _snake(item) for key, item in value.items()}
    return [_snake(item) for item in value] if isinstance(value, list) else value


def _with_refusals(playback: Playback, refused: tuple[str, ...]) -> Playback:
    """Add what only the server saw: the browser's own HLS asks for segments out of the page's sight."""
    seen = "\n".join(request.url for request in playback.failed_requests)
    unseen = [line.split(" ", 1) for line in refused]
    extra = tuple(FailedRequest(url, reason) for reason, url in unseen if url not in seen)
    return replace(playback, failed_requests=(*playback.failed_requests, *extra))
