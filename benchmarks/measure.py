"""Runs a command and measures it with all its descendants: wall, CPU, and the peak memory of each process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.5
"""Long: to look through all threads of a tree takes milliseconds of a core, which belongs to what is measured."""


@dataclass(frozen=True)
class Measured:
    """One run. CPU seconds are of the command and all its descendants; peaks are bytes of resident memory."""

    wall: float
    cpu: float
    peaks: dict[str, int]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue  # the thread has ended
    return found


def _descendants(pid: int) -> list[int]:
    below = _children(pid)
    return [pid, *(d for child in below for d in _descendants(child))]


def _name(pid: int) -> str:
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    text = b" ".join(argv).decode("utf-8", "replace")
    if "master.cutter" in text:
        return "cutter"
    return "ffmpeg" if "ffmpeg" in Path(argv[0].decode()).name else Path(argv[0].decode()).name


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class _Sampler(threading.Thread):
    """Notes the high-water mark of each process of a tree while it lives."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.over = threading.Event()
        self.peaks: dict[str, int] = {}

    def run(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            for pid in _descendants(self._pid):
                try:
                    name, peak = _name(pid), _peak(pid)
                except (OSError, IndexError):
                    continue  # it has ended since it was listed
                self.peaks[name] = max(self.peaks.get(name, 0), peak)


def measure(command: Sequence[str], folder: Path, settings: Mapping[str, str] | None = None) -> Measured:
    """Runs `command` in `folder`, with `settings` over this environment. Raises RuntimeError when it fails."""
    output = folder / "output.log"
    environment = {**os.environ, **(settings or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled once, not by each process
    with output.open("wb") as log:
        begun = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,  # some tools take keys
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.over.set()
    sampler.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}:\n{output.read_text()[-2000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, sampler.peaks)


def raven_command(film: Path, output: Path, profile: str, workers: int) -> list[str]:
    """`raven encode` of a film."""
    command = [sys.executable, "-m", "raven", "encode", str(film), "--output", str(output)]
    return [*command, "--profile", profile, "--workers", str(workers)]


def raven_encode(
    film: Path, output: Path, profile: str, workers: int, settings: Mapping[str, str] | None = None
) -> Measured:
    """`raven encode` of a film into a folder of a folder of its own, with its log beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    return measure(raven_command(film, output, profile, workers), output.parent, settings)


def media_bytes(folder: Path) -> int:
    """Bytes of the encoded media below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.suffix in (".mp4", ".m4s"))
