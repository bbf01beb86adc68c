"""Lines for a syslog server, facility local7: the local socket, UDP, TCP. Nobody waits, come what may."""

from __future__ import annotations

import errno
import logging
import logging.handlers
import math
import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from raven.errors import ConfigError

FORM = "write /dev/log, unix:///folder/socket, udp://host:port or tcp://host:port"
SERVER_SECONDS = 5.0
"""In which a server by TCP has to take a connection, and any server a line."""
AGAIN_SECONDS = 1.0
"""Between attempts to reach it."""
KEPT_LINES = 10_000
"""For a server that is away; what comes after them is lost, and told when it is back."""
DATAGRAM_BYTES = 60_000
"""Of a line by UDP or to the local socket: no datagram carries more than 65,507."""
LOOKED_UP_SECONDS = 60.0
"""Nothing says that a host by UDP has another address now, so its name is asked for again."""
STRUCTURED = ("task", "job", "chunk", "attempt", "kind", "role", "node", "event")
"""Fields of an event that servers find without reading the JSON: who did what, for which task."""
SD_ID = "raven@32473"
"""Raven has registered no enterprise number; this one is reserved for examples, so it is nobody else's (RFC 5612)."""

_SEVERITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_LOCAL7 = logging.handlers.SysLogHandler.LOG_LOCAL7
_HOST = re.compile(r"[0-9A-Za-z_-]{1,63}(\.[0-9A-Za-z_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+(%\w+)?\]")
Target = tuple[str, int]

log = structlog.get_logger()


def syslog_handler(where: str, role: str, text: logging.Formatter) -> logging.Handler:
    """Where the setting says. `text` makes the message. Raises ConfigError.

    A name that cannot be looked up now is no fault: after a power failure the hosts of a site come up in any order.
    """
    app, connect = f"raven-{role}", _way(where)
    if where.startswith("/"):
        # as the C library's syslog() writes, which is what local servers expect of their socket
        return SyslogHandler(where, connect, _headed(text, f"{app}[{os.getpid()}]: "), _datagram)
    packed = _frame if where.startswith("tcp:") else _datagram
    renewed = math.inf if where.startswith(("tcp:", "unix:")) else LOOKED_UP_SECONDS
    return SyslogHandler(where, connect, Rfc5424(app, text), packed, renewed)


def reach(where: str) -> None:
    """Tries it. By UDP that is to look up the name. Raises ConfigError, OSError."""
    _way(where)().close()


def _way(where: str) -> Callable[[], socket.socket]:
    """What connects to the server that the setting names. Raises ConfigError."""
    if where.startswith("/"):
        if not Path(where).is_socket():
            raise ConfigError(f"syslog: there is no socket {where}; is a syslog daemon running here?")
        return partial(_to_socket, where)
    if where.startswith("unix:///"):  # its server may start after this daemon
        return partial(_to_socket, where.removeprefix("unix://"))
    scheme, _, address = where.rpartition("://")
    host, _, port = address.rpartition(":")
    if scheme not in ("", "udp", "tcp") or not _HOST.fullmatch(host) or not _is_port(port):
        raise ConfigError(f"syslog: {FORM}, not {where}")
    return partial(_by_tcp if scheme == "tcp" else _by_udp, (host.strip("[]"), int(port)))


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 0 < int(text) <= 0xFFFF


def _by_tcp(target: Target) -> socket.socket:
    return socket.create_connection(target, SERVER_SECONDS)


def _by_udp(target: Target) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(*target, type=socket.SOCK_DGRAM)[0]
    return _connected(_Udp(family, kind, protocol), place)


class _Udp(socket.socket):
    """That nobody listens is told of the datagram before, if at all: it is no more of a fault than silence."""

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        with suppress(ConnectionRefusedError):
            super().sendall(data, flags)


def _to_socket(path: str) -> socket.socket:
    return _connected(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), path)


def _connected(link: socket.socket, place: Any) -> socket.socket:
    try:
        link.settimeout(SERVER_SECONDS)
        link.connect(place)
    except OSError:
        link.close()
        raise
    return link


def _frame(line: bytes) -> bytes:
    """By octet counting (RFC 6587, 3.4.1)."""
    return b"%d %s" % (len(line), line)


def _datagram(line: bytes) -> bytes:
    """Cut to what fits, between two characters."""
    return line[:DATAGRAM_BYTES].decode("utf-8", "ignore").encode()


def _headed(text: logging.Formatter, head: str) -> logging.Formatter:
    class Headed(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return head + text.format(record)

    return Headed()


class Rfc5424(logging.Formatter):
    """A line by RFC 5424 (6.2), without its priority: version, time, host, daemon, process, fields, the message."""

    def __init__(self, app: str, text: logging.Formatter) -> None:
        super().__init__()
        host = "".join(c for c in socket.gethostname() if 33 <= ord(c) <= 126) or "-"
        self._who = f"{host[:255]} {app} {os.getpid()} -"
        self._text = text

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = record.msg if isinstance(record.msg, dict) else {}  # structlog's, else what a library says
        return f"1 {at} {self._who} {_structured(fields)} {self._text.format(record)}"


def _structured(fields: Mapping[str, object]) -> str:
    """STRUCTURED-DATA (6.3): one element, or the dash for none."""
    told = [f' {name}="{_escaped(fields[name])}"' for name in STRUCTURED if name in fields]
    return f"[{SD_ID}{''.join(told)}]" if told else "-"


def _escaped(value: object) -> str:
    """A value of it (6.3.3)."""
    return re.sub(r'(["\\\]])', r"\\\1", str(value))


class SyslogHandler(logging.Handler):
    """One connection, kept by a thread, which also looks up names; who logs puts the line down.

    `packed`: makes of a line what is sent. `renewed`: seconds after which a connection is made anew.
    """

    def __init__(
        self,
        where: str,
        connect: Callable[[], socket.socket],
        text: logging.Formatter,
        packed: Callable[[bytes], bytes],
        renewed: float = math.inf,
    ) -> None:
        super().__init__()
        self.setFormatter(text)
        self._where, self._connect, self._packed, self._renewed = where, connect, packed, renewed
        self._lines: queue.Queue[bytes] = queue.Queue(KEPT_LINES)
        self._lost, self._counting = 0, threading.Lock()
        self._link: socket.socket | None = None
        self._linked_at = 0.0
        self._is_away = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="syslog", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.put_nowait(self._line(record))
        except queue.Full:
            with self._counting:
                self._lost += 1
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """What is there is still sent, if the server takes it."""
        self._over.set()
        self._thread.join(SERVER_SECONDS)
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        priority = _LOCAL7 << 3 | _SEVERITIES.get(record.levelname, 6)
        return self._packed(f"<{priority}>{self.format(record)}".encode())

    # in the thread

    def _send_all(self) -> None:
        line: bytes | None = None
        while True:
            line = line or self._next()
            if line is None:
                break
            try:
                self._send(line)
                line, self._is_away = None, False
            except OSError as error:  # it is away, or hangs: the line is sent by the next connection
                self._disconnect()
                if error.errno == errno.EMSGSIZE:  # no connection will take it
                    line = None
                    with self._counting:
                        self._lost += 1
                    continue
                self._tell_away(error)
                if self._over.wait(AGAIN_SECONDS):
                    break
        self._disconnect()

    def _send(self, line: bytes) -> None:
        if self._link is not None and time.monotonic() - self._linked_at > self._renewed:
            self._disconnect()
        if self._link is None:
            self._link, self._linked_at = self._connect(), time.monotonic()
        self._link.sendall(line)

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _tell_away(self, error: OSError) -> None:
        """Once, and where else lines go; this server hears of it when it is back."""
        if not self._is_away:
            self._is_away = True
            log.warning("the syslog server is away", where=self._where, fault=error.strerror or str(error))

    def _next(self) -> bytes | None:
        """The next line, None at the end. How many were lost is told behind those that were kept."""
        if self._lost and self._lines.empty():
            with self._counting:
                lost, self._lost = self._lost, 0
            told = f"{lost} lines were lost while the syslog server was away"
            return self._line(logging.LogRecord("raven", logging.WARNING, "", 0, told, None, None))
        while not self._over.is_set():
            try:
                return self._lines.get(timeout=AGAIN_SECONDS / 5)
            except queue.Empty:
                continue
        try:
            return self._lines.get_nowait()
        except queue.Empty:
            return None
