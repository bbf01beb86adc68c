"""Every storage key, queue and file name, spelled here and nowhere else. Pure."""

from __future__ import annotations

import re

LANES: dict[str, tuple[str, ...]] = {
    "master": ("prepare",),
    "master.light": ("announce", "publish", "purge"),
    "worker": ("encode", "second"),
    "worker.light": ("audio", "text"),
}
"""The kinds of jobs of each lane. Every lane has its own queue and slots: a light job never waits behind heavy ones."""
PUT_OFF = "put off"
"""In place of a lane: of jobs that are for nobody yet. Else each look at their lane would read all of them."""
ROLES = ("master", "worker")


def light(role: str) -> str:
    """The lane of a role's light jobs; that of the others has the role's own name."""
    return f"{role}.light"


def lane_of(kind: str) -> str:
    """The lane that a kind of jobs goes by. Raises LookupError."""
    return next(lane for lane, kinds in LANES.items() if kind in kinds)


def role_of(kind: str) -> str:
    """Whose nodes run a kind of jobs. Raises LookupError."""
    return lane_of(kind).partition(".")[0]


def lane_queue(lane: str) -> str:
    return f"raven.{lane}"


REPORTS = "raven.reports"
QUEUES = (*(f"raven.{lane}" for lane in LANES), REPORTS)
CONTROL = "raven.control"
"""Fan-out exchange for cancels and for what holds nodes."""
JOBS, ANSWERS = "raven.jobs", "raven.answers"
"""The exchanges that jobs and reports go by. One for both would let whoever reports hand out jobs too."""


def exchange_of(queue: str) -> str:
    """By which exchange messages come into a queue; the broker's own for dead letters."""
    if queue == REPORTS:
        return ANSWERS
    return JOBS if queue in QUEUES else ""


MIME_TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",  # Apple HLS authoring 10.4
    "mpd": "application/dash+xml",
    "mp4": "video/mp4",
    "m4s": "video/iso.segment",
    "json": "application/json",
    "jpg": "image/jpeg",
    "vtt": "text/vtt",
    "nut": "application/octet-stream",
}
TREES = ("tmp/", "out/")
"""All keys begin with one of these."""
INIT = "init.mp4"
PLAYLIST = "playlist.m3u8"
IFRAMES = "iframes"
"""The trick play rendition: its folder, and its name where a manifest needs one."""
THUMBS = "thumbs"
DOWNLOAD = "download"
THUMBNAIL_TRACK = "thumbs.vtt"
MULTIVARIANT = "master.m3u8"
MPD = "manifest.mpd"
TASK_JSON = "task.json"
CHAPTERS = "text/chapters.vtt"
WHOLE_TEXT = "subtitles.vtt"
"""A text track in one file, for DASH."""

CHUNKS = {"copy": "chunk-", "conform": "conform-"}
"""How the names of chunks begin, by their way in: one way never replaces what the other has stored."""


def dead_letters(queue: str) -> str:
    """Queue that takes the messages of `queue` that nobody can read."""
    return f"{queue}.dead"


def mime_type(key: str) -> str:
    """Content type of an object by the end of its key."""
    return MIME_TYPES.get(key.rsplit(".", 1)[-1], "application/octet-stream")


def tmp_prefix(task: int) -> str:
    return f"tmp/{task}/"


def out_prefix(task: int) -> str:
    return f"out/{task}/"


def chunk_name(index: int, way: str) -> str:
    """Sorting by name is sorting by time."""
    return f"{CHUNKS[way]}{index:06d}.nut"


def chunk_key(task: int, index: int, way: str) -> str:
    """What chunk `index` is encoded from."""
    return tmp_prefix(task) + chunk_name(index, way)


def chunk_prefix(task: int, way: str) -> str:
    """Of all chunks of a task that came in by one way."""
    return tmp_prefix(task) + CHUNKS[way]


def audio_source_key(task: int, track: str) -> str:
    """The packets of one audio track, whole."""
    return f"{tmp_prefix(task)}audio-{track}.nut"


def text_source_name(track: str) -> str:
    return f"text-{track}.jsonl"


def text_source_key(task: int, track: str) -> str:
    """The cues of one text track, whole: a JSON line each."""
    return tmp_prefix(task) + text_source_name(track)


def video_path(rendition: str) -> str:
    return f"video/{rendition}"


def audio_path(track: str) -> str:
    return f"audio/{track}"


def text_path(track: str) -> str:
    return f"text/{track}"


def text_segment_name(number: int) -> str:
    """`number` counts from 1."""
    return f"seg-{number:06d}.vtt"


def segment_name(number: int) -> str:
    """`number` counts from 1."""
    return f"seg-{number:06d}.m4s"


def thumb_name(number: int) -> str:
    return f"{number:06d}.jpg"


def download_path(rendition: str) -> str:
    return f"{DOWNLOAD}/{rendition}.mp4"


SPRITE = "sprite-"
"""What the names of all sheets begin with."""


def sprite_name(number: int) -> str:
    """A sheet of thumbnails; `number` counts from 0."""
    return f"{SPRITE}{number:03d}.jpg"


def thumb_path(number: int) -> str:
    return f"{THUMBS}/{thumb_name(number)}"


_KEY = re.compile(r"(tmp|out)/([1-9][0-9]{0,18})/")
_IDS = 1 << 63
"""What a database can count to."""


def task_of(key: str) -> tuple[str, int] | None:
    """Tree (tmp or out) and task of a storage key; None for a key that is not Raven's."""
    found = _KEY.match(key)
    task = int(found[2]) if found else _IDS
    return (found[1], task) if found and task < _IDS else None
