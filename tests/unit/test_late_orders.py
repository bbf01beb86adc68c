"""An order that the broker has kept until its task went on without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from master.prepare import Tools, prepare
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.config import Settings
from raven.context import Context
from raven.errors import Cancelled
from raven.limits import Limits
from raven.messages import PrepareJob
from raven.profile import load_profiles
from raven.sandbox import Box
from tests.media import ffmpeg, generate_clip


def test_of_a_film_that_is_out_no_chunk_comes_back(tmp_path: Path) -> None:
    source, storage = generate_clip(tmp_path / "film.mkv", 50, size="160x90"), DirectoryStorage(tmp_path / "storage")
    tools = Tools(storage, str(tmp_path), tmp_path, Limits(), Box(), Settings().stall_seconds, ffmpeg())
    job = PrepareJob(task=1, job=1, attempt=1, source=str(source), profile=load_profiles(None)["default"])
    assert prepare(job, Context(), tools).chunks == 1
    storage.delete_prefix(names.tmp_prefix(1))
    storage.put(names.out_prefix(1) + names.TASK_JSON, b"{}")

    with pytest.raises(Cancelled, match="the film of task 1 is out"):
        prepare(job, Context(), tools)
    assert list(storage.entries(names.tmp_prefix(1))) == []
