"""The two storages under contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven.config import Settings
from raven.ports import Storage
from raven.wiring import open_storage

BOTH = [pytest.param("directory"), pytest.param("s3", marks=pytest.mark.servers)]


def new_storage_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty storage; in the bucket below a prefix, as several farms may share one."""
    if kind == "directory":
        return f"file://{folder / 'objects'}"
    url: str = request.getfixturevalue("s3_url")
    bucket, _, query = url.partition("?")
    return f"{bucket}/farm-1?{query}"


def storage_at(url: str, public_url: str | None = None) -> Storage:
    """The storage that the product opens for this URL."""
    return open_storage(Settings(storage=url, public_url=public_url))
