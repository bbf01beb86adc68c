"""Where a thing lies: a path within the tree, and the byte range in that file. Pure."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class OutsideTree(ValueError):
    """A reference that leads out of the tree: another host, another scheme, or above the root."""


class Resource(NamedTuple):
    """A file of the tree, or `length` bytes of it from `start` on; no length for all the rest."""

    path: str
    start: int = 0
    length: int | None = None

    def __str__(self) -> str:
        if self.length is None and not self.start:
            return self.path
        return f"{self.path} bytes {self.start}-{'' if self.length is None else self.start + self.length - 1}"


@lru_cache(maxsize=1 << 16)  # each segment is asked for by several rules; a long film has ten thousand
def resolve(base: str, uri: str, origin: str | None = None) -> str:
    """The path within the tree of a reference that stands in the file `base` (RFC 3986 5).

    `origin` is `scheme://host:port` of a tree on the net, None for a folder. Raises OutsideTree.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise OutsideTree(f"{uri[:80]!r} is no URI") from error
    if parts.scheme or parts.netloc:
        scheme = parts.scheme or (origin or "").partition(":")[0]
        if origin is None or f"{scheme}://{parts.netloc}" != origin:
            raise OutsideTree(f"{uri[:80]!r} lies outside of this tree, which is all that is read")
    path = parts.path if origin else unquote(parts.path)
    if path.startswith("/") and origin is None:
        raise OutsideTree(f"{uri[:80]!r} is an absolute path; a tree is moved as a whole")
    if not path:
        return base
    joined = posixpath.normpath(posixpath.join("/" + posixpath.dirname(base), path)) if origin else _join(base, path)
    if "\0" in joined or joined.startswith("../") or joined == "..":
        raise OutsideTree(f"{uri[:80]!r} leads above the root of the tree")
    query = f"?{parts.query}" if parts.query and origin else ""
    return joined.lstrip("/") + query


def _join(base: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), path))
