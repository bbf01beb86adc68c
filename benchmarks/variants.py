"""The profiles that the quality benchmark compares: one ladder in chunks, as one chunk, and lossless. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from raven.errors import UsageError
from raven.media.ladder import choose_renditions
from raven.model import VideoFacts
from raven.profile import Ladder, Profile

WHOLE_SEGMENTS = 100
"""The longest chunk that Raven makes: a film that fits into it is encoded in one piece."""
BESIDE = ("thumbs", "iframes", "download")
"""What is made beside the rungs: of no account here, so it is left out."""


def fitting_rungs(profile: Profile, wanted: Sequence[str], video: VideoFacts) -> list[str]:
    """The wanted rungs that a film gets; if none is named the smallest, middle and largest of the first ladder.

    Raises UsageError where it gets none.
    """
    grid = profile.cutting.grid(video.rate)
    made = [r.name for r in choose_renditions(profile.video, video, grid)]
    first = [r.name for r in choose_renditions(profile.video[:1], video, grid)]
    some = dict.fromkeys(first[n] for n in (0, len(first) // 2, -1) if first)
    rungs = [name for name in made if name in (wanted or some)]
    if not rungs:
        raise UsageError(f"profile {profile.name}: the film gets {', '.join(made) or 'no rung'}; name some of these")
    return rungs


def chunk_segments(profile: Profile, seconds: float) -> int:
    """The number of segments in the chunk that is nearest to so many seconds."""
    return max(1, round(seconds / float(profile.cutting.segment_seconds)))


def variant(profile: Profile, name: str, rungs: Sequence[str], segments: int) -> Profile:
    """The profile with nothing but some of its rungs, in chunks of so many segments. Names that it has not are left."""
    ladders = [(ladder, [r for r in ladder.rungs if r.name in rungs]) for ladder in profile.video]
    kept = tuple(
        # as a rung of its own choice none waits for a larger one, and the one group of sound is everybody's
        ladder.model_copy(
            update={"rungs": tuple(r.model_copy(update={"top_only": False, "audio": None}) for r in some)}
        )
        for ladder, some in ladders
        if some
    )
    cutting = profile.cutting.model_copy(update={"chunk_segments": segments, "chunk_segments_from": None})
    return profile.model_copy(
        update={"name": name, "cutting": cutting, "video": kept, "audio": profile.audio[:1], **dict.fromkeys(BESIDE)}
    )


def lossless(profile: Profile, name: str) -> Profile:
    """The same rungs as the encoders were given them: on the grid, scaled, in 8 bits, and nothing lost."""
    ladders = tuple(
        Ladder(
            codec="libx264",
            preset="ultrafast",
            threads=ladder.threads,
            rungs=tuple(r.model_copy(update={"crf": 0, "maxrate": None, "bufsize": None}) for r in ladder.rungs),
        )
        for ladder in profile.video
    )
    return profile.model_copy(update={"name": name, "video": ladders})


def profile_text(profile: Profile) -> str:
    """The profile as the TOML file that it would be read from."""
    values = {**profile.model_dump(mode="json"), **{k: False for k in BESIDE if getattr(profile, k) is None}}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)  # strings, numbers, true and false are written as in JSON
