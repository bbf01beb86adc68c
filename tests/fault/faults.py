"""The faults: what each does to the world, and what ends it. A schedule of them follows from a seed alone."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from raven import names
from tests.fault.post import Post
from tests.fault.world import FAKETIME, World
from tests.servers.proxy import Proxy

STATES = ("new", "preparing", "encoding", "publishing", "cleaning", "deleted")
"""In which a task can be hit; `cleaning`: at an end, but its temporary objects are not removed yet."""
WATCHERS, MASTERS = ("watcher-1", "watcher-2"), ("master-1", "master-2")
WORKERS = ("worker-1", "worker-2", "worker-3")
NODES = (*WATCHERS, *MASTERS, *WORKERS)
SERVERS = ("broker", "database", "gateway", "osd")
LONG_SHARE, LONG_SECONDS = 0.1, 60.0
"""So many of the outages last so long."""
End = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """One fault of a schedule."""

    kind: str
    target: str
    """A node, a server or a queue."""
    seconds: float
    """How long it lasts."""
    pause: float
    """Until the next one begins."""
    state: str
    """Of some task, in which it should hit."""
    seed: int
    """For all that it has to choose."""

    @property
    def takes(self) -> set[str]:
        """Nodes and servers that no other fault may touch meanwhile."""
        return {self.target, *(WATCHERS if self.target == names.REPORTS else ())}

    @property
    def needs(self) -> set[str]:
        """What must be well when it begins: also what it is done with."""
        return self.takes | ({"broker"} if self.kind in POST else set()) | {"database"}


@dataclass
class Stage:
    """What faults are done to."""

    world: World
    post: Post
    dice: random.Random = field(default_factory=random.Random)
    hits: list[tuple[str, str]] = field(default_factory=list)
    """Role and task state of each daemon that was killed in it."""


Act = Callable[[Stage, Fault], End]


def nothing() -> None:
    """The end of a fault that is over at once."""


# nodes


def kill(stage: Stage, fault: Fault) -> End:
    """kill -9, or the power."""
    role = stage.world.role(fault.target)
    states = states_now(stage.world)
    stage.world.kill(fault.target)
    stage.hits += [(role, state) for state in states]
    return lambda: again(stage, fault.target)


def freeze(stage: Stage, fault: Fault) -> End:
    """A host that swaps, or a virtual machine that is moved."""
    daemon = stage.world.farm.daemons[fault.target]
    daemon.freeze()
    return daemon.thaw


def drain(stage: Stage, fault: Fault) -> End:
    """SIGTERM, as an update does it; and a second one where it takes longer than the fault."""
    daemon = stage.world.farm.daemons[fault.target]
    daemon.signal(signal.SIGTERM)

    def end() -> None:
        if daemon.is_alive():
            daemon.signal(signal.SIGTERM)
        daemon.exit_status(60)
        stage.world.again(fault.target)

    return end


def cut_off(stage: Stage, fault: Fault) -> End:
    """Its cable is out: nothing passes, and nobody is told."""
    stage.world.cut_off(fault.target)
    return lambda: _healed(stage, fault.target)


def hang(stage: Stage, fault: Fault) -> End:
    """One of its connections passes nothing."""
    _link(stage, fault).hang()
    return lambda: _healed(stage, fault.target)


def slow(stage: Stage, fault: Fault) -> End:
    """One of its links is slower than what goes over it."""
    _link(stage, fault).slow(stage.dice.uniform(10_000, 200_000))
    return lambda: _healed(stage, fault.target)


def reset(stage: Stage, fault: Fault) -> End:
    """A firewall forgets its connections to one server."""
    _link(stage, fault).reset()
    return nothing


def reset_in_mid(stage: Stage, fault: Fault) -> End:
    """A connection breaks in the middle of what is sent."""
    _link(stage, fault).reset_after(stage.dice.randrange(100, 50_000))
    return lambda: _healed(stage, fault.target)


def _link(stage: Stage, fault: Fault) -> Proxy:
    links = stage.world.links[fault.target]
    ways = [links.broker, links.database] if fault.target in WATCHERS else [links.broker, links.storage]
    return stage.dice.choice(ways)


def _healed(stage: Stage, node: str) -> None:
    for proxy in stage.world.links[node].all:
        proxy.heal()


def again(stage: Stage, node: str) -> None:
    """A new process in the place of one that has ended."""
    stage.world.again(node)


def jump(stage: Stage, fault: Fault) -> End:
    """Somebody sets the clock of a watcher by an hour, and sets it right later."""
    file = stage.world.farm.folder / f"{fault.target}.clock"
    file.write_text(stage.dice.choice(["+3600", "-3600"]) + "\n")

    def end() -> None:
        file.write_text("+0\n")

    return end


def fill(stage: Stage, fault: Fault) -> End:
    """The disk of a node is full."""
    folder = stage.world.farm.folder / f"disk-{fault.target}"
    ballast = folder / "ballast"
    try:
        with ballast.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
    except OSError:
        pass
    return ballast.unlink


# servers


def kill_server(stage: Stage, fault: Fault) -> End:
    """kill -9 of a server, which has what it confirmed when it is back."""
    world = stage.world
    ends: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "broker": (world.rabbitmq.kill, world.rabbitmq.restart),
        "database": (world.kill_database, world.mariadb.restart),
        "gateway": (world.ceph.kill_gateway, world.ceph.begin_gateway),
        "osd": (world.ceph.kill_osd, world.ceph.start_osd),
    }
    begin, end = ends[fault.target]
    begin()
    return end


def freeze_server(stage: Stage, fault: Fault) -> End:
    """All connections to a server hang."""
    if fault.target == "osd":
        stage.world.ceph.freeze_osd()
        return stage.world.ceph.thaw_osd
    proxies = [getattr(links, _WAY[fault.target]) for links in stage.world.links.values()]
    for proxy in proxies:
        proxy.hang()

    def end() -> None:
        for proxy in proxies:
            proxy.heal()

    return end


_WAY = {"broker": "broker", "database": "database", "gateway": "storage"}


# messages


def drop(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda some: stage.post.drop(fault.target, some))


def double(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda some: stage.post.double(fault.target, some))


def mix(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda some: stage.post.mix(fault.target, some, stage.dice))


def purge(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda _: stage.post.purge(fault.target))


def replay(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda some: stage.post.replay(some, stage.dice))


def litter(stage: Stage, fault: Fault) -> End:
    return _with_post(stage, fault, lambda _: stage.post.litter(fault.target))


def _with_post(stage: Stage, fault: Fault, act: Callable[[int], int]) -> End:
    """Reports are taken from the broker as they come: only while no watcher runs is there something to tamper with."""
    killed = WATCHERS if fault.target == names.REPORTS else ()
    for node in killed:
        stage.world.kill(node)
    act(stage.dice.randint(1, 6))

    def end() -> None:
        for node in killed:
            stage.world.again(node)

    return end


NODE: dict[str, tuple[Act, float]] = {
    "kill": (kill, 24), "freeze": (freeze, 6), "drain": (drain, 6), "cut off": (cut_off, 8), "hang": (hang, 8),
    "slow": (slow, 5), "reset": (reset, 8), "reset in mid": (reset_in_mid, 8), "clock": (jump, 3), "disk": (fill, 3),
}  # fmt: skip
SERVER: dict[str, tuple[Act, float]] = {"kill server": (kill_server, 8), "freeze server": (freeze_server, 5)}
POST: dict[str, tuple[Act, float]] = {
    "drop": (drop, 3), "double": (double, 3), "mix": (mix, 3), "purge": (purge, 1), "replay": (replay, 3),
    "litter": (litter, 1),
}  # fmt: skip
CLIENT = "delete"
ACTS = {kind: act for table in (NODE, SERVER, POST) for kind, (act, _) in table.items()}
WEIGHTS = {kind: weight for table in (NODE, SERVER, POST) for kind, (_, weight) in table.items()} | {CLIENT: 6}


def schedule(seed: int, *, disks: bool = True, clocks: bool = FAKETIME.exists()) -> Iterator[Fault]:
    """Faults without end; the same ones for the same seed, on machines that can do the same."""
    dice = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    weights = {kind: w for kind, w in WEIGHTS.items() if (disks or kind != "disk") and (clocks or kind != "clock")}
    while True:
        (kind,) = dice.choices(list(weights), list(weights.values()))
        yield Fault(
            kind=kind,
            target=_target(kind, dice),
            seconds=_seconds(kind, dice),
            pause=dice.choice([0.0, 0.2, 0.5, 1.0, 2.0]),
            state=dice.choice(STATES),
            seed=dice.randrange(1 << 30),
        )


def _target(kind: str, dice: random.Random) -> str:
    targets: dict[str, tuple[str, ...]] = {
        "clock": WATCHERS, "disk": (MASTERS[0], WORKERS[0]), CLIENT: ("task",),
        **dict.fromkeys(POST, names.QUEUES), **dict.fromkeys(SERVER, SERVERS),
    }  # fmt: skip
    if kind == "kill":  # each role as often as the others
        return dice.choice(dice.choice([WATCHERS, MASTERS, WORKERS]))
    return dice.choice(targets.get(kind, NODES))


def _seconds(kind: str, dice: random.Random) -> float:
    if kind in SERVER and dice.random() < LONG_SHARE:
        return LONG_SECONDS
    return round(dice.uniform(0.0, 3.0 if kind in ("kill", *POST) else 9.0), 1)


def states_now(world: World) -> set[str]:
    """In which of `STATES` some task is."""
    rows = world.farm.database.query("SELECT DISTINCT status FROM tasks")
    found = {row["status"] for row in rows} & set(STATES)
    cleaning = "SELECT 1 AS one FROM jobs JOIN tasks ON tasks.id = task_id WHERE status IN ('done', 'failed')"
    if world.farm.database.query(f"{cleaning} AND jobs.state <> 'done' LIMIT 1"):
        found.add("cleaning")
    if world.farm.database.query("SELECT 1 AS one FROM jobs WHERE task_id NOT IN (SELECT id FROM tasks) LIMIT 1"):
        found.add("deleted")
    return found
