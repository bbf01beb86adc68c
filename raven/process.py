"""Child processes: started from argument lists in their own group, watched, and stopped as a group."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

from raven.environment import without_secrets
from raven.errors import FULL, Cancelled, LimitExceeded, NoRoom, ProcessFailed
from raven.limits import START
from raven.sandbox import Box, enter

LOOK_SECONDS = 0.5  # between looks at what a child has used and done; it is stopped at once all the same
KILL_AFTER = 0.5  # s between TERM and KILL: a cancelled task's processes are gone within 2 s
TAIL_LINES = 40
EXCERPT = 1000
"""Characters of each end of a long complaint: the cause comes first, what it led to comes last."""
_MOVING = ("frame", "out_time_us")
"""What of ffmpeg's progress grows while it works; it reports also when nothing moves, 0 or N/A at first."""
_FULL = tuple(os.strerror(number) for number in sorted(FULL))


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


def pasteable(command: Sequence[str]) -> str:
    """The command as a person can paste it into a shell."""
    return shlex.join(command)


def excerpt(text: str) -> str:
    """Both ends of a text that is too long for a message."""
    return text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} ... {text[-EXCERPT:]}"


def out_of_room(words: str) -> bool:
    """Whether a program says that a disk is full."""
    return any(sign in words for sign in _FULL)


class Child:
    """A running child in a box and a process group of its own; its stderr is drained, the last lines are kept."""

    def __init__(self, command: Sequence[str], *, stdin: int = subprocess.DEVNULL, box: Box | None = None) -> None:
        self.command = list(command)
        self.box = box = box or Box()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._process = subprocess.Popen(
            self.command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=without_secrets(os.environ),
            start_new_session=True,
            preexec_fn=lambda: enter(box),  # noqa: PLW1509 - it calls preloaded C functions and nothing else
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

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def bytes_read(self) -> int:
        """Read so far, from files and pipes; 0 where the system does not say (Linux does)."""
        try:
            return int(self._about("io").partition("rchar:")[2].split()[0])
        except (OSError, IndexError):
            return 0

    def cpu_seconds(self) -> float:
        """Used so far; 0 where the system does not say (Linux does)."""
        try:
            fields = self._about("stat").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc(5)
        except (OSError, IndexError):
            return 0.0

    def _about(self, what: str) -> str:
        with open(f"/proc/{self._process.pid}/{what}", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()

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


class Watch:
    """Beside a child: ends it when it is told to, or when its sign of progress has not changed for too long.

    Until it has changed at all that is `START` times as long.
    """

    def __init__(
        self,
        child: Child,
        name: str,
        stop: StopSignal,
        stall_seconds: float | None = None,
        sign: Callable[[], object] = lambda: None,
    ) -> None:
        self._child, self._name, self._stop = child, name, stop
        self._stall_seconds, self._sign = stall_seconds, sign
        self._over = threading.Event()
        self._stalled = self._spent = self._moved = False
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def check(self, status: int) -> None:
        """Raises what the child's end means: nothing for status 0, else Cancelled, LimitExceeded or ProcessFailed."""
        self._stop.check()
        if status == 0:
            return
        name, words = self._name, excerpt(self._child.stderr_tail)
        if self._stalled:
            setting = f"{self._patience:g} s ({'' if self._moved else f'{START} times '}RAVEN_STALL_SECONDS)"
            raise ProcessFailed(f"{name} hung: it made no progress for {setting} and was ended. {words}")
        if out_of_room(words):
            raise NoRoom(f"{name} {_ending(status)}, for its files found no room: {words}")
        box = self._child.box
        limit = box.too_much_cpu() if self._spent else box.explain(status, words)
        if limit is not None:
            raise LimitExceeded(f"{name} was ended: {limit}")
        said = f": {words}" if words else ""  # a signal leaves no words
        raise ProcessFailed(f"{name} {_ending(status)}{box.hint(words)}{said}", status=status)

    @property
    def _patience(self) -> float:
        return float("inf") if self._stall_seconds is None else self._stall_seconds * (1 if self._moved else START)

    def _look(self) -> None:
        most, last, since = self._child.box.cpu_seconds, self._sign(), time.monotonic()
        while not self._over.is_set() and self._child.running:
            told = self._stop.wait(LOOK_SECONDS)
            now, seen = time.monotonic(), self._sign()
            if seen != last:
                last, since, self._moved = seen, now, True
            self._stalled = now - since > self._patience
            self._spent = most is not None and self._child.cpu_seconds() > most
            if told or self._stalled or self._spent:
                self._child.stop()
                return


def run(
    command: Sequence[str],
    stop: StopSignal,
    on_progress: Callable[[dict[str, str]], None] | None = None,
    box: Box | None = None,
    stall_seconds: float | None = None,
) -> str:
    """Runs ffmpeg to its end; `on_progress` gets each block of its `-progress pipe:1`. The last lines of its stderr.

    Raises ProcessFailed with the last lines of stderr, also when no block brought anything new for `stall_seconds`
    (`START` times as long before the first frame), NoRoom when a disk was full, LimitExceeded when it ran into its
    box, or Cancelled when `stop` was set.
    """
    stop.check()
    child = Child(command, box=box)
    block: dict[str, str] = {}
    moving: dict[str, str] = {}
    name = os.path.basename(command[0])  # noqa: PTH119
    with Watch(child, name, stop, stall_seconds, moving.copy) as watch:
        try:
            for line in child.stdout:
                key, _, value = line.decode("utf-8", "replace").strip().partition("=")
                block[key] = value
                if key in _MOVING and value.strip("0").isdigit():
                    moving[key] = value
                if key == "progress" and on_progress is not None:
                    on_progress(block)
                    block = {}
        except BaseException:
            child.stop()
            raise
        finally:
            status = child.wait()
    watch.check(status)
    return child.stderr_tail


def _ending(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
