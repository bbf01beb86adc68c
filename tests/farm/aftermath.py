"""The two end conditions of all that may happen to a farm: the outputs are the same bytes, and nothing is left over."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from raven import names
from tests.farm.farm import Farm
from tests.waiting import wait_until

CLEAN_SECONDS = 60.0
"""So long may cleaning take: a lease, a back-off and a purge, on a busy machine."""
DEAD = {"done", "failed"}


def comparable(outputs: Mapping[str, bytes]) -> dict[str, bytes]:
    """All outputs but task.json, which tells the number of the task and how long it took."""
    return {key: content for key, content in outputs.items() if key != names.TASK_JSON}


def differences(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """What two sets of outputs do not have in common, in sentences."""
    found, wanted = comparable(found), comparable(wanted)
    return [
        *(f"{key} is missing" for key in sorted(wanted.keys() - found.keys())),
        *(f"{key} should not be there" for key in sorted(found.keys() - wanted.keys())),
        *(f"{key} has other bytes" for key in sorted(wanted.keys() & found.keys()) if wanted[key] != found[key]),
    ]


def until_nothing_is_left(
    farm: Farm, kept: Collection[int], garbage: Mapping[str, int] | None = None, timeout: float = CLEAN_SECONDS
) -> None:
    """Waits until nothing is left but the outputs of the tasks `kept`; a failure names each thing that is."""

    wait_until(
        lambda: not left_over(farm, kept, garbage),
        lambda: "\n".join(left_over(farm, kept, garbage)),
        timeout,
        pause=0.3,
    )


def left_over(farm: Farm, kept: Collection[int], garbage: Mapping[str, int] | None = None) -> list[str]:
    """What is there besides the outputs of the tasks `kept`, in sentences.

    `garbage`: how many messages that nobody can read were put into each queue, so may be among its dead letters.
    """
    return [
        *_processes(farm), *_files(farm), *_rows(farm, kept), *_messages(farm, garbage or {}), *_objects(farm, kept),
    ]  # fmt: skip


def _processes(farm: Farm) -> Iterator[str]:
    """Those that have the farm's settings and are none of its daemons: children of jobs."""
    mark = f"RAVEN_TEST_FARM={farm.folder}".encode()
    daemons = {daemon.pid for daemon in farm.daemons.values()}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if mark in (process / "environ").read_bytes().split(b"\0") and int(process.name) not in daemons:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                yield f"process {process.name} runs: {command[:200]}"


def _files(farm: Farm) -> Iterator[str]:
    for folder in farm.temporaries:
        yield from (f"temporary file {path.name} in {folder.name}" for path in sorted(folder.glob("*")))


def _rows(farm: Farm, kept: Collection[int]) -> Iterator[str]:
    there = {row["id"]: row["status"] for row in farm.database.query("SELECT id, status FROM tasks")}
    for task, status in there.items():
        if status not in DEAD:
            yield f"task {task} is {status}"
    yield from (f"the row of task {task} is gone" for task in sorted(set(kept) - there.keys()))
    for row in farm.database.query("SELECT * FROM jobs ORDER BY id"):
        if row["task_id"] not in there or (row["kind"], row["state"]) != ("purge", "done"):
            about = f"attempt {row['attempt']}, node {row['node']}: {row['message']}"
            yield f"job {row['id']} of task {row['task_id']}, {row['kind']} {row['position']}, {row['state']}, {about}"


def _messages(farm: Farm, garbage: Mapping[str, int]) -> Iterator[str]:
    for queue in names.QUEUES:
        if ready := farm.broker.depth(queue):
            yield f"{ready} messages in {queue}"
        if queue != names.REPORTS and (held := farm.unacknowledged(queue)):
            yield f"{held} messages of {queue} are not acknowledged"
        dead = farm.broker.depth(names.dead_letters(queue))
        if dead > garbage.get(queue, 0):
            yield f"{dead} dead letters of {queue}, {garbage.get(queue, 0)} were expected"


def _objects(farm: Farm, kept: Collection[int]) -> Iterator[str]:
    prefixes = tuple(names.out_prefix(task) for task in kept)
    yield from (f"object {key}" for key in farm.keys("") if not key.startswith(prefixes or "/"))
    uploads = farm.s3.list_multipart_uploads(Bucket=farm.servers.bucket).get("Uploads", [])
    yield from (f"upload of {upload['Key']} that was not finished" for upload in uploads)
