"""HAProxy before the web servers and the gateways: it passes what it should, and goes on when one is gone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.deploy.tools import DEPLOY, check
from tests.servers.process import (
    HOST,
    ChildProcess,
    clean_environment,
    free_port,
    private_directory,
    program,
    wait_until,
)
from tests.waiting import wait_until as wait_for

CONFIGURATION = DEPLOY / "haproxy" / "haproxy.cfg"
SEGMENT = "/out/1/video/720p/seg-000001.m4s"


class Server(ThreadingHTTPServer):
    """A web server or a gateway that says its name and what it was asked."""

    def __init__(self, name: str) -> None:
        super().__init__((HOST, 0), Answers)
        self.name = name
        self.thread = Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.server.name if isinstance(self.server, Server) else ""
        body = f"{name} {self.path} {self.headers.get('X-Forwarded-For', '-')}".encode()
        self.send_response(404 if self.path == "/" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
        """Quiet."""


@dataclass(frozen=True)
class Balancer:
    """A running HAProxy: its ports, and the servers behind it."""

    plain: int
    tls: int
    storage: int
    servers: dict[str, Server]

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of an answer over TLS, whose certificate is the test's own."""
        context = ssl._create_unverified_context()  # noqa: S323 - see above
        return answer(HTTPSConnection(HOST, self.tls, timeout=20, context=context), path, method, headers)

    def store(self, path: str) -> str:
        """What a gateway answers to a daemon."""
        return answer(HTTPConnection(HOST, self.storage, timeout=20), path, "GET", {})[2]


def answer(
    connection: HTTPConnection, path: str, method: str, headers: dict[str, str]
) -> tuple[int, dict[str, str], str]:
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    found = response.status, {k.lower(): v for k, v in response.headers.items()}, response.read().decode()
    connection.close()
    return found


@pytest.fixture
def balancer() -> Iterator[Balancer]:
    """The documented configuration, in which only addresses, ports and paths are the test's."""
    servers = {name: Server(name) for name in ("web1", "web2", "rgw1", "rgw2")}
    with private_directory() as folder:
        found = Balancer(free_port(), free_port(), free_port(), servers)
        file = folder / "haproxy.cfg"
        file.write_text(_configuration(folder, found), "utf-8")
        check("haproxy", "haproxy", "-c", "-f", file)
        command = [program("haproxy"), "-db", "-f", str(file)]
        process = ChildProcess("haproxy", command, log=folder / "haproxy.log", env=clean_environment(folder))
        wait_until(lambda: found.ask(SEGMENT)[0] == 200 and found.store("/raven/x") != "", 30, process)
        yield found
        process.kill()
    for server in servers.values():
        server.end()


def _configuration(folder: Path, balancer: Balancer) -> str:
    pem = folder / "raven.pem"
    made = check(
        "openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=media.example", "-days", "1", "-keyout", folder / "key", "-out", folder / "certificate",
    )  # fmt: skip
    assert "rror" not in made
    pem.write_bytes((folder / "certificate").read_bytes() + (folder / "key").read_bytes())
    text = CONFIGURATION.read_text("utf-8")
    replaced = {
        "    user haproxy\n    group haproxy\n    chroot /var/lib/haproxy\n": "",  # the test may be anybody
        "maxconn 20000": "maxconn 200",
        "inter 2s": "inter 200ms",
        "/etc/haproxy/raven.pem": str(pem),
        "bind :80\n": f"bind {HOST}:{balancer.plain}\n",
        "bind :443 ": f"bind {HOST}:{balancer.tls} ",
        "bind :7480\n": f"bind {HOST}:{balancer.storage}\n",
        "127.0.0.1:8404": f"{HOST}:{free_port()}",
        "/dev/log": f"{HOST}:{free_port()}",
        "web1.example:8080": balancer.servers["web1"].address,
        "web2.example:8080": balancer.servers["web2"].address,
        "rgw1.example:7480": balancer.servers["rgw1"].address,
        "rgw2.example:7480": balancer.servers["rgw2"].address,
    }
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_viewer_gets_outputs_by_tls_and_nothing_else(balancer: Balancer) -> None:
    status, headers, body = balancer.ask(SEGMENT, X_Forwarded_For="6.6.6.6")
    assert (status, body.split()[1:]) == (200, [SEGMENT, HOST])
    assert headers["strict-transport-security"] == "max-age=31536000"

    assert balancer.ask("/tmp/1/chunk-000000.nut")[0] == 404
    assert balancer.ask(SEGMENT, "DELETE")[0] == 405
    status, headers, _ = answer(HTTPConnection(HOST, balancer.plain, timeout=20), SEGMENT, "GET", {})
    assert (status, headers["location"][:8]) == (308, "https://")


def test_one_film_comes_from_one_server_and_many_from_both(balancer: Balancer) -> None:
    def serving(number: int) -> str:
        return balancer.ask(f"/out/{number}/master.m3u8")[2].split()[0]

    assert len({serving(1) for _ in range(5)}) == 1
    assert {serving(number) for number in range(50)} == {"web1", "web2"}


@pytest.mark.parametrize("kind", ["web", "rgw"])
def test_what_a_lost_server_did_the_other_one_does(kind: str, balancer: Balancer) -> None:
    """No viewer and no daemon is told, but for the requests that were under way."""
    balancer.servers[f"{kind}1"].end()

    def answers() -> set[str]:
        paths = [f"/out/{number}/master.m3u8" for number in range(10)]
        ask = {"web": lambda path: balancer.ask(path)[2], "rgw": balancer.store}[kind]
        return {ask(path).split()[0] for path in paths}

    wait_for(lambda: answers() == {f"{kind}2"}, "the other one does all")
    balancer.servers[f"{kind}1"] = Server(f"{kind}1")  # for the end of the test
