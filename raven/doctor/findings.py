"""What the doctor says: findings, and how what was seen is judged. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit

MARIADB = (10, 6)
RABBITMQ = (3, 10)
CLOCK_WARNING, CLOCK_FAULT = 5.0, 300.0
"""Seconds: rows tell times by several clocks; S3 refuses signatures of one that is 15 minutes off."""
ENCODERS = ("libx264", "libx265", "libsvtav1", "aac")
"""What the shipped profiles are made with."""
EXTRAS = {
    "zscale": "HDR becomes no SDR",
    "libzvbi_teletextdec": "teletext subtitles are not converted",
    "libaribcaption": "ARIB captions are not converted",
    "libvmaf": "quality cannot be measured (`python -m benchmarks.quality`); nothing else needs it",
}
"""Filters and decoders that a farm can do without, and what it does not do then."""
HIDDEN = "***"


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what to do."""

    area: str
    """configuration, versions, database, broker, storage, sources, log, farm, ffmpeg, machine."""
    what: str
    level: Level
    said: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Area:
    """Writes the findings of one area."""

    name: str

    def ok(self, what: str, said: str) -> Finding:
        return Finding(self.name, what, Level.OK, said)

    def warning(self, what: str, said: str, remedy: str) -> Finding:
        return Finding(self.name, what, Level.WARNING, said, remedy)

    def fault(self, what: str, said: str, remedy: str) -> Finding:
        return Finding(self.name, what, Level.FAULT, said, remedy)

    def skipped(self, what: str, why: str) -> Finding:
        return Finding(self.name, what, Level.SKIPPED, why)


def verdict(findings: Iterable[Finding]) -> Level:
    """The worst of them."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.FAULT, Level.WARNING) if level in levels), Level.OK)


# versions and clocks


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in a server's own words; empty when there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def judge_server(area: Area, name: str, text: str, least: tuple[int, ...]) -> Finding:
    """`text`: the version as the server says it; `least`: the oldest that Raven was tried with."""
    if version_of(text) >= least:
        return area.ok("version", f"{name} {text}")
    wanted = ".".join(map(str, least))
    return area.fault(
        "version", f"{name} {text or 'of an unknown version'}", f"update it: Raven needs {wanted} or newer"
    )


def judge_clock(area: Area, ahead: float, whose: str) -> Finding:
    """`ahead`: seconds that this host's clock is ahead of `whose`."""
    way = "ahead of" if ahead >= 0 else "behind"
    said = f"{abs(ahead):.1f} s {way} {whose}"
    remedy = "let both hosts follow one time server (systemd-timesyncd or chrony; `timedatectl` shows it)"
    if abs(ahead) >= CLOCK_FAULT:
        return area.fault("clock", said, remedy)
    return area.warning("clock", said, remedy) if abs(ahead) >= CLOCK_WARNING else area.ok("clock", said)


# ffmpeg


def listed(listing: str) -> frozenset[str]:
    """Names in what `ffmpeg -encoders`, `-decoders` or `-filters` prints: the second word of each line."""
    return frozenset(words[1] for line in listing.splitlines() if len(words := line.split()) > 1)


def judge_build(area: Area, encoders: frozenset[str], others: frozenset[str]) -> list[Finding]:
    """`others`: its decoders and filters."""
    missing = [name for name in ENCODERS if name not in encoders]
    found = [
        area.fault("encoders", f"without {', '.join(missing)}", "leave RAVEN_FFMPEG unset, for the packaged ffmpeg")
        if missing
        else area.ok("encoders", ", ".join(ENCODERS))
    ]
    for name, lacks in EXTRAS.items():
        if name not in others:
            found.append(area.warning(name, f"this ffmpeg has none: {lacks}", "fine, if you do not need it"))
    return found


# secrets


def shown(url: str) -> str:
    """The URL without its password."""
    scheme, colon, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, secret, _ = login.partition(":")
    return f"{scheme}{colon}{user}{secret and ':' + HIDDEN}{at}{place}"


def secrets_of(urls: Iterable[str | None], more: Iterable[str | None] = ()) -> list[str]:
    """Passwords in URLs, as they stand there and as they are meant, and others; the longest first."""
    found = {text for text in more if text}
    for url in filter(None, urls):
        _, colon, password = url.partition("://")[2].rpartition("@")[0].partition(":")
        if colon and password:
            found |= {password, unquote(password)}
    return sorted(found, key=len, reverse=True)


def without_secrets(finding: Finding, secrets: Sequence[str]) -> Finding:
    """Drivers may say more than they should."""

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return text

    return Finding(finding.area, finding.what, finding.level, hide(finding.said), hide(finding.remedy))


# places


def places(url: str, ports: dict[str, int]) -> list[tuple[str, int]]:
    """Hosts and ports of a URL, which may list several hosts by commas. Raises ValueError."""
    parts = urlsplit(url)
    found = []
    for place in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{place}")
        if not one.hostname:
            raise ValueError(f"no host in {shown(url)}")
        found.append((one.hostname, one.port or ports.get(parts.scheme, 0)))
    return found


# what to do

_STORAGE = {
    "NoSuchBucket": "create the bucket, or correct its name in RAVEN_STORAGE",
    "InvalidAccessKeyId": "the server does not know this key: correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "let the policy of this key allow it in this bucket, below the prefix",
    "RequestTimeTooSkewed": "set this host's clock: it is 15 minutes or more off the storage's",
    "locate credentials": "hand over the keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials",
    "certificate": "do that in RAVEN_STORAGE; the server is not asked for anything before",
    "Permission denied": "give the account that runs Raven the right to write in this folder",
    "Read-only": "mount it for writing",
    "No space left": "make room, or enlarge it",
}
_DATABASE = {
    "Access denied for user": "correct the account, its password or its database in RAVEN_DATABASE, or grant it access",
    "Unknown database": "create the database, or correct its name in RAVEN_DATABASE",
    "command denied": "grant it to this account (docs/operations.md, Installing)",
    "readonly database": "give the account that runs Raven the right to write this file and its folder",
    "raven migrate": "do so with this Raven's `raven migrate`, and the URL of the schema's owner",
    "update Raven": "do so: this host's Raven is older than the watcher's was",
    "Too many connections": "raise max_connections of the server",
    "certificate": "do that in RAVEN_DATABASE; the server is not asked for anything before",
}
_BROKER = {
    "ACCESS_REFUSED - Login": "correct user and password in RAVEN_BROKER",
    "NOT_ALLOWED": "create the virtual host and give the account rights on it, or correct its name in RAVEN_BROKER",
    "ACCESS_REFUSED": "give the account what its role needs in its virtual host (--role says which one is meant)",
    "PRECONDITION_FAILED": "another Raven has declared it otherwise: delete this queue while it is empty",
    "certificate": "do that in RAVEN_BROKER; the server is not asked for anything before",
}


def remedy(table: dict[str, str], said: str, otherwise: str) -> str:
    """What to do about a server's words."""
    return next((todo for mark, todo in table.items() if mark in said), otherwise)


def storage_remedy(said: str) -> str:
    return remedy(_STORAGE, said, "see the storage's own log, and RAVEN_STORAGE")


def database_remedy(said: str) -> str:
    return remedy(_DATABASE, said, "see the server's own log, and RAVEN_DATABASE")


def broker_remedy(said: str) -> str:
    return remedy(_BROKER, said, "see the broker's own log, and RAVEN_BROKER")
