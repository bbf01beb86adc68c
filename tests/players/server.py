"""A small web server for the streams under test: what a CDN edge does, and no more.

Players ask for byte ranges, and their page comes from another origin, so plain http.server is not enough.
"""

import contextlib
import re
import threading
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".m4s": "video/iso.segment",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PIECE = 1 << 16  # bytes sent at a time


def byte_range(header: str | None, size: int) -> range | None:
    """Return the bytes to send: all without a header, None where the range lies outside of the file.

    A header that is not one plain range is ignored, as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return range(size)
    first, last = match.groups()
    if not first:
        return range(max(size - int(last), 0), size) if int(last) else None
    stop = min(int(last) + 1, size) if last else size
    return range(int(first), stop) if int(first) < stop else None


class TreeServer(ThreadingHTTPServer):
    """Serves one directory on a free port of the loopback interface; notes what it was asked for and had to refuse."""

    def __init__(self, tree: Path) -> None:
        self.refused: list[str] = []
        self.asked: set[str] = set()
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(tree)))

    @property
    def url(self) -> str:
        """The address of the directory, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # players keep connections open
    extensions_map = SimpleHTTPRequestHandler.extensions_map | _TYPES
    server: TreeServer

    def handle(self) -> None:
        """A browser that closes drops its connections; that is no error of the server."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_OPTIONS(self) -> None:
        """Answer the browser's question whether another origin may send its own headers."""
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Expose-Headers", "Content-Length, Content-Range")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Keep silent: a test's output is for its failures."""

    def _answer(self, *, with_body: bool) -> None:
        file = Path(self.translate_path(self.path))
        self.server.asked.add(self.path)
        if not file.is_file():
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        size = file.stat().st_size
        span = byte_range(self.headers.get("Range"), size)
        if span is None:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{size}")
            return
        self._send_head(file, span, size)
        if with_body:
            with file.open("rb") as content:
                self._send_body(content, span)

    def _send_head(self, file: Path, span: range, size: int) -> None:
        partly = "Range" in self.headers
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partly else HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(file))
        self.send_header("Content-Length", str(len(span)))
        self.send_header("Accept-Ranges", "bytes")
        if partly:
            self.send_header("Content-Range", f"bytes {span.start}-{span.stop - 1}/{size}")
        self.end_headers()

    def _send_body(self, content: BinaryIO, span: range) -> None:
        content.seek(span.start)
        for at in range(span.start, span.stop, _PIECE):
            self.wfile.write(content.read(min(_PIECE, span.stop - at)))

    def _refuse(self, status: HTTPStatus, content_range: str | None = None) -> None:
        self.server.refused.append(f"{status.value} {self.path}")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()


@contextlib.contextmanager
def serve(tree: Path) -> Iterator[TreeServer]:
    """Serve a directory for the time of a with block."""
    with TreeServer(tree) as server:
        thread = threading.Thread(target=server.serve_forever, name="tree-server", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
