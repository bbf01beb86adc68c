"""One POST to a real receiver, which fails in each way that receivers do."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raven.errors import OptionInvalid, Unavailable
from tests.receiver import CLOSE, DRIP, FLOOD, HANG, Receiver, certificate, receiver, status
from tests.waiting import DEADLINE
from watcher.callbacks import Allowed
from watcher.post import post

SECONDS = 0.5
"""For those who do not answer. All others have as long as their machine needs."""
HERE = "127.0.0.0/8"
BODY = b'{"id":1}'


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def said(url: str, networks: str = HERE, trusted: Path | None = None, seconds: float = DEADLINE) -> int:
    """The status that a POST brings."""
    allowed = Allowed.of(url.split("/")[2], networks)
    tls = ssl.create_default_context(cafile=trusted)
    return post(allowed.target(url), {"Raven-Notice": "1"}, BODY, allowed, tls, seconds)


def test_the_body_arrives_with_its_headers_and_the_status_comes_back(there: Receiver) -> None:
    there.answers += [status(204)]

    assert said(there.url("/done?key=1")) == 204

    (got,) = there.posts
    assert (got.line, got.body) == ("POST /done?key=1 HTTP/1.1", BODY)
    assert got.headers == {
        "Host": f"127.0.0.1:{there.port}",
        "Content-Type": "application/json",
        "Content-Length": "8",
        "Connection": "close",
        "Raven-Notice": "1",
    }


@pytest.mark.parametrize("code", [200, 299, 301, 404, 429, 500, 503])
def test_every_status_is_told_as_it_is(code: int, there: Receiver) -> None:
    there.answers += [status(code)]
    assert said(there.url()) == code


def test_a_redirect_is_not_followed(there: Receiver) -> None:
    with receiver() as elsewhere:
        there.answers += [status(307, f"Location: {elsewhere.url()}")]

        assert said(there.url()) == 307
        assert elsewhere.posts == []


def test_an_interim_answer_is_passed_over(there: Receiver) -> None:
    there.answers += [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\n\r\n"]
    assert said(there.url()) == 201


def test_of_a_huge_answer_only_the_status_is_read(there: Receiver) -> None:
    """So that no receiver can fill the watcher's memory, or hold its thread."""
    there.answers += [status(200, body=b"x" * (64 << 20))]

    assert said(there.url()) == 200
    assert there.hung_up.wait(DEADLINE)


@pytest.mark.parametrize("way", [HANG, DRIP], ids=["hangs", "drips"])
def test_who_takes_too_long_is_left_however_often_something_comes(way: bytes, there: Receiver) -> None:
    there.answers += [way]
    begun = time.monotonic()

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1 did not answer within 0\.5 s"):
        said(there.url(), seconds=SECONDS)

    assert SECONDS <= time.monotonic() - begun < DEADLINE
    assert there.hung_up.wait(DEADLINE)


def test_an_endless_head_is_not_read_to_its_end(there: Receiver) -> None:
    there.answers += [FLOOD]

    with pytest.raises(Unavailable, match="no status"):
        said(there.url())
    assert there.hung_up.wait(DEADLINE)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (CLOSE, "ended without an answer|reset"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 2", "ended without an answer"),
        (b"HTTP/2 200 OK\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_what_is_no_answer_is_none(answer: bytes, fault: str, there: Receiver) -> None:
    there.answers += [answer]
    with pytest.raises(Unavailable, match=fault):
        said(there.url())


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="refused"):
        said(f"http://127.0.0.1:{port}/")


def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(Unavailable, match=r"nowhere\.invalid: "):
        said("http://nowhere.invalid/")


def test_a_name_that_leads_into_this_host_is_not_connected_to(there: Receiver) -> None:
    """Whoever writes a row could else have the watcher speak to what only the watcher can reach."""
    with pytest.raises(OptionInvalid, match=r"localhost is at .* RAVEN_CALLBACK_NETWORKS"):
        said(there.url(host="localhost"), networks="10.0.0.0/8")
    assert there.posts == []


def test_by_tls_the_certificate_must_be_the_hosts_and_trusted(tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, "DNS:localhost")
    with receiver(server) as there:
        assert said(there.url(host="localhost"), f"{HERE}, ::1/128", trusted) == 200

        with pytest.raises(Unavailable, match="certificate that is not trusted: unable to get local issuer"):
            said(there.url(host="localhost"), f"{HERE}, ::1/128")
        with pytest.raises(Unavailable, match=r"not trusted: .*IP address mismatch"):
            said(there.url(), HERE, trusted)
        assert len(there.posts) == 1


def test_tls_to_what_has_none_is_a_fault_like_others(there: Receiver) -> None:
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        said(there.url().replace("http:", "https:"))
    assert there.posts == []
