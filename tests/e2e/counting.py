"""A film that tells its second by its brightness, and the reading of it from a picture."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.media import ffmpeg, run_ffmpeg

STEP = 12
"""By so much a second is brighter than the one before it: far more than an encoder changes."""


def make_clip(target: Path, frames: int, rate: str = "25") -> Path:
    """A film of up to 18 s, with a tone."""
    grey = f"geq=lum='16+{STEP}*floor(T)':cb=128:cr=128"
    source = f"color=black:size=320x180:rate={rate},{grey},format=yuv420p"
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-shortest"]
    video = ["-frames:v", str(frames), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-g", "60"]
    run_ffmpeg(["-f", "lavfi", "-i", source, *tone, *video, str(target)])
    return target


def brightness(file: Path, part: str = "null") -> int:
    """Luma, 16 to 235, of the only picture in a file, or of the part of it that a filter leaves."""
    filters = f"{part},scale=2:2:out_range=tv,format=yuv420p"
    command = [ffmpeg(), "-nostdin", "-v", "error", "-i", str(file), "-vf", filters, "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True)
    assert len(done.stdout) == 6, "not one picture"
    return done.stdout[0]
