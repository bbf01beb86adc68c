"""What raven.ports.Storage promises, in a directory and on Ceph's S3."""

from __future__ import annotations

import errno
import hashlib
import random
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import boto3.session
import pytest

import raven.adapters.s3
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.adapters.s3 import MULTIPART_BYTES
from raven.errors import Cancelled, NoRoom, ObjectMissing, RavenError, StorageAway, Unavailable
from raven.ports import Storage
from tests.contract.storages import storage_at
from tests.servers.ceph import CephRgw
from tests.servers.process import free_port
from tests.servers.proxy import Proxy
from tests.waiting import wait_until

KEY = "out/7/video/1080p/seg-000001.m4s"
DIGITS = b"0123456789"


def keys(storage: Storage, prefix: str) -> list[str]:
    return [entry.key for entry in storage.entries(prefix)]


def test_what_was_put_comes_back(storage: Storage, tmp_path: Path) -> None:
    """From memory as from a file, with nothing in it as with any bytes, under any kind of name."""
    contents = {KEY: bytes(range(256)) * 100, "out/7/master.m3u8": b"", "tmp/7/chunk-000000.nut": b"from a file"}
    file = tmp_path / "source"
    file.write_bytes(contents["tmp/7/chunk-000000.nut"])
    for key, content in contents.items():
        storage.put(key, file if key.startswith("tmp/") else content)
    for key, content in contents.items():
        assert storage.get(key) == content
        storage.fetch(key, tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == content
    assert file.exists(), "the caller's file stays the caller's"


@pytest.mark.parametrize("key", ["out/7/poster", "out/7/film.unknown", "out/7/été 1+1=2&%.jpg"])
def test_a_key_may_end_in_anything(key: str, storage: Storage) -> None:
    """Which names there are is not the storage's matter."""
    storage.put(key, DIGITS)
    assert storage.get(key) == DIGITS
    assert keys(storage, "out/7/") == [key]


def test_a_fetch_replaces_what_is_in_the_file(storage: Storage, tmp_path: Path) -> None:
    """A repeated attempt may find a longer file of the one before."""
    storage.put(KEY, DIGITS)
    (tmp_path / "target").write_bytes(b"x" * 1000)
    storage.fetch(KEY, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DIGITS


def test_a_fetch_that_finds_the_disk_full_says_so(storage: Storage) -> None:
    """It is not the storage that is to blame, and the node looks at its disk before it takes another job."""
    storage.put(KEY, DIGITS)
    with pytest.raises(NoRoom, match=f"{KEY}.*No space left"):
        storage.fetch(KEY, Path("/dev/full"))


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, DIGITS),
        (3, None, DIGITS[3:]),
        (0, 4, DIGITS[:4]),
        (3, 4, DIGITS[3:7]),
        (9, 1, DIGITS[9:]),
        (8, 100, DIGITS[8:]),
        (3, 0, b""),
        (10, None, b""),
        (10, 5, b""),
        (99, 1, b""),
    ],
)
def test_get_takes_ranges(start: int, length: int | None, expected: bytes, storage: Storage) -> None:
    """As a file has them: what lies past the end is not there, which is no fault."""
    storage.put(KEY, DIGITS)
    assert storage.get(KEY, start, length) == expected


def test_an_empty_object_has_empty_ranges(storage: Storage) -> None:
    """S3 answers "invalid range" to any range of nothing."""
    storage.put(KEY, b"")
    assert storage.get(KEY, 0, 5) == b""


def test_an_absent_object_is_missing_whatever_is_near_it(storage: Storage, tmp_path: Path) -> None:
    """Also where a directory has a folder of that name, or a file in the place of a folder."""
    storage.put("out/7/audio", DIGITS)
    for key in ("out/8/none", "out/7", "out/7/audio/init.mp4", "tmp/7/chunk-000000.nut"):
        with pytest.raises(ObjectMissing, match=key):
            storage.get(key)
        with pytest.raises(ObjectMissing, match=key):
            storage.get(key, 1, 2)
        with pytest.raises(ObjectMissing, match=key):
            storage.fetch(key, tmp_path / "target")
    assert keys(storage, "out/") == ["out/7/audio"]


def test_a_put_replaces_the_object_of_that_key(storage: Storage) -> None:
    """An attempt that is repeated stores the same keys again."""
    storage.put(KEY, b"the first one, which was longer")
    storage.put(KEY, b"second")
    assert storage.get(KEY) == b"second"
    assert [entry.bytes for entry in storage.entries("out/")] == [6]


def test_readers_see_a_whole_object_old_or_new(storage: Storage) -> None:
    """A player may fetch a playlist while it is replaced; a half one would end its film."""
    old, new = b"a" * 300_000, b"b" * 200_000
    storage.put(KEY, old)
    over = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not over.is_set():
            seen.add(storage.get(KEY))

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(30):
            storage.put(KEY, new)
            storage.put(KEY, old)
        over.set()
        for reader in readers:
            reader.result()
    assert {hashlib.sha256(content).hexdigest() for content in seen} <= {
        hashlib.sha256(content).hexdigest() for content in (old, new)
    }
    assert keys(storage, "") == [KEY], "and nothing half-made is listed"


def test_a_put_that_breaks_off_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    """A source that vanishes is Unavailable, as a later attempt can help; the old object stays."""
    storage.put(KEY, DIGITS)
    for key in (KEY, "out/7/new.m4s"):
        with pytest.raises(Unavailable):
            storage.put(key, tmp_path / "vanished")
    assert keys(storage, "out/") == [KEY]
    assert storage.get(KEY) == DIGITS


def test_entries_come_in_order_of_keys_with_their_sizes(storage: Storage) -> None:
    """Byte by byte, not folder by folder: scrub.py and clients read them in one pass."""
    names_in_order = sorted(
        [
            "a/b/c",
            "a/b-c",
            "a/b.c",
            "a/b/c/d",
            "a/b0",
            "a/B",
            "a/10",
            "a/9",
            "a/b/é",
            "a/b/ä",
            "a-z/x",
            "ab",
            "a/b/\U0001f3ac",
        ]
    )
    names_in_order.remove("a/b/c/d")  # a directory cannot have both a/b/c and a/b/c/d
    for number, key in enumerate(reversed(names_in_order)):
        storage.put(key, b"x" * number)
    found = [(entry.key, entry.bytes) for entry in storage.entries("a")]
    assert found == [(key, number) for number, key in reversed(list(enumerate(reversed(names_in_order))))]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("out/1/", ["out/1/a", "out/1/b/c"]),
        ("out/1", ["out/1/a", "out/1/b/c", "out/10/a"]),
        ("out/1/b", ["out/1/b/c"]),
        ("out/1/a/", []),
        ("out/2/", []),
        ("nothing/at/all", []),
        ("out/", ["out/1/a", "out/1/b/c", "out/10/a"]),
        ("", ["out/1/a", "out/1/b/c", "out/10/a", "tmp/1/a"]),
    ],
)
def test_a_prefix_is_the_beginning_of_a_key(prefix: str, expected: list[str], storage: Storage) -> None:
    """Not a folder: `out/1` begins the keys of task 10 too, which is why the names end in a slash."""
    for key in ("out/1/a", "out/1/b/c", "out/10/a", "tmp/1/a"):
        storage.put(key, b"x")
    assert keys(storage, prefix) == expected


@pytest.mark.parametrize(
    ("prefix", "after", "expected"),
    [
        ("out/", "out/1/a", ["out/1/b/c", "out/1/b/d", "out/10/a"]),
        ("out/1/", "out/1/b/b", ["out/1/b/c", "out/1/b/d"]),
        ("out/1/b/", "out/1/b/c", ["out/1/b/d"]),
        ("out/1/", "out/0", ["out/1/a", "out/1/b/c", "out/1/b/d"]),
        ("out/1/", "out/1/b/d", []),
    ],
)
def test_a_listing_may_begin_after_a_key(prefix: str, after: str, expected: list[str], storage: Storage) -> None:
    """Whether there is an object of that key or not: of a thousand segments only the last ones may be wanted."""
    for key in ("out/1/a", "out/1/b/c", "out/1/b/d", "out/10/a", "tmp/1/a"):
        storage.put(key, b"x")
    assert [entry.key for entry in storage.entries(prefix, after)] == expected


def test_deleting_a_prefix_removes_that_and_no_more(storage: Storage) -> None:
    """Task 1 is purged, task 10 is not; and a purge is repeated until it has been reported."""
    for key in ("out/1/a", "out/1/b/c", "out/10/a", "tmp/1/a"):
        storage.put(key, b"x")
    assert storage.delete_prefix(names.out_prefix(1)) == 2
    assert storage.delete_prefix(names.out_prefix(1)) == 0
    assert keys(storage, "") == ["out/10/a", "tmp/1/a"]
    storage.put("out/1/a", b"again")
    assert storage.get("out/1/a") == b"again"


def test_a_removal_asks_before_each_step_and_ends_at_a_no(storage: Storage) -> None:
    storage.put("out/1/a", b"x")

    def no() -> None:
        raise Cancelled("the task was tried again")

    with pytest.raises(Cancelled):
        storage.delete_prefix(names.out_prefix(1), no)
    assert keys(storage, "") == ["out/1/a"]
    asked: list[int] = []
    assert storage.delete_prefix(names.out_prefix(1), lambda: asked.append(1)) == 1
    assert asked


def test_more_objects_are_deleted_than_one_request_takes(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long film has tens of thousands of segments; S3 lists and deletes a thousand at once, here some few."""
    monkeypatch.setattr(raven.adapters.s3, "DELETE_BATCH", 10)
    session = boto3.session.Session()
    session.events.register("before-parameter-build.s3.ListObjectsV2", _small_pages)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    storage, count = storage_at(storage_url), 45
    for number in range(count):
        storage.put(f"out/1/{number:05}", b"")
    assert keys(storage, "out/1/") == [f"out/1/{number:05}" for number in range(count)]
    assert storage.delete_prefix("out/1/") == count
    assert keys(storage, "out/1/") == []


def _small_pages(params: dict[str, Any], **_: Any) -> None:
    params["MaxKeys"] = 7


def test_an_object_larger_than_one_part_is_whole(storage: Storage, tmp_path: Path) -> None:
    """A chunk of lossless 4K is; its parts must come in order, and the last one is short."""
    file = tmp_path / "large"
    block = random.Random(7).randbytes(1 << 20)  # noqa: S311 - a pattern, not a secret
    with file.open("wb") as writer:
        for number in range((MULTIPART_BYTES >> 20) + 1):
            writer.write(number.to_bytes(4, "big") + block[4:])
    assert file.stat().st_size > MULTIPART_BYTES
    storage.put("tmp/7/chunk-000000.nut", file)
    storage.fetch("tmp/7/chunk-000000.nut", tmp_path / "back")
    assert _digest(tmp_path / "back") == _digest(file)
    assert storage.get("tmp/7/chunk-000000.nut", MULTIPART_BYTES, 4) == (MULTIPART_BYTES >> 20).to_bytes(4, "big")


def test_several_threads_may_use_one_storage(storage: Storage) -> None:
    """A worker uploads eight segments side by side."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: storage.put(f"out/1/{number}", b"%d" % number), range(64)))
        found = list(pool.map(lambda number: storage.get(f"out/1/{number}"), range(64)))
    assert found == [b"%d" % number for number in range(64)]


def test_a_public_url_is_what_clients_are_told(storage_url: str) -> None:
    """The gateway's own address may be one that only the farm can reach."""
    storage = storage_at(storage_url, public_url="https://cdn.example/films/")
    assert storage.url("out/7/master.m3u8") == "https://cdn.example/films/out/7/master.m3u8"


# what only the directory does


def test_the_url_of_a_directory_is_its_file(tmp_path: Path) -> None:
    """Read on the spot, it must be the object, with the bytes it has."""
    storage = storage_at(f"file://{tmp_path / 'films of été'}")
    storage.put("out/7/master.m3u8", b"#EXTM3U\n")
    with urllib.request.urlopen(storage.url("out/7/master.m3u8")) as response:  # noqa: S310 - our own file
        assert response.read() == b"#EXTM3U\n"


@pytest.mark.parametrize(
    "key", ["", "/", "/etc/passwd", "..", "../x", "out/../../x", "out/..", "out/\0", ".", "./x", "out//x"]
)
def test_a_directory_refuses_keys_that_are_not_exactly_one_path_below_it(key: str, tmp_path: Path) -> None:
    """Keys come from names.py alone; should one ever come from elsewhere, it must not leave the root."""
    storage = storage_at(f"file://{tmp_path / 'objects'}")
    (tmp_path / "x").write_bytes(b"outside")
    for use in (lambda: storage.put(key, b"y"), lambda: storage.get(key), lambda: storage.fetch(key, tmp_path / "z")):
        with pytest.raises(ValueError, match="not a storage key"):
            use()
    with pytest.raises(ValueError, match="not a storage key"):
        storage.delete_prefix(key + "/")
    assert (tmp_path / "x").read_bytes() == b"outside"
    assert not (tmp_path / "objects" / "x").exists()


def test_the_web_server_may_read_what_lies_in_a_directory(tmp_path: Path) -> None:
    """It is another user than the worker's."""
    storage = storage_at(f"file://{tmp_path / 'objects'}")
    storage.put(KEY, DIGITS)
    assert (tmp_path / "objects" / KEY).stat().st_mode & 0o777 == 0o644


def test_a_directory_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """The NFS server may come back."""
    (tmp_path / "objects").write_bytes(b"a file in the place of the folder")
    with pytest.raises(Unavailable, match=KEY):
        storage_at(f"file://{tmp_path / 'objects'}").put(KEY, DIGITS)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ESTALE, StorageAway), (errno.EIO, StorageAway), (errno.ENOSPC, NoRoom)]
)
def test_a_directory_whose_server_is_lost_is_away(
    number: int, kind: type[RavenError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job is to blame for that, as one is, or its node, for a disk that is full."""

    def breaks(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("shutil.copyfile", breaks)
    with pytest.raises(RavenError) as caught:
        storage_at(f"file://{tmp_path / 'objects'}").fetch(KEY, tmp_path / "target")
    assert caught.type is kind


# what only S3 does


@pytest.mark.servers
def test_objects_in_s3_carry_their_media_type(s3_url: str, ceph_server: CephRgw, tmp_path: Path) -> None:
    """Players refuse a playlist that is served as bytes; also one that went up in parts."""
    storage, bucket = storage_at(s3_url), urlsplit(s3_url).netloc
    expected = {
        "out/7/master.m3u8": "application/vnd.apple.mpegurl",
        "out/7/manifest.mpd": "application/dash+xml",
        "out/7/video/1080p/init.mp4": "video/mp4",
        "out/7/video/1080p/seg-000001.m4s": "video/iso.segment",
        "out/7/thumbs/000000.jpg": "image/jpeg",
        "out/7/task.json": "application/json",
        "out/7/other": "application/octet-stream",
    }
    for key in expected:
        storage.put(key, b"x")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MULTIPART_BYTES + 1)
    storage.put("out/7/download/1080p.mp4", large)
    expected["out/7/download/1080p.mp4"] = "video/mp4"
    heads = {key: ceph_server.client().head_object(Bucket=bucket, Key=key) for key in expected}
    assert {key: head["ContentType"] for key, head in heads.items()} == expected
    assert "-" in heads["out/7/download/1080p.mp4"]["ETag"], "this one went up in parts"


@pytest.mark.servers
def test_the_url_of_an_object_in_s3_is_its_address(s3_url: str, ceph_server: CephRgw) -> None:
    """An administrator who opens the bucket to readers gets what the column `url` says."""
    bucket, _, query = s3_url.partition("?")
    storage = storage_at(f"{bucket}/farm-1/films?{query}")
    storage.put("out/7/master.m3u8", b"#EXTM3U\n")
    address = storage.url("out/7/master.m3u8")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _read(address)
    ceph_server.client().put_object_acl(
        Bucket=urlsplit(s3_url).netloc, Key="farm-1/films/out/7/master.m3u8", ACL="public-read"
    )
    assert _read(address) == b"#EXTM3U\n"


@pytest.mark.servers
def test_farms_that_share_a_bucket_do_not_see_each_other(s3_url: str) -> None:
    """The prefix of one may even begin that of the other."""
    bucket, _, query = s3_url.partition("?")
    one, other = storage_at(f"{bucket}/farm?{query}"), storage_at(f"{bucket}/farm-2/?{query}")
    one.put("out/1/a", b"one")
    other.put("out/1/a", b"other")
    assert (keys(one, ""), keys(other, "")) == (["out/1/a"], ["out/1/a"])
    assert one.delete_prefix("out/") == 1
    assert other.get("out/1/a") == b"other"


@pytest.mark.servers
def test_a_bucket_that_does_not_exist_is_unavailable_for_every_verb(s3_url: str, tmp_path: Path) -> None:
    """An administrator may still make it; and whatever boto3 raises must be one of our errors."""
    storage = storage_at(s3_url.replace("s3://", "s3://no-"))
    _assert_raised(Unavailable, storage, tmp_path)


@pytest.mark.servers
def test_a_gateway_that_is_away_is_unavailable_for_every_verb(
    s3_url: str, ceph_server: CephRgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer is no word about an object: it must not be taken for missing."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    storage = storage_at(s3_url.replace(f":{ceph_server.port}", f":{free_port()}"))
    _assert_raised(StorageAway, storage, tmp_path)


@pytest.mark.servers
def test_a_gateway_that_falls_silent_is_away(
    s3_url: str, ceph_server: CephRgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host has vanished without a word, before the connection or in the middle of an object."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(raven.adapters.s3, "SILENT_SECONDS", 0.3)
    with closing(Proxy(ceph_server.port)) as proxy:
        storage = storage_at(s3_url.replace(f":{ceph_server.port}", f":{proxy.port}"))
        storage.put(KEY, bytes(1 << 20))
        proxy.slow(1 << 18)
        with ThreadPoolExecutor(1) as pool:
            fetched = pool.submit(storage.fetch, KEY, tmp_path / "target")
            wait_until((tmp_path / "target").exists, "the answer begins")
            proxy.hang()
            with pytest.raises(StorageAway):
                fetched.result()
        with pytest.raises(StorageAway):
            storage.put(KEY, DIGITS)
        proxy.heal()
        storage.put(KEY, DIGITS)
        assert storage.get(KEY) == DIGITS


@pytest.mark.servers
def test_a_connection_that_is_reset_in_mid_upload_is_tried_again(s3_url: str, ceph_server: CephRgw) -> None:
    """A gateway that is restarted costs no attempt of a job."""
    with closing(Proxy(ceph_server.port)) as proxy:
        storage = storage_at(s3_url.replace(f":{ceph_server.port}", f":{proxy.port}"))
        content = random.Random(8).randbytes(1 << 20)  # noqa: S311 - a pattern, not a secret
        proxy.reset_after(1 << 19)
        storage.put(KEY, content)
        assert storage.get(KEY) == content


@pytest.mark.servers
def test_parts_that_a_killed_uploader_has_left_go_with_their_prefix(s3_url: str, ceph_server: CephRgw) -> None:
    """No listing of objects shows them, but they fill the pool; those of the neighbour are under way."""
    storage, bucket, client = storage_at(s3_url), urlsplit(s3_url).netloc, ceph_server.client()
    for key in ("tmp/7/chunk-000000.nut", "tmp/7/chunk-000001.nut", "tmp/70/chunk-000000.nut"):
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=DIGITS)
    assert storage.delete_prefix(names.tmp_prefix(7)) == 0
    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["tmp/70/chunk-000000.nut"]


@pytest.mark.servers
def test_uploads_that_were_left_open_are_aborted_once_they_are_old_and_no_other_s(
    s3_url: str, ceph_server: CephRgw
) -> None:
    """They are in no listing and fill the pool. Somebody else's in the bucket are none of our business."""
    storage, bucket, client = storage_at(s3_url), urlsplit(s3_url).netloc, ceph_server.client()
    for key in ("tmp/7/chunk-000000.nut", "out/8/download/720p.mp4", "backup/9"):
        client.create_multipart_upload(Bucket=bucket, Key=key)

    assert storage.leftovers(3600, remove=True) == 0  # young ones are under way
    assert storage.leftovers(-3600, remove=False) == 2
    assert storage.leftovers(-3600, remove=True) == 2

    left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["backup/9"]
    assert storage.leftovers(-3600, remove=True) == 0


def test_empty_folders_of_killed_removers_go_and_no_others(tmp_path: Path) -> None:
    """Listings do not show them: nobody else would come upon them."""
    storage = DirectoryStorage(tmp_path)
    for key in ("out/1/a/b/c", "out/2/a", "tmp/3/a"):
        storage.put(key, DIGITS)
    storage.delete(["out/1/a/b/c", "tmp/3/a"])  # and killed before it came to the folders

    assert storage.leftovers(3600, remove=False) == 0
    assert (tmp_path / "out/1/a/b").is_dir()
    assert storage.leftovers(3600, remove=True) == 0

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["2"]
    assert list((tmp_path / "tmp").iterdir()) == []
    assert keys(storage, "") == ["out/2/a"]


def test_objects_are_removed_by_their_keys_whether_they_are_there_or_not(storage: Storage) -> None:
    for key in ("out/1/a", "out/1/b/c", "out/1/d"):
        storage.put(key, DIGITS)

    storage.delete(["out/1/b/c", "out/1/a", "out/1/a/deeper", "out/9/x"])

    assert keys(storage, "out/") == ["out/1/d"]
    storage.delete([])


def _assert_raised(kind: type[Unavailable], storage: Storage, folder: Path) -> None:
    large = folder / "large"
    with large.open("wb") as file:
        file.truncate(MULTIPART_BYTES + 1)
    verbs: dict[str, Any] = {
        "put": lambda: storage.put(KEY, DIGITS),
        "put in parts": lambda: storage.put(KEY, large),
        "get": lambda: storage.get(KEY),
        "get a range": lambda: storage.get(KEY, 1, 2),
        "fetch": lambda: storage.fetch(KEY, folder / "target"),
        "entries": lambda: list(storage.entries("out/")),
        "delete": lambda: storage.delete_prefix("out/"),
        "delete keys": lambda: storage.delete([KEY]),
    }
    raised = {}
    for name, verb in verbs.items():
        with pytest.raises(Exception) as caught:
            verb()
        raised[name] = caught.type
    assert raised == dict.fromkeys(verbs, kind)


def _read(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        content: bytes = response.read()
        return content


def _digest(file: Path) -> str:
    with file.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
