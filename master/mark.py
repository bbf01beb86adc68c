"""By what a source is known again: two attempts to cut it must never mix two films under one path."""

from __future__ import annotations

import hashlib
import os
import stat

from raven.errors import SourceUnreadable

END_BYTES = 1 << 16
"""Read of each end. Headers and indexes stand there, which differ between any two films."""


def mark(path: str) -> str:
    """Of a file: its size and a hash of both its ends. Empty for a pipe, and for what cannot be read, as others say."""
    return _mark(path, None)


def check(path: str, known: str) -> None:
    """That a source is what was marked, or that and more: a recording may have grown meanwhile.

    Raises SourceUnreadable.
    """
    now = _mark(path, int(known.partition("-")[0])) if known else ""
    if now and now != known:
        raise SourceUnreadable(
            "the source is another one than when its first part was cut, and two films must not be mixed; "
            "delete the row and submit it anew"
        )


def _mark(path: str, size: int | None) -> str:
    """As if the file ended after `size` bytes; where it is shorter, after its own."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # of a pipe nobody may have the other end
    except OSError:
        return ""
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            return ""
        end = about.st_size if size is None else min(size, about.st_size)
        ends = os.pread(file, min(END_BYTES, end), 0) + os.pread(file, min(END_BYTES, end), max(0, end - END_BYTES))
        return f"{end}-{hashlib.sha256(ends).hexdigest()[:32]}"
    except OSError:
        return ""
    finally:
        os.close(file)
