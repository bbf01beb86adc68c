"""What a report, a lapse or a cancel does to a job. Pure: values in, one guarded transition out."""

from __future__ import annotations

from dataclasses import dataclass

from raven import names
from raven.messages import RESULTS, BadMessage, Done, Failed, JobReport, Progress, Started
from raven.model import EncodeResult, PrepareResult, TrackSegments, Value
from watcher.rows import OPEN, JobRow, JobState, Transition

BACK_OFF_MS = (1_000, 5_000, 15_000, 60_000)
"""Wait before the second, third, ... attempt; the last one from there on."""
MESSAGE_LENGTH = 4000
"""Characters of an error text that are kept: what went wrong stands at its beginning."""


@dataclass(frozen=True)
class Limits:
    """How long a lease lasts and how many attempts a job has."""

    lease_ms: int
    attempts: int


def on_report(row: JobRow, report: JobReport, reference: EncodeResult | None, now: int, limits: Limits) -> Transition:
    """The transition that a report asks for. `reference`: the result of another chunk of the task, if one is done.

    Raises BadMessage when a result is not one of the job's kind.
    """
    match report:
        case Started():
            return _alive(row, report, now, limits, {"done": 0, "speed": 0.0}, "started")
        case Progress():
            values: dict[str, object] = {"done": report.done, "speed": report.speed}
            if report.so_far is not None and row.kind == "prepare" and _is_news(report.so_far, row.result):
                values["result"] = report.so_far.model_dump_json()
            return _alive(row, report, now, limits, values, "progress")
        case Done():
            return _on_done(row, report, reference, now, limits)
        case Failed():
            return _on_failed(row, report, now, limits)


def _is_news(so_far: PrepareResult, known: str | None) -> bool:
    """Whether more is cut than is known. A second attempt begins anew, but what the first one found still holds."""
    if known is None:
        return True
    before = PrepareResult.model_validate_json(known)
    return (so_far.complete, so_far.chunks, so_far.frames) > (before.complete, before.chunks, before.frames)


def _alive(
    row: JobRow, report: JobReport, now: int, limits: Limits, values: dict[str, object], event: str
) -> Transition:
    state = {"state": JobState.RUNNING, "node": report.node, "lease_until": now + limits.lease_ms}
    entered = {} if row.state == JobState.RUNNING else {"changed_at": now}
    return Transition(row.id, OPEN, report.attempt, {**state, **entered, **values}, event)


def parse_result(kind: str, result: dict[str, object]) -> Value:
    """A job's result by its kind. Raises BadMessage."""
    try:
        return RESULTS[kind].model_validate(result)
    except ValueError as error:
        raise BadMessage(f"not the result of a job of kind {kind}: {error}") from error


def _on_done(row: JobRow, report: Done, reference: EncodeResult | None, now: int, limits: Limits) -> Transition:
    result = parse_result(row.kind, report.result)
    if isinstance(result, EncodeResult) and (fault := _foreign(result, reference)):
        failed = Failed(task=report.task, job=report.job, attempt=report.attempt, node=report.node, message=fault)
        return _on_failed(row, failed, now, limits)
    values = {
        "state": JobState.DONE,
        "changed_at": now,
        "node": report.node,
        "seconds": report.seconds,
        "message": None,
        "result": result.model_dump_json(),
    }
    return Transition(row.id, OPEN, report.attempt, values, "done")


def _foreign(result: EncodeResult, reference: EncodeResult | None) -> str | None:
    """One init segment for a rendition of a task: a differing encoder build on one node is found here."""
    if reference is None:
        return None
    known = _tracks(reference)
    for name, track in _tracks(result).items():
        other = known.get(name)
        if other is None or other.init_sha256 != track.init_sha256:
            return f"{name}: another init segment than the task's other chunks have; the node's ffmpeg differs"
    return None


def _tracks(result: EncodeResult) -> dict[str, TrackSegments]:
    return result.renditions | ({names.IFRAMES: result.iframes} if result.iframes else {})


def _on_failed(row: JobRow, report: Failed, now: int, limits: Limits) -> Transition:
    if report.cancelled:
        return again(row, now, report.attempt, "stopped", delay=0)
    failures, fault = row.failures + 1, report.message[:MESSAGE_LENGTH]
    hopeless = report.permanent or failures >= limits.attempts
    if hopeless and row.kind != "purge":  # cleaning up is never given up
        message = fault if report.permanent else f"{fault} (after {failures} attempts)"
        values = {"state": JobState.FAILED, "changed_at": now, "failures": failures, "message": message}
        return Transition(row.id, OPEN, report.attempt, {**values, "node": report.node}, "failed")
    retry = again(row, now, report.attempt, "retried", delay=_back_off(failures))
    return Transition(row.id, OPEN, report.attempt, {**retry.values, "failures": failures, "message": fault}, "retried")


def _back_off(failures: int) -> int:
    return BACK_OFF_MS[min(failures, len(BACK_OFF_MS)) - 1]


def again(row: JobRow, now: int, attempt: int, event: str, *, delay: int) -> Transition:
    """Back to waiting with the next attempt, which fences all that this one may still say."""
    values = {
        "state": JobState.WAITING,
        "attempt": attempt + 1,
        "not_before": now + delay,
        "changed_at": now,
        "done": 0,
        "speed": 0.0,
    }
    return Transition(row.id, OPEN, attempt, values, event)


def on_lapse(row: JobRow, now: int, limits: Limits) -> Transition:
    """The lease is over: the node is taken for lost."""
    lost = Failed(
        task=row.task_id,
        job=row.id,
        attempt=row.attempt,
        node=row.node or "",
        message=f"node {row.node} fell silent while it ran this",
    )
    return _on_failed(row, lost, now, limits)


def queued(row: JobRow, now: int) -> Transition:
    """Handed to the broker."""
    values = {"state": JobState.QUEUED, "changed_at": now}
    return Transition(row.id, frozenset({JobState.WAITING}), row.attempt, values, "queued")


def unqueued(row: JobRow, now: int) -> Transition:
    """The broker did not take it: nothing was lost, the attempt stands."""
    values = {"state": JobState.WAITING, "changed_at": now}
    return Transition(row.id, frozenset({JobState.QUEUED}), row.attempt, values, "unqueued")


def cancelled(row: JobRow, now: int) -> Transition:
    """Not wanted any more; whatever is reported of it from now on is late."""
    return Transition(row.id, OPEN, None, {"state": JobState.CANCELLED, "changed_at": now}, "cancelled")
