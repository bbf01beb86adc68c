"""What an open container has beside picture and sound: text tracks, chapters, and what cannot be converted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from av.stream import Disposition

from raven.model import Chapter, TextFacts

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.subtitles.stream import SubtitleStream

MAX_CHAPTERS = 500  # they travel in messages; no film has as many
MAX_TITLE = 200  # characters
LINE_21 = "eia_608"
"""Captions as a track: their decoder gives a text only when the next one comes, so times would be wrong."""


def is_text(stream: Stream) -> bool:
    """Whether a subtitle stream holds text that can be decoded here."""
    context = getattr(stream, "codec_context", None)
    if stream.type != "subtitle" or context is None or stream.disposition & Disposition.attached_pic:
        return False
    return bool(context.codec.text_sub) and context.codec.canonical_name != LINE_21


def text_streams(container: InputContainer, language: Callable[[Stream], str]) -> dict[str, SubtitleStream]:
    """The text tracks by their names in the outputs."""
    found = [stream for stream in container.streams.subtitles if is_text(stream)]
    return {f"{language(stream)}-{number}": stream for number, stream in enumerate(found, 1)}


def text_facts(name: str, stream: SubtitleStream, language: str) -> TextFacts:
    return TextFacts(
        stream=stream.index,
        name=name,
        codec=stream.codec_context.codec.canonical_name,
        language=language,
        title=str(stream.metadata.get("title") or stream.metadata.get("name") or "")[:MAX_TITLE],
        forced=bool(stream.disposition & Disposition.forced),
        hearing_impaired=bool(stream.disposition & Disposition.hearing_impaired),
    )


def chapters(container: InputContainer, origin: Fraction) -> tuple[Chapter, ...]:
    """The container's chapters, seconds from `origin`. Those of a MOV chapter track are among them."""
    found = (
        Chapter(
            start=c["start"] * Fraction(c["time_base"]) - origin,
            end=c["end"] * Fraction(c["time_base"]) - origin,
            title=str(c["metadata"].get("title", ""))[:MAX_TITLE],
        )
        for c in container.chapters()[:MAX_CHAPTERS]
        if c["time_base"]
    )
    return tuple(found)


def unconverted(container: InputContainer, used: Iterable[Stream]) -> list[str]:
    """Streams beside picture and sound that are not in the outputs, each as a short text for a person.

    The track that holds the chapters' titles is in the outputs: libavformat shows it as data without a codec.
    """
    indices = {stream.index for stream in used}
    has_chapters = bool(container.chapters())
    return [
        _described(stream)
        for stream in container.streams
        if stream.type not in ("video", "audio")
        and stream.index not in indices
        and not (has_chapters and stream.type == "data" and getattr(stream, "codec_context", None) is None)
    ]


def _described(stream: Stream) -> str:
    if stream.type != "subtitle":
        return f"{stream.type} stream {stream.index}"
    context = getattr(stream, "codec_context", None)
    codec = context.codec.canonical_name if context is not None else "unknown codec"
    reason = "pictures, not text" if context is not None and context.codec.bitmap_sub else "no decoder for its text"
    return f"subtitle stream {stream.index} ({codec}, {stream.language or 'und'}): not converted, {reason}"
