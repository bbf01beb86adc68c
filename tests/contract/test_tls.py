"""TLS to the three servers: encrypted and to the server that the URL names, or not at all, with what to do then."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raven.adapters import rabbitmq_link
from raven.adapters.mariadb import MariaDatabase
from raven.adapters.rabbitmq_link import parameters
from raven.adapters.s3 import MULTIPART_BYTES, S3Storage
from raven.config import Settings
from raven.errors import ConfigError, StorageAway, Unavailable
from raven.wiring import ask_broker, open_broker
from tests.authority import Authority, Certificate
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import fresh_database
from tests.servers.mariadb import MariaDb
from tests.servers.process import private_directory
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

NAME_FILE = r"certificate verify failed.*; name the file with the authority .* behind the URL, tls=/etc/raven/ca\.pem"
OTHER_HOST = r"(is not valid for 'localhost'|hostname 'localhost' doesn't match).*; write the host in the URL as "


@pytest.fixture(scope="module")
def other() -> Iterator[Path]:
    """An authority that has signed for none of the servers."""
    with private_directory() as folder:
        yield Authority(folder).file


def elsewhere(url: str) -> str:
    """By a name that leads to the same server and stands in no certificate."""
    return url.replace("127.0.0.1", "localhost")


# MariaDB


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> Iterator[str]:
    """The URL of an account that may not log in in the clear."""
    with fresh_database(mariadb_server) as url:
        name = url.rpartition("/")[2]
        account, password = f"tls-{secrets.token_hex(8)}", secrets.token_hex(8)
        mariadb_server.create_user(account, password, [f"ALL PRIVILEGES ON `{name}`.*"])
        mariadb_server.run_script(name, f"ALTER USER `{account}`@'%' REQUIRE SSL")
        yield f"mysql://{account}:{password}@{mariadb_server.host}:{mariadb_server.port}/{name}"


@pytest.mark.servers
def test_what_is_said_to_mariadb_is_encrypted(mariadb: str, tls: Certificate) -> None:
    with closing(MariaDatabase(f"{mariadb}?tls={tls.trusted}")) as database:
        (row,) = database.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
    assert row["Value"].startswith("TLSv1.")


@pytest.mark.servers
@pytest.mark.parametrize("trusted", ["system", "other"])
def test_a_mariadb_that_nobody_trusted_signed_for_is_not_spoken_to(mariadb: str, other: Path, trusted: str) -> None:
    trusted = str(other) if trusted == "other" else trusted
    with pytest.raises(Unavailable, match=NAME_FILE):
        MariaDatabase(f"{mariadb}?tls={trusted}").query("SELECT 1 AS one")


@pytest.mark.servers
def test_a_mariadb_of_another_name_is_not_spoken_to(mariadb: str, tls: Certificate) -> None:
    with pytest.raises(Unavailable, match=OTHER_HOST):
        MariaDatabase(f"{elsewhere(mariadb)}?tls={tls.trusted}").query("SELECT 1 AS one")


# RabbitMQ


@pytest.mark.servers
def test_messages_go_to_rabbitmq_and_come_back_by_tls(
    rabbitmq_server: RabbitMq, rabbitmq_url: str, tls: Certificate
) -> None:
    with closing(open_broker(Settings(broker=rabbitmq_server.by_tls(rabbitmq_url, tls.trusted)))) as broker:
        wait_until(lambda: broker.connected_since() is not None, "the broker is connected")
        broker.publish("raven.worker", b"{}")
        delivery = wait_until(lambda: broker.consumer("raven.worker", 1).take(5), "the message comes")
        assert delivery.body == b"{}"


@pytest.mark.servers
@pytest.mark.parametrize("trusted", ["system", "other"])
def test_a_rabbitmq_that_nobody_trusted_signed_for_is_not_spoken_to(
    rabbitmq_server: RabbitMq, rabbitmq_url: str, other: Path, trusted: str
) -> None:
    url = rabbitmq_server.by_tls(rabbitmq_url, other if trusted == "other" else trusted)
    with pytest.raises(Unavailable, match=NAME_FILE):
        ask_broker(Settings(broker=url), declares=False)


@pytest.mark.servers
def test_a_rabbitmq_of_another_name_is_not_spoken_to(
    rabbitmq_server: RabbitMq, rabbitmq_url: str, tls: Certificate
) -> None:
    url = elsewhere(rabbitmq_server.by_tls(rabbitmq_url, tls.trusted))
    with pytest.raises(Unavailable, match=OTHER_HOST):
        ask_broker(Settings(broker=url), declares=False)


@pytest.mark.servers
def test_a_daemon_that_cannot_trust_its_rabbitmq_says_why(
    rabbitmq_server: RabbitMq, rabbitmq_url: str, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on trying: the certificate may be mended meanwhile."""
    monkeypatch.setattr(rabbitmq_link, "ANSWER", 0.2)
    with closing(open_broker(Settings(broker=rabbitmq_server.by_tls(rabbitmq_url, other)))) as broker:

        def refused() -> bool:
            with pytest.raises(Unavailable) as caught:
                broker.depth("raven.worker")
            return "tls=/etc/raven/ca.pem" in str(caught.value)

        wait_until(refused, "the reason is told", timeout=120)


# Ceph RGW


@pytest.fixture
def bucket(ceph_server: CephRgw, s3_url: str) -> Callable[[Path | str], str]:
    """The URL of an empty bucket by TLS, for whom to trust."""
    return lambda trusted: ceph_server.by_tls(s3_url, trusted)


@pytest.mark.servers
def test_objects_of_any_size_go_to_ceph_and_come_back_by_tls(
    bucket: Callable[[Path | str], str], tls: Certificate, tmp_path: Path
) -> None:
    """Over TLS boto3 would by itself send what RGW 16 refuses."""
    storage, large = S3Storage(bucket(tls.trusted)), tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MULTIPART_BYTES + 1)

    storage.put("out/1/master.m3u8", b"#EXTM3U")
    storage.put("out/1/download/720p.mp4", large)

    assert storage.get("out/1/master.m3u8", 1, 3) == b"EXT"
    assert {entry.key: entry.bytes for entry in storage.entries("out/1/")} == {
        "out/1/master.m3u8": 7,
        "out/1/download/720p.mp4": MULTIPART_BYTES + 1,
    }
    assert storage.url("out/1/master.m3u8").startswith("https://127.0.0.1:")
    assert storage.delete_prefix("out/1/") == 2


@pytest.mark.servers
def test_a_ceph_that_nobody_trusted_signed_for_is_not_spoken_to(
    bucket: Callable[[Path | str], str], other: Path
) -> None:
    with pytest.raises(StorageAway, match=NAME_FILE):
        S3Storage(bucket(other)).put("out/1/master.m3u8", b"#EXTM3U")


@pytest.mark.servers
def test_a_ceph_of_another_name_is_not_spoken_to(bucket: Callable[[Path | str], str], tls: Certificate) -> None:
    with pytest.raises(StorageAway, match=OTHER_HOST):
        S3Storage(elsewhere(bucket(tls.trusted))).put("out/1/master.m3u8", b"#EXTM3U")


# settings


@pytest.mark.parametrize("wrong", ["tls=", "tls=/nonexistent.pem", "ssl=true", "tls=system&more=1"])
def test_what_cannot_be_meant_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ConfigError, match="database: "):
        MariaDatabase(f"mysql://a:b@127.0.0.1/raven?{wrong}")
    with pytest.raises(ConfigError, match="broker: "):
        parameters(f"amqps://a:b@127.0.0.1/raven?{wrong}")
    with pytest.raises(ConfigError, match="storage: "):
        S3Storage(f"s3://bucket?endpoint=https://127.0.0.1&{wrong}")


def test_tls_beside_a_url_in_the_clear_is_refused() -> None:
    """Whoever writes it believes that the connection is encrypted."""
    with pytest.raises(ConfigError, match="broker: tls stands behind amqps://"):
        parameters("amqp://a:b@127.0.0.1/raven?tls=system")
    with pytest.raises(ConfigError, match="storage: tls stands beside an endpoint that begins with https://"):
        S3Storage("s3://bucket?endpoint=http://127.0.0.1&tls=system")


@pytest.mark.parametrize("password", ["s3cr3t/x", "s3cr3t#x", "s3cr3t:x/", "s3cr3t[x"])
def test_a_url_that_cannot_be_read_is_not_told_with_its_password(password: str) -> None:
    for open_by in (MariaDatabase, parameters):
        with pytest.raises(ConfigError) as caught:
            open_by(f"{'mysql' if open_by is MariaDatabase else 'amqp'}://a:{password}@127.0.0.1/raven")
        assert "s3cr3t" not in str(caught.value)
        assert "percent signs" in str(caught.value)
