"""What runs on this machine, from /proc."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> set[tuple[int, int]]:
    """All processes below one, as number and time of start, which together no other process ever has."""
    children: dict[int, list[tuple[int, int]]] = {}
    for number, (parent, begun) in processes().items():
        children.setdefault(parent, []).append((number, begun))
    found: set[tuple[int, int]] = set()
    below = children.get(pid, [])
    while below:
        found |= set(below)
        below = [child for number, _ in below for child in children.get(number, [])]
    return found


def children(pid: int) -> set[tuple[int, int]]:
    """The processes that a process has to wait for, the ended ones included, as number and time of start."""
    return {(number, begun) for number, (parent, begun) in processes(ended=True).items() if parent == pid}


def processes(ended: bool = False) -> dict[int, tuple[int, int]]:
    """Parent and time of start of each process; without `ended`, of those that run still."""
    found: dict[int, tuple[int, int]] = {}
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # not a process, or one that has just ended
        if folder.name.isdigit() and (ended or fields[0] != "Z"):
            found[int(folder.name)] = int(fields[1]), int(fields[19])
    return found
