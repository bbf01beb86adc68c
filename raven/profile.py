"""Profiles: named lists of renditions and output options. They are data (TOML), checked by these models."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from raven.errors import ConfigError, UsageError
from raven.media.grid import Grid
from raven.model import AudioRendition, Encoder
from raven.values import Name, Rational, Word

NEARLY = 1.05
"""What a film may take longer by for the sake of longer chunks."""


def _busy(segments: float, length: int, slots: int) -> float:
    """How long equal slots take for a film in chunks of `length`, all in segments, to the end of the last chunk."""
    chunks, rest = divmod(segments, length)
    rounds, over = divmod(chunks, slots)
    return rounds * length + (length if over else rest)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cutting(_Table):
    """How the frame grid is laid: GOP, segment and chunk."""

    gop_seconds: Rational = Field(default=Fraction(2), gt=0, le=20)
    """Length of a closed GOP. Apple HLS authoring 1.13 advises an IDR every 2 s."""
    gops_per_segment: int = Field(default=3, ge=1, le=10)
    """Three GOPs make the 6 s segment of Apple HLS authoring 7.5."""
    chunk_segments: int = Field(default=3, ge=1, le=100)
    """Segments in a chunk, the unit of work of a worker."""
    chunk_segments_from: int | None = Field(default=None, ge=1, le=100)
    """Shorter chunks, down to so many segments, where a film has few for the farm; None: all have `chunk_segments`."""

    @model_validator(mode="after")
    def _bounds(self) -> Cutting:
        if self.chunk_segments_from is not None and self.chunk_segments_from > self.chunk_segments:
            raise ValueError("chunk_segments_from is at most chunk_segments")
        return self

    def fitted(self, seconds: float | None, slots: int) -> int:
        """Segments in a chunk of a film of `seconds` on a farm of `slots`: of the lengths with which the farm has done
        it soonest, or nearly so, the longest, for quality and little overhead. The shortest where the film's length is
        unknown, as it may be just coming in."""
        least = self.chunk_segments_from
        if least is None or seconds is None:
            return least or self.chunk_segments
        segments = seconds / float(self.segment_seconds)
        took = {length: _busy(segments, length, max(1, slots)) for length in range(least, self.chunk_segments + 1)}
        soonest = min(took.values())
        return max(length for length, busy in took.items() if busy <= NEARLY * soonest)

    fields: bool = False
    """Whether interlaced sources get a frame for each field, such as 50 for 25 (Apple HLS authoring 1.15)."""

    def grid(self, rate: Fraction) -> Grid:
        return Grid.of(rate, self.gop_seconds, self.gops_per_segment, self.chunk_segments)

    @property
    def segment_seconds(self) -> Fraction:
        """Nominal length of a segment where there is no video to set it."""
        return self.gop_seconds * self.gops_per_segment


class Rung(_Table):
    """One rung of the ladder: the box that the picture is fitted into (turned for portrait), and its quality."""

    name: Name
    width: int = Field(ge=16, le=16384)
    height: int = Field(ge=16, le=16384)
    crf: float = Field(ge=0, le=63)
    """The encoder's own scale of quality: H.264 and HEVC up to 51, AV1 up to 63; smaller is better."""
    maxrate: int | None = Field(default=None, ge=50)
    """Cap in kbit/s over `bufsize`: capped CRF, since chunks with ABR drift at the seams."""
    bufsize: int | None = Field(default=None, ge=50)
    max_rate: Rational | None = Field(default=None, gt=0)
    """Frames/s at most: of a source that has more, every second (third, ...) frame is taken. Apple HLS authoring 1.25
    has the low rungs at 30 or less."""
    audio: Name | None = None
    """The only group of sound that is offered with it in HLS, so that narrow lines get a narrow whole (Apple 9.21)."""
    top_only: bool = False
    """Made only where no rung of a larger size is: the second variant at the top resolution (Apple 9.10)."""


class Ladder(_Table):
    """The rungs of one codec."""

    codec: Encoder = "libx264"
    preset: Word = "medium"
    """A name for libx264 and libx265, a number from 0 (slow) to 13 (fast) for libsvtav1."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads of each rung's encoder: fixed, so that a chunk encoded again elsewhere gives the same bytes."""
    encoder_profile: Word = ""
    """Profile that the encoder is held to, such as `high`; empty for what it chooses itself (lossless needs that)."""
    options: dict[str, str] = {}
    """More parameters of the encoder itself, `name = "value"`."""
    rungs: tuple[Rung, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_the_encoder(self) -> Ladder:
        """What only ffmpeg would refuse, after the source was cut."""
        if self.codec == "libsvtav1":
            if not (self.preset.isdigit() and int(self.preset) <= 13):
                raise ValueError("preset of libsvtav1 is a number from 0 (slow) to 13 (fast)")
        elif any(rung.crf > 51 for rung in self.rungs):
            raise ValueError(f"crf of {self.codec} is at most 51")
        return self


class Thumbs(_Table):
    every_seconds: Rational = Field(default=Fraction(10), gt=0)
    height: int = Field(default=180, ge=16, le=2160)


class Iframes(_Table):
    """The trick play rendition: I-frames alone, on the grid of the rungs."""

    every_seconds: Rational = Field(default=Fraction(1), gt=0)
    """Apple HLS authoring 6.2 advises one a second. Each GOP begins with one, so they are never further apart."""
    height: int = Field(default=240, ge=16, le=2160)
    """Of a box of 16:9 that the picture is fitted into, turned for portrait."""
    crf: float = Field(default=28, ge=0, le=51)
    preset: Word = "fast"


class Download(_Table):
    """A rung with the main sound as one MP4 file that plays while it loads."""

    rungs: tuple[Name, ...] = ()
    """Which; where the source has none of them: the largest up to 1080p."""


class Profile(_Table):
    """One profile file.

    `[video]` is a single ladder, `[[video]]` one of several, none makes sound alone. `[audio]` is what is made of every
    track; of several `[[audio]]` the first is, and those of more than two channels of sources that have them.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    cutting: Cutting = Cutting()
    video: tuple[Ladder, ...] = ()
    audio: tuple[AudioRendition, ...]
    thumbs: Thumbs | None = Thumbs()
    iframes: Iframes | None = Iframes()
    download: Download | None = None

    @property
    def sample_rate(self) -> int:
        """Of all sound, Hz."""
        return self.audio[0].sample_rate

    @field_validator("thumbs", "iframes", "download", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        """`iframes = false` is none, `download = true` the one with all defaults: TOML has no null."""
        return {True: {}, False: None}[value] if isinstance(value, bool) else value

    @field_validator("video", "audio", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    @field_validator("video")
    @classmethod
    def _names_differ(cls, ladders: tuple[Ladder, ...]) -> tuple[Ladder, ...]:
        """A rung's name is its folder."""
        names = [rung.name for ladder in ladders for rung in ladder.rungs]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two rungs are named {', '.join(sorted(twice))}")
        return ladders

    @model_validator(mode="after")
    def _downloads_exist(self) -> Profile:
        names = {rung.name for ladder in self.video for rung in ladder.rungs}
        unknown = [name for name in (self.download.rungs if self.download else ()) if name not in names]
        if unknown:
            raise ValueError(f"download: there is no rung {', '.join(unknown)}")
        return self

    @field_validator("audio")
    @classmethod
    def _one_grid(cls, audio: tuple[AudioRendition, ...]) -> tuple[AudioRendition, ...]:
        """Groups are cut side by side, and told apart by their names."""
        if not audio:
            raise ValueError("there is no rendition of audio")
        if len({rendition.name for rendition in audio}) < len(audio):
            raise ValueError("two renditions of audio have one name")
        if len({rendition.sample_rate for rendition in audio}) > 1:
            raise ValueError("sample_rate is the same in all renditions of audio")
        if audio[0].channels > 2:
            raise ValueError("the first rendition of audio is mono or stereo, for every player (Apple 2.3)")
        return audio

    @model_validator(mode="after")
    def _groups_exist(self) -> Profile:
        known = {rendition.name for rendition in self.audio}
        asked = {rung.audio for ladder in self.video for rung in ladder.rungs if rung.audio}
        if asked - known:
            raise ValueError(f"video: no rendition of audio is named {', '.join(sorted(asked - known))}")
        return self


def parse_profile(text: str, where: str) -> Profile:
    """A profile from TOML text; `where` names it in the error.

    Raises ConfigError with every wrong field.
    """
    try:
        return Profile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"profile {where} is not TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"profile {where} cannot be used: {faults}") from error


def load_profiles(extra: Path | None = None) -> Mapping[str, Profile]:
    """The shipped profiles by name, and those of the folder `extra`, which win.

    Raises ConfigError when a file is not a profile.
    """
    shipped = resources.files("raven") / "profiles"
    files = [(f.name, f.read_text("utf-8")) for f in shipped.iterdir() if f.name.endswith(".toml")]
    if extra is not None:
        files += [(str(f), _read(f)) for f in sorted(extra.glob("*.toml"))]
    profiles = (parse_profile(text, name) for name, text in files)
    return {profile.name: profile for profile in profiles}


def known_profile(extra: Path | None, name: str) -> Profile:
    """Raises UsageError when there is no such profile."""
    profiles = load_profiles(extra)
    if name not in profiles:
        raise UsageError(f"there is no profile {name!r}; known are {', '.join(sorted(profiles))}")
    return profiles[name]


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"profile {file} cannot be read: {error}") from error
