"""What master and worker share: take a job, run it, report it; stop it when told. One thread for each slot.

Light jobs have slots of their own, so that none of them waits behind heavy ones.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any, Literal

import structlog
from tenacity import retry, retry_if_exception_type, wait_exponential

from raven import messages, names
from raven.alive import HoldNode
from raven.capacity import Share, most_slots, share_of
from raven.config import Settings
from raven.context import Context
from raven.errors import FULL, Cancelled, ChunkUnusable, RavenError, StorageAway, Unavailable
from raven.machine import default_slots
from raven.messages import BadMessage, Done, Failed, Passed, Started
from raven.ports import Broker, Consumer
from raven.process import StopSignal
from raven.pulse import Pulse
from raven.readiness import Readiness
from raven.room import Room
from raven.runs import Runs, Who
from raven.values import Value

LOOK_SECONDS = 0.5
FAREWELL_SECONDS = 5.0
"""For the last sign of life, which a broker may not take."""

log = structlog.get_logger()

Handler = Callable[[Any, Context], Value]


class Agent:
    """Runs the jobs of a role's two lanes: in `settings.slots` or as many as fit into the host, and in `light_slots`.

    Between jobs it asks its readiness whether it may take another one.
    """

    def __init__(
        self,
        settings: Settings,
        role: Literal["master", "worker"],
        broker: Broker,
        handlers: Mapping[str, Handler],
        readiness: Readiness | None = None,
        whole: Share | None = None,
    ) -> None:
        """`whole`: what the host has for heavy jobs, where no setting says how many it runs."""
        self._settings, self._broker, self._handlers = settings, broker, handlers
        self._who = Who(settings.node, role, secrets.token_hex(4))
        self._readiness = readiness or Readiness()
        self._runs = Runs(self._readiness.wake)
        heavy = most_slots(whole) if whole else settings.slots or default_slots(role)
        rooms = (Room(whole, heavy, self._readiness.tell), Room(None, settings.light_slots, self._readiness.tell))
        self._rooms = dict(zip((role, names.light(role)), rooms, strict=True))
        self._pulse = Pulse(
            self._who,
            lambda: (rooms[0].slots, rooms[1].slots),
            settings.heartbeat_seconds,
            (self._runs, self._readiness),
            self._publish,
        )
        self._draining = threading.Event()
        self._stopped = StopSignal()
        self._over = threading.Event()
        self._control = broker.listener()
        lanes = [role] * heavy + [names.light(role)] * settings.light_slots
        self._slots = [
            threading.Thread(target=self._guarded, args=(self._slot, lane), name=f"{lane}-{n + 1}")
            for n, lane in enumerate(lanes)
        ]
        self._helpers = [
            threading.Thread(target=self._guarded, args=(self._pulse.beat,), name=f"{role}-beat", daemon=True),
            threading.Thread(target=self._guarded, args=(self._obey,), name=f"{role}-control", daemon=True),
        ]
        self.fault: BaseException | None = None
        """What ended one of its threads: whoever runs the agent stops it then, as it is a cripple."""

    def start(self) -> None:
        for thread in [*self._slots, *self._helpers]:
            thread.start()

    def drain(self) -> None:
        """No new job; the running ones end."""
        self._draining.set()
        for room in self._rooms.values():
            room.close()
        self._readiness.leave()

    def stop(self) -> None:
        """No new job, and the running ones are stopped and given back."""
        self.drain()
        self._stopped.set()
        self._runs.stop()
        self._look()

    def _look(self) -> None:
        for room in self._rooms.values():
            room.look()

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the slots to end; whether they did."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._slots:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._slots):
            return False
        self._over.set()
        self._pulse.end()
        self._helpers[0].join(FAREWELL_SECONDS)
        return True

    def _guarded(self, run: Callable[..., None], *arguments: str) -> None:
        """A thread's whole life."""
        try:
            run(*arguments)
        except BaseException as error:
            log.exception("a thread broke", thread=threading.current_thread().name)
            self.fault = self.fault or error

    # a slot

    def _slot(self, lane: str) -> None:
        consumer, room = self._broker.consumer(names.lane_queue(lane), prefetch=1), self._rooms[lane]
        while not self._draining.is_set():
            if self._readiness.obstacle(lane):
                consumer.pause()
                room.pass_turn()
                self._draining.wait(LOOK_SECONDS)
            elif room.turn(LOOK_SECONDS):
                self._next(consumer, lane)
        consumer.pause()

    def _next(self, consumer: Consumer, lane: str) -> None:
        delivery = consumer.take(LOOK_SECONDS)
        if delivery is None:
            return
        consumer.pause()  # while this job runs, the next one goes to a free slot
        try:
            job = messages.read_job(delivery.body)
            handler = self._handlers.get(job.kind)
            if handler is None:
                raise BadMessage(f"a {self._who.role} does not run jobs of kind {job.kind}")
        except BadMessage as error:
            log.warning("message dead-lettered", lane=lane, fault=str(error))
            delivery.reject()
            return
        if self._settings.node in job.avoid or self._readiness.obstacle(lane):
            if self._send(Passed(**self._who.about(job))):
                delivery.ack()
            return
        if not self._send(Started(**self._who.about(job))):
            return  # stopped while the broker was away: unacknowledged, so another takes it
        delivery.ack()  # from here on the lease in the database guards the job, not the broker
        self._run(job, handler, lane)

    def _run(self, job: Any, handler: Handler, lane: str) -> None:
        run = self._runs.begin(job)
        chunk = {"chunk": job.index} if hasattr(job, "index") else {}
        with structlog.contextvars.bound_contextvars(task=job.task, job=job.job, attempt=job.attempt, **chunk):
            log.debug("job begun", kind=job.kind)
            came = time.monotonic()
            report = self._outcome(job, handler, run.context, lane)
            self._log(job, report, run.context, time.monotonic() - came)
        self._runs.end(run)
        self._send(report)

    def _outcome(self, job: Any, handler: Handler, context: Context, lane: str) -> Done | Failed:
        about = self._who.about(job)
        try:
            with self._rooms[lane].entered(share_of(job), context.stop):
                begun = time.monotonic()
                result = handler(job, context)
            self._readiness.did()
            seconds = round(time.monotonic() - begun, 3)
            return Done(**about, seconds=seconds, result=result.model_dump(mode="json"))
        except Cancelled:
            return Failed(**about, message="stopped", cancelled=True)
        except RavenError as error:
            self._readiness.met(error)
            away, unusable = isinstance(error, StorageAway), isinstance(error, ChunkUnusable)
            return Failed(**about, message=str(error), permanent=error.permanent, away=away, unusable=unusable)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                self._readiness.ran_out()
                return Failed(**about, message=f"no room for temporary files: {error}")
            log.exception("handler broke")
            return Failed(**about, message=f"internal error: {type(error).__name__}: {error}")

    def _log(self, job: Any, report: Done | Failed, context: Context, seconds: float) -> None:
        """The one canonical line of a job."""
        fields = {"kind": job.kind, "seconds": round(seconds, 3), **context.notes}
        if isinstance(report, Done):
            log.info("job done", **fields)
        elif report.cancelled:
            log.info("job stopped", **fields)
        else:
            log.warning("job failed", fault=report.message, permanent=report.permanent, **fields)

    def _send(self, report: Value) -> bool:
        """Publishes a report, through any outage of the broker; False when the agent was stopped meanwhile."""

        @retry(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(multiplier=0.2, max=5),
            stop=lambda _: bool(self._stopped),
            retry_error_callback=lambda _: False,
        )
        def publish() -> bool:
            self._publish(report)
            return True

        return bool(publish())

    # beside the slots

    def _publish(self, report: Value) -> None:
        self._broker.publish(names.REPORTS, messages.encode(report))

    def _obey(self) -> None:
        while not self._over.is_set():
            delivery = self._control.take(LOOK_SECONDS)
            if delivery is None:
                continue
            try:
                control = messages.read_control(delivery.body)
            except BadMessage as error:
                log.warning("control not understood", fault=str(error))
                continue
            if not isinstance(control, HoldNode):
                self._runs.heed(control)
                self._look()
            elif (control.node, control.role, control.instance) == astuple(self._who):
                self._readiness.obey(control.hold)
