"""Which streams of a source are used: the main video, the audio tracks, and a word on all others. Of PyAV's streams."""

from __future__ import annotations

import re
from collections.abc import Container
from fractions import Fraction
from typing import TYPE_CHECKING

from av.stream import Disposition

from raven.errors import SourceUnreadable
from raven.model import AudioFacts

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream


SMALL_PART = 0.1
FEW = 24
"""Frames. A video of slides has few in a second, but more in all."""


def tick_of(stream: Stream) -> Fraction:
    """The unit of a stream's times, seconds. Raises SourceUnreadable where there is none."""
    if not stream.time_base:
        raise SourceUnreadable(f"stream {stream.index} has no time base")
    return Fraction(stream.time_base)


def _decodable(stream: Stream) -> bool:
    return getattr(stream, "codec_context", None) is not None


def main_video(container: InputContainer, with_video: bool) -> tuple[VideoStream | None, list[str]]:
    """The largest video that is neither cover art nor a still, the default one among equals; the others as texts."""
    films = [s for s in container.streams.video if _decodable(s) and not s.disposition & Disposition.attached_pic]
    films = [s for s in films if s.codec_context.width and s.codec_context.height]
    films = [s for s in films if not _still_beside(s, films)]
    films.sort(key=lambda s: (-_pixels(s), not s.disposition & Disposition.default, s.index))
    main = films[0] if films and with_video else None
    return main, [f"video stream {s.index}" for s in container.streams.video if s is not main]


def _still_beside(stream: VideoStream, films: list[VideoStream]) -> bool:
    """Whether a video is the photograph or poster of another one: far shorter, or of a few frames."""
    shorter = 0 < _seconds(stream) < SMALL_PART * max(map(_seconds, films))
    few = 0 < stream.frames < min(FEW, SMALL_PART * max(film.frames for film in films))
    return shorter or few


def _seconds(stream: VideoStream) -> float:
    """0 where nothing says it. Matroska has it in a tag; what libavformat gives of that is the length of the file."""
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", str(stream.metadata.get("DURATION", "")))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    return float(stream.duration * tick_of(stream)) if stream.duration else 0


def unseen_video(container: InputContainer) -> list[Stream]:
    """The videos of unknown size, if that is all there is: their first whole picture has not come yet, if any does."""
    films = [s for s in container.streams.video if _decodable(s) and not s.disposition & Disposition.attached_pic]
    return [] if any(s.codec_context.width and s.codec_context.height for s in films) else [*films]


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def audio_streams(
    container: InputContainer, program: Container[int] | None = None
) -> tuple[dict[str, AudioStream], list[str]]:
    """The audio tracks by their names in the outputs, and as texts those that are of no use.

    `program`: ids of the streams that belong to the video; None for all.
    """
    named: dict[str, AudioStream] = {}
    mute: list[str] = []
    for stream in container.streams.audio:
        if program is not None and stream.id not in program:
            mute.append(f"audio stream {stream.index}: of another program")
        elif not _decodable(stream):
            mute.append(f"audio stream {stream.index}: no decoder")
        elif stream.disposition & Disposition.dependent:
            mute.append(f"audio stream {stream.index}: makes sense only mixed with another (IAMF and the like)")
        elif not stream.codec_context.sample_rate or not stream.codec_context.layout.nb_channels:
            mute.append(f"audio stream {stream.index}: of no known rate or channels")
        else:
            named[f"{language_of(stream)}-{len(named) + 1}"] = stream
    return named, mute


def language_of(stream: Stream) -> str:
    """ISO 639 code of a stream; und where there is none. Safe as part of a path."""
    language = (stream.language or "und").lower()
    return language if re.fullmatch(r"[a-z]{2,3}", language) else "und"


def audio_facts(name: str, stream: AudioStream) -> AudioFacts:
    return AudioFacts(
        stream=stream.index,
        name=name,
        codec=stream.codec_context.name,
        channels=stream.codec_context.layout.nb_channels,
        layout=re.sub(r"[^A-Za-z0-9+.() ]", "", stream.codec_context.layout.name)[:64],
        sample_rate=stream.codec_context.sample_rate,
        language=language_of(stream),
        title=str(stream.metadata.get("title", ""))[:200],
        default=bool(stream.disposition & Disposition.default),
        describes=bool(stream.disposition & (Disposition.visual_impaired | Disposition.descriptions)),
    )
