"""The bucket and the users of deploy/ceph on a test cluster, as an administrator makes them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.tools import DEPLOY
from tests.documented.pages import blocks
from tests.servers.ceph import CephRgw
from tests.servers.fixtures import need
from tests.servers.process import clean_environment, missing_program, run

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
    """The bucket `raven` with its policy, CORS and lifecycle, by what README.md tells to type."""
    need(missing_program({"aws": "awscli"}))
    keys = dict(_users(server.script(CEPH / "users.sh")))
    _typed(server.endpoint, *keys["raven_owner"])
    yield Bucket(f"s3://{NAME}?endpoint={server.endpoint}", server, keys)
    server.administer("bucket", "rm", f"--bucket={NAME}", "--purge-objects")
    for user in keys:
        server.administer("user", "rm", f"--uid={user}")


def _typed(endpoint: str, access: str, secret: str) -> None:
    """All that a shell is told there after the users were made, with the owner's keys."""
    (lines,) = (block for block in blocks((CEPH / "README.md").read_text("utf-8")) if "deploy/ceph/users.sh" in block)
    (users, keys), rest = lines[:2], "\n".join(lines[2:])
    assert users == "deploy/ceph/users.sh"
    assert "https://rgw.example" in rest
    given = keys.replace("KEY_ID=…", f"KEY_ID={access}").replace("ACCESS_KEY=…", f"ACCESS_KEY={secret}")
    assert "…" not in given
    script = f"cd {shlex.quote(str(DEPLOY.parent))}\n{given}\n{rest}".replace("https://rgw.example", endpoint)
    run(["bash", "-euc", script], clean_environment(Path("/nonexistent")) | {"AWS_PAGER": ""})


def _users(said: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Name and keys of each user in what radosgw-admin says: one JSON object after the other."""
    rest = said.strip()
    while rest:
        user, end = json.JSONDecoder().raw_decode(rest)
        yield user["user_id"], (user["keys"][0]["access_key"], user["keys"][0]["secret_key"])
        rest = rest[end:].strip()
