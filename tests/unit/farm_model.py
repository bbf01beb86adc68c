"""A farm of values: the rows of one task, a broker that loses and doubles, nodes that die. No clock, no thread.

It does with `plan`, `transitions` and `orders` what the watcher does with the database, and with rows what
`raven retry` does; it asserts on the way what must never happen. Who calls it decides the order of everything.
A node acts upon a word at once: one that hangs between the word and the act is not in the model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from raven.alive import Alive
from raven.media.grid import AudioGrid
from raven.media.ladder import choose_renditions
from raven.media.presentation import check_audio, video_track
from raven.messages import (
    AnnounceJob,
    AudioJob,
    Done,
    EncodeJob,
    Failed,
    JobReport,
    Passed,
    PrepareJob,
    Progress,
    PublishJob,
    PurgeJob,
    Started,
    TextJob,
    encode,
    read_job,
    read_report,
)
from raven.model import EncodeResult, PrepareResult, PublishResult, PurgeResult, SourceFacts
from raven.profile import Profile
from raven.values import Value
from tests.builders import audio_result, encode_result, init_segment, profile, task_row, text_result
from tests.ledgers import is_idle, ledger_of, was_overtaken
from watcher.ledger import CHUNK, CONFORM, SECOND, Ledger
from watcher.orders import announce_order, audio_samples, duration, order, publish_order, purge_order
from watcher.plan import NewJob, Plan, plan, plan_deleted, prepared, unclean
from watcher.rows import ENDED, HELD, OPEN, JobRow, JobState, TaskRow, TaskState, Transition
from watcher.transitions import Limits, again, cancelled, on_lapse, on_report, on_stall, settled, unqueued

LIMITS = Limits(lease_ms=30_000, attempts=4)
LOST_MS = 20_000
MAX_STEPS = 5  # as the watcher's: more plans in a row would be a circle
TASK = 7

Job = PrepareJob | EncodeJob | AudioJob | TextJob | AnnounceJob | PublishJob | PurgeJob


@dataclass(frozen=True)
class Film:
    """A source as the cutter would find it."""

    facts: SourceFacts
    frames: int
    bad_chunk: int | None = None
    """Of its packets, this one does not decode by itself."""
    lost: int = 0
    """Frames that it has less when it is decoded from its start."""

    def conformed(self) -> Film:
        """The same, as the cutter finds it when it decodes."""
        assert self.facts.video is not None
        video = self.facts.video.model_copy(update={"way": "conform"})
        return Film(self.facts.model_copy(update={"video": video}), self.frames - self.lost)

    def states(self, settings: Profile) -> Iterator[PrepareResult]:
        """What the cutter tells, one after the other; the last one is complete."""
        video = self.facts.video
        samples = {track.name: 480_000 for track in self.facts.audio}
        done = PrepareResult(facts=self.facts, samples=samples, complete=True)
        if video is not None:
            grid = settings.cutting.grid(video.rate)
            for seen in range(0, self.frames, grid.chunk):
                yield PrepareResult(facts=self.facts, chunks=grid.whole_chunks(seen), frames=seen)
            done = done.model_copy(update={"chunks": grid.chunk_count(self.frames), "frames": self.frames, "tail": 2})
        else:
            yield PrepareResult(facts=self.facts)
        yield done


@dataclass
class Work:
    """A job in the hands of a node."""

    job: Job
    node: str
    cut: int = 0
    """How many states of the cutter have been told."""
    purged: bool = False
    """Whether the watcher has confirmed it, so that the objects are gone."""

    @property
    def key(self) -> tuple[int, int]:
        return self.job.job, self.job.attempt


@dataclass(frozen=True)
class Letter:
    """An order on its way. `ghost`: the broker has it but told the watcher that it has not."""

    body: bytes
    ghost: bool = False


@dataclass
class Farm:
    """One task on its way through the farm."""

    film: Film
    profile: Profile = field(default_factory=profile)
    now: int = 1_000_000
    keep_failed: int = 0
    """ms that the objects of a failed task stay."""
    task: TaskRow | None = field(default_factory=lambda: task_row(id=TASK))
    jobs: dict[int, JobRow] = field(default_factory=dict)
    queue: list[Letter] = field(default_factory=list)
    working: list[Work] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)
    stopping: bool = False
    forgotten: bool = False
    may_fail: bool = False
    """A permanent failure, foreign builds or too many attempts: only then may the task end failed."""
    accepted: list[tuple[int, int]] = field(default_factory=list)
    """Job and attempt of every result that was taken."""
    fenced: set[tuple[int, int]] = field(default_factory=set)
    ghosts: set[tuple[int, int]] = field(default_factory=set)
    called_off: set[tuple[int, int]] = field(default_factory=set)
    """Job and attempt of which nodes were told that they are not waited for."""
    conformed: bool = False
    """Whether the source is being decoded, or has been: the chunks of its packets are gone."""
    shown: int = 0
    """Frames that can be played."""
    stored: dict[int, str] = field(default_factory=dict)
    """By which way the chunk came in that the stored segments were made of, by its number."""
    made: dict[tuple[int, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Every result that a node has made, by job and attempt, as JSON."""
    objects: set[tuple[str, int]] = field(default_factory=set)
    """Chunks, by the way in which they were cut, and segments (`out`) of these chunks, that are stored."""
    winners: list[int] = field(default_factory=list)
    """Chunks whose result was taken, from whichever of their runs."""
    litter: bool = False
    """Whether a node ended without a word that was heard: what it stored is left to scrub."""
    serial: int = 100
    """Number of the newest job."""

    # the watcher

    def advance(self) -> None:
        """Plans until nothing more is to do now."""
        for _ in range(MAX_STEPS):
            if not self._step():
                return
        raise AssertionError("the plan goes in circles")

    def _step(self) -> bool:
        self.stopping = False
        if self.forgotten:
            return False  # no row is left that could make the watcher look
        if self.task is None:
            return self._carry_out(plan_deleted(self._ledger(), self.now))
        step = plan(self.task, self._ledger(), early=2, keep_failed=self.keep_failed)
        go_on = self._carry_out(step)
        if step.status is not None and self.task.status not in ENDED:
            self.task = replace(self.task, status=step.status)
        if step.ending is not None:
            self._end(step)
            return True
        return go_on

    def _carry_out(self, step: Plan) -> bool:
        for new in step.new_jobs:
            self._add(new)
        if step.cancel:
            self._cancel_idle()
        for row in step.overtaken:
            self._overtake(row)
        if step.anew is not None:
            self._begin_anew(step.anew)
        if step.hasten:
            self._hasten()
        self.stopping = step.stop
        if step.prune:
            assert not any(row.state in OPEN for row in self.jobs.values())
            self.jobs = {row.id: row for row in self.jobs.values() if row.kind == "purge"}
        if step.forget:
            self.jobs, self.forgotten = {}, True
        return step.cancel

    def _overtake(self, row: JobRow) -> None:
        if row.state == JobState.RUNNING:
            self.called_off.add((row.id, row.attempt))
        elif row.state == JobState.WAITING:
            assert self.apply(cancelled(row, self.now))
            self.fenced.add((row.id, row.attempt))

    def _hasten(self) -> None:
        for row in self.jobs.values():
            if row.kind == "purge" and row.state == JobState.WAITING:
                self.jobs[row.id] = replace(row, not_before=0)

    def _begin_anew(self, known: PrepareResult) -> None:
        """All is done again from the source: what nodes say of the jobs that were is about no job that is."""
        self._nobody_works("conforming")
        assert not any(row.state in OPEN for row in self.jobs.values())
        self._add(NewJob("prepare", CONFORM))
        conform = replace(self.jobs[self.serial], result=known.model_dump_json())
        kept = {row.id: row for row in self.jobs.values() if row.kind == "announce" and row.state == JobState.DONE}
        self.fenced |= {(row.id, row.attempt) for row in self.jobs.values() if row.id not in {conform.id, *kept}}
        self.accepted, self.winners = [each for each in self.accepted if each[0] in kept], []
        self.jobs = {**kept, conform.id: conform}

    def _ledger(self) -> Ledger:
        return ledger_of(self.jobs.values(), self.now)

    def _cancel_idle(self) -> None:
        for row in list(self.jobs.values()):
            if row.kind != "purge" and row.state in OPEN and is_idle(row, self.now):
                self._give_up_the_untaken(row)
                assert self.apply(cancelled(row, self.now))

    def _give_up_the_untaken(self, row: JobRow) -> None:
        """A job that was handed out is cancelled only when nobody has taken it for long; who does is called off."""
        if row.state != JobState.WAITING:
            assert row.state == JobState.QUEUED
            self.fenced.add((row.id, row.attempt))

    def _add(self, new: NewJob) -> None:
        assert (new.kind, new.position) not in {(row.kind, row.position) for row in self.jobs.values()}
        if new.kind == "purge":
            self._nobody_works("purging")
        if new.kind == "publish":
            self._nobody_works("publishing")
        self.serial += 1
        row = JobRow(id=self.serial, task_id=TASK, kind=new.kind, position=new.position)
        self.jobs[self.serial] = replace(row, not_before=self.now + new.delay if new.delay else 0)

    def _nobody_works(self, stage: str) -> None:
        """When objects are removed or replaced, no node has a job of the task that was not taken from it before.

        Two purges side by side do no harm.
        """
        for work in [work for work in self.working if work.job.kind != "purge"]:
            assert work.key in self.fenced or work.key in self.ghosts, f"{work.job.kind} runs while {stage} begins"

    def _end(self, step: Plan) -> None:
        assert self.task is not None
        assert step.ending is not None
        if step.ending.published is not None:
            kinds = ("purge", "second")
            wanted = {row.state for row in self.jobs.values() if row.kind not in kinds and not was_overtaken(row)}
            assert wanted == {JobState.DONE}, "a task is done when all its work is"
        self.task = replace(self.task, status=TaskState.FAILED if step.ending.published is None else TaskState.DONE)

    def apply(self, transition: Transition) -> bool:
        """A guarded change of a row."""
        row = self.jobs[transition.job]
        after = transition.applied(row)
        if after is None:
            return False
        assert row.attempt <= after.attempt <= row.attempt + 1
        if after.attempt > row.attempt:
            self.fenced.add((row.id, row.attempt))
        if after.state == JobState.FAILED and after.failures >= LIMITS.attempts:
            self.may_fail = True
        self.jobs[row.id] = after
        return True

    def delete(self) -> None:
        """The client deletes the row."""
        self.task = None

    def retry(self) -> None:
        """As raven/retry.py: from what is there, or from the source once all is removed, never in between."""
        if self.task is None or self.task.status != TaskState.FAILED:
            return
        purges = [row for row in self.jobs.values() if row.kind == "purge"]
        done = any(row.state == JobState.DONE for row in purges)
        if any(row.state in HELD or (not done and row.attempt > 1) for row in purges):
            return
        gone = {row.id for row in self.jobs.values() if done or row.kind in ("purge", "second")}
        self.fenced |= {(row.id, row.attempt) for row in self.jobs.values() if row.id in gone}
        self.jobs = {row.id: self._retried(row) for row in self.jobs.values() if row.id not in gone}
        self.task = replace(self.task, status=TaskState.NEW)
        self.may_fail = False
        if done:
            self.winners, self.conformed, self.shown = [], False, 0

    def _retried(self, row: JobRow) -> JobRow:
        if row.state not in (JobState.FAILED, JobState.CANCELLED, JobState.UNUSABLE):
            return row
        self.fenced.add((row.id, row.attempt))
        again = replace(row, state=JobState.WAITING, attempt=row.attempt + 1, not_before=0, changed_at=self.now)
        return replace(again, failures=0, faults=None, passes=0, message=None)

    def run_again(self, at: int) -> None:
        """A chunk that is slow is begun a second time."""
        running = [row for row in self.jobs.values() if row.kind == CHUNK and row.state == JobState.RUNNING]
        seconds = {row.position for row in self.jobs.values() if row.kind == SECOND}
        slow = [row for row in running if row.position not in seconds]
        if slow:
            self._add(NewJob(SECOND, slow[at % len(slow)].position))

    def stall(self, at: int) -> None:
        """A node lives, but an encode of its does not move."""
        kinds = (CHUNK, SECOND)
        running = [row for row in self.jobs.values() if row.kind in kinds and row.state == JobState.RUNNING]
        if running:
            row = running[at % len(running)]
            assert self.apply(on_stall(row, self.now, LIMITS))
            self.fenced.add((row.id, row.attempt))

    def restart_the_watcher(self) -> None:
        """It has heard nobody for a while: all leases begin anew."""
        for row in self.jobs.values():
            if row.state == JobState.RUNNING:
                self.jobs[row.id] = replace(row, lease_until=self.now + LIMITS.lease_ms, moved_at=self.now)

    def hand_out(self, fate: str = "sent", room: int = 100) -> None:
        """Waiting jobs whose time has come go to the broker, which may lose them or deny that it has them."""
        ready = [row for row in self.jobs.values() if row.state == JobState.WAITING and row.not_before <= self.now]
        for row in ready[:room]:
            job = self._order(row)
            if job is None:
                continue
            taken = {"state": JobState.QUEUED, "changed_at": self.now}
            assert self.apply(Transition(row.id, frozenset({JobState.WAITING}), row.attempt, taken, "queued"))
            if fate in ("sent", "denied"):
                self.queue.append(Letter(encode(job), ghost=fate == "denied"))
            if fate in ("refused", "denied"):
                assert self.apply(unqueued(self.jobs[row.id], self.now))

    def _order(self, row: JobRow) -> Value | None:
        if row.kind == "purge":
            return purge_order(TASK, row)
        if self.task is None:
            return None
        state = prepared(self._ledger().prepare)
        if row.kind in ("announce", "publish"):
            assert state is not None
            finishing = announce_order if row.kind == "announce" else publish_order
            rows = sorted((each for each in self.jobs.values() if each.kind != SECOND), key=_place)
            return finishing(self.task, row, state, rows, self.profile)
        return order(self.task, row, state, self.profile)

    def deliver(self, body: bytes) -> None:
        """A report arrives, whenever that is."""
        report = read_report(body)
        assert not isinstance(report, Alive)
        row = self.jobs.get(report.job)
        if row is None:
            self._late(report, None)
            return
        transition = on_report(row, report, self._reference(row), self.now, LIMITS)
        if not self.apply(transition):
            self._late(report, row.kind)
            return
        if row.kind == "purge" and isinstance(report, Progress):
            self._purge(row.id, report.attempt)
        if transition.event == "done":
            assert (row.id, report.attempt) not in self.fenced, "a result of a fenced attempt was taken"
            self.accepted.append((row.id, report.attempt))
            if row.kind in (CHUNK, SECOND):
                self._settle(self.jobs[row.id])

    def _settle(self, winner: JobRow) -> None:
        """The other run of a chunk is of no use any more."""
        self.winners.append(winner.position)
        for row in list(self.jobs.values()):
            twin = row.kind in (CHUNK, SECOND) and row.position == winner.position and row.id != winner.id
            if twin and self.apply(settled(row, winner, self.now)):
                self.fenced.add((row.id, row.attempt))
                if row.kind == CHUNK:
                    self.accepted.append((row.id, row.attempt))
                    self.made[row.id, row.attempt].add(winner.result or "")

    def _late(self, report: JobReport, kind: str | None) -> None:
        """What a node has stored after a purge is removed by one more."""
        position = unclean(self.task, kind) if isinstance(report, Done | Failed) else None
        if position is None:
            return
        self.forgotten = False  # the plan orders a new one
        for row in list(self.jobs.values()):
            if (row.kind, row.position) == ("purge", position) and row.state in {*HELD, JobState.DONE}:
                self.fenced.add((row.id, row.attempt))
                anew = replace(row, state=JobState.WAITING, attempt=row.attempt + 1, not_before=0)
                self.jobs[row.id] = replace(anew, changed_at=self.now)

    def _purge(self, job: int, attempt: int) -> None:
        """The watcher confirms the order, and whoever has it removes."""
        for work in self.working:
            if work.key == (job, attempt) and isinstance(work.job, PurgeJob):
                everything = len(work.job.prefixes) > 1
                ends = {TaskState.FAILED} if everything else ENDED
                assert self.task is None or self.task.status in ends, "objects of a living task are removed"
                self.objects = set() if everything else {each for each in self.objects if each[0] == "out"}
                self.stored = {} if everything else self.stored
                work.purged = True

    def _reference(self, row: JobRow) -> EncodeResult | None:
        if row.kind not in (CHUNK, SECOND):
            return None
        others = (r for r in self.jobs.values() if r.kind == CHUNK and r.state == JobState.DONE)
        return next((EncodeResult.model_validate_json(r.result or "") for r in others), None)

    def care(self) -> None:
        """Lapsed leases and lost messages."""
        for row in list(self.jobs.values()):
            if row.state == JobState.RUNNING and row.lease_until < self.now:
                assert self.apply(on_lapse(row, self.now, LIMITS))
                self.fenced.add((row.id, row.attempt))  # also when it was the last attempt
            if row.state == JobState.QUEUED and row.changed_at < self.now - LOST_MS and not self.queue:
                assert self.apply(again(row, self.now, row.attempt, "lost", delay=0))

    def restart_as_one_process(self) -> None:
        """The embedded farm was killed: its queues and nodes are gone, its rows are released."""
        self.queue, self.working, self.reports, self.litter = [], [], [], True
        for row in list(self.jobs.values()):
            if row.state in (JobState.QUEUED, JobState.RUNNING):
                assert self.apply(again(row, self.now, row.attempt, "released", delay=0))

    # nodes

    def take(self, at: int, node: str, *, leave_a_copy: bool = False) -> None:
        """A node takes an order; the broker may hand it out a second time."""
        letter = self.queue[at] if leave_a_copy else self.queue.pop(at)
        job = read_job(letter.body)
        if letter.ghost or leave_a_copy or any(work.key == (job.job, job.attempt) for work in self.working):
            self.ghosts.add((job.job, job.attempt))  # the watcher cannot know of a second one
        work = Work(job, node)
        self.working.append(work)
        self.conformed |= isinstance(job, PrepareJob) and job.conform
        self._say(Started(**_about(work)))

    def pass_on(self, at: int) -> None:
        """A node that is held gives an order back unbegun."""
        job = read_job(self.queue.pop(at).body)
        self._say(Passed(**_about(Work(job, "n1"))))

    def go_on(self, at: int) -> None:
        """A sign of life."""
        work = self.working[at]
        so_far = None
        if isinstance(work.job, PrepareJob):
            states = list(self._source(work.job).states(self.profile))
            so_far = states[min(work.cut, len(states) - 1)]
            work.cut += 1
            self._store_chunks(so_far)
        self._say(Progress(**_about(work), done=work.cut, so_far=so_far))

    def _store_chunks(self, state: PrepareResult) -> None:
        if state.facts.video is not None:
            self.objects |= {(state.facts.video.way, index) for index in range(state.chunks)}

    def finish(self, at: int) -> None:
        work = self.working[at]
        if isinstance(work.job, PurgeJob) and not work.purged:
            self.fail(at)  # nobody has confirmed it
            return
        if self._bad_chunk(self.working[at].job):
            self.fail(at, unusable=True)
            return
        self.working.pop(at)
        if isinstance(work.job, EncodeJob):
            self._encode(work.job, work.key)
        result = self._result(work)
        if isinstance(result, PrepareResult):
            self._store_chunks(result)
        self.made[work.key].add(result.model_dump_json())
        self._say(Done(**_about(work), seconds=1.0, result=result.model_dump(mode="json")))

    def _encode(self, job: EncodeJob, key: tuple[int, int]) -> None:
        wanted = key not in self.fenced | self.ghosts
        assert not wanted or (job.video.way, job.index) in self.objects, "a chunk is gone that is still wanted"
        self.stored[job.index] = job.video.way
        self.objects.add(("out", job.index))

    def _bad_chunk(self, job: Job) -> bool:
        """Whether a node can store nothing of a chunk, as it does not decode or is gone."""
        if not isinstance(job, EncodeJob) or job.video.way == "conform":
            return False
        return self.conformed or job.index == self.film.bad_chunk

    def fail(self, at: int, *, permanent: bool = False, stopped: bool = False, unusable: bool = False) -> None:
        work = self.working.pop(at)
        self.may_fail |= permanent and work.job.kind != "purge"
        self.may_fail |= unusable and isinstance(work.job, EncodeJob) and work.job.video.way == "conform"
        about = _about(work)
        self._say(Failed(**about, message="broken", permanent=permanent, cancelled=stopped, unusable=unusable))

    def hear_the_cancel(self) -> None:
        """The broadcast that the watcher repeats while it waits for jobs to stop."""
        for at in reversed(range(len(self.working))):
            work = self.working[at]
            if work.key in self.called_off or (self.stopping and work.job.kind != "purge"):
                self.fail(at, stopped=True)

    def _say(self, report: JobReport) -> None:
        self.reports.append(encode(report))

    def _result(self, work: Work) -> Value:
        """What a right node makes of its order; the token in it tells the attempts apart."""
        job = work.job
        if isinstance(job, PrepareJob):
            *_, last = self._source(job).states(self.profile)
            return last
        if isinstance(job, EncodeJob):
            return self._encoded(job, work.node)
        if isinstance(job, AudioJob):
            assert self._dropped(job) or audio_samples(self._cut(), self.profile) == job.samples
            return audio_result(job.samples, job.segment_seconds, name=job.track.name).model_copy(
                update={"bytes": job.attempt}
            )
        if isinstance(job, TextJob):
            assert self._dropped(job) or job.duration == duration(self._cut(), self.profile)
            return text_result().model_copy(update={"whole": job.attempt})
        if isinstance(job, PublishJob):
            ways = {way for index, way in self.stored.items() if index < self._cut().chunks}
            assert ways <= {job.facts.video.way if job.facts.video else ""}, "segments of a chunk that was cut anew"
            if work.key not in self.fenced | self.ghosts:
                there = {index for name, index in self.objects if name == "out"}
                assert set(range(self._cut().chunks)) <= there, "segments are gone that the film needs"
        if isinstance(job, AnnounceJob) and work.key not in self.fenced | self.ghosts:
            assert job.ready >= self.shown, "what can be played gets less"
            self.shown = job.ready
        if isinstance(job, AnnounceJob | PublishJob):
            return self._published(job)
        return PurgeResult(objects=job.attempt)

    def _dropped(self, job: Job) -> bool:
        """Whether it belongs to what was cut before the source was conformed."""
        return job.job not in self.jobs

    def _source(self, job: PrepareJob) -> Film:
        return self.film.conformed() if job.conform else self.film

    def _cut(self) -> PrepareResult:
        """What the task's last preparation ends with."""
        conform = any(row.kind == "prepare" and row.position == CONFORM for row in self.jobs.values())
        *_, last = (self.film.conformed() if conform else self.film).states(self.profile)
        return last

    def _encoded(self, job: EncodeJob, node: str) -> EncodeResult:
        grid = self.profile.cutting.grid(job.video.rate)
        frames = self.film.conformed().frames if job.video.way == "conform" else self.film.frames
        assert job.span == grid.chunk_span(job.index, frames), "an order names frames that its chunk has not"
        assert job.tail == (2 if job.last == frames else 0)
        build = "0d" * 32 if node == "odd" else "5e" * 32
        self.may_fail |= node == "odd"
        names = [r.name for r in job.renditions]
        return encode_result(grid, job.span, names, init_sha256=build, bytes=job.attempt)

    def _published(self, job: AnnounceJob | PublishJob) -> PublishResult:
        """What the master checks before it writes a manifest: it raises if the law does not hold."""
        video = job.facts.video
        for r in job.renditions:
            assert video is not None
            grid = self.profile.cutting.grid(video.rate)
            init = init_segment(grid.timescale)
            track = video_track(r, job.video[r.name], grid, job.stored, init)
            spans = [part for chunk in grid.chunks(job.frames) for part in grid.segments(chunk)]
            spans = [part for part in spans if part.last <= job.stored]
            assert [s.duration for s in track.segments] == [Fraction(part.frames) / grid.rate for part in spans]
        chosen = choose_renditions(self.profile.video, video, self.profile.cutting.grid(video.rate)) if video else ()
        assert job.renditions == chosen
        assert set(job.audio) == {track.name for track in self.film.facts.audio}
        for name, sound in job.audio.items():
            check_audio(sound, AudioGrid(self.profile.sample_rate, job.samples), name)
        assert set(job.text) == {track.name for track in self.film.facts.text}
        return PublishResult(url=f"https://cdn/{job.attempt}", bytes=job.frames)

    # to the end

    def finish_fairly(self, rounds: int = 60) -> None:
        """From here on nothing is lost and nobody dies."""
        for _ in range(rounds):
            self.go_well()
            self.check()
            if self.at_rest():
                return
            self.now += 61_000  # more than the longest back-off
        raise AssertionError(f"still not at an end: {self.task} {list(self.jobs.values())}")

    def go_well(self) -> None:
        """All that is handed out is taken, done and heard of."""
        self.hear_the_cancel()
        self._finish_all()
        self.advance()
        self.care()
        self.advance()
        self.hand_out()
        while self.queue:
            self.take(0, "n1")
        self._deliver_all()

    def _finish_all(self) -> None:
        """Who purges asks first."""
        for at, work in enumerate(self.working):
            if isinstance(work.job, PurgeJob):
                self.go_on(at)
        self._deliver_all()
        while self.working:
            self.finish(0)
        self._deliver_all()

    def _deliver_all(self) -> None:
        reports, self.reports = self.reports, []
        for body in reports:
            self.deliver(body)

    def at_rest(self) -> bool:
        """Nothing is left to do: the task is forgotten, or ended and cleaned."""
        if self.working or self.queue or self.reports:
            return False
        if self.task is None:
            return self.forgotten
        rows = [(row.kind, row.state) for row in self.jobs.values()]
        return self.task.status in ENDED and bool(rows) and set(rows) == {("purge", JobState.DONE)}

    def check_clean(self) -> None:
        """At rest nothing is left but the outputs of a film that is done."""
        assert self.at_rest()
        left = {name for name, _ in self.objects}
        done = self.task is not None and self.task.status == TaskState.DONE
        assert self.litter or left <= ({"out"} if done else set()), f"{left} is left of an ended task"

    def check(self) -> None:
        """What must hold at every moment."""
        assert len(self.winners) == len(set(self.winners)), "a chunk has two accepted results"
        assert len(self.accepted) == len({job for job, _ in self.accepted}), "a job has two accepted results"
        assert sum(row.kind == "prepare" for row in self.jobs.values()) <= 1, "a source is cut both ways"
        for row in self.jobs.values():
            if row.state == JobState.DONE:
                assert (row.id, row.attempt) in self.accepted
                assert row.result in self.made[row.id, row.attempt], "the result is not this attempt's"
            if row.kind != "purge":
                assert row.failures <= LIMITS.attempts
        encodes = [EncodeResult.model_validate_json(r.result) for r in self.jobs.values() if _encoded(r) and r.result]
        builds = {track.init_sha256 for result in encodes for track in result.renditions.values()}
        assert len(builds) <= 1, "two builds in one film"
        if self.task is not None and self.task.status == TaskState.FAILED:
            assert self.may_fail, "the task failed although nothing was wrong with it"


def _about(work: Work) -> dict[str, object]:
    return {"task": TASK, "job": work.job.job, "attempt": work.job.attempt, "node": work.node}


def _place(row: JobRow) -> tuple[str, int]:
    return row.kind, row.position


def _encoded(row: JobRow) -> bool:
    return row.kind == "encode" and row.state == JobState.DONE
