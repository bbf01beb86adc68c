"""Children of the daemons, as far as their ends are concerned."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raven.process import Child


def test_a_child_that_dies_over_unread_input_is_waited_for_all_the_same() -> None:
    """A cutter killed while the master answers it: closing its pipe must not turn a cancel into a broken handler."""
    child = Child([sys.executable, "-c", "pass"], stdin=subprocess.PIPE)
    child._process.wait()
    with pytest.raises(BrokenPipeError):
        child.stdin.write(b"\n")
        child.stdin.flush()
    child.stop()
    assert child.wait() == 0
    assert child.stdin.closed
