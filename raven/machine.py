"""What the host has, and what is left of it. Read from Linux; where the system does not say, a figure is 0."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raven.capacity import MOST, USUAL, Share, host, how_many
from raven.environment import without_secrets

MASTER_SLOTS = 4
"""The most by default: cutting is reading and writing, and more of it at once only fills the disk."""

_MEMINFO = Path("/proc/meminfo")
_OWN_CGROUP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """A host as it is now; memory and room in bytes."""

    cpus: int
    load: float
    """Of the last minute."""
    memory_total: int
    memory_free: int
    """What new processes can have without swapping."""
    disk_free: int


def look(folder: Path | None) -> Machine:
    """The host as it is now; `folder` is where temporary files lie, None for the system's.

    Raises OSError when the folder cannot be reached.
    """
    total, free = _memory()
    disk = shutil.disk_usage(folder or tempfile.gettempdir()).free
    return Machine(cores(), os.getloadavg()[0], total, free, disk)


def host_share(reserve: int = 0) -> Share:
    """What this host has for encodes; `reserve`: bytes of memory that are to stay free."""
    total = _memory()[0]
    return host(cores(), total - reserve if total else None)


def default_slots(role: Literal["master", "worker"], whole: Share | None = None) -> int:
    """Heavy jobs that a daemon runs side by side when no setting says how many; encodes of eight rungs of 1080p."""
    slots = how_many(whole or host_share(), (), USUAL)
    return min(slots, MASTER_SLOTS) if role == "master" else min(slots, MOST)


def cores() -> int:
    """Those that this process may use, by affinity and by the quota of its container."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups():
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            own = min(own, max(1, int(quota) // int(period)))
    return own


def _memory() -> tuple[int, int]:
    """Bytes in all and free, by the host and by the limits of the container."""
    fields = dict(line.split(":", 1) for line in _text(_MEMINFO).splitlines() if ":" in line)
    total, free = (int(fields.get(key, "0").split()[0]) << 10 for key in ("MemTotal", "MemAvailable"))
    for group in _groups():
        limit = _text(group / "memory.max")
        if limit.isdigit():
            used = int(_text(group / "memory.current") or 0) - _cached(group)
            total, free = min(total, int(limit)), min(free, max(0, int(limit) - used))
    return total, free


def _cached(group: Path) -> int:
    """Bytes of files that the kernel would give up first."""
    lines = _text(group / "memory.stat").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)


def _groups() -> Iterator[Path]:
    """The control groups (version 2) that this process is in, from its own up to the one that it sees as the root."""
    own = next((line for line in _text(_OWN_CGROUP).splitlines() if line.startswith("0::/")), "")
    if own:
        path = _CGROUPS / own.removeprefix("0::/")
        yield from (group for group in (path, *path.parents) if group.is_relative_to(_CGROUPS))


def _text(file: Path) -> str:
    """Empty where there is no such file."""
    try:
        return file.read_text("utf-8").strip()
    except OSError:
        return ""


def size(count: int) -> str:
    """A number of bytes as people read it: `312 MB`, `1.1 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def ffmpeg_build(ffmpeg: str) -> str:
    """The line in which it states its version; what is wrong, where it does not."""
    try:
        done = subprocess.run(
            [ffmpeg, "-version"], env=without_secrets(os.environ), capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"none: {error}"[:128]
    first = done.stdout.decode("utf-8", "replace").partition("\n")[0].partition(" Copyright")[0].strip()
    return first[:128] or f"none: it ended with status {done.returncode}"
