"""The adapters under contract: every test that asks for one of these runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raven.ports import Database, Storage
from tests.contract import brokers, databases, storages
from tests.contract.brokers import Join, joining
from tests.contract.databases import Connect, connecting, new_database
from tests.contract.storages import new_storage_url, storage_at


@pytest.fixture(params=databases.BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the schema and no rows."""
    return new_database(request.param, request, tmp_path)


@pytest.fixture
def connect(database_url: str) -> Iterator[Connect]:
    """Opens connections to one database, as several programs have them."""
    yield from connecting(database_url)


@pytest.fixture
def database(connect: Connect) -> Database:
    """One connection."""
    return connect()


@pytest.fixture(params=brokers.BOTH)
def join(request: pytest.FixtureRequest) -> Iterator[Join]:
    """Joins programs to one broker, each with its own connection where there are any."""
    yield from joining(request.param, request)


@pytest.fixture(params=storages.BOTH)
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage."""
    return new_storage_url(request.param, request, tmp_path)


@pytest.fixture
def storage(storage_url: str) -> Storage:
    """An empty storage."""
    return storage_at(storage_url)
