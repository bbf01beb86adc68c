"""Temporary folders: gone after the work, and after the next start where the work was killed."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raven.scratch import in_use, scratch, sweep

HOLDER = """
import sys, time
from pathlib import Path
from raven.scratch import scratch
with scratch(7, 70, Path(sys.argv[1])) as folder:
    (folder / "chunk.nut").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_gone_after_the_work_however_that_ends(tmp_path: Path) -> None:
    with scratch(7, 70, tmp_path) as folder:
        (folder / "chunk.nut").touch()
        assert folder.parent == tmp_path
        assert folder.name.startswith("raven-7-70-")
    with pytest.raises(KeyError), scratch(7, "sheets", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_removed_is_held_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the daemon would keep a file open for each, and `scrub.py` would take the folder for one in use."""

    def refuse(folder: Path) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(folder))

    with monkeypatch.context() as broken:
        broken.setattr("raven.scratch.shutil.rmtree", refuse)
        with pytest.raises(OSError, match="not empty"), scratch(7, 70, tmp_path) as folder:
            (folder / "chunk.nut").touch()
    assert not in_use(folder)


def test_what_a_killed_daemon_has_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    """Several daemons of a host share one folder, and each start sweeps it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    foreign, link = tmp_path / "somebody-s", tmp_path / "raven-1-2-link"
    foreign.mkdir()
    link.symlink_to(foreign)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder, scratch(8, 80, tmp_path) as own:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        try:
            assert sweep(tmp_path) == []
            assert in_use(left)
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        assert not in_use(left)
        assert sweep(tmp_path) == [left]
        assert own.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"somebody-s", "raven-1-2-link"}


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another daemon starts in the moment between making and locking."""
    made: list[Path] = []

    def make_and_lose(prefix: str, dir: Path) -> str:  # noqa: A002 - as tempfile names it
        folder = dir / f"{prefix}{len(made)}"
        folder.mkdir()
        made.append(folder)
        if len(made) == 1:
            assert sweep(tmp_path) == [folder]
        return str(folder)

    monkeypatch.setattr("tempfile.mkdtemp", make_and_lose)
    with scratch(7, 70, tmp_path) as folder:
        assert folder == made[1]
        assert in_use(folder)
