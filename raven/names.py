"""Every storage key, queue and file name, spelled here and nowhere else. Pure."""

from __future__ import annotations

JOBS_MASTER = "raven.master"
JOBS_WORKER = "raven.worker"
REPORTS = "raven.reports"
QUEUES = (JOBS_MASTER, JOBS_WORKER, REPORTS)
CONTROL = "raven.control"
"""Fan-out exchange for cancels and drains."""

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


def chunk_key(task: int, index: int) -> str:
    """The packets of chunk `index`; sorting by key is sorting by time."""
    return f"{tmp_prefix(task)}chunk-{index:06d}.nut"


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


def sprite_name(number: int) -> str:
    """A sheet of thumbnails; `number` counts from 0."""
    return f"sprite-{number:03d}.jpg"


def thumb_path(number: int) -> str:
    return f"{THUMBS}/{thumb_name(number)}"
