"""The accounts of deploy/rabbitmq on a test broker, as an administrator makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.deploy.tools import DEPLOY
from tests.servers.rabbitmq import RabbitMq

DEFINITIONS = DEPLOY / "rabbitmq" / "definitions.json.example"
VHOST = "raven"
PASSWORDS = {user["name"]: user["password"] for user in json.loads(DEFINITIONS.read_text("utf-8"))["users"]}


@contextmanager
def imported(broker: RabbitMq) -> Iterator[RabbitMq]:
    """The virtual host `raven` as the file describes it, also open to the administrator."""
    broker.control("import_definitions", str(DEFINITIONS))
    broker.create_vhost(VHOST)  # it is there already: for the administrator's own rights
    yield broker
    broker.delete_vhost(VHOST)


def url(broker: RabbitMq, account: str) -> str:
    """The URL by which an account of the example connects."""
    return f"amqp://{account}:{PASSWORDS[account]}@{broker.host}:{broker.port}/{VHOST}"
