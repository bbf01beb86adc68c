"""What master and worker share: take a job, run it, report it; stop it when told. One thread for each slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog
from tenacity import retry, retry_if_exception_type, wait_exponential

from raven import __version__, messages, names
from raven.config import Settings
from raven.errors import Cancelled, RavenError, Unavailable
from raven.messages import Alive, BadMessage, CancelJob, CancelTask, Done, Failed, Progress, Started
from raven.model import PrepareResult, Value
from raven.ports import Broker, Consumer
from raven.process import StopSignal

ALIVE_SECONDS = 5.0
LOOK_SECONDS = 0.5

log = structlog.get_logger()


@dataclass
class Context:
    """What a handler has besides its job: how to hear of a stop, say how far it is, and note facts for the log."""

    stop: StopSignal = field(default_factory=StopSignal)
    done: int = 0
    speed: float = 0.0
    so_far: PrepareResult | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    changed: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: int, speed: float = 0.0) -> None:
        """`done` frames or samples so far, at `speed` times real time."""
        self.done, self.speed = done, speed

    def prepared(self, so_far: PrepareResult) -> None:
        """More of a source is cut; reported at once, as chunks can be encoded."""
        self.so_far = so_far
        self.changed.set()


Handler = Callable[[Any, Context], Value]


@dataclass(frozen=True)
class _Running:
    job: Any
    context: Context


class Agent:
    """Runs the jobs of one queue in `settings.slots` threads."""

    def __init__(
        self,
        settings: Settings,
        role: Literal["master", "worker"],
        broker: Broker,
        handlers: Mapping[str, Handler],
    ) -> None:
        self._settings, self._role, self._broker, self._handlers = settings, role, broker, handlers
        self._queue = {"master": names.JOBS_MASTER, "worker": names.JOBS_WORKER}[role]
        self._draining = threading.Event()
        self._stopped = StopSignal()
        self._over = threading.Event()
        self._running: dict[int, _Running] = {}
        self._lock = threading.Lock()
        self._control = broker.listener()
        slots = [threading.Thread(target=self._slot, name=f"{role}-{n + 1}") for n in range(settings.slots)]
        self._slots = slots
        self._helpers = [
            threading.Thread(target=self._beat, name=f"{role}-beat", daemon=True),
            threading.Thread(target=self._obey, name=f"{role}-control", daemon=True),
        ]

    def start(self) -> None:
        for thread in [*self._slots, *self._helpers]:
            thread.start()

    def drain(self) -> None:
        """No new job; the running ones end."""
        self._draining.set()

    def stop(self) -> None:
        """No new job, and the running ones are stopped and given back."""
        self._draining.set()
        self._stopped.set()
        with self._lock:
            for running in self._running.values():
                running.context.stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the slots to end; whether they did."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._slots:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._slots):
            return False
        self._over.set()
        return True

    # a slot

    def _slot(self) -> None:
        consumer = self._broker.consumer(self._queue, prefetch=1)
        while not self._draining.is_set():
            self._next(consumer)
        consumer.pause()

    def _next(self, consumer: Consumer) -> None:
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
            log.warning("message dead-lettered", queue=self._queue, fault=str(error))
            delivery.reject()
            return
        if not self._send(Started(task=job.task, job=job.job, attempt=job.attempt, node=self._settings.node)):
            return  # stopped while the broker was away: unacknowledged, so another takes it
        delivery.ack()  # from here on the lease in the database guards the job, not the broker
        self._run(job, handler)

    def _run(self, job: Any, handler: Handler) -> None:
        context = Context()
        with self._lock:
            self._running[job.job] = _Running(job, context)
            if self._stopped:
                context.stop.set()
        chunk = {"chunk": job.index} if hasattr(job, "index") else {}
        with structlog.contextvars.bound_contextvars(task=job.task, job=job.job, attempt=job.attempt, **chunk):
            begun = time.monotonic()
            report = self._outcome(job, handler, context, begun)
            self._log(job, report, context, time.monotonic() - begun)
        with self._lock:
            self._running.pop(job.job, None)
        self._send(report)

    def _outcome(self, job: Any, handler: Handler, context: Context, begun: float) -> Done | Failed:
        about = {"task": job.task, "job": job.job, "attempt": job.attempt, "node": self._settings.node}
        try:
            result = handler(job, context)
            seconds = round(time.monotonic() - begun, 3)
            return Done(**about, seconds=seconds, result=result.model_dump(mode="json"))
        except Cancelled:
            return Failed(**about, message="stopped", cancelled=True)
        except RavenError as error:
            return Failed(**about, message=str(error), permanent=error.permanent)
        except Exception as error:
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
        while not self._over.is_set():
            now = time.monotonic()
            try:
                if now - alive_at >= ALIVE_SECONDS:
                    self._publish_alive()
                    alive_at = now
                for running in self._snapshot():
                    self._publish_progress(running)
            except Unavailable as error:
                log.debug("no sign of life given", fault=str(error))  # the lease bears missing beats
            self._wait_for_change(now + self._settings.heartbeat_seconds)

    def _wait_for_change(self, until: float) -> None:
        while time.monotonic() < until and not self._over.is_set():
            if any(running.context.changed.is_set() for running in self._snapshot()):
                return
            time.sleep(0.05)

    def _snapshot(self) -> list[_Running]:
        with self._lock:
            return list(self._running.values())

    def _publish_alive(self) -> None:
        slots = 0 if self._draining.is_set() else self._settings.slots
        alive = Alive(node=self._settings.node, role=self._role, slots=slots, build=__version__)
        self._broker.publish(names.REPORTS, messages.encode(alive))

    def _publish_progress(self, running: _Running) -> None:
        job, context = running.job, running.context
        context.changed.clear()
        progress = Progress(
            task=job.task,
            job=job.job,
            attempt=job.attempt,
            node=self._settings.node,
            done=context.done,
            speed=context.speed,
            so_far=context.so_far,
        )
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
            for running in self._snapshot():
                if _meant(control, running.job):
                    running.context.stop.set()


def _meant(control: CancelTask | CancelJob, job: Any) -> bool:
    if isinstance(control, CancelTask):
        return bool(job.task == control.task and job.kind != "purge")
    return bool(job.job == control.job and job.attempt < control.below)
