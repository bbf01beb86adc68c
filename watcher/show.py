"""What a client sees of a task under way, and where its jobs stand among others: from its rows. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from raven import names
from raven.model import PrepareResult, PublishResult, SourceFacts
from raven.profile import Profile
from watcher.ledger import Ledger
from watcher.orders import duration
from watcher.rows import JobState, Place, TaskRow

UNKNOWN_SECONDS = 3600
"""How long a film is taken to be that does not say: one that is just being recorded."""


@dataclass(frozen=True)
class Shown:
    """A task whose source is known. `profile`: as it is cut."""

    profile: Profile
    state: PrepareResult
    came: int
    """When it was first seen, ms."""
    progress: float
    url: str | None
    """Where it plays already."""

    @property
    def seconds(self) -> float | None:
        """Of the film as it was cut; of one that was not what its container says."""
        if self.state.metadata_only:
            return self.state.facts.duration
        return float(duration(self.state, self.profile))

    @property
    def metadata(self) -> str:
        return self.metadata_with(())

    def metadata_with(self, downloads: tuple[str, ...]) -> str:
        return _metadata(self.state.facts, downloads)

    def thumbnails(self, url: str | None) -> str | None:
        """Where the track of the thumbnails is, beside the finished film's playlist at `url`."""
        if url is None or self.state.facts.video is None or self.profile.thumbs is None:
            return None
        return f"{url.removesuffix(names.MULTIVARIANT)}{names.THUMBS}/{names.THUMBNAIL_TRACK}"


def shown(ledger: Ledger, state: PrepareResult, profile: Profile) -> Shown:
    """`profile`: with the length of chunks of this film."""
    prepare = ledger.prepare
    announced = next((row.result for row in ledger.of("announce") if row.result), None)
    return Shown(
        profile=profile,
        state=state,
        came=prepare.deadline if prepare else 0,
        progress=progress(ledger, state, profile),
        url=PublishResult.model_validate_json(announced).url if announced else None,
    )


def progress(ledger: Ledger, state: PrepareResult, profile: Profile) -> float:
    """How much of a task is done, 0 to 1: frames that are encoded, or samples where there is no video."""
    video = state.facts.video
    if video is not None:
        guess = int((state.facts.duration or 0) * float(video.rate))
        total = state.frames if state.complete else max(state.frames, guess)
        done = ledger.chunks.done * profile.cutting.grid(video.rate).chunk + ledger.chunks.frames
    else:
        total = max([*state.samples.values(), 1]) * max(1, len(state.facts.audio))
        done = sum(total if row.state == JobState.DONE else row.done for row in ledger.of("audio"))
    return round(min(0.99, 0.99 * done / total), 4) if total > 0 else 0.0


def chunk_frames(position: int, seen: Shown) -> int:
    """Frames of a chunk."""
    video = seen.state.facts.video
    if video is None:
        return 0
    grid = seen.profile.cutting.grid(video.rate)
    return grid.chunk_span(position, seen.state.frames if seen.state.complete else None).frames


def place(row: TaskRow, seen: Shown | None, now: int) -> Place:
    """Where the jobs of a task stand: its deadline is when it came and how long its film is."""
    if seen is None:
        return Place(row.owner, row.priority, now)
    length = seen.state.facts.duration
    return Place(row.owner, row.priority, seen.came + round(1000 * (UNKNOWN_SECONDS if length is None else length)))


def _metadata(facts: SourceFacts, downloads: tuple[str, ...] = ()) -> str:
    more = {"downloads": downloads} if downloads else {}
    return json.dumps(facts.model_dump(mode="json") | more, separators=(",", ":"))
