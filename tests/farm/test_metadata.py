"""Metadata alone: a farm without workers says what films are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.farm.farm import Farm, Servers
from tests.media import generate_clip
from tests.servers.process import clean_environment

pytestmark = pytest.mark.servers
ONLY = json.dumps({"metadata_only": True})


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[Farm]:
    """A watcher and a master."""
    with closing(Farm(tmp_path_factory.mktemp("metadata"), servers)) as farm:
        farm.start("watcher", "watcher")
        farm.start("master", "master")
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


@pytest.fixture(scope="module")
def film(farm: Farm) -> Path:
    return generate_clip(farm.sources / "film.mp4", 75)


def test_a_task_for_metadata_is_done_without_a_worker_and_stores_nothing(farm: Farm, film: Path) -> None:
    task = farm.submit(film, profile="test", options=ONLY)

    row = farm.done(task)

    facts = json.loads(row["metadata"])
    assert (facts["video"]["codec"], facts["video"]["width"], facts["audio"][0]["codec"]) == ("h264", 320, "aac")
    assert row["duration"] == pytest.approx(3, abs=0.1)
    assert (row["url"], row["progress"], row["message"]) == (None, 1, None)
    farm.until(lambda: farm.jobs(task, kind="purge", state="done") == farm.jobs(task) != [], "it is cleaned up")
    assert farm.keys("") == []


def test_it_is_what_raven_probe_says(farm: Farm, film: Path) -> None:
    row = farm.done(farm.submit(film, profile="test", options=ONLY))

    command = [sys.executable, "-m", "raven", "probe", str(film), "--json"]
    said = subprocess.run(command, env=clean_environment(farm.folder), capture_output=True, text=True, check=True)

    assert json.loads(row["metadata"]) == json.loads(said.stdout)


def test_the_profile_needs_no_picture_for_it(farm: Farm, film: Path) -> None:
    """One for sound alone does not look at pictures, which are part of what a film is all the same."""
    row = farm.done(farm.submit(film, profile="audio", options=ONLY))

    assert json.loads(row["metadata"])["video"]["width"] == 320


def test_what_cannot_be_opened_fails(farm: Farm) -> None:
    nothing = farm.sources / "nothing.mp4"
    nothing.write_bytes(b"no film")

    row = farm.ended(farm.submit(nothing, profile="test", options=ONLY))

    assert row["status"] == "failed"
    assert "cannot be read as audio or video" in row["message"]


def test_a_film_that_is_to_be_encoded_waits_for_a_worker_meanwhile(farm: Farm, film: Path) -> None:
    encoded = farm.submit(film, profile="test")
    farm.until(lambda: farm.jobs(encoded, kind="encode"), "it is cut")

    farm.done(farm.submit(film, profile="test", options=ONLY))

    assert farm.task(encoded)["status"] == "encoding"
