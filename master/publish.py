"""The publish job: manifests and playlists over segments that are stored already, and sheets of the thumbnails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction

from langcodes import standardize_tag

from master.downloads import make_downloads
from master.output_check import check_output
from master.publish_text import chapters_summary, text_summary, text_tracks, unique_labels
from master.sheets import sheets_of
from master.tools import MediaTools
from raven import __version__, names
from raven.context import Context
from raven.media import dash, hls
from raven.media.codecs import codec_string
from raven.media.grid import AudioGrid, Grid, Span
from raven.media.iframe_segments import iframe_track
from raven.media.iframes import iframe_order
from raven.media.presentation import (
    AudioTrack,
    IframeTrack,
    Presentation,
    Track,
    VideoTrack,
    check_audio,
    timed,
    video_track,
)
from raven.media.sound import renditions_of
from raven.media.sprites import Sheets, thumbnail_track
from raven.media.webvtt import chapters_document, clipped_chapters
from raven.messages import FinishingJob, PublishJob
from raven.model import AudioFacts, PublishResult
from raven.ports import Storage


def publish(job: PublishJob, context: Context, tools: MediaTools) -> PublishResult:
    """Checks that the tracks hold exactly the source's frames, tiles the thumbnails, writes the manifests.

    The checker reads all of it before the manifests are stored. What players open first comes last.

    Raises OutputWrong when a segment is missing, doubled or foreign, OutputRefused when a standard's must is broken.
    """
    storage = tools.storage
    presentation = replace(describe(job, storage), sheets=sheets_of(job, context, tools))
    downloads = make_downloads(job, presentation, context, tools)
    size = sum(track.bytes for track in presentation.tracks)
    chapters = clipped_chapters(job.facts.chapters, presentation.duration)
    prefix, texts = names.out_prefix(job.task), manifests(presentation)
    about = summary(job, presentation) | {
        "chapters": chapters_summary(chapters),
        "downloads": [asdict(file) for file in downloads],
        "check": check_output(storage, prefix, texts, context.stop, tools.known.of(job.task, job.way)),
    }
    first = {names.TASK_JSON: json.dumps(about, indent=2) + "\n"}
    first |= {names.CHAPTERS: chapters_document(chapters)} if chapters else {}
    for key, text in {**first, **texts}.items():
        context.stop.check()
        storage.put(prefix + key, text.encode())
    context.notes.update(frames=job.frames, bytes=size)
    tools.known.forget(job.task)
    urls = tuple(storage.url(prefix + file.path) for file in downloads)
    return PublishResult(
        url=storage.url(prefix + names.MULTIVARIANT), downloads=urls, bytes=size, warnings=job.warnings
    )


def describe(job: FinishingJob, storage: Storage) -> Presentation:
    """The presentation of the job's segments, with what the stored init segments say. Raises OutputWrong."""
    facts, prefix = job.facts, names.out_prefix(job.task)
    rate = facts.video.rate if facts.video else None
    video: list[VideoTrack] = []
    iframes = None
    if rate is not None:
        grid = job.profile.cutting.grid(rate)
        for r in job.renditions:
            init = storage.get(f"{prefix}{names.video_path(r.name)}/{names.INIT}")
            video.append(video_track(r, job.video[r.name], grid, job.stored, init))
        iframes = _iframes(job, storage, grid)
    duration = Fraction(job.frames) / rate if rate else Fraction(job.samples, job.profile.sample_rate)
    default = next((t.name for t in sorted(facts.audio, key=lambda t: (t.describes, not t.default))), "")
    labels = unique_labels(facts.audio, "Audio")
    audio = [track for t in facts.audio for track in _audio(job, storage, t, labels[t.name], t.name == default)]
    order = [rendition.name for rendition in job.profile.audio]
    audio.sort(key=lambda track: order.index(track.group))
    return Presentation(
        duration, rate, tuple(video), tuple(audio), iframes, text_tracks(job, duration), captions=facts.captions
    )


def _iframes(job: FinishingJob, storage: Storage, grid: Grid) -> IframeTrack | None:
    order = iframe_order(job.profile.iframes, grid, job.facts.video) if job.facts.video else None
    if order is None:
        return None
    init = storage.get(f"{names.out_prefix(job.task)}{names.IFRAMES}/{names.INIT}")
    return iframe_track(job.iframes, order, grid, job.stored, init)


def _audio(job: FinishingJob, storage: Storage, facts: AudioFacts, label: str, default: bool) -> Iterator[AudioTrack]:
    """A track of the source in all its renditions."""
    grid = AudioGrid(job.profile.sample_rate, job.samples)
    for name, rendition in renditions_of(job.profile.audio, facts).items():
        check_audio(job.audio[name], grid, f"audio {name}")
        init = storage.get(f"{names.out_prefix(job.task)}{names.audio_path(name)}/{names.INIT}")
        yield AudioTrack(
            name=name,
            codec=codec_string(init),
            timescale=grid.sample_rate,
            segments=timed(job.audio[name], 1, grid.sample_rate),
            source=facts.name,
            group=rendition.name,
            language=standardize_tag(facts.language),
            label=label,
            channels=rendition.channels,
            sample_rate=grid.sample_rate,
            default=default,
            describes=facts.describes,
        )


def manifests(presentation: Presentation) -> dict[str, str]:
    """All playlists and the MPD, by key under the task's prefix; what a player opens first comes last."""
    target = hls.target_duration(presentation)
    tracks: list[tuple[str, Track]] = [(names.video_path(t.name), t) for t in presentation.video]
    tracks += [(names.audio_path(t.name), t) for t in presentation.audio]
    texts = {
        f"{path}/{names.PLAYLIST}": hls.media_playlist([s.duration for s in track.segments], target)
        for path, track in tracks
    }
    if presentation.iframes:
        texts[f"{names.IFRAMES}/{names.PLAYLIST}"] = hls.iframe_playlist(presentation.iframes)
    texts |= {f"{names.text_path(t.name)}/{names.PLAYLIST}": hls.text_playlist(t) for t in presentation.text}
    if presentation.sheets:
        texts[f"{names.THUMBS}/{names.THUMBNAIL_TRACK}"] = thumbnail_track(presentation.sheets.sprites)
    texts[names.MPD] = dash.mpd(presentation)
    texts[names.MULTIVARIANT] = hls.multivariant(presentation)
    return texts


def summary(job: PublishJob, presentation: Presentation) -> dict[str, object]:
    """`task.json`: what went in and what came out."""
    return {
        "raven": __version__,
        "task": job.task,
        "profile": job.profile.name,
        "source": {"name": job.source.rsplit("/", 1)[-1], **job.facts.model_dump(mode="json")},
        "duration": float(presentation.duration),
        "frames": job.frames,
        "rate": str(presentation.rate) if presentation.rate else None,
        "renditions": [
            {
                "name": t.name,
                "width": t.width,
                "height": t.height,
                "codecs": t.codec,
                "segments": len(t.segments),
                "rate": str(t.rate),
                "frames": Span(0, job.frames).taken(r.every),
                **_sizes(t),
            }
            for r, t in zip(job.renditions, presentation.video, strict=True)
        ],
        "audio": [
            {
                "name": t.name,
                "language": t.language,
                "channels": t.channels,
                "codecs": t.codec,
                "segments": len(t.segments),
                **_sizes(t),
            }
            for t in presentation.audio
        ],
        "text": text_summary(presentation.text),
        "iframes": _iframes_summary(presentation.iframes) if presentation.iframes else None,
        "thumbs": job.thumbs,
        "sprites": _sprites_summary(presentation.sheets) if presentation.sheets else None,
        "bytes": sum(t.bytes for t in presentation.tracks),
        "seconds": job.seconds,
        "warnings": list(job.warnings),
    }


def _iframes_summary(track: IframeTrack) -> dict[str, object]:
    return {
        "width": track.width,
        "height": track.height,
        "codecs": track.codec,
        "segments": len(track.segments),
        "frames": len(track.frames),
        **_sizes(track),
    }


def _sprites_summary(sheets: Sheets) -> dict[str, object]:
    sprites = sheets.sprites
    return {
        "sheets": sprites.sheets,
        "columns": sprites.columns,
        "rows": sprites.rows,
        "width": sprites.width,
        "height": sprites.height,
        "seconds": float(sprites.step),
        "bytes": sum(sheets.bytes),
    }


def _sizes(track: Track) -> dict[str, int]:
    return {
        "bytes": track.bytes,
        "bandwidth": track.peak_bandwidth,
        "average_bandwidth": track.average_bandwidth,
    }
