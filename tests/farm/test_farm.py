"""The farm at work: four daemons on real MariaDB, RabbitMQ and Ceph, and clients that INSERT, SELECT and DELETE."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from raven import messages, names
from raven.messages import PurgeJob
from raven.ports import Row
from tests.farm.farm import FRAMES, ROOT, Farm, Gate, Pipe, Servers, Syslog
from tests.media import count_frames, ffmpeg, run_ffmpeg
from tests.receiver import Receiver, receiver
from tests.servers.process import clean_environment
from watcher.callbacks import SIGNATURE, signature

pytestmark = pytest.mark.servers
CHUNKS = 8
SECRET = "0123456789abcdef"
LOCAL7 = 23
"""The facility's number (RFC 3164)."""
STOP_SECONDS = 2.0
"""What DELETE promises: so soon no process of the task is left."""


@pytest.fixture(scope="module")
def syslog() -> Iterator[Syslog]:
    with closing(Syslog()) as server:
        yield server


@pytest.fixture(scope="module")
def client() -> Iterator[Receiver]:
    """Where a client listens for notices."""
    with receiver() as there:
        yield there


@pytest.fixture(scope="module")
def farm(
    tmp_path_factory: pytest.TempPathFactory, servers: Servers, syslog: Syslog, client: Receiver
) -> Iterator[Farm]:
    """A watcher, a master and two workers. No test may end one of them, or make one log an error."""
    settings = {
        "RAVEN_SYSLOG": syslog.address,
        "RAVEN_KEEP_FAILED_HOURS": "0",
        "RAVEN_CALLBACK_HOSTS": f"127.0.0.1:{client.port}",
        "RAVEN_CALLBACK_NETWORKS": "127.0.0.0/8",
        "RAVEN_CALLBACK_SECRET": SECRET,
    }
    with closing(Farm(tmp_path_factory.mktemp("farm"), servers, **settings)) as farm:
        for role, node in (("watcher", "watcher"), ("master", "master"), ("worker", "one"), ("worker", "two")):
            farm.start(role, node)
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


@dataclass(frozen=True)
class Encoded:
    """A task that is done, as its client finds it."""

    task: int
    row: Row
    folder: Path


@pytest.fixture(scope="module")
def encoded(farm: Farm, film: Path, client: Receiver) -> Encoded:
    """The film, submitted with no more than its path (the quick profile, and who is told), done and downloaded."""
    source = shutil.copy(film, farm.sources / "film.ts")
    task = farm.submit(source, profile="test", callback_url=client.url("/film"))
    row = farm.done(task)
    return Encoded(task, row, farm.download(task, farm.folder / "downloaded"))


def quick(farm: Farm, short: Path) -> int:
    """A short task that must not be harmed by what happens beside it."""
    return farm.submit(shutil.copy(short, farm.sources / "short.ts"), profile="test")


def test_a_submitted_row_ends_done_with_all_that_a_client_reads(encoded: Encoded, servers: Servers) -> None:
    """INSERT, then SELECT: nothing else is to be known of Raven."""
    row = encoded.row
    assert row["progress"] == 1
    assert row["message"] is None
    assert row["duration"] == pytest.approx(FRAMES / 25)
    endpoint = servers.ceph.endpoint
    assert row["url"] == f"{endpoint}/{servers.bucket}/out/{encoded.task}/master.m3u8"
    facts = json.loads(row["metadata"])
    assert (facts["video"]["codec"], facts["video"]["width"], facts["video"]["rate"]) == ("h264", 320, "25")
    assert [track["sample_rate"] for track in facts["audio"]] == [48000]
    times = [row[name].replace(tzinfo=UTC) for name in ("created_at", "started_at", "finished_at")]
    assert times == sorted(times)
    assert timedelta(0) <= datetime.now(UTC) - times[2] < timedelta(minutes=10)


def test_the_client_is_told_of_the_end(encoded: Encoded, farm: Farm, client: Receiver) -> None:
    farm.until(lambda: client.posts, "the client is told")
    (post,) = client.posts
    told = json.loads(post.body)

    assert (told["id"], told["status"], told["url"]) == (encoded.task, "done", encoded.row["url"])
    assert told["metadata"] == json.loads(encoded.row["metadata"])
    assert told["thumbnails"] == encoded.row["url"].replace("master.m3u8", "thumbs/thumbs.vtt")
    assert (encoded.folder / "thumbs" / "thumbs.vtt").is_file()
    seconds = int(post.headers[SIGNATURE].partition(",")[0].removeprefix("t="))
    assert post.headers[SIGNATURE] == signature(SECRET, seconds, post.body)
    assert abs(time.time() - seconds) < 600


def test_a_film_whose_chunks_do_not_decode_is_conformed_and_comes_out_whole(farm: Farm) -> None:
    """Two workers find so of a chunk; what they were at is stopped, and all is done again from the source."""
    source = farm.sources / "film.avi"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25", "-frames:v", "210", "-pix_fmt", "yuv420p"]
    run_ffmpeg([*picture, "-c:v", "h263p", "-g", "60", str(source)])  # all its packets claim to be keyframes
    task = farm.submit(source, profile="test")
    row = farm.done(task)
    assert json.loads(row["metadata"])["video"]["way"] == "conform"
    assert farm.history(task, "encode unusable")
    folder = farm.download(task, farm.folder / "conformed")
    for manifest in (names.MULTIVARIANT, names.MPD):
        assert count_frames(ffmpeg(), folder / manifest, 2) == [210, 210]
    farm.until(lambda: farm.keys(f"tmp/{task}/") == [], "its temporary objects are removed")


@pytest.mark.parametrize("manifest", [names.MULTIVARIANT, names.MPD])
def test_every_rung_decodes_to_exactly_the_frames_of_the_source(encoded: Encoded, manifest: str) -> None:
    """The law of the frame grid, judged by another reader than ours, over HLS as over DASH."""
    assert count_frames(ffmpeg(), encoded.folder / manifest, 2) == [FRAMES, FRAMES]


def test_the_outputs_are_complete_and_named_as_promised(encoded: Encoded) -> None:
    """Nine segments of two seconds a rung, the last one short; thumbnails; and nothing that no manifest names."""
    files = {path.relative_to(encoded.folder).as_posix() for path in encoded.folder.rglob("*") if path.is_file()}
    tracks = ["video/90p", "video/180p", "iframes", "audio/und-1"]
    numbers = range(1, 10)
    assert files == {
        "master.m3u8", "manifest.mpd", "task.json",
        *(f"{track}/{name}" for track in tracks for name in ("init.mp4", "playlist.m3u8")),
        *(f"{track}/seg-{number:06}.m4s" for track in tracks for number in numbers),
        *(f"thumbs/{number:06}.jpg" for number in range(4)), "thumbs/sprite-000.jpg", "thumbs/thumbs.vtt",
    }  # fmt: skip
    assert json.loads((encoded.folder / "task.json").read_text())["frames"] == FRAMES


def test_the_chunks_were_shared_out(encoded: Encoded, farm: Farm) -> None:
    """Each chunk was encoded once, and both workers had some."""
    done = farm.history(encoded.task, "encode done")
    assert len({row["job_id"] for row in done}) == len(done) == CHUNKS
    assert {row["node"] for row in done} == {"one", "two"}


def test_temporary_objects_and_rows_are_gone_when_a_task_has_ended(encoded: Encoded, farm: Farm) -> None:
    """The packets of the source are as large as the source: none of it may stay."""
    farm.until(lambda: not farm.keys(f"tmp/{encoded.task}/"), "the chunk objects are removed")
    farm.until(
        lambda: {job["kind"] for job in farm.jobs(encoded.task)} == {"purge"}, "the rows of the work are removed"
    )
    assert list(farm.temporary.glob(f"raven-{encoded.task}-*")) == []


def test_each_job_leaves_one_line_in_syslog_with_its_command(encoded: Encoded, syslog: Syslog, farm: Farm) -> None:
    """An operator finds out of local7 who did what, and can paste the very ffmpeg command."""

    def lines() -> list[dict[str, object]]:
        return [line for line in map(_syslog_event, list(syslog.lines)) if line.get("task") == encoded.task]

    farm.until(lambda: sum(line.get("kind") == "encode" for line in lines()) >= CHUNKS, "all lines arrive")
    encodes = [line for line in lines() if line["event"] == "job done" and line["kind"] == "encode"]
    assert len(encodes) == CHUNKS
    assert {line["node"] for line in encodes} == {"one", "two"}
    for line in encodes:
        assert str(line["command"]).startswith(f"{ffmpeg()} -hide_banner")
        assert {"seconds", "frames", "speed", "bytes", "chunk", "attempt", "timestamp"} <= line.keys()
    assert any(line["event"] == "task done" and line["role"] == "watcher" for line in lines())
    tags = {line.split(" ")[3] for line in syslog.lines}
    assert tags == {"raven-watcher", "raven-master", "raven-worker"}


def _syslog_event(line: str) -> dict[str, object]:
    """The JSON of a line by RFC 5424, whose facility has to be local7."""
    priority, _, text = line.removeprefix("<").partition(">")
    assert int(priority) >> 3 == LOCAL7
    event: dict[str, object] = json.loads(text[text.index("{") :])
    task = f"task={event['task']} " if "task" in event else ""
    assert f"] {task}{{" in text
    return event


def test_only_the_watcher_has_the_database(farm: Farm, servers: Servers) -> None:
    """A worker that is lost to an attacker must not lose the farm's records with it."""
    secret = servers.database.split("@")[0]
    for node, daemon in farm.daemons.items():
        holds = any(secret in value for value in daemon.environment.values())
        assert holds == ("RAVEN_DATABASE" in daemon.environment) == (node == "watcher")
    sql = "SELECT COUNT(*) AS n FROM information_schema.PROCESSLIST WHERE DB = DATABASE()"
    assert farm.database.query(sql)[0]["n"] == 3, "the watcher's two connections and this one"


def test_a_private_bucket_stays_private(encoded: Encoded) -> None:
    """Raven opens nothing to the world: that is the administrator's to do."""
    opener = build_opener(ProxyHandler({}))
    with pytest.raises(OSError, match="403"):
        opener.open(encoded.row["url"], timeout=30)


def test_chunks_are_encoded_while_the_master_still_reads(farm: Farm, film: Path) -> None:
    """A recording that is not over yet is being encoded already."""
    with closing(Pipe(farm.sources / "recording.ts", film)) as pipe:
        task = farm.submit(pipe.path, profile="test")
        pipe.feed(0.6)
        farm.until(lambda: farm.jobs(task, kind="encode", state="done"), "a chunk is encoded")
        farm.until(lambda: farm.task(task)["progress"] > 0, "its client sees that it advances")
        (prepare,) = farm.jobs(task, kind="prepare")
        assert prepare["state"] == "running"
        row = farm.task(task)
        assert row["status"] == "encoding"
        assert row["progress"] < 1
        pipe.feed(1)
    assert farm.done(task)["duration"] == pytest.approx(FRAMES / 25)
    folder = farm.download(task, farm.folder / "recording")
    assert count_frames(ffmpeg(), folder / names.MULTIVARIANT, 2) == [FRAMES, FRAMES]


def test_subtitles_go_through_the_farm(farm: Farm, short: Path, tmp_path: Path) -> None:
    """A job of its own, by real messages and rows, from an object of cues to WebVTT beside the film."""
    (tmp_path / "said.srt").write_text("1\n00:00:00,200 --> 00:00:00,900\nHello <i>farm</i>\n", encoding="utf-8")
    source = farm.sources / "said.mkv"
    language = ["-metadata:s:s:0", "language=eng"]
    run_ffmpeg(["-i", str(short), "-i", str(tmp_path / "said.srt"), "-map", "0", "-map", "1", *language, str(source)])
    task = farm.submit(source, profile="test")
    row = farm.done(task)
    folder = farm.download(task, tmp_path / "downloaded")
    text = "00:00:00.200 --> 00:00:00.900\nHello <i>farm</i>\n"
    assert (folder / "text/eng-1/subtitles.vtt").read_text("utf-8") == f"WEBVTT\n\n{text}"
    assert (folder / "text/eng-1/seg-000001.vtt").read_text("utf-8").endswith(f"\n\n{text}")
    assert 'URI="text/eng-1/playlist.m3u8"' in (folder / names.MULTIVARIANT).read_text("utf-8")
    assert [track["language"] for track in json.loads(row["metadata"])["text"]] == ["eng"]


def test_deleting_a_running_task_stops_it_and_nothing_else(farm: Farm, film: Path, short: Path) -> None:
    """Nobody pays for what nobody wants: processes are gone at once, objects soon, the neighbour is unharmed."""
    source = shutil.copy(film, farm.sources / "unwanted.ts")
    unwanted = farm.submit(source, profile="slow", priority=1)
    farm.until(lambda: len(farm.processes(unwanted)) >= 2, "both workers encode it")
    assert farm.keys(f"tmp/{unwanted}/")
    neighbour = quick(farm, short)
    farm.delete(unwanted)
    begun = time.monotonic()
    farm.until(lambda: not farm.processes(unwanted), "its processes end", timeout=30)
    assert time.monotonic() - begun < STOP_SECONDS
    farm.until(lambda: not farm.jobs(unwanted), "its rows are removed")
    assert farm.processes(unwanted) == [], "nor was another of its jobs begun"
    assert farm.keys(f"tmp/{unwanted}/") + farm.keys(f"out/{unwanted}/") == []
    assert list(farm.temporary.glob(f"raven-{unwanted}-*")) == []
    farm.done(neighbour)
    assert len(farm.history(neighbour, "encode done")) == 3
    assert farm.history(neighbour, "encode retried") + farm.history(neighbour, "encode stopped") == []


def test_deleting_a_running_recording_stops_the_master_too(farm: Farm, film: Path) -> None:
    """The child that reads the source waits in the kernel for more of it: it has to be killed there."""
    with closing(Pipe(farm.sources / "endless.ts", film)) as pipe:
        task = farm.submit(pipe.path, profile="test")
        pipe.feed(0.5)
        farm.until(lambda: farm.jobs(task, kind="encode", state="done"), "a chunk is encoded")
        farm.delete(task)
        farm.until(lambda: not farm.jobs(task), "it is forgotten")
        with pytest.raises(BrokenPipeError):
            pipe.feed(1)
    assert farm.keys(f"tmp/{task}/") + farm.keys(f"out/{task}/") == []
    assert list(farm.temporary.glob(f"raven-{task}-*")) == []


def test_deleting_a_task_that_is_done_removes_its_outputs(farm: Farm, short: Path) -> None:
    """The row is the client's handle on the outputs: without it they are nobody's."""
    kept, deleted = quick(farm, short), quick(farm, short)
    farm.done(kept)
    farm.done(deleted)
    assert farm.keys(f"out/{deleted}/")
    farm.delete(deleted)
    farm.until(lambda: not farm.jobs(deleted), "it is forgotten")
    assert farm.keys(f"out/{deleted}/") == []
    assert count_frames(ffmpeg(), farm.download(kept, farm.folder / "kept") / names.MPD, 2) == [150, 150]


def test_a_bad_row_fails_with_a_reason_and_no_neighbour_notices(farm: Farm, short: Path) -> None:
    """Clients write rows by hand, and each of these has been written; the message has to say what to mend."""
    good = quick(farm, short)
    source, folder = str(farm.sources / "short.ts"), farm.sources
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_bytes(b"Dear Sir,\n" * 999)
    (folder / "half.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0")
    (folder / "link.mp4").symlink_to("/etc/passwd")
    bad = {
        farm.submit(source, profile="tset"): "profile: there is no 'tset'; known are .*default, .*lossless, slow, test",
        farm.submit(source, profile="test", priority=101): "priority: 101 is not between -100 and 100",
        farm.submit(source, profile="test", options="thumbs=no"): "options: .*JSON",
        farm.submit(source, profile="test", options="[1]"): "options: .*object",
        farm.submit(source, profile="test", options='{"thumb": true}'): "options: thumb: .*chunk_segments, .*thumbs",
        farm.submit(source, profile="test", options='{"chunk_segments": 0}'): "options: chunk_segments: .*1",
        farm.submit(source, profile="test", status="urgent"): "status: .*urgent.*leave",
        farm.submit("", profile="test"): "source: .*empty",
        farm.submit("film.ts", profile="test"): "film.ts is not an absolute path",
        farm.submit("/etc/passwd", profile="test"): "/etc/passwd is outside .*RAVEN_SOURCES",
        farm.submit(f"{folder}/../../../../etc/passwd", profile="test"): "outside .*RAVEN_SOURCES",
        farm.submit(folder / "link.mp4", profile="test"): "outside .*RAVEN_SOURCES",
        farm.submit("gopher://example/film.ts", profile="test"): "gopher://",
        farm.submit(folder / "missing.mp4", profile="test"): "missing.mp4 does not exist",
        farm.submit(folder, profile="test"): "is a directory; name a file",
        farm.submit(folder / "empty.mp4", profile="test"): "empty.mp4 is empty",
        farm.submit(folder / "text.mp4", profile="test"): "cannot be read as audio or video",
        farm.submit(folder / "half.mp4", profile="test"): "source",
    }
    for task, message in bad.items():
        row = farm.ended(task)
        assert row["status"] == "failed"
        assert row["finished_at"] is not None
        assert re.search(message, row["message"])
        assert "Traceback" not in row["message"]
    assert farm.done(good)["progress"] == 1
    farm.until(lambda: not any(job["state"] != "done" for task in bad for job in farm.jobs(task)), "all is cleaned")
    assert [key for task in bad for key in farm.keys(f"tmp/{task}/") + farm.keys(f"out/{task}/")] == []


def test_a_chunk_that_straggles_is_done_by_an_idle_slot(farm: Farm, encoded: Encoded, tmp_path: Path) -> None:
    """One slow machine does not hold up a film: the first good result counts, and the slow one is stopped."""
    gate = Gate(tmp_path, ffmpeg())
    farm.start("worker", "slow", RAVEN_FFMPEG=str(gate.program))
    farm.until_seen("slow")
    task = farm.submit(farm.sources / "film.ts", profile="test")
    farm.until(lambda: farm.jobs(task, kind="encode", state="running", node="slow"), "the slow one has a chunk")
    (job,) = farm.jobs(task, kind="encode", state="running", node="slow")
    farm.done(task)
    assert {row["node"] for row in farm.history(task, "second done")} <= {"one", "two"}
    assert [row["job_id"] for row in farm.history(task, "encode done by a second run")] == [job["id"]]
    farm.until(lambda: not farm.processes(task), "the slow one is stopped", timeout=STOP_SECONDS + 5)
    folder = farm.download(task, tmp_path / "downloaded")
    for path in encoded.folder.rglob("*.m4s"):
        assert (folder / path.relative_to(encoded.folder)).read_bytes() == path.read_bytes()
    farm.daemons.pop("slow").kill()
    gate.open()


def test_messages_that_nobody_can_read_are_put_aside_and_harm_nobody(farm: Farm, short: Path) -> None:
    """Whatever gets into a queue, by a mistake or an older version, must not stop the daemons that read it."""
    garbage = [b"\x00\xff garbage", b"{}", b'{"kind": "prepare", "version": 99}']
    for queue in names.QUEUES:
        for body in garbage:
            farm.broker.publish(queue, body)
    foreign = messages.encode(PurgeJob(task=1, job=1, attempt=1, prefixes=("out/1/",)))
    farm.broker.publish(names.lane_queue("worker"), foreign)  # a master's job
    for body in garbage:
        farm.broker.broadcast(body)
    expected = dict.fromkeys(names.QUEUES, 3) | {names.lane_queue("worker"): 4}

    def dead() -> dict[str, int]:
        return {queue: farm.broker.depth(names.dead_letters(queue)) for queue in names.QUEUES}

    farm.until(lambda: dead() == expected, "all are dead-lettered")
    farm.done(quick(farm, short))
    assert dead() == expected
    assert all(daemon.is_alive() for daemon in farm.daemons.values())


def test_scrub_lists_and_then_removes_what_nobody_needs(farm: Farm, film: Path, encoded: Encoded) -> None:
    """From cron, beside a farm at work: the outputs of done tasks and all of running ones stay."""
    failed = farm.submit(farm.sources / "missing.mp4", profile="test")
    farm.ended(failed)
    farm.until(lambda: farm.jobs(failed, kind="purge", state="done"), "the watcher has cleaned up itself")
    deleted = failed + 1000
    waste = [f"{tree}/{task}/left" for tree in ("out", "tmp") for task in (deleted, failed)] + [
        f"tmp/{encoded.task}/left"
    ]
    foreign = ["other/1/x", "out/readme", "out/abc/x"]
    old, young = (farm.temporary / f"raven-{failed}-{age}" for age in ("1-old", "1-young"))
    for key in waste + foreign:
        farm.put(key)
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    with closing(Pipe(farm.sources / "scrubbed.ts", film)) as pipe:
        running = farm.submit(pipe.path, profile="test")
        pipe.feed(0.5)
        farm.until(lambda: farm.jobs(running, kind="encode", state="done"), "a chunk is encoded")
        before = set(farm.keys(""))
        assert any(key.startswith(f"tmp/{running}/") for key in before)
        listed = scrub(farm, "--dry-run")
        assert set(farm.keys("")) >= before, "it listed only"
        assert old.exists()
        for task, trees in ((deleted, 2), (failed, 2), (encoded.task, 1), (running, 0)):
            assert listed.count(f"/{task}/") == trees
        assert str(old) in listed
        assert str(young) not in listed
        scrub(farm)
        after = set(farm.keys(""))
        assert after.isdisjoint(waste)
        assert before - set(waste) <= after
        assert (old.exists(), young.exists()) == (False, True)
        assert "0 objects" in scrub(farm)
        pipe.feed(1)
    farm.done(running)
    assert farm.outputs(encoded.task).keys() >= {names.MULTIVARIANT, names.MPD}
    young.rmdir()


def scrub(farm: Farm, *options: str) -> str:
    """Runs scrub.py as cron does; what it said."""
    settings = farm.environment("worker", "cron") | {"RAVEN_DATABASE": farm.servers.database}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scrub.py"), *options], env=clean_environment(farm.folder) | settings,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
