"""WebVTT: cues in files and in segments, by the presentation's time line. Pure: values to text.

Times are whole milliseconds from the first frame of the film, which is what the format can hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from pydantic import TypeAdapter

from raven.media.ass import escaped
from raven.media.grid import round_nearest
from raven.model import Chapter, Cue

SEGMENTS_IN_ONE = 10
"""Video segments that one text segment spans: a minute. Apple 5.7 allows it, and a film has a tenth of the objects."""
HEADER = "WEBVTT"
TIMESTAMP_MAP = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"
"""RFC 8216 3.5. All media of Raven start at presentation time 0, so cue times and media times are the same."""

_cue: TypeAdapter[Cue] = TypeAdapter(Cue)


def milliseconds(seconds: Fraction) -> int:
    return round_nearest(seconds * 1000)


def write_cues(cues: Iterable[Cue]) -> bytes:
    """Cues as the object between master and worker holds them: a JSON line each."""
    return b"".join(cue.model_dump_json().encode() + b"\n" for cue in cues)


def read_cues(body: bytes) -> list[Cue]:
    """Raises ValueError when it is not what `write_cues` wrote."""
    return [_cue.validate_json(line) for line in body.splitlines() if line]


def clipped(cues: Iterable[Cue], duration: Fraction) -> tuple[Cue, ...]:
    """Cues in order of time, cut to the film of `duration` seconds.

    Of equal ones that touch (layers of a script, a page of teletext that is sent again) one is made.
    """
    end = milliseconds(duration)
    inside = (c.model_copy(update={"start": max(0, c.start), "end": min(end, c.end)}) for c in cues)
    found: list[Cue] = []
    places: dict[tuple[str, str], int] = {}
    for cue in sorted((c for c in inside if c.start < c.end), key=lambda c: c.start):
        place = places.get((cue.text, cue.settings))
        if place is not None and cue.start <= found[place].end:
            found[place] = cue.model_copy(update={"start": found[place].start, "end": max(found[place].end, cue.end)})
        else:
            places[cue.text, cue.settings] = len(found)
            found.append(cue)
    return tuple(found)


def borders(duration: Fraction, segment_seconds: Fraction) -> tuple[Fraction, ...]:
    """Where text segments begin, and the end, in seconds: borders of video segments, spanning all (Apple 5.5)."""
    step = segment_seconds * SEGMENTS_IN_ONE
    count = max(1, -(-duration // step))
    return (*(n * step for n in range(count)), duration)


def timestamp(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def document(cues: Iterable[Cue], *header: str) -> str:
    """A WebVTT file."""
    blocks = ["\n".join([HEADER, *header])]
    for cue in cues:
        times = f"{timestamp(cue.start)} --> {timestamp(cue.end)}"
        blocks.append(f"{times} {cue.settings}".rstrip() + "\n" + cue.text)
    return "\n\n".join(blocks) + "\n"


def segments(cues: Sequence[Cue], edges: Sequence[Fraction]) -> Iterator[str]:
    """A file for each stretch between two edges. A cue over an edge stands in both files with its own times.

    The cues are in order of time.
    """
    coming, said = iter(cues), list[Cue]()
    cue = next(coming, None)
    for begin, end in itertools.pairwise(edges):
        said = [c for c in said if c.end > begin * 1000]
        while cue is not None and cue.start < end * 1000:
            said.append(cue)
            cue = next(coming, None)
        yield document(said, TIMESTAMP_MAP)


def clipped_chapters(chapters: Iterable[Chapter], duration: Fraction) -> tuple[Chapter, ...]:
    """Chapters in order, cut to the film: each ends where the next one begins at the latest."""
    ordered = sorted(chapters, key=lambda c: c.start)
    ends = [*(c.start for c in ordered[1:]), duration][: len(ordered)]
    cut = (
        c.model_copy(update={"start": max(Fraction(0), c.start), "end": min(c.end, end, duration)})
        for c, end in zip(ordered, ends, strict=True)
    )
    return tuple(c for c in cut if milliseconds(c.start) < milliseconds(c.end))


def chapters_document(chapters: Iterable[Chapter]) -> str:
    """A chapters track: one cue a chapter, its text the title."""
    cues = (
        Cue(start=milliseconds(c.start), end=milliseconds(c.end), text=_title(c.title, n))
        for n, c in enumerate(chapters, 1)
    )
    return document(cues)


def _title(title: str, number: int) -> str:
    """A title in one line; a chapter without one is called by its number."""
    line = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    return escaped(line or f"Chapter {number}")
