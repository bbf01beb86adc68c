"""Child processes: started from argument lists in their own group, watched, and stopped as a group."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO

from raven.errors import Cancelled, ProcessFailed

KILL_AFTER = 0.5  # s between TERM and KILL: a cancelled task's processes are gone within 2 s
TAIL_LINES = 40
_PR_SET_PDEATHSIG = 1
# loaded before any fork, as a child between fork and exec must not import; PyDLL does not touch the GIL
_LIBC = ctypes.PyDLL(None) if sys.platform == "linux" else None


class StopSignal:
    """Says to the work on one job that it shall end: cancelled, or the daemon stops."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once stopped."""
        if self._event.is_set():
            raise Cancelled("stopped")

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)


@dataclass(frozen=True)
class Usage:
    """What a child has used: CPU seconds and the peak of its resident memory in bytes."""

    cpu_seconds: float
    peak_bytes: int


def _in_child() -> None:
    """Between fork and exec: the child dies with the thread that started it, also when the daemon is killed."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def pasteable(command: Sequence[str]) -> str:
    """The command as a person can paste it into a shell."""
    return shlex.join(command)


class Child:
    """A running child in a process group of its own; its stderr is drained, the last lines are kept."""

    def __init__(self, command: Sequence[str], *, stdin: int = subprocess.DEVNULL) -> None:
        self.command = list(command)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = subprocess.Popen(
            self.command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_in_child,  # noqa: PLW1509 - it calls one preloaded C function and nothing else
            close_fds=True,
        )
        self._reader = threading.Thread(target=self._drain, name="stderr", daemon=True)
        self._reader.start()

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - asked for in __init__
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - asked for in __init__
        return self._process.stdout

    @property
    def stderr_tail(self) -> str:
        """The last lines that it wrote to stderr."""
        return "\n".join(self._tail)

    def _drain(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - asked for in __init__
        with self._process.stderr as lines:
            for line in lines:
                self._tail.append(line.decode("utf-8", "replace").rstrip())

    def stop(self) -> None:
        """TERM to the group, KILL if that does not help. Safe to call from another thread, and twice."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + KILL_AFTER
            while self._process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return  # the whole group has ended

    def wait(self) -> int:
        """The exit status, negative for a signal; nothing of the group is left behind."""
        status = self._process.wait()
        self._reader.join(timeout=5)
        self._signal(signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it did not read any more
                    pipe.close()
        return status


def run(command: Sequence[str], stop: StopSignal, on_progress: Callable[[dict[str, str]], None] | None = None) -> None:
    """Runs ffmpeg to its end; `on_progress` gets each block of its `-progress pipe:1`.

    Raises ProcessFailed with the last lines of stderr, or Cancelled when `stop` was set.
    """
    stop.check()
    child = Child(command)
    watcher = threading.Thread(target=_stop_when_told, args=(child, stop), name="stop", daemon=True)
    watcher.start()
    try:
        block: dict[str, str] = {}
        for line in child.stdout:
            key, _, value = line.decode("utf-8", "replace").strip().partition("=")
            block[key] = value
            if key == "progress" and on_progress is not None:
                on_progress(block)
                block = {}
    except BaseException:
        child.stop()
        raise
    finally:
        status = child.wait()
    stop.check()
    if status != 0:
        raise ProcessFailed(f"{os.path.basename(command[0])} {_ending(status)}: {child.stderr_tail[-2000:]}")  # noqa: PTH119


def _stop_when_told(child: Child, stop: StopSignal) -> None:
    while child._process.poll() is None:
        if stop.wait(0.1):
            child.stop()
            return


def _ending(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def children_usage() -> Usage:
    """Used by all children that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 1024 if sys.platform == "linux" else 1
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss * scale)
