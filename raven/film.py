"""A film in its folder: what it consists of, and whether the one that is wanted lies there already."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raven import names
from raven.errors import UsageError

if TYPE_CHECKING:
    from raven.profile import Profile

STATE = ".raven"
"""Folder of an encode that is on its way."""
PARTS = (
    "video",
    "audio",
    "text",
    names.IFRAMES,
    names.THUMBS,
    names.DOWNLOAD,
    names.TASK_JSON,
    names.MPD,
    names.MULTIVARIANT,
)
"""What a film consists of, in the order in which it appears: what players open comes last."""


@dataclass(frozen=True)
class Finished:
    """A film that lies in its output folder."""

    output: Path
    task: dict[str, Any]
    """The content of task.json."""

    @property
    def hls(self) -> Path:
        return self.output / names.MULTIVARIANT

    @property
    def dash(self) -> Path:
        return self.output / names.MPD


def film_in(output: Path) -> dict[str, Any] | None:
    """task.json of the film that lies in `output`. Raises UsageError where something else has a name that it needs."""
    try:
        task = json.loads((output / names.TASK_JSON).read_text("utf-8"))
    except (OSError, ValueError):
        task = None
    if isinstance(task, dict) and "raven" in task:
        return task
    foreign = [name for name in PARTS if os.path.lexists(output / name)]
    if foreign and not (output / STATE).exists():
        raise UsageError(f"{output} holds {foreign[0]}, which Raven has not made; name another folder")
    return None


def own_folder(source: Path, here: Path) -> Path:
    """Where a film goes if nobody says: into a folder of its name in `here`. Raises UsageError if that is not its own.

    A folder that a person has named may hold more than the film; one that nobody has named may not.
    """
    output = here / source.stem
    if output.is_dir():
        readable = os.access(output, os.R_OK | os.X_OK)
        own = readable and (film_in(output) is not None or (output / STATE).exists() or not any(output.iterdir()))
    else:
        own = bool(source.stem) and not os.path.lexists(output)
    if not own:
        raise UsageError(f"the film would go into {output}, which is something else; name a folder with --output")
    return output


MADE_FROM = "made_from"
"""What stands in task.json of a film that `raven encode` has made."""


def made_from(source: Path, profile: Profile) -> dict[str, str]:
    """By what a source and a profile are known again, whatever they are called."""
    try:
        about = source.stat()
        seen = f"{about.st_size}:{about.st_mtime_ns}"
    except OSError:
        seen = "unreadable"
    content = profile.model_dump_json(exclude_defaults=True).encode()  # so a later Raven's new fields change nothing
    return {"source": seen, "profile": hashlib.sha256(content).hexdigest()[:16]}


def finished(output: Path, source: Path, profile: Profile) -> Finished | None:
    """The film, if this very source lies encoded in `output`. Raises UsageError if another one does."""
    task = film_in(output)
    if task is None or (output / STATE).exists():
        return None
    _same_names(task, output, source, profile.name)
    now = made_from(source, profile)
    changed = [what for what, mark in task.get(MADE_FROM, {}).items() if mark != now.get(what)]
    if changed:
        raise UsageError(
            f"{output} holds this film, but the {' and the '.join(changed)} has changed since; "
            "give --force to encode it anew, or name another folder"
        )
    return Finished(output, task)


def _same_names(task: dict[str, Any], output: Path, source: Path, profile: str) -> None:
    """Raises UsageError where the film is of another source or profile."""
    try:
        size: int | None = source.stat().st_size
    except OSError:
        size = None
    if source.suffix.lower() == ".m3u8":
        size = task["source"]["bytes"]  # of what the playlist joins, which it does not tell itself
    there = (task["source"]["name"], task["source"]["bytes"], task["profile"])
    if there != (source.name, size, profile):
        raise UsageError(
            f"{output} holds another film ({there[0]}, profile {there[2]}); name another folder or give --force"
        )
