"""What an open container has beside picture and sound: text tracks, chapters, and what cannot be converted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.stream import Disposition

from raven.media.arib import ARIB
from raven.media.broadcast import Page, Sort
from raven.media.programs import Program
from raven.media.teletext import TELETEXT
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


SORTS = (TELETEXT, ARIB)


@dataclass(frozen=True)
class Broadcast:
    """A stream of text that ffmpeg alone decodes, with the texts in it that the source describes."""

    stream: Stream
    sort: Sort
    pages: tuple[Page, ...]


def broadcast_streams(
    container: InputContainer, codecs: Mapping[int, str], told: Mapping[int, Program], program: Program | None
) -> tuple[Broadcast, ...]:
    """Those of the program, where there are several. `told`: the programs by their numbers, if the source has such."""
    about = {pid: text for one in told.values() for pid, text in one.items()}
    return tuple(
        Broadcast(stream, sort, sort.described(about.get(stream.id, b"")))
        for stream in container.streams.subtitles
        for sort in SORTS
        if codecs.get(stream.index, "").startswith(sort.codec) and (program is None or stream.id in program)
    )


def page_facts(stream: int, codec: str, page: Page, number: int) -> TextFacts:
    """One text of a broadcast's stream as a track, the `number`-th of the source."""
    return TextFacts(
        stream=stream,
        name=f"{page.language}-{number}",
        codec=codec,
        language=page.language,
        hearing_impaired=page.hearing_impaired,
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


def unconverted(container: InputContainer, used: Iterable[Stream], codecs: Mapping[int, str]) -> list[str]:
    """Streams beside picture and sound that are not in the outputs, each as a short text for a person.

    The track that holds the chapters' titles is in the outputs: libavformat shows it as data without a codec.
    """
    indices = {stream.index for stream in used}
    has_chapters = bool(container.chapters())
    return [
        _told(stream, codecs.get(stream.index, "unknown codec"))
        for stream in container.streams
        if stream.type not in ("video", "audio")
        and stream.index not in indices
        and not (has_chapters and stream.type == "data" and getattr(stream, "codec_context", None) is None)
    ]


def _told(stream: Stream, codec: str) -> str:
    if stream.type != "subtitle":
        return f"{stream.type} stream {stream.index}"
    context = getattr(stream, "codec_context", None)
    if context is not None:
        codec = context.codec.canonical_name
    reason = "no decoder for its text"
    if context is not None and context.codec.bitmap_sub:
        reason = "pictures, not text"
    elif codec.startswith(tuple(sort.codec for sort in SORTS)):
        reason = "of another program"
    return f"subtitle stream {stream.index} ({codec.split()[0]}, {stream.language or 'und'}): not converted, {reason}"
