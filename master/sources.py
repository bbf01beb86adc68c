"""Which sources this master may open, and where they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raven.errors import SourceRefused, SourceUnreadable


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
