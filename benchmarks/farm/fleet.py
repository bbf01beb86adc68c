"""A fleet of workers that sleep instead of encoding: the load of a large farm on its watcher, from one process.

It speaks the workers' own messages over the real broker. `python -m benchmarks.farm.fleet` is started by `control`.
"""

from __future__ import annotations

import heapq
import json
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from raven import names
from raven.alive import Alive
from raven.config import Settings
from raven.messages import Done, EncodeJob, Progress, Started, encode, read_job
from raven.model import EncodeResult, SegmentInfo, TrackSegments
from raven.ports import Broker
from raven.values import Value
from raven.wiring import open_broker

NODE = "fleet"
ALIVE_SECONDS = 5.0
PREFETCH = 64
NODE_SLOTS = 100
"""Of each host that the fleet poses as."""


class Mouth(threading.Thread):
    """Publishes reports, all that have gathered at once."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(daemon=True)
        self._broker, self._reports = broker, deque[bytes]()
        self._news = threading.Event()
        self.over = False

    def say(self, report: Value) -> None:
        self._reports.append(encode(report))
        self._news.set()

    def run(self) -> None:
        while not self.over:
            self._news.wait(0.1)
            self._news.clear()
            batch = [self._reports.popleft() for _ in range(len(self._reports))]
            if batch and not all(self._broker.publish_all([(names.REPORTS, body) for body in batch])):
                raise RuntimeError("the broker did not take a report")


@dataclass
class Tally:
    """What happened. `waits`: ms from the end of a job on a slot to the arrival of the next one."""

    done: int = 0
    reports: int = 0
    """Of progress."""
    waits: list[float] = field(default_factory=list)


@dataclass(order=True)
class Work:
    ends: float
    about: dict[str, Any] = field(compare=False)
    told: int = field(default=0, compare=False)
    """How often it has told how far it is."""


class Talk:
    """Each running job tells how far it is, every `seconds`; never where that is 0."""

    def __init__(self, mouth: Mouth, tally: Tally, seconds: float) -> None:
        self._mouth, self._tally, self._seconds = mouth, tally, seconds
        self._next = deque[tuple[float, Work]]()

    def begin(self, work: Work, now: float) -> None:
        if self._seconds:
            self._next.append((now + self._seconds, work))

    def turn(self, now: float) -> None:
        """Those whose time it is, which come in the order in which they have told last."""
        while self._next and self._next[0][0] <= now:
            _, work = self._next.popleft()
            if work.ends > now:
                work.told += 1
                self._tally.reports += 1
                self._mouth.say(Progress(**work.about, done=work.told, speed=1.0))
                self.begin(work, now)


def result_of(job: EncodeJob) -> EncodeResult:
    """A result as large as a real one."""
    grid = job.profile.cutting.grid(job.video.rate)
    spans = list(grid.segments(job.span))
    track = TrackSegments(
        first=grid.segment_number(job.first),
        segments=tuple(SegmentInfo(length=span.frames, bytes=1_234_567) for span in spans),
        start=job.first * grid.frame_ticks,
        init_sha256="5e" * 32,
    )
    renditions = {rendition.name: track for rendition in job.renditions}
    return EncodeResult(renditions=renditions, frames=job.span.frames, thumbs=2, bytes=9_999_999)


def work(broker: Broker, slots: int, seconds: float, lasts: float, tells: float = 0) -> Tally:
    """Takes and ends jobs for `lasts` s, `slots` at a time, each `seconds` long; they tell each `tells` s, 0: never."""
    mouth, consumer = Mouth(broker), broker.consumer(names.lane_queue("worker"), PREFETCH)
    mouth.start()
    tally, running = Tally(), list[Work]()
    talk = Talk(mouth, tally, tells)
    free, begun, alive_at = deque([0.0] * slots), time.monotonic(), 0.0
    result: dict[str, Any] = {}
    while (now := time.monotonic()) < begun + lasts:
        if now - alive_at > ALIVE_SECONDS:
            for node in range(0, slots, NODE_SLOTS):
                some = min(NODE_SLOTS, slots - node)
                mouth.say(Alive(node=f"{NODE}-{node}", role="worker", slots=some, build="0"))
            alive_at = now
        talk.turn(now)
        while running and running[0].ends <= now:
            mouth.say(Done(**heapq.heappop(running).about, seconds=seconds, result=result))
            tally.done += 1
            free.append(time.monotonic())
        delivery = consumer.take(0) if free else None
        if delivery is None:
            continue
        taken = json.loads(delivery.body)
        if not result:
            order = read_job(delivery.body)
            assert isinstance(order, EncodeJob)
            result = result_of(order).model_dump(mode="json")
        about = {name: taken[name] for name in ("task", "job", "attempt")} | {"node": NODE}
        mouth.say(Started(**about))
        delivery.ack()
        if freed := free.popleft():  # not the first job of a slot
            tally.waits.append(1000 * (time.monotonic() - freed))
        taken_up = Work(time.monotonic() + seconds, about)
        heapq.heappush(running, taken_up)
        talk.begin(taken_up, taken_up.ends - seconds)
    mouth.over = True
    mouth.join()
    return tally


def main() -> None:
    order = json.loads(sys.argv[1])
    broker = open_broker(Settings(broker=order["broker"]))
    used = time.process_time()
    tally = work(broker, order["slots"], order["seconds"], order["lasts"], order["tells"])
    print(
        json.dumps(
            {
                "done": tally.done,
                "reports": tally.reports,
                "waits": sorted(tally.waits),
                "cpu": time.process_time() - used,
            }
        )
    )


if __name__ == "__main__":
    main()
