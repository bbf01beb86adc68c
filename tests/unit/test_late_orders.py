"""An order that the broker has kept until its task went on without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from master.prepare import Tools, prepare
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.config import Settings
from raven.context import Context
from raven.limits import Limits
from raven.messages import PrepareJob
from raven.profile import load_profiles
from raven.sandbox import Box
from tests.media import ffmpeg, generate_clip


@pytest.mark.parametrize(("way", "chunks"), [("conform", "conform-000000.nut"), ("copy", "chunk-000000.nut")])
def test_of_a_film_that_came_out_conformed_no_copied_chunk_comes_back(way: str, chunks: str, tmp_path: Path) -> None:
    source, storage = generate_clip(tmp_path / "film.mkv", 50, size="160x90"), DirectoryStorage(tmp_path / "storage")
    tools = Tools(storage, str(tmp_path), tmp_path, Limits(), Box(), Settings().stall_seconds, ffmpeg())
    job = PrepareJob(task=1, job=1, attempt=1, source=str(source), profile=load_profiles(None)["default"])
    assert prepare(job, Context(), tools).chunks == 1
    storage.delete_prefix(names.tmp_prefix(1))
    sheet = {"source": {"video": {"way": way}}}
    storage.put(names.out_prefix(1) + names.TASK_JSON, json.dumps(sheet).encode())

    assert prepare(job, Context(), tools).chunks == 1

    assert chunks in {Path(entry.key).name for entry in storage.entries(names.tmp_prefix(1))}
    assert len([entry for entry in storage.entries(names.tmp_prefix(1)) if entry.key.endswith("-000000.nut")]) == 1
