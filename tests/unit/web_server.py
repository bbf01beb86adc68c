"""A web server of files with the faults of the world, and the master's way to it."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from master.reach import Reach
from raven.limits import Limits
from raven.process import StopSignal
from raven.sandbox import Box
from tests.media import ffmpeg


class Server:
    """Files over HTTP, with the faults of the world."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.breaks_after: int | None = None
        self.faults = 0
        self.gives_ranges = True
        self.starts_early = 0
        """Bytes by which a piece begins before what was asked for."""
        self.tag: str | None = '"one"'
        self.sent = 0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, span = request.path.partition("?")[0], request.headers.get("Range")
        self.asked.append((path, span))
        if self.faults:
            self.faults -= 1
            request.send_error(503)
        elif path in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[path])
            request.end_headers()
        elif path not in self.files:
            request.send_error(404)
        else:
            same = request.headers.get("If-Range") in (None, self.tag)
            self._send(request, self.files[path], span if self.gives_ranges and same else None)

    def _send(self, request: BaseHTTPRequestHandler, data: bytes, span: str | None) -> None:
        first, _, last = span.removeprefix("bytes=").partition("-") if span else ("0", "", "")
        start, end = max(0, int(first) - self.starts_early), min(int(last or len(data)), len(data) - 1)
        if span and start > end:
            request.send_error(416)
            return
        request.send_response(206 if span else 200)
        if span:
            request.send_header("Content-Range", f"bytes {start}-{end}/{len(data)}")
        request.send_header("Content-Length", str(end + 1 - start))
        if self.tag is not None:
            request.send_header("ETag", self.tag)
        request.end_headers()
        content = data[start : end + 1][: self.breaks_after]
        with suppress(OSError):  # the client may not want all of it
            request.wfile.write(content)
            self.sent += len(content)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def reach(roots: str, folder: Path, limits: Limits | None = None) -> Reach:
    """The master's way to sources under these roots."""
    return Reach(roots, folder, limits or Limits(), StopSignal(), ffmpeg(), Box(), 60.0)


def fetched(server: Server, folder: Path, name: str, limits: Limits | None = None) -> Path:
    """The file that comes of a source in the server's folder /in."""
    return Path(reach(f"{server.url}/in", folder, limits).path(server.url + name)[0])
