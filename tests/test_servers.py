"""The real servers that other tests use start, keep what they promise to keep, and die with the tests."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
import pika
import pymysql
import pytest
from botocore.config import Config
from pika.exceptions import ChannelClosedByBroker

from tests.servers.ceph import CephRgw
from tests.servers.fixtures import need
from tests.servers.mariadb import MariaDb
from tests.servers.process import HOST, ServerError, private_directory
from tests.servers.rabbitmq import RabbitMq

DEADLINE = 60
# Starts a child in a helper thread that ends at once, says its process id and waits to be killed.
PARENT = """
import sys, threading, time
from pathlib import Path
from tests.servers.process import ChildProcess
def start():
    child = ChildProcess("sleep", ["sleep", "600"], log=Path(sys.argv[1]), env={"PATH": "/usr/bin:/bin"})
    print(child.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(600)
"""


def test_a_child_outlives_the_thread_that_started_it_but_not_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _runs(child)
        parent.send_signal(signal.SIGKILL)
    _wait_until(lambda: not _runs(child))


def test_the_directory_of_a_killed_run_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned = tmp_path / "rv-abandoned"
    abandoned.mkdir()
    (abandoned / "raven-tests.lock").touch()
    with private_directory() as directory, private_directory() as other:
        assert directory.is_dir()
        assert other.is_dir()
        assert not abandoned.exists()
    assert not directory.exists()


@pytest.mark.servers
def test_mariadb_gives_each_test_an_empty_database(mariadb_url: str) -> None:
    with _connect(mariadb_url) as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW TABLES") == 0
        cursor.execute("CREATE TABLE video (name VARCHAR(9) PRIMARY KEY)")
        cursor.execute("INSERT INTO video VALUES ('été')")
        connection.commit()
        cursor.execute("SELECT name FROM video")
        assert cursor.fetchall() == (("été",),)


@pytest.mark.servers
def test_mariadb_limits_a_user_to_what_was_granted(mariadb_server: MariaDb, mariadb_url: str) -> None:
    name = urlsplit(mariadb_url).path[1:]
    mariadb_server.run_script(name, "CREATE TABLE video (id INT); INSERT INTO video VALUES (7);")
    mariadb_server.create_user("reader", "it's", [f"SELECT ON `{name}`.*"])
    assert mariadb_server.run_script(name, "SELECT id FROM video", "reader", "it's").split() == ["id", "7"]
    with pytest.raises(ServerError, match="denied"):
        mariadb_server.run_script(name, "DELETE FROM video", "reader", "it's")


@pytest.mark.servers
def test_a_durable_mariadb_has_committed_rows_after_a_crash(server_directory: Path) -> None:
    need(MariaDb.missing())
    server = MariaDb.start(server_directory, durable=True)
    try:
        url = server.create_database("crash")
        server.run_script("crash", "CREATE TABLE video (id INT); INSERT INTO video VALUES (1), (2);")
        server.kill()
        server.restart()
        with _connect(url) as connection, connection.cursor() as cursor:
            assert cursor.execute("SELECT id FROM video") == 2
    finally:
        server.close()


@pytest.mark.servers
def test_rabbitmq_confirms_and_delivers_a_message(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    channel = connection.channel()
    channel.queue_declare("jobs", durable=True, arguments={"x-queue-type": "quorum"})
    channel.confirm_delivery()
    channel.basic_publish("", "jobs", b"encode", pika.BasicProperties(delivery_mode=2), mandatory=True)
    delivery: tuple[Any, ...] = channel.basic_get("jobs", auto_ack=True)
    connection.close()
    assert delivery[2] == b"encode"
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    assert rabbitmq_server.queue_info(vhost, "jobs")["type"] == "quorum"


@pytest.mark.servers
def test_rabbitmq_limits_a_user_to_its_permissions(rabbitmq_server: RabbitMq, rabbitmq_url: str) -> None:
    vhost = unquote(urlsplit(rabbitmq_url).path[1:])
    url = rabbitmq_server.create_user(vhost, "worker", "a/b", configure="^$", write="^$", read=".*")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
        connection.channel().queue_declare("mine")
    connection.close()


@pytest.mark.servers
def test_ceph_stores_lists_and_serves_objects(s3_url: str) -> None:
    client, bucket = _s3(s3_url)
    client.put_object(Bucket=bucket, Key="a/1.m4s", Body=b"0123456789")
    listed = client.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]
    assert [item["Key"] for item in listed] == ["a/1.m4s"]
    assert client.get_object(Bucket=bucket, Key="a/1.m4s")["Body"].read() == b"0123456789"
    part = client.get_object(Bucket=bucket, Key="a/1.m4s", Range="bytes=2-4")
    assert (part["ContentRange"], part["Body"].read()) == ("bytes 2-4/10", b"234")


@pytest.mark.servers
def test_ceph_forgets_an_aborted_upload_and_deleted_objects(s3_url: str) -> None:
    client, bucket = _s3(s3_url)
    upload = client.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    client.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"x" * 100)
    client.abort_multipart_upload(Bucket=bucket, Key="big", UploadId=upload)
    client.put_object(Bucket=bucket, Key="small", Body=b"x")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "small"}]})
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.servers
def test_ceph_has_its_objects_after_a_crash_of_the_gateway(ceph_server: CephRgw, s3_url: str) -> None:
    client, bucket = _s3(s3_url)
    parts = [b"x" * 5 * 1024**2, b"the end"]
    upload = client.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    keys = {"Bucket": bucket, "Key": "big", "UploadId": upload}
    tags = [client.upload_part(**keys, PartNumber=i, Body=body)["ETag"] for i, body in enumerate(parts, 1)]
    numbered = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    client.complete_multipart_upload(**keys, MultipartUpload={"Parts": numbered})
    ceph_server.kill_gateway()
    ceph_server.start_gateway()
    assert client.get_object(Bucket=bucket, Key="big")["Body"].read() == b"".join(parts)


def _connect(url: str) -> "pymysql.Connection[Any]":
    parts = urlsplit(url)
    user, password = parts.username or "", parts.password or ""
    name = parts.path[1:]
    return pymysql.connect(host=HOST, port=parts.port or 0, user=user, password=password, database=name)


def _s3(url: str) -> tuple[Any, str]:
    """Connect as the product does: the endpoint from the URL, the keys from the environment."""
    parts = urlsplit(url)
    settings = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.client("s3", endpoint_url=parts.query.removeprefix("endpoint="), config=settings)
    return client, parts.netloc


def _runs(pid: int) -> bool:
    """Tell whether a process runs; one that ended but was not waited for is a zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
