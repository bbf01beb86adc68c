"""A disk that runs full under an encode: the node's fault, not the chunk's."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven import names
from raven.config import Settings
from raven.context import Context
from raven.errors import NoRoom
from raven.wiring import open_storage
from tests.builders import encode_job
from tests.media import ffmpeg
from worker.encode import Tools, encode


def test_a_chunk_is_not_found_unusable_because_a_disk_is_full(tmp_path: Path) -> None:
    """Else the master would decode a whole film for want of room on a worker."""
    storage = open_storage(Settings(storage=f"file://{tmp_path}/objects"))
    job = encode_job()
    storage.put(names.chunk_key(job.task, job.index, job.video.way), b"chunk")
    program = tmp_path / "ffmpeg"
    full = "echo Error writing trailer: No space left on device >&2; exit 228"
    program.write_text(f'#!/bin/sh\ncase "$*" in *chunk.nut*) {full};; esac\nexec {ffmpeg()} "$@"\n')
    program.chmod(0o755)

    with pytest.raises(NoRoom, match="No space left on device"):
        encode(job, Context(), Tools(storage, str(program), tmp_path, 1 << 25, 60, 60))
