"""The messages: jobs to master and workers, reports to the watcher, controls to all. A message is a doorbell.

The database is the truth, so any may be lost, doubled or late: a job carries its whole order, a report its attempt.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, FiniteFloat, TypeAdapter, ValidationError

from raven.alive import VERSION, Alive, HoldNode, Id, Instance, NodeName, Number
from raven.errors import RavenError
from raven.media.grid import Span
from raven.model import (
    AudioFacts,
    AudioResult,
    EncodeResult,
    IframeSegments,
    PrepareResult,
    PublishResult,
    PurgeResult,
    Rendition,
    SourceFacts,
    TextFacts,
    TextResult,
    TrackSegments,
    VideoFacts,
)
from raven.profile import Profile
from raven.values import Count, Mark, Rarely, Rational, Value, encodable

REPORT_BYTES = 4 << 20
"""The longest report: far above that of a day of film, and below what MariaDB takes in one statement (16 MB)."""


class BadMessage(RavenError):
    """A message that this version cannot read; it is dead-lettered, never lost and never fatal."""

    permanent = True


class _Job(Value):
    version: Literal[1] = VERSION
    task: int
    job: int
    attempt: int
    avoid: Annotated[tuple[NodeName, ...], Field(exclude_if=lambda value: not value)] = ()
    """Nodes on which it failed, where others are there to try it: these give it back. Sent only if there are some."""


class PrepareJob(_Job):
    """Open the source, probe it, and unless `metadata_only` cut it into chunk objects."""

    kind: Literal["prepare"] = "prepare"
    source: str
    profile: Profile
    strict: bool = False
    """Whether a damaged or truncated source is refused."""
    slots: int = 0
    """For chunks, in the whole farm: a hint for their length."""
    conform: Rarely = False
    """Whether its packets have been cut already, into chunks that cannot be used."""
    metadata_only: Rarely = False
    mark: Mark = ""
    """Of the source that an earlier attempt has opened: another one is refused."""


class EncodeJob(_Job):
    """Encode the frames `[first, last)` of one chunk into every rendition."""

    kind: Literal["encode"] = "encode"
    index: int
    first: int
    last: int
    tail: int
    """Frames that the last source frame may be held for at the very end; 0 for all chunks but the last."""
    video: VideoFacts
    profile: Profile
    renditions: tuple[Rendition, ...]
    strict: Rarely = False
    """Whether a damaged chunk is refused."""

    @property
    def span(self) -> Span:
        return Span(self.first, self.last)


class AudioJob(_Job):
    """Encode one whole track into segments cut next to the video's."""

    kind: Literal["audio"] = "audio"
    index: int
    track: AudioFacts
    profile: Profile
    samples: int
    segment_seconds: Rational
    strict: Rarely = False
    """Whether a damaged track is refused."""


class TextJob(_Job):
    """Turn the cues of one text track into WebVTT, in segments and whole."""

    kind: Literal["text"] = "text"
    index: int
    track: TextFacts
    duration: Rational
    """Seconds of film; cues end there."""
    segment_seconds: Rational


class FinishingJob(_Job):
    """What a film consists of, as far as it is stored."""

    source: str
    profile: Profile
    facts: SourceFacts
    frames: int
    samples: int
    renditions: tuple[Rendition, ...]
    video: dict[str, tuple[TrackSegments, ...]]
    iframes: tuple[IframeSegments, ...] = ()
    audio: dict[str, TrackSegments]
    text: dict[str, TextResult]
    thumbs: int
    seconds: dict[str, float]
    """Seconds of work so far, by kind of job."""
    warnings: tuple[str, ...] = ()
    """What the source lacks."""

    @property
    def stored(self) -> int:
        """Frames that are stored, from the first one on."""
        return self.frames

    @property
    def way(self) -> str:
        """How the pictures came in; empty for sound alone."""
        return self.facts.video.way if self.facts.video else ""


class AnnounceJob(FinishingJob):
    """Write playlists over the chunks at the film's beginning, while the others are still encoded."""

    kind: Literal["announce"] = "announce"
    ready: int
    """Frames of these chunks."""

    @property
    def stored(self) -> int:
        return self.ready


class PublishJob(FinishingJob):
    """Write the manifests over the stored segments."""

    kind: Literal["publish"] = "publish"


class PurgeJob(_Job):
    """Remove the objects under these prefixes."""

    kind: Literal["purge"] = "purge"
    prefixes: tuple[Annotated[str, Field(pattern=r"^(tmp|out)/[1-9][0-9]{0,18}/$")], ...]


Job = Annotated[
    PrepareJob | EncodeJob | AudioJob | TextJob | AnnounceJob | PublishJob | PurgeJob, Field(discriminator="kind")
]
RESULTS: dict[str, type[Value]] = {
    "prepare": PrepareResult,
    "encode": EncodeResult,
    "second": EncodeResult,
    "audio": AudioResult,
    "text": TextResult,
    "announce": PublishResult,
    "publish": PublishResult,
    "purge": PurgeResult,
}


class _Report(Value):
    version: Literal[1] = VERSION
    task: Id
    job: Id
    attempt: Number
    node: NodeName
    instance: Instance = ""


class Started(_Report):
    type: Literal["started"] = "started"


class Progress(_Report):
    """Sign of life and how far: units (frames or samples) done so far; for prepare the result so far too."""

    type: Literal["progress"] = "progress"
    done: Count = 0
    speed: FiniteFloat = 0.0
    """Multiple of real time."""
    so_far: PrepareResult | None = None


class Done(_Report):
    type: Literal["done"] = "done"
    seconds: FiniteFloat
    result: dict[str, object]
    """The job's result, by its kind."""


class Failed(_Report):
    """The job ended without a result. `permanent`: no other attempt can help. `cancelled`: stopped on request.

    `away`: the storage was, so the job is not to blame. `unusable`: the chunk itself does not decode to its frames.
    """

    type: Literal["failed"] = "failed"
    message: Annotated[str, AfterValidator(encodable)]
    permanent: bool = False
    cancelled: bool = False
    away: Rarely = False
    unusable: Rarely = False


class Passed(_Report):
    """The job was not begun: this node is one that it shall avoid, or takes no jobs any more. No failure."""

    type: Literal["passed"] = "passed"


Report = Annotated[Started | Progress | Done | Failed | Passed | Alive, Field(discriminator="type")]
JobReport = Started | Progress | Done | Failed | Passed


class CancelTask(Value):
    """Stop all work on a task."""

    version: Literal[1] = VERSION
    type: Literal["cancel"] = "cancel"
    task: int


class CancelJob(Value):
    """Stop the work on a job if its attempt is older than `below`."""

    version: Literal[1] = VERSION
    type: Literal["cancel-job"] = "cancel-job"
    job: int
    below: int


class ConfirmJob(Value):
    """This attempt counts: what cannot be undone may be done. The answer to a purge's sign of life, and its `done`."""

    version: Literal[1] = VERSION
    type: Literal["confirm-job"] = "confirm-job"
    job: int
    attempt: int
    done: Annotated[Count, Field(exclude_if=lambda value: not value)] = 0


Control = Annotated[CancelTask | CancelJob | ConfirmJob | HoldNode, Field(discriminator="type")]

_job: TypeAdapter[PrepareJob | EncodeJob | AudioJob | TextJob | AnnounceJob | PublishJob | PurgeJob] = TypeAdapter(Job)
_report: TypeAdapter[Started | Progress | Done | Failed | Passed | Alive] = TypeAdapter(Report)
_control: TypeAdapter[CancelTask | CancelJob | ConfirmJob | HoldNode] = TypeAdapter(Control)
T = TypeVar("T")


def _read(adapter: TypeAdapter[T], body: bytes, what: str) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first, *_ = error.errors()
        where = ".".join(map(str, first["loc"])) or "message"
        raise BadMessage(f"not a {what} of version {VERSION}: {where}: {first['msg']}") from error


def encode(message: Value) -> bytes:
    """The message as it travels: JSON."""
    return message.model_dump_json().encode()


def read_job(body: bytes) -> PrepareJob | EncodeJob | AudioJob | TextJob | AnnounceJob | PublishJob | PurgeJob:
    """Raises BadMessage."""
    return _read(_job, body, "job")


def read_report(body: bytes) -> Started | Progress | Done | Failed | Passed | Alive:
    """Raises BadMessage."""
    if len(body) > REPORT_BYTES:
        raise BadMessage(f"a report of {len(body)} bytes, more than {REPORT_BYTES}")
    return _read(_report, body, "report")


def read_control(body: bytes) -> CancelTask | CancelJob | ConfirmJob | HoldNode:
    """Raises BadMessage."""
    return _read(_control, body, "control")
