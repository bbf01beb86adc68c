"""A real receiver of notices that fails in each way that receivers do: what it does next is said by the test."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.authority import Authority
from tests.servers.process import HOST

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HANG, DRIP, CLOSE, FLOOD = b"hang", b"drip", b"close", b"flood"
"""Says nothing; a byte of a header now and then; ends the connection; a head without an end."""


def status(code: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(frozen=True)
class Post:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Listens on a free port. `answers`: what it does with the next requests; then all are answered with 200."""

    tls: ssl.SSLContext | None = None
    answers: list[bytes] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set when a sender has ended the connection before it had all of the answer."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._socket = socket.create_server((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = HOST) -> str:
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{path}"

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):  # wakes who accepts
            socket.create_connection((HOST, self.port), 1).close()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            link, _ = self._socket.accept()
            thread = threading.Thread(target=self._serve, args=(link,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError), link:
            link.settimeout(10)
            plain = self.tls.wrap_socket(link, server_side=True) if self.tls else link
            with plain:
                post = _read(plain)
                if post is not None:
                    self.posts.append(post)
                    self._answer(plain, self.answers.pop(0) if self.answers else OK)

    def _answer(self, link: socket.socket, answer: bytes) -> None:
        try:
            if answer == HANG:
                link.recv(1)
            elif answer in (DRIP, FLOOD):
                link.sendall(b"HTTP/1.1 103 Early Hints\r\nX: ")
                while not self._over.wait(0.05 if answer == DRIP else 0):
                    link.sendall(b"x" if answer == DRIP else b"x" * 1000)
            elif answer != CLOSE:
                link.sendall(answer)
                return
        except OSError:
            self.hung_up.set()
        if answer == HANG:
            self.hung_up.set()


def _read(link: socket.socket) -> Post | None:
    data = b""
    while b"\r\n\r\n" not in data:
        block = link.recv(65536)
        if not block:
            return None
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers["Content-Length"]):
        body += link.recv(65536)
    return Post(line, headers, body)


@contextlib.contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    found = Receiver(tls)
    try:
        yield found
    finally:
        found.close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS, with a certificate for `name`; and the file by which it is trusted."""
    made = Authority(folder).certify("receiver", name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.file, made.key)
    return context, made.trusted
