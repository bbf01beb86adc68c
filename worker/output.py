"""From an encoder's file to stored objects."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from raven import names
from raven.errors import OutputWrong
from raven.media.cmaf import Track
from raven.model import SegmentInfo, TrackSegments
from raven.ports import Storage

UPLOADS = 8  # side by side; more gains nothing


@contextmanager
def mapped(file: Path, what: str) -> Iterator[memoryview]:
    """The bytes of an encoder's file, mapped. Raises OutputWrong when there are none."""
    if not file.exists() or not file.stat().st_size:
        raise OutputWrong(f"{what}: nothing came out")
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as memory,
        memoryview(memory) as data,
    ):
        yield data


def store_track(
    track: Track, data: memoryview, prefix: str, check: Callable[[], None], storage: Storage, *, with_init: bool
) -> TrackSegments:
    """Uploads the segments of a checked track, several side by side, and the init segment before them."""
    if with_init:
        check()
        storage.put(f"{prefix}/{names.INIT}", track.init)
    contents = [(f"{prefix}/{names.segment_name(s.number)}", partial(s.content, data)) for s in track.segments]
    sizes = upload(contents, check, storage)
    infos = (SegmentInfo(length=s.length, bytes=size) for s, size in zip(track.segments, sizes, strict=True))
    return TrackSegments(
        first=track.segments[0].number, segments=tuple(infos), start=track.start, init_sha256=track.init_sha256
    )


def upload(
    contents: Sequence[tuple[str, Callable[[], bytes]]], check: Callable[[], None], storage: Storage
) -> list[int]:
    """Stores each key's content, read only when its turn comes; the sizes, in order.

    `check` is called before each of them: what it raises, such as Cancelled, ends the uploads.
    """

    def put(key: str, content: Callable[[], bytes]) -> int:
        body = content()
        check()
        storage.put(key, body)
        return len(body)

    with ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload") as pool:
        return [future.result() for future in [pool.submit(put, key, content) for key, content in contents]]
