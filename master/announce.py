"""The announce job: a film can be played while the rest of it is encoded. HLS alone; the MPD comes when it is done."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

from master.output_check import look_ahead
from master.publish import describe
from master.sheets import full_sheets
from master.tools import MediaTools
from raven import names
from raven.context import Context
from raven.errors import ObjectMissing
from raven.media import hls
from raven.media.presentation import Presentation, VideoTrack
from raven.messages import AnnounceJob
from raven.model import PublishResult
from raven.ports import Storage


@dataclass(frozen=True)
class _Growing(VideoTrack):
    """A rung of which only the beginning is known."""

    cap: int
    """Bit/s that its encoder is held to, 0 for no cap."""

    @cached_property
    def peak_bandwidth(self) -> int:
        """What is to come may be denser than what is there, up to the cap."""
        return max(self.cap, super().peak_bandwidth)


def announce(job: AnnounceJob, context: Context, tools: MediaTools) -> PublishResult:
    """Writes the playlists of what is stored so far; the multivariant playlist, which a player opens, comes last.

    All tracks end where the picture does. Trick play and the MPD come with the whole film. Then it does ahead what
    publishing would have to do at the end: sheets that are full, and reading segments for the checker.

    Raises OutputWrong.
    """
    storage, prefix = tools.storage, names.out_prefix(job.task)
    url = storage.url(prefix + names.MULTIVARIANT)
    so_far = describe(job, storage)
    texts = playlists(_as_announced(job, so_far))
    for key, text in texts.items():
        context.stop.check()
        if _published(prefix, storage):
            return PublishResult(url=url, bytes=0)
        storage.put(prefix + key, text.encode())
    look_ahead(storage, prefix, so_far, context.stop, tools.known.of(job.task, job.way))
    full_sheets(job, context, tools)
    context.notes.update(frames=job.ready)
    return PublishResult(url=url, bytes=0)


def _published(prefix: str, storage: Storage) -> bool:
    """Whether the film is done, and this a straggler of a node that was cut off: nothing older may replace it."""
    try:
        storage.get(prefix + names.TASK_JSON, 0, 1)
    except ObjectMissing:
        return False
    return True


def _as_announced(job: AnnounceJob, presentation: Presentation) -> Presentation:
    caps = {rendition.name: 1000 * (rendition.maxrate or 0) for rendition in job.renditions}
    video = tuple(
        _Growing(**{f.name: getattr(track, f.name) for f in fields(track)}, cap=caps[track.name])
        for track in presentation.video
    )
    return replace(presentation, video=video, iframes=None)


def playlists(presentation: Presentation) -> dict[str, str]:
    """The playlists by key under the task's prefix. Their target durations are already those of the whole film."""
    target = hls.target_duration(presentation)
    count = len(presentation.video[0].segments)
    tracks = [(names.video_path(t.name), t.segments) for t in presentation.video]
    tracks += [(names.audio_path(t.name), t.segments) for t in presentation.audio]
    texts = {
        f"{path}/{names.PLAYLIST}": hls.event_playlist([s.duration for s in segments[:count]], target)
        for path, segments in tracks
    }
    for track in presentation.text:
        texts[f"{names.text_path(track.name)}/{names.PLAYLIST}"] = hls.text_playlist(track)
    return {**texts, names.MULTIVARIANT: hls.multivariant(presentation)}
