"""Each role's account at a real broker: its daemon can do its work, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker

from raven import names
from raven.config import Settings
from raven.ports import Broker, Consumer
from raven.wiring import open_broker
from tests.contract.brokers import connected
from tests.deploy.accounts import DEFINITIONS, PASSWORDS, VHOST, imported, url
from tests.servers.process import private_directory
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

pytestmark = pytest.mark.servers
ACCESS_REFUSED = 403
Act = Callable[[BlockingChannel], Any]


def publish(exchange: str, key: str) -> Act:
    """Tries to publish: the broker answers only to a channel with confirms."""

    def act(channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"{}")

    return act


NODE: list[tuple[str, Act]] = [
    ("hand out an encode", publish(names.JOBS, "raven.worker")),
    ("order a purge", publish(names.JOBS, "raven.master.light")),
    ("order a purge past the exchange", publish("", "raven.master.light")),
    ("write reports past the exchange", publish("", names.REPORTS)),
    ("tell all nodes to stop", publish(names.CONTROL, "")),
    ("read the reports of others", lambda channel: channel.basic_get(names.REPORTS)),
    ("read dead letters", lambda channel: channel.basic_get(names.dead_letters("raven.worker"))),
    ("lose all reports", lambda channel: channel.queue_purge(names.REPORTS)),
    ("delete a queue", lambda channel: channel.queue_delete("raven.worker")),
    ("delete an exchange", lambda channel: channel.exchange_delete(names.CONTROL)),
    ("declare a queue", lambda channel: channel.queue_declare("raven.mine")),
    ("declare an exchange", lambda channel: channel.exchange_declare("raven.mine")),
    (
        "have reports copied to itself",
        lambda channel: channel.queue_bind(
            str(channel.queue_declare("", exclusive=True).method.queue), names.ANSWERS, names.REPORTS
        ),
    ),
    ("have jobs go elsewhere", lambda channel: channel.queue_unbind("raven.worker", names.JOBS, "raven.worker")),
]
ACTS = {
    "raven_worker": [*NODE, ("take a master's jobs", lambda channel: channel.basic_get("raven.master"))],
    "raven_master": [*NODE, ("take a worker's jobs", lambda channel: channel.basic_get("raven.worker.light"))],
    "raven_watcher": [
        ("declare what is not Raven's", lambda channel: channel.queue_declare("other")),
        ("listen to what the broker says of itself", lambda channel: channel.exchange_declare("amq.rabbitmq.mine")),
    ],
}
CASES = [pytest.param(account, act, id=f"{account} cannot {what}") for account in ACTS for what, act in ACTS[account]]


@pytest.fixture(scope="module")
def server(rabbitmq_server: RabbitMq) -> Iterator[RabbitMq]:
    with imported(rabbitmq_server) as server:
        yield server


@pytest.fixture
def join(server: RabbitMq) -> Iterator[Callable[[str], Broker]]:
    """Connects as Raven does, with an account of the example."""
    with ExitStack() as stack:
        yield lambda account: stack.enter_context(connected(url(server, account)))


@pytest.fixture(scope="module")
def watcher(server: RabbitMq) -> Iterator[Broker]:
    with connected(url(server, "raven_watcher")) as broker:
        yield broker


@pytest.mark.parametrize(("account", "act"), CASES)
def test_what_a_role_must_not_do_is_refused(account: str, act: Act, server: RabbitMq, watcher: Broker) -> None:
    before = [watcher.depth(queue) for queue in names.QUEUES]

    with pika.BlockingConnection(pika.URLParameters(url(server, account))) as connection:
        channel = connection.channel()
        with pytest.raises(ChannelClosedByBroker) as refused:
            act(channel)

    assert refused.value.reply_code == ACCESS_REFUSED
    assert [watcher.depth(queue) for queue in names.QUEUES] == before


@pytest.mark.parametrize("role", names.ROLES)
def test_a_node_takes_its_jobs_reports_and_hears(role: str, watcher: Broker, join: Callable[[str], Broker]) -> None:
    node = join(f"raven_{role}")
    control = node.listener()
    reports = watcher.consumer(names.REPORTS, 10)
    for lane in (role, names.light(role)):
        watcher.publish(names.lane_queue(lane), lane.encode())

        job = taken(node.consumer(names.lane_queue(lane), 1))
        assert job.body == lane.encode()
        node.publish(names.REPORTS, b"done")
        job.ack()
        report = taken(reports)
        assert report.body == b"done"
        report.ack()
    watcher.broadcast(b"to all")
    assert taken(control).body == b"to all"
    reports.close()


def test_what_a_node_cannot_read_goes_to_the_dead_letters(watcher: Broker, join: Callable[[str], Broker]) -> None:
    worker = join("raven_worker")
    watcher.publish("raven.worker", b"?")
    taken(worker.consumer("raven.worker", 1)).reject()

    dead = taken(watcher.consumer(names.dead_letters("raven.worker"), 1))
    assert dead.body == b"?"
    dead.ack()


def test_a_node_waits_for_the_watcher_to_declare_the_queues(rabbitmq_server: RabbitMq) -> None:
    """On a new broker it may be the first one that comes."""
    vhost = "raven-new"
    rabbitmq_server.create_vhost(vhost)
    nothing, own = "^amq\\.gen.*$", "^(amq\\.gen.*|raven\\.answers)$"
    read = "^(amq\\.gen.*|raven\\.worker|raven\\.control)$"
    node_url = rabbitmq_server.create_user(vhost, "early", "x", nothing, own, read)
    watcher_url = rabbitmq_server.create_user(
        vhost, "late", "x", "^raven\\.", "^(raven\\.|amq\\.default$)", "^raven\\."
    )
    with ExitStack() as stack:
        stack.callback(rabbitmq_server.delete_vhost, vhost)
        node = open_broker(Settings(broker=node_url))
        stack.callback(node.close)
        consumer = node.consumer("raven.worker", 1)
        assert consumer.take(2) is None
        watcher = stack.enter_context(connected(watcher_url))
        watcher.publish("raven.worker", b"job")

        assert taken(consumer).body == b"job"


def test_a_queue_that_somebody_deletes_comes_again_by_the_watcher(
    server: RabbitMq, watcher: Broker, join: Callable[[str], Broker]
) -> None:
    """Its consumers may not declare it."""
    consumer = join("raven_worker").consumer("raven.worker", 1)
    assert consumer.take(0.2) is None
    server.delete_queue(VHOST, "raven.worker")

    wait_until(lambda: watcher.publish_all([("raven.worker", b"after")]) == [True], "the queue is there again")
    assert taken(consumer).body == b"after"


def test_after_an_update_the_definitions_come_without_users_and_passwords_stay(
    server: RabbitMq, watcher: Broker
) -> None:
    """Who has made the accounts has no file with their passwords any more."""
    server.control("change_password", "raven_worker", "its-own")
    definitions = json.loads(DEFINITIONS.read_text("utf-8"))
    del definitions["users"]
    server.control("clear_policy", "-p", VHOST, "jobs")
    with private_directory() as folder:
        folder.chmod(0o755)
        (folder / "definitions.json").write_text(json.dumps(definitions), "utf-8")
        server.control("import_definitions", str(folder / "definitions.json"))

    assert "Success" in server.control("authenticate_user", "raven_worker", "its-own")
    assert "raven\\.(master|worker)" in server.control("list_policies", "-p", VHOST)
    server.control("change_password", "raven_worker", PASSWORDS["raven_worker"])


def test_policies_reach_the_queues_that_they_are_for(server: RabbitMq, watcher: Broker) -> None:
    for queue, policy in ((names.REPORTS, "reports"), ("raven.worker.dead", "dead letters")):
        # what the management API knows of a queue is some seconds old
        wait_until(lambda: server.queue_info(VHOST, queue).get("policy") == policy, f"{queue} has its policy")  # noqa: B023


@pytest.mark.parametrize("queue", names.QUEUES)
def test_a_message_that_is_given_back_often_stays(queue: str, server: RabbitMq, watcher: Broker) -> None:
    """RabbitMQ 4 by itself gives up after 20 times."""

    def limit() -> int:
        return int((server.queue_info(VHOST, queue).get("effective_policy_definition") or {}).get("delivery-limit", 0))

    wait_until(lambda: limit() >= 100_000, "the queue has a limit of its own")
    with pika.BlockingConnection(pika.URLParameters(url(server, "raven_watcher"))) as connection:
        channel = connection.channel()
        channel.queue_purge(queue)  # of what other tests have left
        watcher.publish(queue, b"again")
        for times in range(26):
            method, properties, body = wait_until(lambda: _got(channel, queue), "it is there")
            assert (body, (properties.headers or {}).get("x-delivery-count", 0)) == (b"again", times)
            if times < 25:
                channel.basic_nack(method.delivery_tag, requeue=True)
            else:
                channel.basic_ack(method.delivery_tag)
    assert watcher.depth(names.dead_letters(queue)) == 0


def _got(channel: Any, queue: str) -> Any:
    """What basic_get has found, None for nothing."""
    found = channel.basic_get(queue)
    return None if found[0] is None else found


def taken(consumer: Consumer) -> Any:
    """The next message, which must come."""
    return wait_until(lambda: consumer.take(0.1), "a message comes")
