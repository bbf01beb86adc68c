"""What publishing says of subtitles and chapters: their tracks in the manifests, their part of task.json."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from langcodes import standardize_tag

from raven.errors import OutputWrong
from raven.media import webvtt
from raven.media.presentation import TextTrack, TimedSegment
from raven.messages import FinishingJob
from raven.model import AudioFacts, Chapter, TextFacts, TextResult

FORMAT = "wvtt"


def text_tracks(job: FinishingJob, duration: Fraction) -> tuple[TextTrack, ...]:
    """The text tracks of a film of `duration` seconds. Raises OutputWrong when segments are missing."""
    facts = job.facts
    step = job.profile.cutting.segment_seconds
    if facts.video is not None:
        grid = job.profile.cutting.grid(facts.video.rate)
        step = grid.time_of(grid.segment)
    labels = unique_labels(facts.text, "Subtitles")
    edges = webvtt.borders(duration, step)
    return tuple(_track(track, labels[track.name], job.text[track.name], edges) for track in facts.text)


def _track(facts: TextFacts, label: str, stored: TextResult, edges: Sequence[Fraction]) -> TextTrack:
    if len(stored.segments) != len(edges) - 1:
        raise OutputWrong(f"text {facts.name}: {len(stored.segments)} segments are stored, wanted {len(edges) - 1}")
    stretches = [end - begin for begin, end in itertools.pairwise(edges)]
    return TextTrack(
        name=facts.name,
        codec=FORMAT,
        timescale=1000,
        segments=tuple(
            TimedSegment(webvtt.milliseconds(length), length, size)
            for length, size in zip(stretches, stored.segments, strict=True)
        ),
        language=standardize_tag(facts.language),
        label=label,
        forced=facts.forced,
        hearing_impaired=facts.hearing_impaired,
        whole=stored.whole,
        cues=stored.cues,
    )


def unique_labels(tracks: Sequence[AudioFacts | TextFacts], nameless: str) -> dict[str, str]:
    """A name for each track that no other has (RFC 8216 4.3.4.1.1: unique in the group)."""
    wanted = {t.name: t.title or (nameless if t.language == "und" else t.language) for t in tracks}
    seen: set[str] = set()
    labels = {}
    for name, label in wanted.items():
        labels[name] = label if label not in seen else f"{label} ({name})"
        seen.add(label)
    return labels


def text_summary(tracks: Sequence[TextTrack]) -> list[dict[str, object]]:
    """The text tracks in task.json."""
    return [
        {
            "name": t.name,
            "language": t.language,
            "forced": t.forced,
            "hearing_impaired": t.hearing_impaired,
            "cues": t.cues,
            "segments": len(t.segments),
            "bytes": t.bytes,
        }
        for t in tracks
    ]


def chapters_summary(chapters: Sequence[Chapter]) -> list[dict[str, object]]:
    """The chapters in task.json, seconds of the film."""
    return [{"start": float(c.start), "end": float(c.end), "title": c.title} for c in chapters]
