"""What a report, a lapse or a cancel does to a job. Pure: values in, one guarded transition out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from raven import names
from raven.limits import START
from raven.messages import RESULTS, BadMessage, Done, Failed, JobReport, Passed, Progress, Started
from raven.model import EncodeResult, PrepareResult, TrackSegments
from raven.values import Value
from watcher.health import Fault, How, with_fault
from watcher.ledger import CHUNK, SECOND
from watcher.rows import OPEN, JobRow, JobState, Transition

BACK_OFF_MS = (1_000, 5_000, 15_000, 60_000)
"""Wait before the second, third, ... attempt; the last one from there on."""
AWAY_MS = 15_000
"""The longest wait while the storage is away: when it is back, all that waits should go on soon."""
ABOUT = {"task", "job", "attempt", "node", "instance"}
"""What every report on a job says."""
MESSAGE_LENGTH = 4000
"""Characters of an error text that are kept: what went wrong stands at its beginning."""
PASS_MS = (500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000)
"""Wait after a node has given a job back unbegun, the first time and so on: a better one may get a slot free meanwhile.
After the last one it avoids nobody any more."""


class Doubt(Value):
    """In place of an encode job's result: the node that was the first to find its chunk unusable.

    It may itself be at fault, with a broken ffmpeg or disk: another one has to find so too, or where there is no other
    the same one until its attempts are used up.
    """

    node: str


@dataclass(frozen=True)
class Limits:
    """How long a lease lasts, how many attempts a job has, and how long a run may make no progress."""

    lease_ms: int
    attempts: int
    away: int = 0
    """Attempts besides these that found the storage away."""
    stall_ms: int = 600_000


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
        case Passed():
            back = again(row, now, report.attempt, "passed on", delay=PASS_MS[min(row.passes, len(PASS_MS) - 1)])
            return replace(back, values={**back.values, "passes": row.passes + 1})


def _is_news(so_far: PrepareResult, known: str | None) -> bool:
    """Whether more is cut than is known. A second attempt begins anew, but what the first one found still holds.

    What another version has stored, and this one cannot read, holds too: the plan fails the task by it.
    """
    if known is None:
        return True
    try:
        before = PrepareResult.model_validate_json(known)
    except ValueError:
        return False
    return (so_far.complete, so_far.chunks, so_far.frames) > (before.complete, before.chunks, before.frames)


def _alive(
    row: JobRow, report: JobReport, now: int, limits: Limits, values: dict[str, object], event: str
) -> Transition:
    state = {"state": JobState.RUNNING, "lease_until": now + limits.lease_ms, **_who(report)}
    entered = {} if row.state == JobState.RUNNING else {"changed_at": now}
    moved = {"moved_at": now} if entered or values["done"] != row.done else {}
    return Transition(row.id, OPEN, report.attempt, {**state, **entered, **moved, **values}, event)


def _who(report: JobReport) -> dict[str, object]:
    return {"node": report.node, "instance": report.instance}


def parse_result(kind: str, result: dict[str, object]) -> Value:
    """A job's result by its kind. Raises BadMessage."""
    try:
        return RESULTS[kind].model_validate(result)
    except ValueError as error:
        raise BadMessage(f"not the result of a job of kind {kind}: {error}") from error


def _on_done(row: JobRow, report: Done, reference: EncodeResult | None, now: int, limits: Limits) -> Transition:
    result = parse_result(row.kind, report.result)
    if isinstance(result, EncodeResult) and (fault := _foreign(result, reference)):
        failed = Failed(**report.model_dump(include=ABOUT), message=fault)
        return _on_failed(row, failed, now, limits, "foreign")
    values = {
        "state": JobState.DONE,
        "changed_at": now,
        **_who(report),
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


def _on_failed(row: JobRow, report: Failed, now: int, limits: Limits, how: How = "failed") -> Transition:
    if report.cancelled and row.kind != SECOND:
        return again(row, now, report.attempt, "stopped", delay=0)
    blameless = report.away and row.attempt - row.failures <= limits.away
    failures, fault = row.failures + (not blameless), report.message[:MESSAGE_LENGTH]
    if row.kind == SECOND:  # the first run goes on
        values = {"state": JobState.CANCELLED, "changed_at": now, "message": fault}
        return Transition(row.id, OPEN, report.attempt, values, "given up")
    hopeless = not blameless and (report.permanent or failures >= limits.attempts)
    mine = Doubt(node=report.node).model_dump_json() if report.unusable and row.kind == CHUNK else None
    doubt = (row.result or mine) if mine else None
    if doubt and (hopeless or doubt != mine):
        values = {"state": JobState.UNUSABLE, "changed_at": now, "failures": failures, "message": fault}
        return Transition(row.id, OPEN, report.attempt, {**values, "node": report.node}, "unusable")
    if hopeless and row.kind != "purge":  # cleaning up is never given up
        message = fault if report.permanent else f"{fault} (after {failures} attempts)"
        values = {"state": JobState.FAILED, "changed_at": now, "failures": failures, "message": message}
        return Transition(row.id, OPEN, report.attempt, {**values, **_who(report)}, "failed")
    delay = min(_back_off(row.attempt - row.failures), AWAY_MS) if blameless else _back_off(failures)
    retry = again(row, now, report.attempt, "retried", delay=delay)
    faults = row.faults if blameless else with_fault(row.faults, Fault(report.node, report.instance, how))
    more = {"failures": failures, "message": fault, "faults": faults} | ({"result": doubt} if doubt else {})
    return replace(retry, values={**retry.values, **more})


def _back_off(failures: int) -> int:
    return BACK_OFF_MS[min(failures, len(BACK_OFF_MS)) - 1]


def again(row: JobRow, now: int, attempt: int, event: str, *, delay: int) -> Transition:
    """Back to waiting with the next attempt, which fences all that this one may still say."""
    values = {
        "state": JobState.WAITING,
        "attempt": attempt + 1,
        "not_before": now + delay if delay else 0,
        "changed_at": now,
        "done": 0,
        "speed": 0.0,
    }
    return Transition(row.id, OPEN, attempt, values, event)


def on_lapse(row: JobRow, now: int, limits: Limits) -> Transition:
    """The lease is over: the node is taken for lost."""
    return _on_failed(row, _of(row, f"node {row.node} fell silent while it ran this"), now, limits, "lapsed")


def on_stall(row: JobRow, now: int, limits: Limits) -> Transition:
    """The node says that it lives, but the job does not move."""
    seconds = (now - row.moved_at) // 1000
    return _on_failed(row, _of(row, f"node {row.node} made no progress with this for {seconds} s"), now, limits)


def stalls(row: JobRow, now: int, limits: Limits) -> bool:
    """Whether a running encode moves no more. Its node ends it first, unless the node itself is what hangs.

    Only encodes: a source may be a recording that pauses, and sound is uploaded for long after its last sample.
    """
    patience = 2 * limits.stall_ms * (1 if row.done else START)
    return row.kind in ("encode", SECOND) and row.state == JobState.RUNNING and now - row.moved_at > patience


def _of(row: JobRow, message: str) -> Failed:
    """What the node would say if it could."""
    about = {"task": row.task_id, "job": row.id, "attempt": row.attempt}
    return Failed(**about, node=row.node or "?", instance=row.instance or "", message=message)


def unqueued(row: JobRow, now: int) -> Transition:
    """The broker did not take it: nothing was lost, the attempt stands."""
    values = {"state": JobState.WAITING, "changed_at": now}
    return Transition(row.id, frozenset({JobState.QUEUED}), row.attempt, values, "unqueued")


def settled(other: JobRow, winner: JobRow, now: int) -> Transition:
    """What the first good result of a chunk means for its other run."""
    if other.kind == SECOND:
        return cancelled(other, now)
    values = {
        "state": JobState.DONE,
        "changed_at": now,
        "node": winner.node,
        "instance": winner.instance,
        "seconds": winner.seconds,
        "message": None,
        "result": winner.result,
    }
    return Transition(other.id, OPEN, None, values, "done by a second run")


def cancelled(row: JobRow, now: int) -> Transition:
    """Not wanted any more; whatever is reported of it from now on is late."""
    return Transition(row.id, OPEN, None, {"state": JobState.CANCELLED, "changed_at": now}, "cancelled")
