"""The bucket and the users of deploy/ceph on a test cluster, as an administrator makes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.deploy.tools import DEPLOY
from tests.servers.ceph import CephRgw

CEPH = DEPLOY / "ceph"
NAME = "raven"


@dataclass(frozen=True)
class Bucket:
    """The bucket's URL, and the keys of each user by its name."""

    url: str
    server: CephRgw
    keys: dict[str, tuple[str, str]]

    def client(self, user: str) -> Any:
        """A boto3 client with a user's keys."""
        return self.server.client(*self.keys[user])

    def environment(self, user: str) -> dict[str, str]:
        """The variables from which boto3 takes a user's keys."""
        access, secret = self.keys[user]
        return {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def made(server: CephRgw) -> Iterator[Bucket]:
    """The bucket `raven` with its policy, CORS and lifecycle."""
    keys = dict(_users(server.script(CEPH / "users.sh")))
    owner = server.client(*keys["raven_owner"])
    owner.create_bucket(Bucket=NAME)
    owner.put_bucket_policy(Bucket=NAME, Policy=(CEPH / "policy.json").read_text("utf-8"))
    owner.put_bucket_cors(Bucket=NAME, CORSConfiguration=_read("cors.json"))
    owner.put_bucket_lifecycle_configuration(Bucket=NAME, LifecycleConfiguration=_read("lifecycle.json"))
    yield Bucket(f"s3://{NAME}?endpoint={server.endpoint}", server, keys)
    server.administer("bucket", "rm", f"--bucket={NAME}", "--purge-objects")
    for user in keys:
        server.administer("user", "rm", f"--uid={user}")


def _read(name: str) -> Any:
    return json.loads((CEPH / name).read_text("utf-8"))


def _users(said: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name and keys of each user in what radosgw-admin says: one JSON object after the other."""
    rest = said.strip()
    while rest:
        user, end = json.JSONDecoder().raw_decode(rest)
        yield user["user_id"], (user["keys"][0]["access_key"], user["keys"][0]["secret_key"])
        rest = rest[end:].strip()
