"""pytest fixtures for the real servers: one of each for a session, something fresh in it for each test."""

import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.authority import Authority, Certificate
from tests.servers.ceph import CephRgw
from tests.servers.mariadb import MariaDb
from tests.servers.process import HOST, die_with_parent, private_directory
from tests.servers.rabbitmq import RabbitMq

SCHEMA = Path(__file__).parents[2] / "db.sql"
_AWS_SETTINGS = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker of pytest-xdist die with pytest, and its servers with it; by itself it takes its time."""
    if hasattr(config, "workerinput"):
        die_with_parent()


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for a server that a test starts for itself, for example to kill it."""
    with private_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def tls() -> Iterator[Certificate]:
    """What the servers of all tests listen with besides: for 127.0.0.1, by a private authority."""
    with private_directory() as directory:
        yield Authority(directory).certify("servers", f"IP:{HOST}")


@pytest.fixture(scope="session")
def mariadb_server(tls: Certificate) -> Iterator[MariaDb]:
    """A MariaDB for all tests; it is not durable, so tests that kill one start their own."""
    need(MariaDb.missing())
    with private_directory() as directory:
        server = MariaDb.start(directory, tls=tls)
        yield server
        server.close()


@pytest.fixture(scope="session")
def rabbitmq_server(tls: Certificate) -> Iterator[RabbitMq]:
    """A RabbitMQ broker for all tests."""
    need(RabbitMq.missing())
    with private_directory() as directory:
        broker = RabbitMq.start(directory, tls=tls)
        yield broker
        broker.close()


@pytest.fixture(scope="session")
def ceph_server(tls: Certificate) -> Iterator[CephRgw]:
    """A Ceph cluster with an S3 gateway for all tests."""
    need(CephRgw.missing())
    with private_directory() as directory:
        server = CephRgw.start(directory, tls=tls)
        yield server
        server.stop()


@pytest.fixture
def mariadb_url(mariadb_server: MariaDb) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    with fresh_database(mariadb_server) as url:
        yield url


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMq) -> Iterator[str]:
    """The URL of a fresh vhost."""
    with fresh_vhost(rabbitmq_server) as url:
        yield url


@pytest.fixture
def s3_url(ceph_server: CephRgw, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a fresh bucket; the keys for it are in the environment, as boto3 expects them."""
    for setting in _AWS_SETTINGS:
        monkeypatch.delenv(setting, raising=False)
    for setting, value in aws_environment(ceph_server).items():
        monkeypatch.setenv(setting, value)
    with fresh_bucket(ceph_server) as url:
        yield url


@contextmanager
def fresh_database(server: MariaDb) -> Iterator[str]:
    """The administrator's URL of an empty database, for fixtures of any scope."""
    name = _fresh_name()
    yield server.create_database(name)
    server.drop_database(name)


@contextmanager
def fresh_vhost(server: RabbitMq) -> Iterator[str]:
    """The URL of a new vhost, for fixtures of any scope."""
    name = _fresh_name()
    yield server.create_vhost(name)
    server.delete_vhost(name)


@contextmanager
def fresh_bucket(server: CephRgw) -> Iterator[str]:
    """The URL of an empty bucket, for fixtures of any scope."""
    name = _fresh_name()
    yield server.create_bucket(name)
    server.delete_bucket(name)


def aws_environment(server: CephRgw) -> dict[str, str]:
    """The variables from which boto3 takes the keys."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def load_schema(server: MariaDb, url: str) -> str:
    """Load db.sql with the plain client as a user with rights on that database alone; the URL for that user."""
    name, owner, password = urlsplit(url).path[1:], f"owner-{uuid.uuid4().hex}", secrets.token_hex(8)
    server.create_user(owner, password, [f"ALL PRIVILEGES ON `{name}`.*"])
    server.run_script(name, SCHEMA.read_text(encoding="utf-8"), owner, password)
    return f"mysql://{owner}:{password}@{server.host}:{server.port}/{name}"


def _fresh_name() -> str:
    return f"test-{uuid.uuid4().hex}"


def need(missing: str | None) -> None:
    """Skip a test without its server, except where servers are a must: there a skip would hide a fault."""
    if missing is None:
        return
    if os.environ.get("RAVEN_TEST_SERVERS") == "require":
        pytest.fail(missing)
    pytest.skip(missing)
