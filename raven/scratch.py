"""Temporary folders of jobs. One in use is locked; the kernel unlocks what a killed daemon has left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATTERN = "raven-*-*-*"
FOLDER_SECONDS = 24 * 3600
"""A folder this old that nobody holds belongs to no running job."""


@contextmanager
def scratch(task: int, what: object, root: Path | None) -> Iterator[Path]:
    """A folder for one piece of work on a task, below `root` or the system's; it is removed afterwards."""
    folder, lock = _make(f"raven-{task}-{what}-", root)
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder)
        finally:
            os.close(lock)


def sweep(root: Path | None) -> list[Path]:
    """Removes the folders that killed daemons of this user have left; these. Those in use stay, whoever uses them."""
    swept = []
    for folder in sorted((root or Path(tempfile.gettempdir())).glob(PATTERN)):
        with contextlib.suppress(OSError):  # in use, or no folder of ours
            lock = _lock(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
            swept.append(folder)
    return swept


def in_use(folder: Path) -> bool:
    """Whether a daemon holds this folder, whoever's it is."""
    try:
        os.close(_lock(folder, whoever=True))
    except BlockingIOError:
        return True
    except OSError:  # not there, or not ours to tell
        return False
    return False


def old_folders(root: Path, now: float) -> Iterator[Path]:
    """Temporary folders of jobs that were killed a day ago; `now`: Unix time."""
    for folder in root.glob(PATTERN):
        with contextlib.suppress(FileNotFoundError):  # another one removes it too
            real = folder.is_dir() and not folder.is_symlink()
            if real and now - folder.stat().st_mtime > FOLDER_SECONDS and not in_use(folder):
                yield folder


def discard(folder: Path) -> bool:
    """Removes a folder unless somebody holds it; whether it did. Raises OSError."""
    try:
        lock = _lock(folder, whoever=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    try:
        shutil.rmtree(folder)
    finally:
        os.close(lock)
    return True


def _make(prefix: str, root: Path | None) -> tuple[Path, int]:
    """A new folder and the open file that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
        with contextlib.suppress(BlockingIOError, FileNotFoundError):  # a sweep was quicker: a new one
            lock = _lock(folder)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _lock(folder: Path, *, whoever: bool = False) -> int:
    """Takes the lock of a folder of this user, or of any. Raises OSError, BlockingIOError where somebody has it."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if not whoever and os.fstat(file).st_uid != os.geteuid():
            raise PermissionError(f"{folder} is another user's")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file
