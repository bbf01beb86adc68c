"""The jobs that run in one daemon now, and what may be said to them from outside."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

from raven.context import Context
from raven.messages import CancelJob, CancelTask, ConfirmJob


@dataclass(frozen=True)
class Who:
    """One run of a daemon."""

    node: str
    role: Literal["master", "worker"]
    instance: str

    def about(self, job: Any) -> dict[str, Any]:
        """What every report on a job says."""
        ids = {"task": job.task, "job": job.job, "attempt": job.attempt}
        return {**ids, "node": self.node, "instance": self.instance}


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a job. Of two attempts at one job both may run here: the first may hang past its lease."""

    job: Any
    context: Context


class Runs:
    """Safe to use from all threads."""

    def __init__(self, changed: threading.Event) -> None:
        """`changed`: set when one of them has something to report at once."""
        self._changed = changed
        self._lock = threading.Lock()
        self._runs: set[Run] = set()
        self._stopped = False

    def begin(self, job: Any) -> Run:
        run = Run(job, Context(changed=self._changed))
        with self._lock:
            self._runs.add(run)
            if self._stopped:
                run.context.stop.set()
        return run

    def end(self, run: Run) -> None:
        with self._lock:
            self._runs.discard(run)

    def now(self) -> list[Run]:
        with self._lock:
            return list(self._runs)

    def stop(self) -> None:
        """All, and those that begin from now on."""
        with self._lock:
            self._stopped = True
            for run in self._runs:
                run.context.stop.set()

    def heed(self, control: CancelTask | CancelJob | ConfirmJob) -> None:
        """What the watcher says to all nodes, of which some may be meant for these."""
        for run in self.now():
            if isinstance(control, ConfirmJob):
                if (control.job, control.attempt) == (run.job.job, run.job.attempt):
                    run.context.answered(control.done)
            elif _meant(control, run.job):
                run.context.stop.set()


def _meant(control: CancelTask | CancelJob, job: Any) -> bool:
    if isinstance(control, CancelTask):
        return bool(job.task == control.task and job.kind != "purge")
    return bool(job.job == control.job and job.attempt < control.below)
