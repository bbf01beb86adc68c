"""What all test servers need: free ports, directories, and child processes that never outlive the tests."""

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
# A PyDLL keeps the interpreter lock during a call, so that nothing can go wrong between fork and exec.
_LIBC = ctypes.PyDLL(None) if sys.platform == "linux" else None
_Popen = subprocess.Popen[bytes]
_PR_SET_PDEATHSIG = 1
_COMMAND_TIMEOUT = 120
_DIRECTORY_PREFIX = "rv-"
_LOCK_NAME = "raven-tests.lock"
# To Linux the parent of a process is the thread that started it. This one lives as long as the tests do, so
# that helper threads of tests may start servers too.
_LAUNCHER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-launcher")
_OWN = threading.local()


def launch_here() -> None:
    """Let the calling thread start programs itself: it has a network of its own, and lives as long as they do."""
    _OWN.launches = True


class ServerError(RuntimeError):
    """A test server did not start, stop or answer."""


def program(name: str) -> str:
    """Return the path of a program; a plain user's PATH has no sbin, but servers live there."""
    path = shutil.which(name, path=_search_path())
    if path is None:
        raise ServerError(f"{name} is not installed: run tests/install.sh.")
    return path


def missing_program(programs: Mapping[str, str]) -> str | None:
    """Say which Debian package has the first program that is not installed (program -> package)."""
    for name, package in programs.items():
        if shutil.which(name, path=_search_path()) is None:
            return f"{name} is missing: run tests/install.sh or install Debian's package {package}."
    return None


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment without the caller's settings, which could point a server to other files."""
    return {"PATH": _search_path(), "HOME": str(home), "LANG": "C.UTF-8"}


def free_port() -> int:
    """Choose a free TCP port of 127.0.0.1 and keep others from choosing it for a minute.

    A closed connection leaves the port in TIME_WAIT for 60 seconds: the kernel then gives it neither to
    another bind to port 0 nor to an outgoing connection, while a server can bind it (all set SO_REUSEADDR).
    """
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        listener.listen(1)
        port = int(listener.getsockname()[1])
        client.connect((HOST, port))
        accepted, _ = listener.accept()
        accepted.close()  # the side that closes first gets TIME_WAIT
        client.recv(1)
    return port


def wait_until(ready: Callable[[], bool], timeout: float, child: "ChildProcess") -> None:
    """Poll until the child is ready, or kill it; an OSError (refused, reset, timed out) means "not yet"."""
    deadline = time.monotonic() + timeout
    while child.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.05)
    problem = f"was not ready after {timeout:.0f} s" if child.is_alive() else "ended while starting"
    child.kill()
    raise ServerError(f"{child.name} {problem}.\n{child.log_tail()}")


def run(command: Sequence[str], env: Mapping[str, str], *, user: str | None = None, text: str = "") -> str:
    """Run a short command with text as its input and return its output, or raise with what it said."""
    run_as = _Identity.of(user)
    try:
        done = subprocess.run(
            command, env=env, cwd="/", input=text, capture_output=True, encoding="utf-8", errors="replace",
            user=run_as.user, group=run_as.group, extra_groups=run_as.groups, preexec_fn=_die_with_parent(),
            timeout=_COMMAND_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"{command[0]} did not end within {_COMMAND_TIMEOUT} s.") from error
    if done.returncode != 0:
        raise ServerError(f"{command[0]} failed with {done.returncode}.\n{done.stdout}{done.stderr}")
    return done.stdout


class ChildProcess:
    """A server program in a process group of its own, which the kernel kills when this process dies."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], user: str | None = None
    ) -> None:
        self.name = name
        self._log = log
        self._is_ended = False
        run_as = _Identity.of(user)
        if getattr(_OWN, "launches", False):
            self._popen = self._start(command, env, run_as)
        else:
            self._popen = _LAUNCHER.submit(self._start, command, env, run_as).result()

    def _start(self, command: Sequence[str], env: Mapping[str, str], run_as: "_Identity") -> _Popen:
        with self._log.open("ab") as output:
            return _Popen(
                command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                user=run_as.user, group=run_as.group, extra_groups=run_as.groups,
                start_new_session=True, preexec_fn=_die_with_parent(),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id, which is the id of the group as well."""
        return self._popen.pid

    def is_alive(self) -> bool:
        """Tell whether the program still runs."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End the whole group with SIGKILL, as a crash or the out-of-memory killer would."""
        if self._is_ended:  # its number may belong to another group by now
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._is_ended = True

    def freeze(self) -> None:
        """Stop the whole group where it is: its connections stay open, and nobody answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the group go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def terminate(self, timeout: float = 60) -> None:
        """Ask the program to end in an orderly way; kill it when it takes too long."""
        if self.is_alive():
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        self.kill()

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of what the program wrote."""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join([f"The end of {self._log}:", *text.splitlines()[-lines:]])


def die_with_parent() -> None:
    """Ask Linux to kill this process with SIGKILL as soon as its parent is dead."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL.value, 0, 0, 0)


@contextlib.contextmanager
def private_directory() -> Iterator[Path]:
    """Provide a directory that is removed afterwards, at the latest by the next test run after a kill -9.

    Unlike pytest's tmp_path its parts can be reached by the user "mysql", as which MariaDB runs for root.
    """
    _remove_abandoned_directories()
    directory = Path(tempfile.mkdtemp(prefix=_DIRECTORY_PREFIX))
    directory.chmod(0o711)
    new_lock = directory / "lock.new"
    with new_lock.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new_lock.rename(directory / _LOCK_NAME)  # only now others see it, and it is locked already
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _remove_abandoned_directories() -> None:
    """Remove directories of killed test runs of this user: the kernel released their locks."""
    for path in Path(tempfile.gettempdir()).glob(f"{_DIRECTORY_PREFIX}*/{_LOCK_NAME}"):
        with contextlib.suppress(OSError), path.open("r+", encoding="utf-8") as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


def _die_with_parent() -> Callable[[], None]:
    """Return what a child has to do first so that it gets SIGKILL at the death of its parent.

    Linux forgets this wish when a program changes its user, so Popen has to do that, which it does before.
    """
    parent = os.getpid()

    def prepare_child() -> None:
        die_with_parent()
        if os.getppid() != parent:  # it died between fork and now
            os._exit(1)

    return prepare_child


class _Identity(NamedTuple):
    """The user that a program runs as; None leaves all as it is."""

    user: int | None = None
    group: int | None = None
    groups: list[int] | None = None

    @classmethod
    def of(cls, name: str | None) -> "_Identity":
        if name is None:
            return cls()
        entry = pwd.getpwnam(name)
        return cls(entry.pw_uid, entry.pw_gid, [])
