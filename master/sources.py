"""Which sources this master may open, and where they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raven.errors import SourceRefused, SourceUnreadable

REMOTE = ("http", "https", "s3")
_PORTS = {"http": 80, "https": 443}


def is_remote(source: str) -> bool:
    return source.partition("://")[0].lower() in REMOTE and "://" in source


def allow(url: str, roots: str | None) -> str:
    """The URL to fetch, when `url` lies under one of the URL prefixes among `roots` (by commas). Raises SourceRefused.

    For s3 the prefix says which endpoint has the bucket, never the source: the master's keys must go nowhere else.
    Asked again for every redirect and every piece of a playlist. A prefix ends at a folder: `https://host/in` allows
    `https://host/in/film.mkv`, not `https://host/intern/`.
    """
    wanted = _place(url)
    if wanted[0] == "s3" and "?" in url:
        raise SourceRefused("the source's URL has options; for s3 they belong into RAVEN_SOURCES, after the prefix")
    for root in (roots or "").split(","):
        if is_remote(root.strip()):
            scheme, host, port, path = _place(root.strip())
            folder = path.rstrip("/") + "/"
            if wanted[:3] == (scheme, host, port) and (wanted[3] == path or wanted[3].startswith(folder)):
                options = root.strip().partition("?")[2]
                return f"{url}?{options}" if scheme == "s3" and options else url
    raise SourceRefused(
        f"the source {_shown(url)} is outside the allowed hosts of this master; copy it there or extend RAVEN_SOURCES"
    )


def _place(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host, port and path of a URL. Raises SourceRefused for one that may mean another place than it says."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceRefused(f"the source {_shown(url)} is not a URL: {error}") from error
    if parts.scheme not in REMOTE or not parts.hostname:
        raise SourceRefused(f"the source {_shown(url)} is not a URL that is read; {', '.join(REMOTE)} are")
    if parts.username is not None or parts.password is not None:
        raise SourceRefused("the source's URL holds a user name or password; such URLs are not read")
    if any(not 32 < ord(c) < 127 for c in url) or "\\" in url:
        raise SourceRefused(f"the source {_shown(url)} holds a character that a URL must escape")
    if {"..", "."} & set(unquote(unquote(parts.path)).replace("\\", "/").split("/")):
        raise SourceRefused(f"the source {_shown(url)} climbs in its path")
    return parts.scheme, parts.hostname, port or _PORTS.get(parts.scheme), parts.path or "/"


def _shown(url: str) -> str:
    """Without its query, which may hold a token."""
    return url.partition("?")[0][:300]


def resolve(source: str, roots: str | None) -> str:
    """The absolute path of `source`, links followed, when it lies under one of the `roots` (by commas).

    Raises SourceRefused when it lies outside, SourceUnreadable when there is nothing to read.
    """
    if not source:
        raise SourceRefused("source: the column is empty; write the path of a file")
    path = Path(os.path.realpath(_path(source)))
    folders = [root.strip() for root in (roots or "").split(",") if root.strip().startswith("/")]
    allowed = [Path(os.path.realpath(folder)) for folder in folders]
    if not any(path == root or root in path.parents for root in allowed):
        raise SourceRefused(
            f"the source {source} is outside the allowed roots of this master; move it there or extend RAVEN_SOURCES"
        )
    _readable(path, source)
    return str(path)


def _path(source: str) -> str:
    path = source if source.startswith("/") else _path_of_url(source)
    if not path.startswith("/"):
        raise SourceRefused(f"the source {source} is not an absolute path")
    if "\0" in path:
        raise SourceRefused("the source has a zero byte, which no path can have")
    return path


def _path_of_url(source: str) -> str:
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise SourceRefused(f"the source {source} is neither a path nor a URL: {error}") from error
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return unquote(parts.path)
    if "://" in source:
        raise SourceRefused(f"sources of kind {parts.scheme}:// are not read; copy it to a file under an allowed root")
    return source


def _readable(path: Path, source: str) -> None:
    try:
        about = path.stat()
    except FileNotFoundError as error:
        raise SourceUnreadable(f"the source {source} does not exist") from error
    except OSError as error:
        raise SourceUnreadable(f"the source {source} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(about.st_mode):
        raise SourceUnreadable(f"the source {source} is a directory; name a file")
    if not (stat.S_ISREG(about.st_mode) or stat.S_ISFIFO(about.st_mode)):
        raise SourceRefused(f"the source {source} is neither a file nor a pipe")
    if not os.access(path, os.R_OK):
        raise SourceUnreadable(f"the source {source} cannot be read: permission denied")
    if stat.S_ISREG(about.st_mode) and about.st_size == 0:
        raise SourceUnreadable(f"the source {source} is empty")
