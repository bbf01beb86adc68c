"""Holds a process and its children to a share of a core, by a control group of either version."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

PERIOD = 20_000
"""Microseconds: short, so that a throttled worker is slow rather than jerky."""
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


def missing() -> str | None:
    """Why no process can be throttled here, None if one can."""
    if (_V1 / "cpu.cfs_quota_us").exists() or "cpu" in _controllers():
        return None
    return "no control group of the kind `cpu` can be made here; run as root on a host with cgroups"


def _controllers() -> list[str]:
    file = _V2 / "cgroup.subtree_control"
    return file.read_text().split() if file.exists() else []


@contextlib.contextmanager
def group(name: str, share: float) -> Iterator[Path]:
    """A group whose processes have `share` of a core together; who writes a pid into the file moves that process."""
    quota = round(share * PERIOD)
    if (_V1 / "cpu.cfs_quota_us").exists():
        folder, settings = _V1 / name, {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota}
        texts = {key: str(value) for key, value in settings.items()}
    else:
        folder, texts = _V2 / name, {"cpu.max": f"{quota} {PERIOD}"}
    folder.mkdir(exist_ok=True)
    for key, text in texts.items():
        (folder / key).write_text(text)
    try:
        yield folder / "cgroup.procs"
    finally:
        with contextlib.suppress(OSError):  # a process of it has not ended yet: an empty group harms nobody
            folder.rmdir()
