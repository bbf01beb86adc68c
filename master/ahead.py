"""The process that opens a source, and one that was started before there was a source to open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from raven.process import Child
from raven.sandbox import Box


def cutter_command() -> list[str]:
    """The child, with this very code and nothing of the working directory on its path."""
    root = str(Path(__file__).resolve().parent.parent)
    return [sys.executable, "-P", "-c", f"import sys; sys.path.append({root!r}); import master.cutter as c; c.main()"]


def start_cutter(box: Box | None) -> Child:
    """A child that waits for its order."""
    return Child(cutter_command(), stdin=subprocess.PIPE, box=box)


class CutterAhead:
    """A cutter that loads what it needs while its parent still does the same.

    It dies with the thread that makes this, as all children do.
    """

    def __init__(self, box: Box) -> None:
        self._idle: list[Child] = [start_cutter(box)]

    def take(self) -> Child | None:
        """The child, for the first who asks."""
        try:
            return self._idle.pop()  # one call, so two threads never get the same
        except IndexError:
            return None

    def close(self) -> None:
        """Ends a child that nobody has taken."""
        child = self.take()
        if child is not None:
            child.stop()
            child.wait()
