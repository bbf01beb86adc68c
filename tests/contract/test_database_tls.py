"""TLS to MariaDB: encrypted, to the server that the URL names, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raven.adapters.mariadb import MariaDatabase
from raven.errors import ConfigError, Unavailable
from tests.receiver import certificate
from tests.servers.mariadb import MariaDb
from tests.servers.process import private_directory

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("servers")]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Of the server and its certificate: it is another user."""
    with private_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def trusted(folder: Path) -> Path:
    """The certificate of the server, whose key lies beside it."""
    return certificate(folder, "IP:127.0.0.1")[1]


@pytest.fixture(scope="module")
def server(folder: Path, trusted: Path) -> Iterator[MariaDb]:
    """One that takes no password in the clear."""
    key = trusted.with_name("key.pem")
    for file in (trusted, key):
        file.chmod(0o644)
    started = MariaDb.start(
        folder, options=(f"--ssl-cert={trusted}", f"--ssl-key={key}", "--require-secure-transport=ON")
    )
    yield started
    started.close()


def test_by_tls_what_is_said_is_encrypted(server: MariaDb, trusted: Path) -> None:
    database = MariaDatabase(f"mysql://{server.user}:{server.password}@{server.host}:{server.port}/mysql?tls={trusted}")

    (row,) = database.query("SHOW SESSION STATUS LIKE 'Ssl_version'")

    assert row["Value"].startswith("TLSv1.")
    database.close()


def test_a_server_that_nobody_trusted_signed_for_is_not_spoken_to(server: MariaDb) -> None:
    database = MariaDatabase(f"mysql://{server.user}:{server.password}@{server.host}:{server.port}/mysql?tls=system")
    with pytest.raises(Unavailable, match="certificate verify failed"):
        database.query("SELECT 1 AS one")


def test_a_server_of_another_name_is_not_spoken_to(server: MariaDb, trusted: Path) -> None:
    database = MariaDatabase(f"mysql://{server.user}:{server.password}@localhost:{server.port}/mysql?tls={trusted}")
    with pytest.raises(Unavailable, match=r"certificate verify failed: Hostname mismatch"):
        database.query("SELECT 1 AS one")


@pytest.mark.parametrize("wrong", ["tls=", "tls=/nonexistent.pem", "ssl=true", "tls=system&more=1"])
def test_what_cannot_be_meant_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ConfigError, match="database: "):
        MariaDatabase(f"mysql://a:b@127.0.0.1/raven?{wrong}")
