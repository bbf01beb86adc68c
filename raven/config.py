"""All settings: one TOML file (`--config`, RAVEN_CONFIG), environment variables over it, each a typed field."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, DirectoryPath, Field, ValidationError

from raven.errors import ConfigError
from raven.limits import Limits

_LIMITS = Limits()


class Settings(BaseModel):
    """Every field can be set in the TOML file by its name, and as RAVEN_ and its name in the environment.

    URLs that may hold a password are left out when settings are printed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str | None = Field(
        default=None, repr=False, description="mysql://user:password@host:3306/raven. Watcher only."
    )
    broker: str = Field(
        default="local:", repr=False, description="amqp://user:password@host:5672/, several hosts by commas."
    )
    storage: str | None = Field(
        default=None,
        repr=False,
        description="s3://bucket/prefix?endpoint=https://host, or file:///folder on CephFS or NFS.",
    )
    public_url: str | None = Field(
        default=None, description="Where clients find the storage's objects; the default is the storage's own URL."
    )
    sources: str | None = Field(
        default=None, description="Roots of sources, by commas: /srv/in,/mnt/nas. Master only; none is refused."
    )
    ffmpeg: str | None = Field(default=None, description="Path of an ffmpeg; the default is the one of imageio-ffmpeg.")
    profiles: DirectoryPath | None = Field(
        default=None, description="Folder of profile files (TOML) beside the shipped ones."
    )
    temporary: DirectoryPath | None = Field(
        default=None, description="Folder for files in the making; default is the system's."
    )
    node: str = Field(
        default_factory=socket.gethostname, min_length=1, max_length=255, description="Name in reports and logs."
    )
    slots: int = Field(default=1, ge=1, le=256, description="Jobs that a worker or master runs side by side.")
    poll_seconds: float = Field(default=0.5, gt=0, le=60, description="How often the watcher looks for new rows.")
    heartbeat_seconds: float = Field(default=2.0, gt=0, le=60, description="How often a running job reports.")
    lease_seconds: float = Field(
        default=30.0, gt=0, description="A running job without a report for so long is given to another node."
    )
    limit_seconds: float = Field(
        default=_LIMITS.seconds, gt=0, description="Longest source: the times of a short file can span years."
    )
    limit_pixels: int = Field(
        default=_LIMITS.pixels,
        ge=4096,
        lt=1 << 31,
        description="Largest picture, width times height; 8K: 35 million.",
    )
    limit_bytes: int = Field(
        default=_LIMITS.bytes, ge=1, description="Most bytes of one source: a pipe or a download may never end."
    )
    limit_streams: int = Field(
        default=_LIMITS.streams, ge=1, description="Most streams in one source; a broadcast multiplex has about 100."
    )
    limit_cpu_hours: float = Field(
        default=24,
        gt=0,
        le=10_000,
        description="CPU hours of one child: a film can be made to decode forever.",
    )
    stall_seconds: float = Field(
        default=600, gt=0, description="A child that makes no progress for so long hangs, and is ended."
    )
    attempts: int = Field(default=5, ge=1, le=100, description="Attempts of a job before its task fails.")
    early_playback: bool = Field(
        default=True, description="Whether a film can be played while the rest of it is encoded. Watcher only."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_format: Literal["auto", "pretty", "json"] = Field(
        default="auto", description="auto: pretty on a terminal, JSON elsewhere."
    )
    syslog: str | None = Field(
        default=None, description="Log to syslog too, facility local7: /dev/log, or host:port for UDP."
    )

    @property
    def cpu_seconds(self) -> int:
        """Of one child."""
        return max(1, round(self.limit_cpu_hours * 3600))

    @property
    def limits(self) -> Limits:
        """What a source may have."""
        return Limits(
            seconds=self.limit_seconds, pixels=self.limit_pixels, bytes=self.limit_bytes, streams=self.limit_streams
        )


def load_settings(environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings of `file` (or RAVEN_CONFIG) with the environment's over them.

    Raises ConfigError that names the setting and where it stands.
    """
    file = file or (Path(environment["RAVEN_CONFIG"]) if environment.get("RAVEN_CONFIG") else None)
    values: dict[str, object] = dict(_read(file)) if file else {}
    known = set(Settings.model_fields)
    for name, value in environment.items():
        key = name.removeprefix("RAVEN_").lower()
        if name.startswith("RAVEN_") and key in known and value:
            values[key] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        where = f" in {file} or the environment (RAVEN_...)" if file else " in the environment (RAVEN_...)"
        raise ConfigError(f"settings{where}: {'; '.join(faults)}") from error


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {file} is not TOML: {error}") from error


def ffmpeg_path(settings: Settings) -> str:
    """The ffmpeg to run. Raises ConfigError when the one that is set cannot be run."""
    if settings.ffmpeg:
        if not (Path(settings.ffmpeg).is_file() and os.access(settings.ffmpeg, os.X_OK)):
            raise ConfigError(f"ffmpeg: {settings.ffmpeg} cannot be run; set RAVEN_FFMPEG to an ffmpeg's path")
        return settings.ffmpeg
    import imageio_ffmpeg  # noqa: PLC0415 - a slow import that another ffmpeg makes needless

    return str(imageio_ffmpeg.get_ffmpeg_exe())
