"""The self-test: whether this node's ffmpeg encodes, and always the same. Until it passes a node takes no job."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from raven.errors import OutputWrong, RavenError
from raven.process import StopSignal, run
from raven.sandbox import encoder_box
from raven.scratch import scratch

FRAMES = 25
_SOURCE, _SIZE = (320, 180), (160, 90)
_SECONDS = 60
"""For 0.05 s of CPU: whoever needs longer encodes nothing."""
KNOWN = {
    ("ffmpeg version n9.0.2-17-g2a571b6068-20260930", "x86_64"): (
        "f5b17ea8e4cb038eab7b8bfa36775a8be536b0ff1f26a191dd223c013d0e004c"
    )
}
"""What the shipped builds make, by version line and machine. The same with every set of CPU instructions (measured)."""


def encode_known(ffmpeg: str, file: Path) -> str:
    """Encodes a second of test picture into `file`; the SHA-256 of its bytes. Raises RavenError."""
    filters = (
        # no shortcut in the scaler that depends on the CPU
        f"scale={_SIZE[0]}:{_SIZE[1]}:flags=bicubic+bitexact+accurate_rnd,format=yuv420p"
    )
    command = [
        *(ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-y"),
        *("-f", "lavfi", "-i", f"testsrc2=size={_SOURCE[0]}x{_SOURCE[1]}:rate=25", "-vf", filters),
        *("-frames:v", str(FRAMES), "-c:v", "libx264", "-preset", "medium", "-g", "10"),
        # one thread and no choice by the CPU, so that all sound machines make the same bytes
        *("-threads", "1", "-x264-params", "cpu-independent=1", "-flags:v", "+bitexact"),
        *("-f", "h264", str(file)),
    ]
    _run(command)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""


def decode(ffmpeg: str, file: Path) -> int:
    """The number of frames that come out of it again. Raises RavenError when one of them is damaged."""
    raw = file.with_suffix(".yuv")
    _run([ffmpeg, "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-i", str(file), "-f", "rawvideo", str(raw)])
    return raw.stat().st_size * 2 // (_SIZE[0] * _SIZE[1] * 3) if raw.exists() else 0


def _run(command: list[str]) -> None:
    box = encoder_box(_SOURCE[0] * _SOURCE[1], _SIZE[0] * _SIZE[1], 1, FRAMES, _SECONDS)
    run(command, StopSignal(), box=box, stall_seconds=_SECONDS)


def self_test(ffmpeg: str, build: str, temporary: Path | None) -> str:
    """What is wrong, as a sentence; empty when nothing is. `build`: the version line of this ffmpeg."""
    try:
        with scratch(0, "test", temporary) as folder:
            _check(ffmpeg, build, folder)
    except (RavenError, OSError) as error:
        return str(error)
    return ""


def _check(ffmpeg: str, build: str, folder: Path) -> None:
    file = folder / "known.h264"
    made = encode_known(ffmpeg, file)
    wanted = KNOWN.get((build, platform.machine()))
    if wanted is None:
        wanted = encode_known(ffmpeg, folder / "again.h264")
        frames = decode(ffmpeg, file)
        if frames != FRAMES:
            raise OutputWrong(f"of {FRAMES} frames that were encoded {frames} can be decoded")
    if made != wanted or not made:
        raise OutputWrong("the known encode has other bytes than it should: ffmpeg, memory or CPU are not sound")
