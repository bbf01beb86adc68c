"""The accounts of deploy/mariadb on a test server, as an administrator makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.deploy.tools import DEPLOY
from tests.servers.fixtures import SCHEMA
from tests.servers.mariadb import MariaDb

RIGHTS, ACCOUNTS = DEPLOY / "mariadb" / "rights.sql", DEPLOY / "mariadb" / "accounts.sql.example"
PASSWORDS = dict(
    re.findall(r"CREATE USER IF NOT EXISTS (\w+)@'%' IDENTIFIED BY '([\w-]+)'", ACCOUNTS.read_text("utf-8"))
)


@contextmanager
def installed(server: MariaDb) -> Iterator[MariaDb]:
    """The databases `raven` and `raven_public`: the documented files are loaded, all of them twice, as by an update."""
    server.create_database("raven")
    for file in (SCHEMA, RIGHTS, ACCOUNTS) * 2:
        server.run_script("raven", file.read_text("utf-8"))
    yield server
    server.drop_database("raven_public")
    server.drop_database("raven")


def url(server: MariaDb, account: str, database: str) -> str:
    """The URL by which an account of the example connects."""
    return f"mysql://{account}:{PASSWORDS[account]}@{server.host}:{server.port}/{database}"
