"""`raven doctor` before real servers: sound ones, and each of the ways in which an installation goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from raven import names
from raven.config import Settings
from raven.doctor.examine import examine
from raven.doctor.findings import Finding, Level
from raven.names import task_of
from raven.wiring import WATCHER_LOCK, open_broker, open_database
from tests.contract.brokers import connected
from tests.contract.storages import storage_at
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import aws_environment, load_schema
from tests.servers.mariadb import MariaDb
from tests.servers.process import clean_environment
from tests.servers.rabbitmq import RabbitMq
from tests.waiting import wait_until

pytestmark = pytest.mark.servers


def looked(area: str, *roles: str, **settings: str) -> dict[str, Finding]:
    """The findings of one area by what was looked at, of a round with these settings alone."""
    environment = {f"RAVEN_{name.upper()}": value for name, value in settings.items()}
    findings = list(examine(environment, None, roles or ("watcher", "master", "worker", "client")))
    password = urlsplit(next(iter(settings.values()))).password
    assert password is None or password not in str(findings)
    return {finding.what: finding for finding in findings if finding.area == area}


def levels(findings: dict[str, Finding]) -> set[Level]:
    return {finding.level for finding in findings.values()}


# the database


def test_a_sound_database_has_no_fault_and_its_clock_is_this_host_s(mariadb_server: MariaDb, mariadb_url: str) -> None:
    found = looked("database", database=load_schema(mariadb_server, mariadb_url))

    assert levels(found) == {Level.OK}
    assert "MariaDB" in found["version"].said
    assert found["clock"].said.startswith("0.")
    assert {"tasks", "jobs", "nodes", "holds", "history"} <= found.keys()


def test_a_wrong_password_is_told_as_such(mariadb_server: MariaDb, mariadb_url: str) -> None:
    url = load_schema(mariadb_server, mariadb_url)

    found = looked("database", database=url.replace(f":{urlsplit(url).password}@", ":wrong-secret@"))

    assert found["reach"].level == Level.OK
    assert found["login"].level == Level.FAULT
    assert "Access denied" in found["login"].said
    assert "password" in found["login"].remedy


def test_a_database_that_is_not_there_is_told_as_such(mariadb_url: str) -> None:
    found = looked("database", database=f"{mariadb_url}-none")

    assert "Unknown database" in found["login"].said
    assert found["login"].remedy.startswith("create the database")


def test_a_database_without_the_schema_is_to_be_given_it(mariadb_url: str) -> None:
    found = looked("database", database=mariadb_url)

    assert found["schema"].level == found["tasks"].level == Level.FAULT
    assert "raven migrate" in found["schema"].remedy


def test_what_an_account_may_not_do_is_found_table_by_table_and_nothing_is_written(
    mariadb_server: MariaDb, mariadb_url: str
) -> None:
    owner = load_schema(mariadb_server, mariadb_url)
    name, user = urlsplit(owner).path[1:], f"poor-{uuid.uuid4().hex[:8]}"
    grants = [f"SELECT, UPDATE ON `{name}`.tasks", f"SELECT, INSERT ON `{name}`.history", f"SELECT ON `{name}`.jobs"]
    grants.append(f"SELECT ON `{name}`.schema_version")
    mariadb_server.create_user(user, "secret-word", grants)
    poor = f"mysql://{user}:secret-word@{mariadb_server.host}:{mariadb_server.port}/{name}"

    found = looked("database", "watcher", database=poor)

    assert {what for what, finding in found.items() if finding.level == Level.FAULT} == {
        "schema",
        "jobs",
        "nodes",
        "holds",
        "notices",
    }
    assert "INSERT command denied" in found["jobs"].said
    assert "grant" in found["jobs"].remedy
    rows = "SELECT COUNT(*) FROM tasks; SELECT COUNT(*) FROM history"
    assert mariadb_server.run_script(name, rows).split() == ["COUNT(*)", "0", "COUNT(*)", "0"]


def test_a_client_s_account_is_asked_for_what_a_client_does(mariadb_server: MariaDb, mariadb_url: str) -> None:
    owner = load_schema(mariadb_server, mariadb_url)
    name, user = urlsplit(owner).path[1:], f"client-{uuid.uuid4().hex[:8]}"
    mariadb_server.create_user(user, "secret-word", [f"SELECT, INSERT, DELETE ON `{name}`.tasks"])

    found = looked(
        "database", "client", database=f"mysql://{user}:secret-word@{mariadb_server.host}:{mariadb_server.port}/{name}"
    )

    assert levels(found) == {Level.OK}
    assert found["tasks"].said == "SELECT, INSERT, DELETE allowed"


def test_an_operator_s_account_is_asked_for_what_an_operator_does(mariadb_server: MariaDb, mariadb_url: str) -> None:
    owner = load_schema(mariadb_server, mariadb_url)

    found = looked("database", "operator", database=owner)

    assert levels(found) == {Level.OK}
    assert found["holds"].said == "SELECT, INSERT, DELETE allowed"


def test_the_cleaner_s_account_is_asked_for_what_it_does(mariadb_server: MariaDb, mariadb_url: str) -> None:
    """Each right of deploy/mariadb, and the same without the one that removes history."""
    owner = load_schema(mariadb_server, mariadb_url)
    name = urlsplit(owner).path[1:]
    reads = [f"SELECT ON `{name}`.{table}" for table in ("tasks", "jobs", "schema_version")]

    def found(removes: str) -> dict[str, Finding]:
        user = f"cleaner-{uuid.uuid4().hex[:8]}"
        mariadb_server.create_user(user, "secret-word", [*reads, f"SELECT (id, at){removes} ON `{name}`.history"])
        url = f"mysql://{user}:secret-word@{mariadb_server.host}:{mariadb_server.port}/{name}"
        return looked("database", "scrub", database=url)

    assert levels(whole := found(", DELETE")) == {Level.OK}
    assert whole["history"].said == "SELECT, DELETE allowed"
    assert whole["schema"].level == Level.OK
    poor = found("")
    assert [what for what, finding in poor.items() if finding.level == Level.FAULT] == ["history"]
    assert "DELETE command denied" in poor["history"].said


def test_an_operator_who_may_not_forget_nodes_is_told_so(mariadb_server: MariaDb, mariadb_url: str) -> None:
    owner = load_schema(mariadb_server, mariadb_url)
    name, user = urlsplit(owner).path[1:], f"operator-{uuid.uuid4().hex[:8]}"
    others = [f"ALL PRIVILEGES ON `{name}`.{table}" for table in ("tasks", "jobs", "holds", "history", "notices")]
    mariadb_server.create_user(user, "secret-word", [*others, f"SELECT, UPDATE (blames) ON `{name}`.nodes"])

    found = looked(
        "database",
        "operator",
        database=f"mysql://{user}:secret-word@{mariadb_server.host}:{mariadb_server.port}/{name}",
    )

    assert [what for what, finding in found.items() if finding.level == Level.FAULT] == ["nodes"]
    assert "DELETE command denied" in found["nodes"].said


# the farm


def test_whether_a_watcher_is_at_work_is_told_by_its_lock(mariadb_server: MariaDb, mariadb_url: str) -> None:
    url = load_schema(mariadb_server, mariadb_url)
    before = looked("farm", "watcher", database=url)
    watcher = open_database(Settings(database=url), WATCHER_LOCK)
    watcher.query("SELECT 1 AS one")

    during = looked("farm", "watcher", database=url)

    assert (before["watcher"].level, before["masters"].said) == (Level.WARNING, "none lives")
    assert (during["watcher"].level, during["watcher"].said) == (Level.OK, "one is at work")
    assert watcher.query("SELECT 2 AS two") == [{"two": 2}], "it still holds it"
    watcher.close()


# the broker


def test_a_fresh_virtual_host_is_sound_and_gets_no_queue_from_the_doctor(
    rabbitmq_server: RabbitMq, rabbitmq_url: str
) -> None:
    found = looked("broker", broker=rabbitmq_url)

    assert levels(found) == {Level.OK, Level.SKIPPED}
    assert found["version"].said.startswith("RabbitMQ 3.")
    assert "raven.worker" in found["queues"].said
    assert levels(looked("broker", broker=rabbitmq_url)) == {Level.OK, Level.SKIPPED}, "as it made none"


def test_queues_in_use_are_counted_and_unreadable_messages_are_a_warning(rabbitmq_url: str) -> None:
    dead = names.dead_letters(names.REPORTS)
    with connected(rabbitmq_url) as broker:
        broker.publish("raven.worker", b"{}")
        broker.publish(dead, b"what is this")
        wait_until(lambda: broker.depth(dead) == 1, "the message is there")

        found = looked("broker", broker=rabbitmq_url)

        assert broker.depth(dead) == broker.depth("raven.worker") == 1, "they are left where they are"
    assert "raven.worker 1" in found["queues"].said
    assert found[dead].level == Level.WARNING


def test_a_wrong_password_of_the_broker_is_told_as_such(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    found = looked("broker", broker=rabbitmq_url.replace(f":{rabbitmq_server.password}@", ":wrong-secret@"))

    assert found["login"].level == Level.FAULT
    assert "ACCESS_REFUSED" in found["login"].said
    assert "password" in found["login"].remedy


def test_a_virtual_host_that_is_not_there_is_told_as_such(rabbitmq_url: str) -> None:
    found = looked("broker", broker=f"{rabbitmq_url}-none")

    assert found["login"].level == Level.FAULT
    assert "virtual host" in found["login"].remedy


def test_an_account_that_may_not_configure_is_told_which_right_it_misses(
    rabbitmq_server: RabbitMq, rabbitmq_url: str
) -> None:
    with connected(rabbitmq_url):  # the queues are there
        vhost = urlsplit(rabbitmq_url).path[1:]
        user = f"poor-{uuid.uuid4().hex[:8]}"
        url = rabbitmq_server.create_user(vhost, user, "secret-word", "", ".*", ".*")

        found = looked("broker", broker=url)

        of_a_worker = looked("broker", "worker", broker=url)

    assert found["rights"].level == Level.FAULT
    assert "access to queue" in found["rights"].said
    assert "--role" in found["rights"].remedy
    assert of_a_worker["rights"].level == Level.FAULT, "it could not even hear what all are told"


def test_a_worker_s_account_need_not_declare_raven_s_queues(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    with connected(rabbitmq_url):
        user = f"worker-{uuid.uuid4().hex[:8]}"
        mine = "^amq\\.gen.*$"
        url = rabbitmq_server.create_user(urlsplit(rabbitmq_url).path[1:], user, "secret-word", mine, ".*", ".*")

        assert looked("broker", "watcher", broker=url)["rights"].level == Level.FAULT
        assert levels(looked("broker", "worker", broker=url)) == {Level.OK}


def test_an_account_that_may_not_report_is_told_so(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    with connected(rabbitmq_url):
        user = f"mute-{uuid.uuid4().hex[:8]}"
        mine = "^amq\\.gen.*$"
        url = rabbitmq_server.create_user(urlsplit(rabbitmq_url).path[1:], user, "secret-word", mine, mine, ".*")

        found = looked("broker", "worker", broker=url)

    assert found["rights"].level == Level.FAULT
    assert "raven.answers" in found["rights"].said


def test_a_queue_that_was_declared_otherwise_is_a_fault(rabbitmq_url: str) -> None:
    """Of an older Raven or another program; daemons would try to declare theirs for ever."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    connection.channel().queue_declare("raven.worker", durable=True)
    connection.close()

    found = looked("broker", broker=rabbitmq_url)

    assert "PRECONDITION_FAILED" in found["rights"].said
    assert "delete this queue" in found["rights"].remedy


def test_of_several_hosts_one_that_answers_is_enough_and_the_other_is_told(rabbitmq_url: str) -> None:
    parts = urlsplit(rabbitmq_url)
    both = rabbitmq_url.replace(f"@127.0.0.1:{parts.port}/", f"@127.0.0.1:1,127.0.0.1:{parts.port}/")

    environment = {"RAVEN_BROKER": both}
    found = [finding for finding in examine(environment, None, ()) if finding.area == "broker"]

    assert [finding.level for finding in found if finding.what == "reach"] == [Level.FAULT, Level.OK]
    assert [finding.level for finding in found if finding.what == "login"] == [Level.OK]


def test_what_is_no_broker_is_told_within_seconds(mariadb_server: MariaDb) -> None:
    """Ports are mixed up easily; MariaDB speaks first, and not AMQP."""
    found = looked("broker", broker=f"amqp://bob:secret-word@127.0.0.1:{mariadb_server.port}/")

    assert found["reach"].level == Level.OK
    assert found["login"].level == Level.FAULT


# the storage


def test_a_sound_bucket_takes_gives_and_loses_an_object(s3_url: str) -> None:
    found = looked("storage", storage=s3_url)

    assert levels(found) == {Level.OK}
    assert list(storage_at(s3_url).entries("")) == []


def test_a_bucket_that_is_not_there_is_told_as_such(s3_url: str) -> None:
    bucket = urlsplit(s3_url).netloc

    found = looked("storage", storage=s3_url.replace(bucket, f"{bucket}-none"))

    assert found["reach"].level == Level.OK
    assert "NoSuchBucket" in found["under tmp/"].said
    assert found["under tmp/"].remedy.startswith("create the bucket")


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_wrong_key_is_told_as_such_by_the_command_and_no_secret_is(
    variable: str, s3_url: str, ceph_server: CephRgw, tmp_path: Path
) -> None:
    """A process of its own, as boto3 keeps the keys that it has found once."""
    keys = aws_environment(ceph_server) | {variable: "wrong-word"}
    done = subprocess.run(
        [sys.executable, "-m", "raven", "doctor", "--role", "worker", "--json"],
        env=clean_environment(tmp_path) | keys | {"RAVEN_STORAGE": s3_url},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    told = [finding for finding in json.loads(done.stdout)["findings"] if finding["what"] == "under out/"]
    assert (done.returncode, done.stderr) == (1, "")
    assert [finding["level"] for finding in told] == ["fault"]
    assert variable in told[0]["remedy"]
    assert ceph_server.secret_key not in done.stdout


def test_a_worker_s_keys_need_not_remove_nor_read_what_it_has_made(s3_url: str, ceph_server: CephRgw) -> None:
    bucket = urlsplit(s3_url).netloc
    forbidden = {
        "Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:GetObject"],
        "Resource": f"arn:aws:s3:::{bucket}/out/*",
    }  # fmt: skip
    client = ceph_server.client()
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [forbidden]}))
    try:
        worker, master = (looked("storage", role, storage=s3_url) for role in ("worker", "master"))
        left = list(storage_at(s3_url).entries(""))
    finally:
        client.delete_bucket_policy(Bucket=bucket)

    assert (levels(worker), worker["under tmp/"].said) == ({Level.OK}, "can be read")
    assert "left for scrub.py" in worker["under out/"].said
    assert (master["under out/"].level, master["under tmp/"].level) == (Level.FAULT, Level.OK)
    assert "AccessDenied" in master["under out/"].said
    assert {task_of(entry.key) is not None for entry in left} == {True}, "scrub.py knows them for a task's"
    storage_at(s3_url).delete_prefix("out/")


@pytest.mark.parametrize("forbidden", [None, "s3:DeleteObject", "s3:ListBucketMultipartUploads", "s3:ListBucket"])
def test_the_cleaner_s_keys_must_list_and_remove_and_need_not_write(
    forbidden: str | None, s3_url: str, ceph_server: CephRgw
) -> None:
    bucket = urlsplit(s3_url).netloc
    denied = ["s3:PutObject", "s3:GetObject", *([forbidden] if forbidden else [])]
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": denied, "Resource": resources}
    client = ceph_server.client()
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    try:
        found = looked("storage", "scrub", storage=s3_url)
    finally:
        client.delete_bucket_policy(Bucket=bucket)

    level = Level.FAULT if forbidden else Level.OK
    assert (found["under tmp/"].level, found["under out/"].level) == (level, level)
    assert not forbidden or "AccessDenied" in found["under out/"].said


def test_a_cleaner_of_a_folder_must_be_able_to_write_there(tmp_path: Path) -> None:
    found = looked("storage", "scrub", storage=f"file://{tmp_path}")

    assert found["under out/"].said == "an object can be stored, read and removed"


def test_a_farm_that_runs_is_not_disturbed(rabbitmq_url: str) -> None:
    """The doctor takes no message of anybody and leaves no queue."""
    broker = open_broker(Settings(broker=rabbitmq_url))
    try:
        wait_until(lambda: broker.connected_since() is not None, "the broker is connected")
        consumer = broker.consumer("raven.worker", prefetch=1)
        broker.publish("raven.worker", b"job")
        looked("broker", broker=rabbitmq_url)
        taken = consumer.take(10)
        assert taken is not None
        assert taken.body == b"job"
        taken.ack()
    finally:
        broker.close()
