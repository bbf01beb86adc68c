"""The policy of notices: who may be told, what, how it is signed, when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from raven.errors import ConfigError, OptionInvalid
from watcher.callbacks import DAY_MS, MOST_METADATA, Allowed, Target, back_off, host_of, payload, signature

HOSTS = Allowed.of("news.example, *.sport.example, 10.0.0.5:8080,[::1]:8443", "10.0.0.0/8, fd00::/8")
ROW: dict[str, Any] = {
    "id": 7,
    "reference": "n-1",
    "status": "done",
    "message": None,
    "url": "https://media.example/out/7/master.m3u8",
    "duration": 24.36,
    "metadata": '{"frames": 609}',
    "callback_url": "https://news.example/",
}


# when


def test_waits_double_from_half_a_minute_to_an_hour_and_fill_a_day_with_few_attempts() -> None:
    waits = [back_off(attempt) for attempt in range(1, 60)]

    assert waits[:9] == [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000]
    assert set(waits[7:]) == {3_600_000}
    attempts = next(n for n in range(60) if sum(waits[:n]) >= DAY_MS)
    assert 25 <= attempts <= 35
    assert back_off(10**9) == 3_600_000


# whom


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://news.example/done?key=1", Target(True, "news.example", 443, "/done?key=1")),
        ("https://NEWS.example.", Target(True, "news.example", 443, "/")),
        ("http://news.example:80/a#b", Target(False, "news.example", 80, "/a")),
        ("https://a.b.sport.example/", Target(True, "a.b.sport.example", 443, "/")),
        ("http://10.0.0.5:8080/x", Target(False, "10.0.0.5", 8080, "/x")),
        ("https://[::1]:8443/", Target(True, "::1", 8443, "/")),
    ],
)
def test_a_host_of_the_setting_is_told(url: str, target: Target) -> None:
    assert HOSTS.target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "news.example",
        "ftp://news.example/",
        "file:///etc/passwd",
        "https:///done",
        "https://other.example/",
        "https://evilnews.example/",
        "https://news.example.evil.example/",
        "https://sport.example/",
        "https://evilsport.example/",
        "https://.sport.example/",
        f"https://{'a' * 64}.sport.example/",
        "https://news.example:8443/",
        "http://10.0.0.5/",
        "https://news.example:99999/",
        "https://news.example:x/",
        "https://bob:secret@news.example/",
        "https://news.example@evil.example/",
        "https://news.example\\@evil.example/",
        "https://news.example/a b",
        "https://news.example/\r\nHost: evil.example",
        "https://nëws.example/",
        "https://[::1/",
    ],
)
def test_nobody_else_is(url: str) -> None:
    with pytest.raises(OptionInvalid, match=r"^callback_url: "):
        HOSTS.target(url)


def test_without_the_setting_nobody_is_told_and_the_reason_names_it() -> None:
    with pytest.raises(OptionInvalid, match="RAVEN_CALLBACK_HOSTS names no host"):
        Allowed.of(None, None).target("https://news.example/")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "10.1.2.3", "fd00::1", "::ffff:10.1.2.3"])
def test_public_addresses_and_those_of_the_named_networks_are_connected_to(address: str) -> None:
    assert HOSTS.reaches(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0",  # noqa: S104 - nobody listens
        "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_no_other_address_is_however_it_is_written(address: str) -> None:
    """Loopback, the site's own networks, a cloud's metadata; and these inside of IPv6 addresses."""
    assert not HOSTS.reaches(address)


@pytest.mark.parametrize("hosts", ["https://news.example", "news.example/a", "a b", "*", "news.example:x", "a@b"])
def test_a_setting_that_means_nothing_is_refused(hosts: str) -> None:
    with pytest.raises(ConfigError, match=r"^callback_hosts: "):
        Allowed.of(hosts, None)
    with pytest.raises(ConfigError, match=r"^callback_networks: "):
        Allowed.of(None, "10.0.0.1/8")


def test_the_header_host_is_written_as_http_wants_it() -> None:
    assert HOSTS.target("https://news.example/").authority == "news.example"
    assert HOSTS.target("http://10.0.0.5:8080/").authority == "10.0.0.5:8080"
    assert HOSTS.target("https://[::1]:8443/").authority == "[::1]:8443"


def test_a_host_is_found_in_any_text() -> None:
    assert host_of("https://News.example:1/") == "news.example"
    assert host_of("https://[::1/") == host_of("what") == host_of("") == ""


# what


def test_a_notice_tells_what_is_promised_and_no_more() -> None:
    assert json.loads(payload(ROW, "https://media.example/out/7/thumbs/thumbs.vtt")) == {
        "id": 7,
        "reference": "n-1",
        "status": "done",
        "message": None,
        "url": "https://media.example/out/7/master.m3u8",
        "duration": 24.36,
        "metadata": {"frames": 609},
        "thumbnails": "https://media.example/out/7/thumbs/thumbs.vtt",
    }


@pytest.mark.parametrize("metadata", [None, "{", json.dumps("x" * MOST_METADATA)], ids=["none", "no JSON", "too long"])
def test_metadata_that_cannot_be_told_is_left_out(metadata: str | None) -> None:
    assert json.loads(payload(ROW | {"metadata": metadata}, None))["metadata"] is None


def test_the_signature_is_of_the_time_and_the_body() -> None:
    """As a receiver computes it, by docs/operations.md."""
    body = payload(ROW, None).encode()

    at, code = signature("0123456789abcdef", 1_800_000_000, body).split(",")

    assert at == "t=1800000000"
    assert code == "v1=" + hmac.new(b"0123456789abcdef", b"1800000000." + body, hashlib.sha256).hexdigest()
