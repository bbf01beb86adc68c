"""The progressive MP4: one rung and the main sound in one file that plays while it loads. Pure.

Nothing is encoded again: the stored segments are put into one file with its index in front.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from raven.errors import OutputWrong
from raven.media import boxes
from raven.media.boxes import BoxError
from raven.media.command import COMMON
from raven.model import Rendition
from raven.profile import Download

LONG_SIDE, SHORT_SIDE = 1920, 1080
"""Pixels: what every device that plays files can decode."""


def chosen_rungs(download: Download | None, renditions: Sequence[Rendition]) -> tuple[Rendition, ...]:
    """The rungs that a profile offers for download, of those that the source has.

    Where it names none, or none of them: the largest up to 1080p, H.264 before others, the best of its size.
    """
    if download is None or not renditions:
        return ()
    named = tuple(r for r in renditions if r.name in download.rungs)
    if named:
        return named
    plain = [r for r in renditions if r.codec == "libx264"] or list(renditions)
    fitting = [r for r in plain if max(r.width, r.height) <= LONG_SIDE and min(r.width, r.height) <= SHORT_SIDE]
    if not fitting:
        return (min(plain, key=lambda r: r.width * r.height),)
    return (max(fitting, key=lambda r: (r.width * r.height, r.maxrate or 0)),)


def download_command(ffmpeg: str, video: str, audio: str | None, language: str, target: str) -> list[str]:
    """One ffmpeg: the joined segments of a rung, and of a track if there is one, into one MP4."""
    inputs = [word for file in (video, audio) if file for word in ("-protocol_whitelist", "file", "-i", file)]
    sound = ["-map", "1:a:0", "-metadata:s:a:0", f"language={language}"] if audio else []
    return [
        ffmpeg, *COMMON,
        "-copyts",  # both start at 0, the picture by its edit list; do not rebase one against the other
        *inputs,
        "-map", "0:v:0", *sound,
        "-c", "copy",
        "-map_metadata:g", "-1", "-fflags", "+bitexact",  # nothing of source or build in the file
        "-movflags", "+faststart",  # the index in front: it plays while it loads
        "-f", "mp4", target,
    ]  # fmt: skip


def check_download(data: bytes | memoryview, frames: int, what: str) -> None:
    """Raises OutputWrong unless the index is in front of the media and has exactly `frames` pictures."""
    try:
        kinds = [box.kind for box in boxes.boxes(data)]
        sizes = boxes.find(data, "moov/trak/mdia/minf/stbl/stsz")
        (count,) = struct.unpack_from(">I", data, sizes.payload + 8)
    except (BoxError, struct.error) as error:
        raise OutputWrong(f"{what}: not an MP4: {error}") from error
    if "mdat" not in kinds or kinds.index("moov") > kinds.index("mdat"):
        raise OutputWrong(f"{what}: the index is not in front of the media, but {', '.join(kinds)}")
    if count != frames:
        raise OutputWrong(f"{what}: {count} frames came out, wanted {frames}")
