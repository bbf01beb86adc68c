"""Lines for a syslog server, facility local7: the local socket, UDP, TCP. Nobody waits, come what may."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path

from raven.errors import ConfigError

FORM = "write /dev/log, udp://host:port or tcp://host:port"
SERVER_SECONDS = 5.0
"""In which a server by TCP has to take a connection, or a line."""
AGAIN_SECONDS = 1.0
"""Between attempts to reach it."""
KEPT_LINES = 10_000
"""For a server by TCP that is away; what comes after them is lost, and told when it is back."""
DATAGRAM_CHARACTERS = 60_000
"""Of a line by UDP: no datagram carries more."""

_SEVERITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_LOCAL7 = logging.handlers.SysLogHandler.LOG_LOCAL7


def syslog_handler(where: str, role: str, text: logging.Formatter) -> logging.Handler:
    """Where the setting says. `text` makes the message. Raises ConfigError."""
    app = f"raven-{role}"
    if where.startswith("/"):
        return _local(where, app, text)
    scheme, _, address = where.rpartition("://")
    host, _, port = address.rpartition(":")
    if scheme not in ("", "udp", "tcp") or not host or not port.isdigit():
        raise ConfigError(f"syslog: {FORM}")
    target = (host.strip("[]"), int(port))
    try:
        socket.getaddrinfo(*target)
        handler = TcpHandler(target) if scheme == "tcp" else logging.handlers.SysLogHandler(target, _LOCAL7)
    except OSError as error:
        raise ConfigError(f"syslog: {where}: {error.strerror}") from error
    if isinstance(handler, logging.handlers.SysLogHandler):
        handler.append_nul = False  # rsyslog would show it as #000
    handler.setFormatter(Rfc5424(app, text, None if scheme == "tcp" else DATAGRAM_CHARACTERS))
    return handler


def _local(where: str, app: str, text: logging.Formatter) -> logging.Handler:
    """As the C library's syslog() writes, which is what local servers expect of their socket."""
    if not Path(where).is_socket():
        raise ConfigError(f"syslog: there is no socket {where}; is a syslog daemon running here?")
    try:
        handler = logging.handlers.SysLogHandler(where, _LOCAL7)
    except OSError as error:
        raise ConfigError(f"syslog: {where}: {error.strerror}") from error
    handler.append_nul = False
    handler.ident = f"{app}[{os.getpid()}]: "  # else the first word of the message becomes the tag
    handler.setFormatter(text)
    return handler


class Rfc5424(logging.Formatter):
    """A line by RFC 5424 (6.2), without its priority: version, time, host, daemon, process, the message.

    No structured data, as servers do more with the JSON of the message.
    """

    def __init__(self, app: str, text: logging.Formatter, most: int | None = None) -> None:
        super().__init__()
        host = "".join(c for c in socket.gethostname() if 33 <= ord(c) <= 126) or "-"
        self._who = f"{host[:255]} {app} {os.getpid()} - -"
        self._text, self._most = text, most

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return f"1 {time} {self._who} {self._text.format(record)[: self._most]}"


class TcpHandler(logging.Handler):
    """One connection, kept by a thread; who logs puts the line down. Frames by octet counting (RFC 6587, 3.4.1)."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__()
        self._target = target
        self._lines: queue.Queue[bytes] = queue.Queue(KEPT_LINES)
        self._lost = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="syslog", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self._frame(record))
        except queue.Full:
            self._lost += 1
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """What is there is still sent, if the server takes it."""
        self._over.set()
        self._thread.join(SERVER_SECONDS)
        super().close()

    def _frame(self, record: logging.LogRecord) -> bytes:
        line = f"<{_LOCAL7 << 3 | _SEVERITIES.get(record.levelname, 6)}>{self.format(record)}".encode()
        return b"%d %s" % (len(line), line)

    def _send_all(self) -> None:
        connection: socket.socket | None = None
        line: bytes | None = None
        while True:
            line = line or self._next()
            if line is None:
                break
            try:
                connection = connection or socket.create_connection(self._target, SERVER_SECONDS)
                connection.sendall(line)
                line = None
            except OSError:  # it is away, or hangs: the line is sent by the next connection
                if connection is not None:
                    connection.close()
                connection = None
                if self._over.wait(AGAIN_SECONDS):
                    break
        if connection is not None:
            connection.close()

    def _next(self) -> bytes | None:
        """The next line, None at the end. How many were lost is told behind those that were kept."""
        if self._lost and self._lines.empty():
            self.acquire()
            lost, self._lost = self._lost, 0
            self.release()
            told = f"{lost} lines were lost while the syslog server was away"
            return self._frame(logging.LogRecord("raven", logging.WARNING, "", 0, told, None, None))
        while not self._over.is_set():
            try:
                return self._lines.get(timeout=AGAIN_SECONDS / 5)
            except queue.Empty:
                continue
        try:
            return self._lines.get_nowait()
        except queue.Empty:
            return None
