"""VMAF and PSNR of each frame, by the libvmaf of the shipped ffmpeg."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import measure

MODEL = "vmaf_v0.6.1"
"""The default one: a person before a television, at three heights of the picture."""


@dataclass(frozen=True)
class Scores:
    """Of each frame: VMAF (0 to 100) and the PSNR of luma (dB, at most 60)."""

    vmaf: tuple[float, ...]
    psnr: tuple[float, ...]


Size = tuple[int, int]
"""Width and height."""


def vmaf_command(ffmpeg: str, encoded: Path, original: Path, log: str, size: Size | None = None) -> list[str]:
    """Compares two videos frame by frame, whatever their times. `size` is the original's, where the other's differs."""
    # a frame a second, as containers round times otherwise; 8 bits in both, as the filter takes one format only
    same = "settb=1/1000,setpts=1000*N,format=yuv420p"
    enlarge = f"scale={size[0]}:{size[1]}:flags=bicubic," if size else ""  # as a player does
    settings = [
        "log_fmt=json",
        f"log_path={log}",
        f"model=version={MODEL}",
        "feature=name=psnr",
        "n_threads=2",
        "shortest=1:repeatlast=0",  # a frame too few must not go unseen
    ]
    return [
        ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error",
        "-i", str(encoded), "-i", str(original),
        # the first input is the one that is judged, the second its reference
        "-lavfi", f"[0:v:0]{enlarge}{same}[e];[1:v:0]{same}[o];[e][o]libvmaf={':'.join(settings)}",
        "-fps_mode", "passthrough", "-f", "null", "-",
    ]  # fmt: skip


def read_scores(text: str) -> Scores:
    """Of the filter's log."""
    frames = json.loads(text)["frames"]
    metrics = [frame["metrics"] for frame in sorted(frames, key=lambda frame: frame["frameNum"])]
    return Scores(tuple(m["vmaf"] for m in metrics), tuple(m["psnr_y"] for m in metrics))


def scores(ffmpeg: str, encoded: Path, original: Path, folder: Path, size: Size | None = None) -> Scores:
    """Scores of each frame of `encoded`; `folder` is for files in between. Raises RuntimeError if ffmpeg fails."""
    measure(vmaf_command(ffmpeg, encoded, original, "vmaf.json", size), folder)
    return read_scores((folder / "vmaf.json").read_text("utf-8"))
