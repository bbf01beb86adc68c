"""The port that Prometheus scrapes. Whoever hangs there, or comes in crowds, harms only the scrapes."""

from __future__ import annotations

import errno
import socket
import socketserver
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, MetricsHandler, PlatformCollector, ProcessCollector

from raven import __version__
from raven.errors import ConfigError
from raven.metrics.definitions import BUILD, OF_ROLE

PORTS = {"watcher": 9741, "master": 9742, "worker": 9743}
"""Of each role one, so that one line of settings serves all daemons of a host."""
SECONDS = 10.0
"""A client that is slower is cut off."""
ADDRESS_SECONDS = 20.0
"""A host that comes up has its addresses a moment later; who has none then has a wrong setting."""
AT_ONCE = 8
"""Further connections are closed unheard, as each takes a thread."""
FORM = "write address or address:port, such as 127.0.0.1 or [::1]:9743"

log = structlog.get_logger()


class _Handler(MetricsHandler):
    timeout = SECONDS
    server_version, sys_version = "raven", ""


class _Server(socketserver.ThreadingTCPServer):
    """Not HTTPServer, which asks the resolver for its own name and would wait for one that is away."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64  # so that those too many are closed at once and not left to try again

    def __init__(
        self,
        family: socket.AddressFamily,
        place: Any,
        handler: type[MetricsHandler],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address_family, self._tls = family, tls
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(place, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the client's own thread, so whoever drags out a handshake holds up nobody else."""
        if self._tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(SECONDS)
        with self._tls.wrap_socket(request, server_side=True) as link:
            super().finish_request(link, client_address)

    def handle_error(self, *_: Any) -> None:
        fault = sys.exc_info()[1]
        if not isinstance(fault, ConnectionError | TimeoutError | ssl.SSLError):  # the client's own way to end it
            log.warning("a scrape broke", fault=repr(fault))


def registry_of(role: str) -> CollectorRegistry:
    """The metrics of a role's daemon, and what the system tells of its process."""
    registry = CollectorRegistry()
    for metric in OF_ROLE[role]:
        registry.register(metric)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    BUILD.info({"version": __version__, "role": role})
    return registry


def serve(where: str, role: str, certificate: Path | None = None) -> int:
    """Shows a daemon's metrics at `where`, in threads that end with the process; the port. Raises ConfigError.

    `certificate`: a PEM file with the key too, for TLS.
    """
    host, port = _place(where, role)
    tls = None if certificate is None else _by(certificate)
    handler = _Handler.factory(registry_of(role))
    until = time.monotonic() + ADDRESS_SECONDS
    try:
        while True:
            try:
                server = _listen(host, port, handler, tls)
                break
            except OSError as error:
                if not _may_come(error) or time.monotonic() >= until:
                    raise
                time.sleep(0.2)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"metrics: {host} port {port} cannot be listened at: {getattr(error, 'strerror', None) or error}; {FORM},"
            " an address of this host, and for a second daemon of this role another port"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return int(server.server_address[1])


def _listen(host: str, port: int, handler: type[MetricsHandler], tls: ssl.SSLContext | None) -> _Server:
    """Raises OSError, UnicodeError."""
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return _Server(family, place, handler, tls)


def _may_come(error: OSError) -> bool:
    """Whether the address may be there in a moment: it is not this host's, or a name that nobody knows now."""
    asked = isinstance(error, socket.gaierror)  # whose numbers are others
    return error.errno == (socket.EAI_AGAIN if asked else errno.EADDRNOTAVAIL)


def _by(certificate: Path) -> ssl.SSLContext:
    """Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or error
        raise ConfigError(f"metrics_tls: {certificate} is no PEM file with a certificate and its key: {why}") from error
    return context


def _place(where: str, role: str) -> tuple[str, int]:
    """Address and port. Raises ConfigError."""
    if where.startswith("["):
        host, bracket, rest = where[1:].partition("]")
    else:
        host, bracket, rest = where.partition(":")
        rest = bracket + rest
    port = rest[1:] if rest.startswith(":") else "" if rest else str(PORTS[role])
    if not host or not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
        raise ConfigError(f"metrics: {where} is no place to listen at; {FORM}")
    return host, int(port)
