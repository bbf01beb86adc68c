"""From a job's row to the message that orders it: the whole order, so that a worker needs nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raven import names
from raven.errors import OptionInvalid
from raven.media.ladder import choose_renditions, thumbs_in
from raven.messages import AnnounceJob, AudioJob, EncodeJob, PrepareJob, PublishJob, PurgeJob, TextJob
from raven.model import (
    AudioResult,
    EncodeResult,
    PrepareResult,
    Rendition,
    SourceFacts,
    TextResult,
    TrackSegments,
    VideoFacts,
)
from raven.profile import Download, Profile
from raven.values import Value
from watcher.ledger import CHUNK, CONFORM, SECOND
from watcher.plan import PURGE_ALL
from watcher.rows import JobRow, TaskRow, TaskState

MAX_PRIORITY = 100


class Options(BaseModel):
    """The column `options` of a task: a JSON object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chunk_segments: int | None = Field(default=None, ge=1, le=100, description="Segments in a chunk.")
    strict: bool = Field(default=False, description="Whether a damaged or truncated source is refused.")
    metadata_only: bool = Field(default=False, description="Whether `metadata` is all that is wanted, and no output.")
    thumbs: bool = Field(default=True, description="Whether thumbnails are made.")
    early: bool | None = Field(default=None, description="Whether it can be played before it is done; else the farm's.")
    download: bool | None = Field(default=None, description="Whether an MP4 for download is made; else the profile's.")
    notices: Literal["all"] | tuple[TaskState, ...] = Field(
        default=(TaskState.DONE, TaskState.FAILED), description="Of which states callback_url is told, or all."
    )


def task_profile(task: TaskRow, profiles: Mapping[str, Profile]) -> Profile:
    """The profile of a task with its options applied. Raises OptionInvalid with the column and the remedy."""
    profile = profiles.get(task.profile)
    if profile is None:
        raise OptionInvalid(f"profile: there is no {task.profile!r}; known are {', '.join(sorted(profiles))}")
    if not -MAX_PRIORITY <= task.priority <= MAX_PRIORITY:
        raise OptionInvalid(f"priority: {task.priority} is not between -{MAX_PRIORITY} and {MAX_PRIORITY}")
    if task.status not in set(TaskState):
        raise OptionInvalid(f"status: there is no {task.status!r}; leave this column out, as Raven alone writes it")
    options = parse_options(task.options)
    if options.chunk_segments is not None:
        fixed = {"chunk_segments": options.chunk_segments, "chunk_segments_from": None}
        cutting = profile.cutting.model_copy(update=fixed)
        profile = profile.model_copy(update={"cutting": cutting})
    if options.download is not None:
        download = (profile.download or Download()) if options.download else None
        profile = profile.model_copy(update={"download": download})
    return profile if options.thumbs else profile.model_copy(update={"thumbs": None})


def parse_options(text: str | None) -> Options:
    """Raises OptionInvalid."""
    if text is None or not text.strip():
        return Options()
    try:
        return Options.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(Options.model_fields)
        raise OptionInvalid(
            f"options: {where + ': ' if where else ''}{first['msg']}; write a JSON object with any of {known}"
        ) from error


def settled_profile(profile: Profile, state: PrepareResult | None) -> Profile:
    """The profile with the length of chunks that the film was cut by."""
    if state is None or state.chunk_segments is None:
        return profile
    fixed = {"chunk_segments": state.chunk_segments, "chunk_segments_from": None}
    return profile.model_copy(update={"cutting": profile.cutting.model_copy(update=fixed)})


def film_renditions(state: PrepareResult, profile: Profile) -> tuple[Rendition, ...]:
    """What all chunks of a film are encoded to; nothing of sound alone."""
    video = state.facts.video
    return choose_renditions(profile.video, video, profile.cutting.grid(video.rate)) if video else ()


def order(
    task: TaskRow,
    row: JobRow,
    state: PrepareResult | None,
    profile: Profile,
    slots: int = 0,
    renditions: tuple[Rendition, ...] | None = None,
) -> Value:
    """The message of a prepare, encode, audio or text job; the farm has `slots` for chunks.

    `renditions`: of the film, where the caller knows them: choosing them costs more than all else of an order.
    """
    about = {"task": task.id, "job": row.id, "attempt": row.attempt}
    if row.kind == "prepare":
        options = parse_options(task.options)
        return PrepareJob(
            **about,
            source=task.source,
            profile=profile,
            strict=options.strict,
            slots=slots,
            conform=row.position == CONFORM,
            metadata_only=options.metadata_only,
            mark=state.mark if state else "",
        )
    if state is None:
        raise ValueError(f"a job of kind {row.kind} needs a prepared source")
    if row.kind in (CHUNK, SECOND):
        renditions = film_renditions(state, profile) if renditions is None else renditions
        return _encode(about, row.position, state, profile, renditions, strict=parse_options(task.options).strict)
    if row.kind == "text":
        return _text(about, row.position, state, profile)
    return _audio(about, row.position, state, profile, strict=parse_options(task.options).strict)


def _encode(
    about: dict[str, int],
    index: int,
    state: PrepareResult,
    profile: Profile,
    renditions: tuple[Rendition, ...],
    *,
    strict: bool,
) -> EncodeJob:
    video = _video(state)
    frames = state.frames if state.complete else None
    grid = profile.cutting.grid(video.rate)
    span = grid.chunk_span(index, frames)
    last = state.complete and index == state.chunks - 1
    return EncodeJob(
        **about,
        index=index,
        first=span.first,
        last=span.last,
        tail=state.tail if last else 0,
        video=video,
        profile=profile,
        renditions=renditions,
        strict=strict,
    )


def _video(state: PrepareResult) -> VideoFacts:
    """The pictures of a source with chunks. Raises ValueError where another attempt to prepare it has found none."""
    if state.facts.video is None:
        raise ValueError("there are chunks, but the source has no pictures: was it replaced meanwhile?")
    return state.facts.video


def audio_samples(state: PrepareResult, profile: Profile) -> int:
    """Length of every audio track in samples: the video's, or without video that of the longest track."""
    video = state.facts.video
    if video is None:
        return max([*state.samples.values(), 1])
    return round(Fraction(state.frames) / video.rate * profile.sample_rate)


def segment_seconds(facts: SourceFacts, profile: Profile) -> Fraction:
    """Length of a segment: the video's on its grid, else the nominal one."""
    if facts.video is None:
        return profile.cutting.segment_seconds
    grid = profile.cutting.grid(facts.video.rate)
    return grid.time_of(grid.segment)


def _audio(about: dict[str, int], index: int, state: PrepareResult, profile: Profile, *, strict: bool) -> AudioJob:
    return AudioJob(
        **about,
        index=index,
        track=state.facts.audio[index],
        profile=profile,
        samples=audio_samples(state, profile),
        segment_seconds=segment_seconds(state.facts, profile),
        strict=strict,
    )


def duration(state: PrepareResult, profile: Profile) -> Fraction:
    """Seconds of film: all frames, or without video all samples."""
    if state.facts.video is None:
        return Fraction(audio_samples(state, profile), profile.sample_rate)
    return Fraction(state.frames) / state.facts.video.rate


def _text(about: dict[str, int], index: int, state: PrepareResult, profile: Profile) -> TextJob:
    return TextJob(
        **about,
        index=index,
        track=state.facts.text[index],
        duration=duration(state, profile),
        segment_seconds=segment_seconds(state.facts, profile),
    )


EARLY_SEGMENTS = 4
"""A player begins three target durations before the end of what it takes for live (RFC 8216 6.3.3)."""


def early_chunks(task: TaskRow, profile: Profile, usual: bool) -> int:
    """Chunks at the beginning of a film from which on it can be played; 0 where it cannot before it is done."""
    wanted = parse_options(task.options).early
    if not (usual if wanted is None else wanted):
        return 0
    return -(-EARLY_SEGMENTS // profile.cutting.chunk_segments)


def announce_order(
    task: TaskRow, row: JobRow, state: PrepareResult, rows: Iterable[JobRow], profile: Profile
) -> AnnounceJob:
    """The announce message: of the chunks, those before the job's position."""
    video = _video(state)
    found = [r for r in rows if r.kind != "encode" or r.position < row.position]
    whole = publish_order(task, row, state, found, profile)
    ready = profile.cutting.grid(video.rate).chunk_span(row.position - 1, state.frames).last
    return AnnounceJob(**{**dict(whole), "kind": "announce", "ready": ready})


def publish_order(
    task: TaskRow, row: JobRow, state: PrepareResult, rows: Iterable[JobRow], profile: Profile
) -> PublishJob:
    """The publish message, from the results of all jobs of the task."""
    done = [r for r in rows if r.result is not None]
    encodes = {r.position: EncodeResult.model_validate_json(r.result or "") for r in done if r.kind == "encode"}
    tracks = [AudioResult.model_validate_json(r.result or "") for r in done if r.kind == "audio"]
    audio = {name: segments for track in tracks for name, segments in track.renditions.items()}
    text = {
        state.facts.text[r.position].name: TextResult.model_validate_json(r.result or "")
        for r in done
        if r.kind == "text"
    }
    renditions = film_renditions(state, profile)
    video: dict[str, tuple[TrackSegments, ...]] = {
        r.name: tuple(result.renditions[r.name] for result in encodes.values()) for r in renditions
    }
    seconds: dict[str, float] = {}
    for r in done:
        seconds[r.kind] = round(seconds.get(r.kind, 0.0) + r.seconds, 3)
    return PublishJob(
        task=task.id,
        job=row.id,
        attempt=row.attempt,
        source=task.source,
        profile=profile,
        facts=state.facts,
        frames=state.frames,
        samples=audio_samples(state, profile),
        renditions=renditions,
        video=video,
        iframes=tuple(result.iframes for result in encodes.values() if result.iframes),
        audio=audio,
        text=text,
        thumbs=_thumbs(state, profile),
        seconds=seconds,
        warnings=(
            *state.warnings,
            *_damage(encodes, state, profile),
            *(warning for track in tracks for warning in track.warnings),
        ),
    )


def _damage(chunks: Mapping[int, EncodeResult], state: PrepareResult, profile: Profile) -> tuple[str, ...]:
    """Which chunks have damaged pictures, as a sentence of the task's `message`."""
    damaged = [position for position, result in chunks.items() if result.damaged]
    if not damaged or state.facts.video is None:
        return ()
    grid = profile.cutting.grid(state.facts.video.rate)
    begin = float(grid.time_of(grid.chunk_span(min(damaged), state.frames).first))
    return (f"{len(damaged)} of {len(chunks)} chunks have damaged pictures, the first of them begins at {begin:.2f} s",)


def _thumbs(state: PrepareResult, profile: Profile) -> int:
    if state.facts.video is None:
        return 0
    grid = profile.cutting.grid(state.facts.video.rate)
    return sum(len(thumbs_in(grid, profile.thumbs, span)) for span in grid.chunks(state.frames))


def purge_order(task: int, row: JobRow) -> PurgeJob:
    """Everything of the task, or its temporary objects."""
    prefixes = [names.tmp_prefix(task)] + ([names.out_prefix(task)] if row.position == PURGE_ALL else [])
    return PurgeJob(task=task, job=row.id, attempt=row.attempt, prefixes=tuple(prefixes))
