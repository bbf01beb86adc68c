"""A small web server over a folder that answers range requests and remembers what it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from raven import names


@dataclass(frozen=True)
class Request:
    path: str
    range: str | None


@dataclass
class Site:
    """A running server."""

    url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def serve(folder: Path, redirect: str | None = None) -> Iterator[Site]:
    """Serves a folder on a free port; the path `redirect` is answered with a redirect elsewhere."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append(Request(self.path, self.headers.get("Range")))
            file = folder / self.path.lstrip("/")
            if self.path == redirect:
                self.send_response(302)
                self.send_header("Location", "http://other.example/")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif not file.is_file():
                self.send_error(404)
            else:
                self._send(file)

        def _send(self, file: Path) -> None:
            data = file.read_bytes()
            asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]+)", self.headers.get("Range", ""))
            first, last = (int(asked[1]), min(int(asked[2]), len(data) - 1)) if asked else (0, len(data) - 1)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Type", names.mime_type(file.name))
            self.send_header("Content-Length", str(last + 1 - first))
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            self.end_headers()
            self.wfile.write(data[first : last + 1])

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
