"""A worker to which nobody has said how many jobs it runs: as many as fit into its host."""

from __future__ import annotations

from pathlib import Path

import pytest

from raven.capacity import Share, encode_share, how_many
from raven.config import Settings
from raven.machine import host_share
from raven.media.ladder import choose_renditions
from raven.profile import load_profiles
from tests.builders import video_facts
from tests.farm.farm import PROFILES, Gate
from tests.fault.world import World
from tests.media import ffmpeg

pytestmark = pytest.mark.servers


def share(profile: str) -> Share:
    known, facts = load_profiles(PROFILES)[profile], video_facts(width=160, height=90)
    return encode_share(160 * 90, choose_renditions(known.video, facts, known.cutting.grid(facts.rate)))


def fitting(profile: str) -> int:
    """Encodes of the film that fit into this host."""
    return how_many(host_share(Settings().reserve_memory), (), share(profile))


def settled(world: World, task: int, running: int, slots: int) -> bool:
    """Whether so many chunks of this task run, nothing else does, and the node says so of its slots."""
    rows = world.farm.database.query("SELECT task_id FROM jobs WHERE lane = 'worker' AND state = 'running'")
    (node,) = world.farm.database.query("SELECT slots FROM nodes WHERE name = 'roomy'")
    return [row["task_id"] for row in rows] == [task] * running and node["slots"] == slots


def test_a_worker_runs_as_many_chunks_as_fit_small_ones_side_by_side_and_large_ones_by_themselves(
    world: World, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    small, large, gate = fitting("tiny"), fitting("wide"), Gate(tmp_path, ffmpeg())
    if not large < small < 6:
        pytest.skip("the film has too few chunks for this host")
    workers = ["worker-1", "worker-2"]
    for node in workers:
        world.end(node)
    world.start("worker", "roomy", RAVEN_SLOTS="", RAVEN_FFMPEG=str(gate.program))
    try:
        world.farm.until_seen("roomy")
        wide = world.submit("wide", priority=9)
        world.farm.until(lambda: settled(world, wide, large, large), "the host is full of large chunks")
        gate.open()
        world.farm.done(wide)

        gate.shut()
        tiny = world.submit()
        world.farm.until(lambda: settled(world, tiny, small, small), "then it is full of small ones")
        late = world.submit("wide", priority=9)
        gate.open()
        world.farm.done(late)
        world.assert_unharmed([tiny], undisturbed)
        assert world.farm.history(late, "encode retried") == []
    finally:
        gate.open()
        world.end("roomy")
        for node in workers:
            world.again(node)
