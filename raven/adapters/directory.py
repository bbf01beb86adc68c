"""The storage port over a directory: the embedded farm's, or NFS and CephFS of a farm."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from raven import names
from raven.errors import FULL, NoRoom, ObjectMissing, StorageAway, Unavailable
from raven.ports import Entry, nothing

INCOMING = ".incoming"
"""Folder of objects in the making; on the same file system, so that the rename is atomic."""
_ABSENT = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # to a bucket, a folder is no object
_AWAY = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH}
)
"""What NFS and CephFS say that have lost their servers."""


class DirectoryStorage:
    """Keys are paths under the root."""

    def __init__(self, root: Path, public_url: str | None = None) -> None:
        self._root = root.resolve()
        self._public_url = public_url.rstrip("/") if public_url else None

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or "/".join(parts) != key or parts[0] in ("/", INCOMING) or ".." in parts or "\0" in key:
            raise ValueError(f"not a storage key: {key!r}")
        return self._root.joinpath(*parts)

    def _folder(self, prefix: str) -> Path:
        """The folder that all keys with this prefix lie in."""
        folder, slash, _ = prefix.rpartition("/")
        return self._path(folder) if slash else self._root

    def put(self, key: str, content: bytes | Path) -> None:
        target = self._path(key)
        incoming = self._root / INCOMING
        try:
            incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=incoming)
            try:
                with os.fdopen(handle, "wb") as file:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        with content.open("rb") as source:
                            shutil.copyfileobj(source, file, 1 << 20)
                    os.fchmod(file.fileno(), 0o644)  # mkstemp's 600 would hide it from the web server
                    file.flush()
                    os.fsync(file.fileno())  # whole or absent, also after the power failed
                _rename(Path(name), target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise _fault("write", key, error) from error

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            with self._path(key).open("rb") as file:
                file.seek(start)
                return file.read(-1 if length is None else length)
        except _ABSENT as error:
            raise ObjectMissing(f"storage: no object {key}") from error
        except OSError as error:
            raise _fault("read", key, error) from error

    def fetch(self, key: str, path: Path) -> None:
        try:
            shutil.copyfile(self._path(key), path)
        except _ABSENT as error:
            raise ObjectMissing(f"storage: no object {key}") from error
        except OSError as error:
            if error.errno in FULL:
                raise NoRoom(f"no room for {key} in the temporary files: {error.strerror}") from error
            raise _fault("read", key, error) from error

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        folder = self._folder(prefix)
        base = "" if folder == self._root else f"{folder.relative_to(self._root).as_posix()}/"
        return self._below(folder, base, prefix, after)

    def _below(self, folder: Path, base: str, prefix: str, after: str) -> Iterator[Entry]:
        """As a bucket sorts them: byte by byte. In memory is one folder of each depth."""
        for name in self._sorted(folder):
            key = base + name
            if key.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._below(folder / name[:-1], key, prefix, after)
            elif key.startswith(prefix) and key > after:
                with contextlib.suppress(FileNotFoundError):  # removed by another hand since it was listed
                    yield Entry(key, (folder / name).stat().st_size)

    def _sorted(self, folder: Path) -> list[str]:
        """The names in a folder, those of folders with a slash behind, which counts where they are sorted."""
        try:
            with os.scandir(folder) as found:
                listed = [one.name + "/" if one.is_dir(follow_symlinks=False) else one.name for one in found]
        except _ABSENT:
            return []
        except OSError as error:
            raise _fault("list", folder, error) from error
        return sorted(name for name in listed if not (folder == self._root and name == f"{INCOMING}/"))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            try:
                self._path(key).unlink(missing_ok=True)
            except NotADirectoryError:
                continue
            except OSError as error:
                raise _fault("remove", key, error) from error

    def delete_prefix(self, prefix: str, check: Callable[[], None] = nothing) -> int:
        count = 0
        try:
            for entry in self.entries(prefix):
                check()
                self._path(entry.key).unlink(missing_ok=True)
                count += 1
            while prefix.endswith("/") and self._folder(prefix).is_dir():
                check()
                with contextlib.suppress(FileNotFoundError):  # another hand removes it too
                    shutil.rmtree(self._folder(prefix))
        except OSError as error:
            raise _fault("remove", prefix, error) from error
        return count

    def leftovers(self, seconds: float, *, remove: bool) -> int:
        count, before = 0, time.time() - seconds
        try:
            for part in (self._root / INCOMING).glob("*"):
                with contextlib.suppress(FileNotFoundError):  # finished since it was listed
                    if part.stat().st_mtime < before:  # of one that is being written it is now
                        count += 1
                        if remove:
                            part.unlink()
            if remove:
                self._remove_empty()
        except OSError as error:
            raise _fault("clean", INCOMING, error) from error
        return count

    def _remove_empty(self) -> None:
        """Folders that are empty, as one who was killed while removing leaves them. A writer makes his own anew."""
        for tree in names.TREES:
            for folder, _, files in os.walk(self._root / tree, topdown=False):
                if not files and Path(folder) != self._root / tree:
                    try:
                        Path(folder).rmdir()
                    except OSError as error:
                        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):  # in use, or another hand was faster
                            raise

    def url(self, key: str) -> str:
        return f"{self._public_url}/{key}" if self._public_url else self._path(key).as_uri()


def _fault(verb: str, what: object, error: OSError) -> Unavailable:
    kind = StorageAway if error.errno in _AWAY else Unavailable
    return kind(f"storage: cannot {verb} {what}: {error.strerror}")


def _rename(source: Path, target: Path) -> None:
    """Renames into place; the folder may vanish in between by a purge of the same prefix."""
    for _ in range(3):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source.replace(target)
        except FileNotFoundError:
            continue
        return
    raise FileNotFoundError(2, "the folder is being removed", str(target))
