"""The doctor's look at the storage: small objects go where daemons keep theirs, and come back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from raven import names
from raven.config import Settings
from raven.doctor.findings import Area, Finding, shown, storage_remedy
from raven.doctor.servers import is_away, local_path, reached
from raven.errors import ObjectMissing, RavenError
from raven.ports import Storage
from raven.wiring import open_storage

_AREA = Area("storage")
_AMAZON = "https://s3.amazonaws.com"
_SEGMENT = f"{names.video_path('doctor')}/{names.segment_name(1)}"
"""The end of a key that every role may write."""


def storage(settings: Settings, roles: Sequence[str]) -> Iterator[Finding]:
    """What the roles do with it; without any, what a master does."""
    url = settings.storage or ""
    if url.startswith("s3:"):
        endpoint = parse_qs(urlsplit(url).query).get("endpoint", [_AMAZON])[-1]
        found = list(reached(_AREA, endpoint, f"See the endpoint in RAVEN_STORAGE ({shown(url)})"))
        yield from found
        if is_away(found):
            return
    elif not local_path(url).is_dir():  # the first object would make it
        todo = "mount it, or make it for the account that runs Raven, or correct RAVEN_STORAGE"
        yield _AREA.fault("folder", f"there is no folder {local_path(url)}", todo)
        return
    try:
        store = open_storage(settings)
    except RavenError as error:
        yield _AREA.fault("address", str(error), "correct RAVEN_STORAGE")
        return
    nobody = 9 * 10**17 + secrets.randbelow(10**17)  # no task's number, so scrub.py removes what is left of it
    own = {"worker", "scrub"} & set(roles)
    if not own or "master" in roles or (own == {"scrub"} and not url.startswith("s3:")):  # folders have one account
        yield _round_trip(store, names.tmp_prefix(nobody), names.chunk_name(0, "copy"))
        yield _round_trip(store, names.out_prefix(nobody), _SEGMENT)
        return
    if "worker" in own:
        yield _read(store, names.chunk_key(nobody, 0, "copy"))
        yield _write(store, nobody)
    if "scrub" in own:
        for prefix in (names.tmp_prefix(nobody), names.out_prefix(nobody)):
            yield _clean(store, prefix)


def _where(key: str) -> str:
    return f"under {key.partition('/')[0]}/"


def _fault(key: str, error: RavenError) -> Finding:
    return _AREA.fault(_where(key), str(error), storage_remedy(str(error)))


def _round_trip(store: Storage, prefix: str, name: str) -> Finding:
    content = secrets.token_bytes(64)
    try:
        store.put(prefix + name, content)
        read = store.get(prefix + name)
        removed = store.delete_prefix(prefix)
    except RavenError as error:
        return _fault(prefix, error)
    if read != content or removed != 1:
        said = f"64 bytes were stored, {len(read)} read, {removed} objects removed"
        return _AREA.fault(_where(prefix), said, "this storage does not keep what it takes: do not use it")
    return _AREA.ok(_where(prefix), "an object can be stored, read and removed")


def _read(store: Storage, key: str) -> Finding:
    """A worker fetches chunks, and must hear of one that is gone that it is gone."""
    try:
        store.get(key)
    except ObjectMissing:
        return _AREA.ok(_where(key), "can be read")
    except RavenError as error:
        return _fault(key, error)
    return _AREA.fault(_where(key), "there is an object that nobody has stored", "do not use this storage")


def _clean(store: Storage, prefix: str) -> Finding:
    """Who only cleans may store nothing, and so removes what is not there: it is refused where it is forbidden."""
    try:
        store.delete([prefix + _SEGMENT])
        store.delete_prefix(prefix)
    except RavenError as error:
        return _fault(prefix, error)
    return _AREA.ok(_where(prefix), "objects and unfinished uploads can be listed and removed")


def _write(store: Storage, task: int) -> Finding:
    """A worker need not be able to remove what it has stored."""
    prefix = names.out_prefix(task)
    try:
        store.put(prefix + _SEGMENT, secrets.token_bytes(64))
    except RavenError as error:
        return _fault(prefix, error)
    try:
        store.delete_prefix(prefix)
    except RavenError:
        return _AREA.ok(_where(prefix), f"a segment can be stored, and not removed: {prefix} is left for scrub.py")
    return _AREA.ok(_where(prefix), "a segment can be stored and removed")
