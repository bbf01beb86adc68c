"""What a daemon tells the service manager that started it: sd_notify, which is a datagram to $NOTIFY_SOCKET.

Containers have no such manager, but health checks: for these it touches a file.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

BEATS = 3  # in the time after which the manager takes a silent daemon for hung: one may be lost
TOUCH_SECONDS = 5.0

log = structlog.get_logger()


class Notifier:
    """Speaks to the manager that the environment names (systemd, `Type=notify`), and to nobody where there is none.

    A manager that does not listen never stops a daemon, nor makes it wait.
    """

    def __init__(self, environment: Mapping[str, str], alive_file: Path | None = None) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._pause = _watchdog_seconds(environment) / BEATS
        self._beat_at = 0.0
        self._file, self._touched_at = alive_file, -TOUCH_SECONDS

    def ready(self) -> None:
        """It is set up and at work."""
        self._send("READY=1")

    def beat(self) -> None:
        """It is not hung. May be called as often as one likes: it is said three times in the manager's patience."""
        now = time.monotonic()
        if self._pause and now - self._beat_at >= self._pause:
            self._beat_at = now
            self._send("WATCHDOG=1")
        if self._file is not None and now - self._touched_at >= TOUCH_SECONDS:
            self._touched_at = now
            self._touch(self._file)

    def stopping(self) -> None:
        """It was told to end, and running jobs may take their time."""
        self._send("STOPPING=1")

    def _touch(self, file: Path) -> None:
        try:
            file.touch()
        except OSError as error:  # whoever looks at the file takes the daemon for hung: this says why
            log.warning("the alive file cannot be touched", file=str(file), fault=error.strerror or str(error))

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning("the service manager was not told", state=state, fault=error.strerror or str(error))


def _address(path: str) -> str:
    """The kernel's spelling of NOTIFY_SOCKET; a first `@` stands for the zero byte of an abstract name."""
    return "\0" + path[1:] if path.startswith("@") else path


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """How long this process may be silent; 0 where nobody watches, or watches another process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()) or not microseconds.isdigit():
        return 0.0
    return int(microseconds) / 1e6
