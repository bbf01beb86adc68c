"""All settings, each a typed field. Where they come from: raven/environment.py."""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, DirectoryPath, Field, field_validator

from raven.errors import ConfigError
from raven.limits import Limits

_LIMITS = Limits()


class Settings(BaseModel):
    """Every field can be set in the TOML file by its name, and as RAVEN_ and its name in the environment.

    URLs that may hold a password are left out when settings are printed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str | None = Field(
        default=None,
        repr=False,
        description="mysql://user:password@host:3306/raven, by TLS with ?tls=system or ?tls=/etc/raven/ca.pem behind."
        " Watcher, scrub and operators only.",
    )
    broker: str = Field(
        default="local:",
        repr=False,
        description="amqp://user:password@host:5672/vhost, by TLS amqps://user:password@host:5671/vhost?tls=/etc/raven/ca.pem;"
        " several hosts by commas.",
    )
    storage: str | None = Field(
        default=None,
        repr=False,
        description="s3://bucket/prefix?endpoint=https://host (an authority of your own: &tls=/etc/raven/ca.pem), or"
        " file:///folder on CephFS or NFS.",
    )
    public_url: str | None = Field(
        default=None,
        description="Where clients find the storage's objects (column `url`); the default is the storage's own URL.",
    )
    sources: str | None = Field(
        default=None, description="Roots of sources, by commas: /srv/in,/mnt/nas. Master only; none is refused."
    )
    ffmpeg: str | None = Field(
        default=None, description="Path of an ffmpeg; the default is the packaged one, the same on all nodes."
    )
    profiles: DirectoryPath | None = Field(
        default=None, description="Folder of profile files (TOML) beside the shipped ones."
    )
    temporary: DirectoryPath | None = Field(
        default=None,
        description="Folder for files in the making, best on a disk of its own; the default is the system's.",
    )
    node: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=255,
        description="Name in reports, logs and `raven nodes`; the default is the host's.",
    )
    slots: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Heavy jobs that a worker or master runs side by side; by default what fits into cores and memory.",
    )
    light_slots: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Slots besides these for light jobs: sound and text in a worker, playlists and purges in a master.",
    )
    reserve_disk: int = Field(
        default=1 << 30,
        ge=0,
        description="Bytes free for temporary files below which no job is taken: a chunk and what is made of it.",
    )
    reserve_memory: int = Field(
        default=512 << 20,
        ge=0,
        description="Bytes of memory free below which no job is taken: else the kernel ends the encodes under way.",
    )
    poll_seconds: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="How often the watcher looks for new rows: how long a client waits at most. Watcher only.",
    )
    heartbeat_seconds: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="How often a running job reports: far more often than lease_seconds, as a report may be lost.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A running job without a report for so long is given to another node: its own has vanished.",
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
        default=300,
        gt=0,
        description="A child that makes no progress for so long hangs, and is ended; thrice as long before its first.",
    )
    attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Attempts of a job before its task fails: by then other nodes have tried it too.",
    )
    away_hours: float = Field(
        default=6,
        ge=0,
        le=24 * 365,
        description="How long, about, jobs are tried again while the storage is away, before that counts as failing."
        " Watcher only.",
    )
    keep_failed_hours: float = Field(
        default=24,
        ge=0,
        le=24 * 365,
        description="How long the objects of a failed task stay, for `raven retry` to go on from there. Watcher only.",
    )
    keep_hours: float | None = Field(
        default=None,
        ge=0,
        le=24 * 36525,
        description="Hours that outputs are kept once done, where the row (column `keep_hours`) does not say; the"
        " default is for ever. scrub.py only.",
    )
    history_days: float = Field(
        default=90,
        ge=2,
        le=36525,
        description="Days that lines of history, what `raven log` tells, are kept; the most, a hundred years, is for"
        " ever. scrub.py only.",
    )
    upstream_command: tuple[str, ...] = Field(
        default=(),
        description="Command that prints the ids that upstream still knows, one a line; no shell. What has another"
        " `reference` is removed. scrub.py only.",
    )
    upstream_database: str | None = Field(
        default=None, repr=False, description="The same from a database: mysql://user:password@host:3306/name."
    )
    upstream_query: str | None = Field(default=None, description="The SELECT there whose first column is these ids.")
    second_runs: bool = Field(
        default=True, description="Whether a chunk that straggles is begun a second time on an idle slot. Watcher only."
    )
    owner_weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(
        default={}, description="Shares of owners, such as news=3,sport=2; 1 for all others. Watcher only."
    )
    early_playback: bool = Field(
        default=True, description="Whether a film can be played while the rest of it is encoded. Watcher only."
    )
    callback_hosts: str | None = Field(
        default=None,
        description="Hosts that callback_url may name, by commas: news.example, *.sport.example, 10.0.0.5:8080 (without"
        " a port 80 and 443). Watcher only; none is sent anything.",
    )
    callback_networks: str | None = Field(
        default=None,
        description="Networks besides the public ones where these hosts may lie, by commas, such as 10.0.0.0/8: else a"
        " name could lead into this one. Watcher only.",
    )
    callback_secret: str | None = Field(
        default=None,
        repr=False,
        description="What notices are signed with, by HMAC-SHA256; their receivers have the same. At least 16"
        " characters. Watcher only.",
    )
    mail_server: str | None = Field(
        default=None,
        repr=False,
        description="Mail server for notify_email and operators: smtp://host:25, with STARTTLS"
        " smtp://user:password@host:587?tls=system, or smtps://host:465. This and what follows: watcher only.",
    )
    mail_from: str | None = Field(default=None, description="Whose address mails come from: raven@example.org.")
    mail_domains: str | None = Field(
        default=None,
        description="Domains that notify_email may lie in, by commas: example.org, *.example.org; none is sent"
        " anything.",
    )
    mail_operators: str | None = Field(
        default=None, description="Addresses, by commas, that are told of troubles which need a person."
    )
    mail_minutes: float = Field(
        default=30, gt=0, le=24 * 60, description="At most one mail to operators in so many minutes."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level logged; debug also says what is normal."
    )
    log_format: Literal["auto", "pretty", "json"] = Field(
        default="auto", description="auto: pretty on a terminal, JSON elsewhere."
    )
    syslog: str | None = Field(
        default=None,
        description="Log to syslog too, facility local7: udp://host:port, tcp://host:port, unix:///folder/socket of a "
        "server on this host (all three by RFC 5424), or /dev/log (as the C library writes).",
    )
    alive_file: Path | None = Field(
        default=None,
        description="File that a daemon touches every few seconds while it does not hang, for the health check of a"
        " container. One for each daemon.",
    )
    metrics: str | None = Field(
        default=None,
        description="Address at which the daemons show their Prometheus metrics: 127.0.0.1, or the one that Prometheus"
        " reaches, as whoever reaches it can read them. Watchers take port 9741, masters 9742, workers 9743, or the one"
        " behind a colon. The default is none.",
    )
    metrics_tls: Path | None = Field(
        default=None,
        description="PEM file with a certificate and its key: metrics are then shown by TLS. The default is in the"
        " clear.",
    )
    metrics_folder: Path | None = Field(
        default=None,
        description="Folder of node_exporter's textfile collector, such as /var/lib/prometheus/node-exporter, where"
        " what came of a run is left for Prometheus as raven_scrub.prom. scrub.py only.",
    )

    @field_validator("owner_weights", mode="before")
    @classmethod
    def _weights(cls, value: object) -> object:
        """Also as text, as the environment has it."""
        if not isinstance(value, str):
            return value
        pairs = [pair.partition("=") for pair in value.split(",")]
        return {owner.strip(): weight for owner, _, weight in pairs}

    @field_validator("upstream_command", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        """Also as a line, as the environment has it; quotes hold words together, and mean nothing else."""
        return tuple(shlex.split(value)) if isinstance(value, str) else value

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


def ffmpeg_path(settings: Settings) -> str:
    """The ffmpeg to run. Raises ConfigError when the one that is set cannot be run."""
    if settings.ffmpeg:
        if not (Path(settings.ffmpeg).is_file() and os.access(settings.ffmpeg, os.X_OK)):
            raise ConfigError(f"ffmpeg: {settings.ffmpeg} cannot be run; set RAVEN_FFMPEG to an ffmpeg's path")
        return settings.ffmpeg
    import imageio_ffmpeg  # noqa: PLC0415 - a slow import that another ffmpeg makes needless

    return str(imageio_ffmpeg.get_ffmpeg_exe())
