"""Which of the waiting jobs go next. Pure.

Jobs are taken share by share: a share is what one owner has waiting at one priority. The higher priority goes first;
among equals the owner that has the least in use for its weight; within a share the job with the earliest deadline. A
deadline is when the task came plus how long its film is, so that a short film is not buried under a long one, a long
one is not starved by short ones, and one film is finished before the next like it is begun. A share of which nothing
was taken rises in time, so an old task of low priority advances too, one job at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from watcher.rows import JobRow

SPARE = 2
"""Jobs in a queue beyond the free slots, so that no slot waits for the watcher's next turn."""
SPARE_SHARE = 20
"""In a large farm one for each so many slots, as more of them end within a turn."""
SPARE_MS = 500
"""And where jobs are short, as many as were taken within this time."""
RISE_MS = 60_000
"""A share rises by one priority for each minute in which nothing of it was taken."""
STRAGGLES = 1.5
"""A run that has taken so many times as long as others needed for as much is a straggler."""


@dataclass(frozen=True, order=True)
class Share:
    """What one owner has waiting at one priority."""

    priority: int
    owner: str


@dataclass
class Turns:
    """When something of each share was taken last, ms; of a share that is new here: when it was seen first.

    Nothing is lost with it but that waiting shares rise from where they are.
    """

    taken: dict[Share, int] = field(default_factory=dict)

    def see(self, shares: Iterable[Share], now: int) -> None:
        """Forgets shares that wait no more, and notes new ones."""
        self.taken = {share: self.taken.get(share, now) for share in shares}

    def level(self, share: Share, now: int) -> int:
        return share.priority + max(0, now - self.taken.get(share, now)) // RISE_MS


@dataclass
class Window:
    """How many jobs a queue holds. More would be against priorities and fair shares: what is in a queue is decided."""

    queued: int = 0
    """After it was filled last."""
    taken: list[tuple[int, int]] = field(default_factory=list)
    """How many jobs nodes have taken, and when that was seen, ms."""

    def room(self, slots: int, running: int, queued: int, now: int) -> int:
        """Jobs that are to be added to `queued` ones; none where it is not above 0."""
        self.taken = [(at, number) for at, number in self.taken if now - at < SPARE_MS]
        self.taken.append((now, max(0, self.queued - queued)))
        self.queued = queued
        lately = min(slots, sum(number for _, number in self.taken))
        return max(0, slots - running) + max(SPARE, slots // SPARE_SHARE, lately) - queued

    def filled(self, queued: int) -> None:
        """So many are in the queue now."""
        self.queued = queued


def share_out(
    turns: Turns,
    in_use: Mapping[str, int],
    weights: Mapping[str, float],
    room: int,
    now: int,
    due: Callable[[Share, int], Sequence[JobRow]],
) -> list[JobRow]:
    """The next `room` jobs. `due` gives the first jobs of a share; it is asked only for those whose turn comes."""
    used, ready = dict(in_use), dict[Share, list[JobRow]]()
    shares, chosen = set(turns.taken), list[JobRow]()
    while shares and len(chosen) < room:
        share = min(
            shares,
            key=lambda s: (-turns.level(s, now), used.get(s.owner, 0) / weights.get(s.owner, 1.0), turns.taken[s], s),
        )
        if share not in ready:
            ready[share] = longest_first(due(share, room), room)
        if not ready[share]:
            shares.remove(share)
            continue
        chosen.append(ready[share].pop(0))
        used[share.owner] = used.get(share.owner, 0) + 1
        turns.taken[share] = now
    return chosen


def longest_first(rows: Sequence[JobRow], limit: int) -> list[JobRow]:
    """Near a film's end, when all that is left of it is here, the longest chunk first: it would be waited for."""
    films = [list(film) for _, film in groupby(rows, key=lambda row: row.task_id)]
    last = len(films) - 1 if len(rows) == limit else len(films)  # of the last one more may wait
    ordered = [sorted(film, key=lambda r: -r.frames) if n < last else film for n, film in enumerate(films)]
    return [row for film in ordered for row in film]


@dataclass(frozen=True)
class Run:
    """A chunk being encoded: `elapsed` s so far, `done` of its `frames`."""

    row: JobRow
    elapsed: float


def stragglers(runs: Sequence[Run], pace: Mapping[int, float], room: int) -> list[JobRow]:
    """Up to `room` runs that are worth a second one, the latest first.

    `pace`: seconds that a frame took in the chunks of a task that are done. A second run is worth it where it would be
    over sooner than the first one at its own pace so far.
    """
    found: list[tuple[float, JobRow]] = []
    for run in runs:
        usual = pace.get(run.row.task_id, 0.0) * run.row.frames
        if not usual or run.elapsed <= STRAGGLES * usual:
            continue
        left = run.elapsed / run.row.done * (run.row.frames - run.row.done) if run.row.done else float("inf")
        if left > usual:
            found.append((left - usual, run.row))
    return [row for _, row in sorted(found, key=lambda pair: -pair[0])[:room]]
