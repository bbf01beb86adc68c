"""Each role's keys at a real Ceph RGW: its daemon can do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import boto3
import pytest
from botocore.exceptions import ClientError

from raven.config import Settings
from raven.errors import ObjectMissing
from raven.ports import Storage
from raven.wiring import open_storage
from tests.deploy.bucket import NAME, Bucket, made
from tests.servers.ceph import CephRgw

pytestmark = pytest.mark.servers
FORBIDDEN = 403
CHUNK, SEGMENT, MANIFEST = "tmp/1/chunk-000000.nut", "out/1/video/720p/seg-000001.m4s", "out/1/master.m3u8"
Act = Callable[[Any], Any]


def put(key: str) -> Act:
    return lambda s3: s3.put_object(Bucket=NAME, Key=key, Body=b"other")


def get(key: str) -> Act:
    return lambda s3: s3.get_object(Bucket=NAME, Key=key)


def delete(key: str) -> Act:
    return lambda s3: s3.delete_object(Bucket=NAME, Key=key)


ANYBODY: list[tuple[str, Act]] = [
    ("delete the bucket", lambda s3: s3.delete_bucket(Bucket=NAME)),
    ("make a bucket", lambda s3: s3.create_bucket(Bucket="mine")),
    ("open the bucket to all", lambda s3: s3.put_bucket_acl(Bucket=NAME, ACL="public-read-write")),
    (
        "change the policy",
        lambda s3: s3.put_bucket_policy(Bucket=NAME, Policy='{"Version":"2012-10-17","Statement":[]}'),
    ),
    ("remove the policy", lambda s3: s3.delete_bucket_policy(Bucket=NAME)),
    (
        "have objects expire",
        lambda s3: s3.put_bucket_lifecycle_configuration(
            Bucket=NAME,
            LifecycleConfiguration={
                "Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
            },
        ),
    ),
    ("write elsewhere", put("elsewhere")),
]
ACTS: dict[str, list[tuple[str, Act]]] = {
    "raven_master": ANYBODY,
    "raven_worker": [
        *ANYBODY,
        ("replace a manifest", put(MANIFEST)),
        ("replace a playlist", put("out/1/video/720p/playlist.m3u8")),
        ("replace task.json", put("out/1/task.json")),
        ("replace a chunk", put(CHUNK)),
        ("replace a download", put("out/1/download/720p.mp4")),
        ("remove a segment", delete(SEGMENT)),
        ("remove a chunk", delete(CHUNK)),
    ],
    "raven_scrub": [
        *ANYBODY,
        ("read a chunk", get(CHUNK)),
        ("write a segment", put(SEGMENT)),
        ("write a chunk", put(CHUNK)),
    ],
}
CASES = [pytest.param(user, act, id=f"{user} cannot {what}") for user in ACTS for what, act in ACTS[user]]


@pytest.fixture(scope="module")
def bucket(ceph_server: CephRgw) -> Iterator[Bucket]:
    """With an object of each kind in it, each stored by whose work it is."""
    with made(ceph_server) as bucket:
        for user, key in (("raven_master", CHUNK), ("raven_worker", SEGMENT), ("raven_master", MANIFEST)):
            bucket.client(user).put_object(Bucket=NAME, Key=key, Body=b"whole")
        yield bucket


@pytest.fixture
def storage(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Storage]:
    """Opens the storage as Raven does, with a user's keys."""

    def opened(user: str) -> Storage:
        for name, value in bucket.environment(user).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the first keys that it has found
        return open_storage(Settings(storage=bucket.url))

    return opened


@pytest.mark.parametrize(("user", "act"), CASES)
def test_what_a_role_must_not_do_is_refused(user: str, act: Act, bucket: Bucket) -> None:
    with pytest.raises(ClientError) as refused:
        act(bucket.client(user))

    code = refused.value.response["Error"]["Code"]
    assert code in ("AccessDenied", "TooManyBuckets") or (
        refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == FORBIDDEN
    )
    master = bucket.client("raven_master")
    assert [master.get_object(Bucket=NAME, Key=key)["Body"].read() for key in (CHUNK, SEGMENT, MANIFEST)] == [
        b"whole"
    ] * 3


def test_a_worker_stores_all_that_it_makes(storage: Callable[[str], Storage]) -> None:
    worker = storage("raven_worker")
    keys = [
        f"out/2/{path}"
        for path in (
            "video/720p/init.mp4",
            "video/720p/seg-000001.m4s",
            "iframes/init.mp4",
            "audio/eng-1/seg-000002.m4s",
            "text/eng-1/seg-000001.vtt",
            "text/eng-1/subtitles.vtt",
            "thumbs/000000.jpg",
        )
    ]
    for key in keys:
        worker.put(key, b"x")

    master = storage("raven_master")
    assert [master.get(key) for key in keys] == [b"x"] * len(keys)
    assert master.delete_prefix("out/2/") == len(keys)


def test_a_worker_is_told_that_a_chunk_is_gone_rather_than_that_it_may_not(storage: Callable[[str], Storage]) -> None:
    worker = storage("raven_worker")
    assert worker.get(CHUNK) == b"whole"

    with pytest.raises(ObjectMissing):
        worker.get("tmp/1/chunk-000099.nut")


def test_the_cleaner_lists_and_removes(storage: Callable[[str], Storage]) -> None:
    master = storage("raven_master")
    for number in range(3):
        master.put(f"tmp/3/chunk-{number:06d}.nut", b"xy")
    scrub = storage("raven_scrub")

    assert [entry.bytes for entry in scrub.entries("tmp/3/")] == [2, 2, 2]
    assert scrub.delete_prefix("tmp/3/") == 3
    assert list(scrub.entries("tmp/3/")) == []


def test_a_large_object_goes_up_in_parts_and_unfinished_ones_are_removed(
    storage: Callable[[str], Storage], bucket: Bucket
) -> None:
    s3 = bucket.client("raven_master")
    begun = s3.create_multipart_upload(Bucket=NAME, Key="tmp/4/chunk-000000.nut")
    s3.upload_part(
        Bucket=NAME, Key="tmp/4/chunk-000000.nut", UploadId=begun["UploadId"], PartNumber=1, Body=bytes(5 << 20)
    )

    storage("raven_scrub").delete_prefix("tmp/4/")

    assert "Uploads" not in s3.list_multipart_uploads(Bucket=NAME, Prefix="tmp/4/")


@pytest.mark.parametrize(("key", "status"), [(SEGMENT, 200), (MANIFEST, 200), (CHUNK, 403), ("", 403)])
def test_everybody_plays_and_sees_nothing_else(key: str, status: int, bucket: Bucket) -> None:
    """Without keys; an empty key lists the bucket."""
    assert ask(bucket, key)[0] == status


def test_players_on_other_sites_may_read(bucket: Bucket) -> None:
    status, headers = ask(bucket, SEGMENT, Origin="https://player.example", Range="bytes=0-1")

    assert status == 206
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in headers["Access-Control-Expose-Headers"]


def test_unfinished_uploads_have_an_end(bucket: Bucket) -> None:
    (rule,) = bucket.client("raven_owner").get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]

    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    assert "Expiration" not in rule, "a chunk may wait for long"


def ask(bucket: Bucket, key: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of a plain GET."""
    request = Request(f"{bucket.server.endpoint}/{NAME}/{key}", headers=headers)  # noqa: S310 - the test's own gateway
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, dict(answer.headers)
    except HTTPError as refused:
        with refused:
            return refused.code, dict(refused.headers)
