"""The long random run: a stream of tasks on a farm of real daemons and servers, and faults that follow from a seed.

    python -m tests.fault.chaos --minutes 30 --seed 7 --tasks 100

At the end each task must be done with the bytes of an undisturbed run, failed with the reason that was expected, or
deleted, and nothing may be left over. The exit code is 1 if a column of the last table that should be zero is not.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from raven.errors import Unavailable
from tests.farm.aftermath import differences, left_over
from tests.fault.faults import (
    ACTS,
    CLIENT,
    MASTERS,
    STATES,
    WATCHERS,
    WORKERS,
    End,
    Fault,
    Stage,
    schedule,
    states_now,
)
from tests.fault.post import Post
from tests.fault.world import FAKETIME, World, clock_of, durable_servers, may_mount, new_world
from tests.media import generate_clip, run_ffmpeg
from tests.waiting import wait_until

WIDTH = 4
"""Tasks under way at a time."""
AIM_SECONDS = 3.0
"""So long a fault waits for a task in the state that it is to hit."""
SETTLE_SECONDS = 240.0
"""After the last fault: a lease, back-offs up to a minute, and the work that is left."""
DISK_MEGABYTES, RESERVE_BYTES = 16, 2_000_000
"""Of the small disks; so little has to be free that jobs run out of room as well as nodes see it in time."""
ROLES = ("watcher", "master", "worker")
UNREADABLE = "cannot be read as audio or video"


@dataclass(frozen=True)
class Kind:
    """A kind of task: its columns, and how it ends."""

    source: str
    profile: str = "tiny"
    options: str | None = None
    fails: str = ""
    """A part of the message with which it has to fail."""


KINDS = (
    Kind("film.ts"),
    Kind("film.ts", options='{"chunk_segments": 3}'),
    Kind("film.ts", options='{"thumbs": false, "early": false}'),
    Kind("film.ts", options='{"download": true}'),
    Kind("film.ts", profile="test"),
    Kind("said.mkv"),
    Kind("long.mp4"),
    Kind("sound.mp3", profile="audio"),
    Kind("text.mp4", fails=UNREADABLE),
)


@dataclass
class Client:
    """Who submits, follows and deletes tasks, whatever happens to the servers meanwhile."""

    world: World
    wanted: int
    dice: random.Random
    kinds: dict[int, Kind] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    said: dict[int, str] = field(default_factory=dict)
    """Of tasks at an end, how they ended."""

    def turn(self) -> None:
        """Submits what is next, and looks who has ended."""
        with contextlib.suppress(Unavailable):
            rows = {row["id"]: row for row in self.world.farm.database.query("SELECT id, status, message FROM tasks")}
            self.said = {task: row["status"] for task, row in rows.items() if row["status"] in ("done", "failed")}
            under_way = len(rows) - len(self.said)
            for _ in range(min(WIDTH - under_way, self.wanted - len(self.kinds))):
                self.submit(KINDS[len(self.kinds) % len(KINDS)])

    def submit(self, kind: Kind) -> int:
        source = self.world.farm.sources / kind.source
        task = self.world.farm.submit(source, profile=kind.profile, options=kind.options)
        self.kinds[task] = kind
        return task

    def delete(self, state: str) -> bool:
        """DELETEs a task that is in this state; False when there is none."""
        where = "status IN ('done', 'failed')" if state in ("cleaning", "deleted") else f"status = '{state}'"
        rows = self.world.farm.database.query(f"SELECT id FROM tasks WHERE {where} ORDER BY id DESC LIMIT 3")  # noqa: S608
        if not rows:
            return False
        task = int(self.dice.choice(rows)["id"])
        self.deleted.add(task)
        self.world.farm.database.execute("DELETE FROM tasks WHERE id = ?", (task,))
        return True

    @property
    def at_an_end(self) -> int:
        return len(self.said.keys() - self.deleted) + len(self.deleted)

    @property
    def all_submitted(self) -> bool:
        return len(self.kinds) >= self.wanted


@dataclass
class Verdict:
    """What has become of the tasks; all but the first must be empty."""

    tasks: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)

    @property
    def bad(self) -> dict[str, list[str]]:
        names = ("lost", "doubled", "stuck", "wrong", "leaked")
        return {name: getattr(self, name) for name in names}


class Run:
    """One run: faults begin by their schedule and end after their time; all the while tasks come."""

    def __init__(self, world: World, wanted: int, seed: int) -> None:
        self.world, self.seed = world, seed
        self.client = Client(world, wanted, random.Random(seed))  # noqa: S311 - no secret
        self.stage = Stage(world, Post(world.servers.broker))
        self.counts: Counter[str] = Counter()
        self._ends: list[tuple[float, int, set[str], End]] = []
        self._number = itertools.count()

    def go(self, until: float, faults: Iterator[Fault], most: int) -> None:
        """So many faults, fewer if the time is over."""
        self._until = until
        for number, fault in enumerate(itertools.islice(faults, most)):
            self._prepare(fault, number / most)
            if time.monotonic() > until:
                break
            self.stage.dice = random.Random(fault.seed)  # noqa: S311 - no secret
            if not self._begin(fault):
                continue
            self.counts[_name(fault)] += 1
            self._say(f"{number + 1:4} {_name(fault)} {fault.target} {fault.seconds:g} s")
            self._wait(fault.pause)

    def _prepare(self, fault: Fault, share: float) -> None:
        """Waits for the tasks, so that the last fault comes with the last one; until what the fault needs is there;
        and for a moment for a task in the state that it is to hit.
        """
        while self.client.at_an_end + WIDTH < share * self.client.wanted and time.monotonic() < self._until:
            self._wait(0.2)
        while any(fault.needs & targets for _, _, targets, _ in self._ends):
            self._wait_for_an_end()
        if fault.kind in ("kill", CLIENT):
            deadline = time.monotonic() + AIM_SECONDS
            while fault.state not in states_now(self.world) and time.monotonic() < deadline:
                self._wait(0.0)

    def _begin(self, fault: Fault) -> bool:
        if fault.kind == CLIENT:
            return self.client.delete(fault.state)
        end = ACTS[fault.kind](self.stage, fault)
        heapq.heappush(self._ends, (time.monotonic() + fault.seconds, next(self._number), fault.takes, end))
        return True

    def _wait(self, seconds: float) -> None:
        """The world goes on for this time: at least one turn of the client's."""
        until = time.monotonic() + seconds
        while True:
            while self._ends and self._ends[0][0] <= time.monotonic():
                heapq.heappop(self._ends)[3]()
            if not any("database" in targets for _, _, targets, _ in self._ends):
                self.client.turn()
            if time.monotonic() >= until:
                return
            time.sleep(0.05)

    def _wait_for_an_end(self) -> None:
        self._wait(max(0.0, self._ends[0][0] - time.monotonic()))

    def settle(self) -> Verdict:
        """All faults end, all nodes run; what is not at an end after its time never will be."""
        while self._ends:
            self._wait_for_an_end()
        self.world.heal()
        self.world.ceph.await_gateway()
        client, farm = self.client, self.world.farm
        deadline = time.monotonic() + SETTLE_SECONDS

        def at_rest() -> bool:
            client.turn()
            ended = client.all_submitted and client.kinds.keys() - client.deleted <= client.said.keys()
            return ended and not left_over(farm, self._kept(), self.stage.post.garbage)

        with contextlib.suppress(AssertionError):  # the verdict says what is missing
            wait_until(at_rest, "all is at rest", deadline - time.monotonic(), pause=1.0)
        return self.judge()

    def _kept(self) -> set[int]:
        return {task for task, end in self.client.said.items() if end == "done" and task not in self.client.deleted}

    def judge(self) -> Verdict:
        """Looks at every task, and at all that is there besides."""
        farm, verdict = self.world.farm, Verdict(len(self.client.kinds))
        rows = {row["id"]: row for row in farm.database.query("SELECT * FROM tasks")}
        for task, kind in self.client.kinds.items():
            if task in self.client.deleted:
                continue
            if task not in rows:
                verdict.lost.append(f"task {task}")
            elif rows[task]["status"] not in ("done", "failed"):
                verdict.stuck.append(f"task {task} is {rows[task]['status']}, {rows[task]['progress']:.0%}")
            else:
                verdict.wrong += self._wrong(task, kind, rows[task]["status"], rows[task]["message"])
        verdict.doubled += self._doubled()
        verdict.leaked += left_over(farm, self._kept(), self.stage.post.garbage)
        verdict.leaked += [line for line in farm.complaints() if "has died" in line]
        return verdict

    def _wrong(self, task: int, kind: Kind, status: str, message: str | None) -> list[str]:
        if kind.fails:
            right = status == "failed" and kind.fails in (message or "")
            return [] if right else [f"task {task} is {status} and not failed with '{kind.fails}': {message}"]
        if status != "done" or message:
            return [f"task {task} is {status}: {message}"]
        return [f"task {task}: {line}" for line in differences(self.world.farm.outputs(task), self.undisturbed[kind])]

    def _doubled(self) -> list[str]:
        """Jobs of which more than one result was taken; a source may be cut twice, a purge run twice."""
        rows = self.world.farm.database.query(
            "SELECT task_id, job_id, COUNT(*) AS n FROM history WHERE event LIKE '% done' AND event <> 'purge done'"
            " GROUP BY task_id, job_id HAVING COUNT(*) > 1"
        )
        return [f"job {row['job_id']} of task {row['task_id']}: {row['n']} results were taken" for row in rows]

    def encode_undisturbed(self) -> None:
        """What each kind of task is to come out as."""
        tasks = {kind: self.client.submit(kind) for kind in KINDS}
        self.undisturbed: dict[Kind, dict[str, bytes]] = {}
        for kind, task in tasks.items():
            row = self.world.farm.ended(task, timeout=300)
            assert row["status"] == ("failed" if kind.fails else "done"), row["message"]
            self.undisturbed[kind] = self.world.farm.outputs(task)
        self.client.kinds.clear()
        for task in tasks.values():
            self.world.farm.delete(task)
        self.world.farm.until(lambda: not left_over(self.world.farm, ()), "the farm is clean", 120)

    def _say(self, text: str) -> None:
        client = self.client
        ended = f"{len(client.said)} at an end, {len(client.deleted)} deleted of {len(client.kinds)}"
        click.echo(f"{time.strftime('%H:%M:%S')} {text:<45} {ended}")


def _name(fault: Fault) -> str:
    return f"{fault.kind} {fault.target}" if fault.target in ("broker", "database", "gateway", "osd") else fault.kind


def make_sources(folder: Path) -> None:
    """The sources of all kinds of tasks."""
    generate_clip(folder / "film.ts", 209, size="160x90", gop=37)
    generate_clip(folder / "long.mp4", 20 * 30, rate="30000/1001", size="160x90", gop=60, options=["-bf", "2"])
    (folder / "said.srt").write_text("1\n00:00:00,200 --> 00:00:01,900\nHello <i>farm</i>\n", encoding="utf-8")
    both = ["-i", str(folder / "film.ts"), "-i", str(folder / "said.srt"), "-map", "0", "-map", "1"]
    run_ffmpeg([*both, str(folder / "said.mkv")])
    run_ffmpeg(["-f", "lavfi", "-i", "sine=frequency=330:sample_rate=44100", "-t", "9", str(folder / "sound.mp3")])
    (folder / "text.mp4").write_bytes(b"Dear Sir,\n" * 999)


def start_nodes(world: World, *, disks: bool) -> None:
    """Two of each, and a third worker; the first ones have small disks, and the watchers' clocks can be set.

    Of watchers alone: under libfaketime a short `time.sleep` now and then ends with EINVAL, which fails a master's job;
    a worker and a master with a wrong clock have a test of their own (test_machine.py).
    """
    for role, nodes in (("watcher", WATCHERS), ("master", MASTERS), ("worker", WORKERS)):
        for node in nodes:
            settings = {"RAVEN_ATTEMPTS": "100"}  # a job that is hit by chance five times has done nothing wrong
            if role == "watcher" and FAKETIME.exists():
                clock = world.farm.folder / f"{node}.clock"
                clock.write_text("+0\n")
                settings |= clock_of(clock)
            if disks and node in (MASTERS[0], WORKERS[0]):
                disk = world.small_disk(f"disk-{node}", DISK_MEGABYTES)
                settings |= {"RAVEN_TEMPORARY": str(disk), "RAVEN_RESERVE_DISK": str(RESERVE_BYTES)}
            world.start(role, node, **settings)
    world.farm.until_seen()


def table(run: Run, verdict: Verdict, seconds: float) -> str:
    """The end of the story."""
    hits = Counter(run.stage.hits)
    lines = [f"{'':10}" + "".join(f"{state:>12}" for state in STATES)]
    lines += [f"{role:<10}" + "".join(f"{hits[role, state]:>12}" for state in STATES) for role in ROLES]
    lines += [f"combinations of role and state hit: {sum(hits[r, s] > 0 for r in ROLES for s in STATES)} of 18", ""]
    lines += [f"{count:5}  {kind}" for kind, count in sorted(run.counts.items())]
    lines += [f"{run.counts.total():5}  faults", ""]
    ends = Counter(run.client.said[task] for task in run._kept() | (run.client.said.keys() - run.client.deleted))
    lines += [f"seed {run.seed}, {seconds / 60:.1f} min", f"{verdict.tasks:5}  tasks", f"{ends['done']:5}  done"]
    lines += [f"{ends['failed']:5}  failed as expected or wrongly", f"{len(run.client.deleted):5}  deleted"]
    for name, found in verdict.bad.items():
        lines += [f"{len(found):5}  {name}", *(f"         {line}" for line in found[:50])]
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--minutes", default=20.0, show_default=True, help="No new fault after so long.")
@click.option("--seed", default=1, show_default=True, help="Of the schedule of faults.")
@click.option("--tasks", default=100, show_default=True, help="Tasks in all.")
@click.option("--faults", default=500, show_default=True, help="Faults in all.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for the daemons' logs, else a temporary one.")
def main(minutes: float, seed: int, tasks: int, faults: int, keep: Path | None) -> None:
    disks = may_mount()
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        click.echo("starting the servers")
        servers = stack.enter_context(durable_servers())
        world = stack.enter_context(new_world(folder, *servers))
        make_sources(world.farm.sources)
        start_nodes(world, disks=disks)
        run = Run(world, tasks, seed)
        click.echo("encoding each kind of task undisturbed")
        run.encode_undisturbed()
        begun = time.monotonic()
        run.go(begun + minutes * 60, schedule(seed, disks=disks), faults)
        click.echo("no more faults: waiting until all is at rest")
        verdict = run.settle()
        click.echo(table(run, verdict, time.monotonic() - begun))
    sys.exit(any(verdict.bad.values()))


if __name__ == "__main__":
    main()
