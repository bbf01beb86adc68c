"""Orders that a watcher of another version has sent, run by a master and a worker of this one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import master.daemon
import worker.daemon
from raven import messages, names
from raven.adapters.local_broker import LocalBroker
from raven.config import Settings
from raven.messages import Done, Failed
from raven.wiring import open_storage
from tests.media import run_ffmpeg
from tests.waiting import wait_until

WIRE = sorted((Path(__file__).parents[1] / "wire").glob("*.jsonl"))
FREE = ("bytes", "init_sha256", "mark", "chunk_segments")
CUES = "1\n00:00:00,500 --> 00:00:01,500\nHello\n"


def orders(file: Path, source: Path) -> dict[str, tuple[str, bytes]]:
    """Queue and message of each job of the film, by its kind."""
    sent = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    found = {}
    for line in sent:
        body = json.loads(line["body"])
        if "kind" in body:
            about = {"source": str(source)} if "source" in body else {}
            found[body["kind"]] = line["queue"], json.dumps(body | about).encode()
    return found


def reported(file: Path) -> dict[int, dict[str, Any]]:
    """The results of the other version, by job."""
    bodies = [json.loads(json.loads(line)["body"]) for line in file.read_text("utf-8").splitlines()]
    return {body["job"]: body["result"] for body in bodies if body.get("type") == "done"}


@contextmanager
def nodes(folder: Path) -> Iterator[LocalBroker]:
    """A master and a worker without a watcher."""
    (folder / "tmp").mkdir()
    (folder / "objects").mkdir()
    settings = Settings(storage=f"file://{folder}/objects", sources=str(folder), temporary=folder / "tmp", slots=1)
    broker, storage = LocalBroker(), open_storage(settings)
    agents = [daemon.build_agent(settings, broker, storage) for daemon in (master.daemon, worker.daemon)]
    for agent in agents:
        agent.start()
    try:
        yield broker
    finally:
        for agent in agents:
            agent.stop()
        broker.close()
        assert all(agent.join(20) for agent in agents)


@pytest.mark.parametrize("file", WIRE, ids=lambda file: file.stem)
def test_orders_of_another_version_that_are_in_flight_are_done_with_its_results(file: Path, tmp_path: Path) -> None:
    film, cues = tmp_path / "film.mkv", tmp_path / "film.srt"
    cues.write_text(CUES, "utf-8")
    inputs = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    codecs = ["-c:v", "libx264", "-c:a", "aac", "-c:s", "srt"]
    run_ffmpeg([*inputs, "-i", str(cues), "-t", "3", *codecs, str(film)])
    known = reported(file)
    with nodes(tmp_path) as broker:
        heard = broker.consumer(names.REPORTS, 1)

        def ended() -> Done | Failed | None:
            delivery = heard.take(0.1)
            if delivery is None:
                return None
            delivery.ack()
            report = messages.read_report(delivery.body)
            return report if isinstance(report, Done | Failed) else None

        for kind in ("prepare", "encode", "audio", "text"):
            broker.publish(*orders(file, film)[kind])
            report = wait_until(ended, f"{kind} ends", timeout=60, pause=0)
            assert isinstance(report, Done), report
            assert shape(report.result) == shape(known[report.job]), kind


def shape(result: Any) -> Any:
    """What of a result hangs neither on the encoder's build nor on what a version may decide, which is `FREE`."""
    if isinstance(result, dict):
        return {key: shape(value) for key, value in result.items() if key not in FREE}
    return [shape(value) for value in result] if isinstance(result, list) else result
