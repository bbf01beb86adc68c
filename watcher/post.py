"""One POST to a host that is not to be trusted: to an address that was looked at, within a time, for a status alone."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing

from raven.errors import OptionInvalid, Unavailable
from watcher.callbacks import Allowed, Target

SECONDS = 10.0
"""From the connection to the status, however slowly it drips."""
CONNECT_SECONDS = 4.0
"""To one of a host's addresses."""
MOST_BYTES = 16 << 10
"""Of an answer before its status; what comes after the status is not read."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])[ \r\n]")


def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    allowed: Allowed,
    tls: ssl.SSLContext,
    seconds: float = SECONDS,
) -> int:
    """The HTTP status of the answer; a redirect is one like the others, and no proxy is asked.

    Raises OptionInvalid when all of the host's addresses are forbidden, Unavailable when there is no answer.
    """
    until = time.monotonic() + seconds
    try:
        with closing(_connected(target, allowed, until)) as plain:
            plain.settimeout(_left(until))
            link = tls.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
            with closing(link):
                link.settimeout(_left(until))
                link.sendall(_request(target, headers, body))
                return _status(link, until)
    except TimeoutError as error:
        raise Unavailable(f"{target.host} did not answer within {seconds:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"{target.host} has a certificate that is not trusted: {error.verify_message}") from error
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{target.host}: {getattr(error, 'strerror', None) or error}") from error


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _connected(target: Target, allowed: Allowed, until: float) -> socket.socket:
    """A connection to the first of the host's addresses that is allowed and answers.

    The name is looked up once: what was looked at is what is connected to.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    places = [(family, place) for family, _, _, _, place in found if allowed.reaches(str(place[0]))]
    if not places:
        raise OptionInvalid(
            f"callback_url: {target.host} is at {found[0][4][0]}, and only public addresses and those of"
            " RAVEN_CALLBACK_NETWORKS are connected to"
        )
    fault: OSError = TimeoutError()
    for family, place in places:
        link = socket.socket(family, socket.SOCK_STREAM)
        try:
            link.settimeout(min(CONNECT_SECONDS, _left(until)))
            link.connect(place)
        except OSError as error:
            link.close()
            fault = error
        else:
            return link
    raise fault


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _status(link: socket.socket, until: float) -> int:
    """Of the final answer; what an HTTP/1.1 server may say before (1xx) is passed over."""
    head, read = b"", 0
    while True:
        if found := _STATUS.match(head):
            if not found[1].startswith(b"1"):
                return int(found[1])
            _, over, rest = head.partition(b"\r\n\r\n")
            if over:
                head = rest
                continue
        elif len(head) > len(b"HTTP/1.1 200 "):
            raise Unavailable("what answers there does not speak HTTP/1.1")
        if read > MOST_BYTES:
            raise Unavailable("the answer has no status")
        link.settimeout(_left(until))
        block = link.recv(4096)
        if not block:
            raise Unavailable("the connection was ended without an answer")
        head, read = head + block, read + len(block)
