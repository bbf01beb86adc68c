"""What master and worker share: take a job, run it, report it; stop it when told. One thread for each slot.

Light jobs have slots of their own, so that none of them waits behind heavy ones.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from tenacity import retry, retry_if_exception_type, wait_exponential

from raven import __version__, messages, names
from raven.alive import Alive, HoldNode
from raven.config import Settings
from raven.context import Context
from raven.errors import FULL, Cancelled, ChunkUnusable, RavenError, StorageAway, Unavailable
from raven.machine import default_slots
from raven.messages import BadMessage, CancelJob, CancelTask, ConfirmJob, Done, Failed, Passed, Progress, Started
from raven.ports import Broker, Consumer
from raven.process import StopSignal
from raven.readiness import Readiness
from raven.values import Value

LOOK_SECONDS = 0.5
FAREWELL_SECONDS = 5.0
"""For the last sign of life, which a broker may not take."""

log = structlog.get_logger()

Handler = Callable[[Any, Context], Value]


@dataclass(frozen=True, eq=False)
class _Running:
    """One run of a job. Of two attempts at one job both may run here: the first may hang past its lease."""

    job: Any
    context: Context


class Agent:
    """Runs the jobs of a role's two lanes, in `settings.slots` (or as many as suit the host) and `light_slots` threads.

    Between jobs it asks its readiness whether it may take another one.
    """

    def __init__(
        self,
        settings: Settings,
        role: Literal["master", "worker"],
        broker: Broker,
        handlers: Mapping[str, Handler],
        readiness: Readiness | None = None,
    ) -> None:
        self._settings, self._role, self._broker, self._handlers = settings, role, broker, handlers
        self._readiness = readiness or Readiness()
        self._wake = self._readiness.wake
        self._instance = secrets.token_hex(4)
        self._heavy = settings.slots or default_slots(role)
        self._draining = threading.Event()
        self._stopped = StopSignal()
        self._over = threading.Event()
        self._running: set[_Running] = set()
        self._lock = threading.Lock()
        self._control = broker.listener()
        lanes = [role] * self._heavy + [names.light(role)] * settings.light_slots
        self._slots = [
            threading.Thread(target=self._guarded, args=(self._slot, lane), name=f"{lane}-{n + 1}")
            for n, lane in enumerate(lanes)
        ]
        self._helpers = [
            threading.Thread(target=self._guarded, args=(self._beat,), name=f"{role}-beat", daemon=True),
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
        self._readiness.leave()

    def stop(self) -> None:
        """No new job, and the running ones are stopped and given back."""
        self.drain()
        self._stopped.set()
        with self._lock:
            for running in self._running:
                running.context.stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the slots to end; whether they did."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._slots:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._slots):
            return False
        self._over.set()
        self._wake.set()
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
        consumer = self._broker.consumer(names.lane_queue(lane), prefetch=1)
        while not self._draining.is_set():
            if self._readiness.obstacle(lane):
                consumer.pause()
                self._draining.wait(LOOK_SECONDS)
            else:
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
                raise BadMessage(f"a {self._role} does not run jobs of kind {job.kind}")
        except BadMessage as error:
            log.warning("message dead-lettered", lane=lane, fault=str(error))
            delivery.reject()
            return
        if self._settings.node in job.avoid or self._readiness.obstacle(lane):
            if self._send(Passed(**self._about(job))):
                delivery.ack()
            return
        if not self._send(Started(**self._about(job))):
            return  # stopped while the broker was away: unacknowledged, so another takes it
        delivery.ack()  # from here on the lease in the database guards the job, not the broker
        self._run(job, handler)

    def _about(self, job: Any) -> dict[str, Any]:
        """What every report on a job says."""
        node, instance = self._settings.node, self._instance
        return {"task": job.task, "job": job.job, "attempt": job.attempt, "node": node, "instance": instance}

    def _run(self, job: Any, handler: Handler) -> None:
        running = _Running(job, context := Context(changed=self._wake))
        with self._lock:
            self._running.add(running)
            if self._stopped:
                context.stop.set()
        chunk = {"chunk": job.index} if hasattr(job, "index") else {}
        with structlog.contextvars.bound_contextvars(task=job.task, job=job.job, attempt=job.attempt, **chunk):
            log.debug("job begun", kind=job.kind)
            begun = time.monotonic()
            report = self._outcome(job, handler, context, begun)
            self._log(job, report, context, time.monotonic() - begun)
        with self._lock:
            self._running.discard(running)
        self._send(report)

    def _outcome(self, job: Any, handler: Handler, context: Context, begun: float) -> Done | Failed:
        about = self._about(job)
        try:
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
            self._broker.publish(names.REPORTS, messages.encode(report))
            return True

        return bool(publish())

    # beside the slots

    def _beat(self) -> None:
        """Signs of life: of the node, and of each running job."""
        alive_at = 0.0
        while True:
            self._wake.clear()  # before all looks, or what comes meanwhile would wait for the next beat
            if self._over.is_set():
                break
            now = time.monotonic()
            try:
                if now - alive_at >= self._readiness.alive_seconds or self._readiness.changed.is_set():
                    alive_at = 0.0
                    self._publish_alive()
                    alive_at = now
                for running in self._snapshot():
                    self._publish_progress(running)
            except Unavailable as error:
                log.debug("no sign of life given", fault=str(error))  # the lease bears missing beats
            self._wake.wait(max(0.0, now + self._settings.heartbeat_seconds - time.monotonic()))
        if self._readiness.changed.is_set():  # idle slots may end before anybody was told that they do
            with contextlib.suppress(Unavailable):
                self._publish_alive()

    def _snapshot(self) -> list[_Running]:
        with self._lock:
            return list(self._running)

    def _publish_alive(self) -> None:
        self._readiness.changed.clear()
        own = Alive(
            node=self._settings.node,
            role=self._role,
            instance=self._instance,
            slots=self._heavy,
            light=self._settings.light_slots,
            build=__version__,
        )
        self._broker.publish(names.REPORTS, messages.encode(self._readiness.completed(own)))
        self._readiness.asked()

    def _publish_progress(self, running: _Running) -> None:
        job, context = running.job, running.context
        progress = Progress(**self._about(job), done=context.done, speed=context.speed, so_far=context.so_far)
        self._broker.publish(names.REPORTS, messages.encode(progress))

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
            self._heed(control)

    def _heed(self, control: CancelTask | CancelJob | ConfirmJob | HoldNode) -> None:
        if isinstance(control, HoldNode):
            if (control.node, control.role, control.instance) == (self._settings.node, self._role, self._instance):
                self._readiness.obey(control.hold)
            return
        for running in self._snapshot():
            if isinstance(control, ConfirmJob):
                if (control.job, control.attempt) == (running.job.job, running.job.attempt):
                    running.context.answered(control.done)
            elif _meant(control, running.job):
                running.context.stop.set()


def _meant(control: CancelTask | CancelJob, job: Any) -> bool:
    if isinstance(control, CancelTask):
        return bool(job.task == control.task and job.kind != "purge")
    return bool(job.job == control.job and job.attempt < control.below)
