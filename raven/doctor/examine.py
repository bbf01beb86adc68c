"""The doctor's round: area by area, a finding at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raven.config import Settings
from raven.doctor import configuration, farm, host, objects, servers
from raven.doctor.configuration import NEEDS, ROLES, is_set
from raven.doctor.findings import Area, Finding, Level, secrets_of, verdict, without_secrets
from raven.environment import SECRETS

SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
OTHERS = ("callback_secret",)
"""Settings that are secret as a whole, not only the password within."""
_UNSET = {
    "database": "a watcher needs it, a client of a farm too",
    "broker": "it is `local:`, so there is no farm: `raven encode` needs none",
    "storage": "masters and workers of a farm need it; `raven encode` needs none",
    "sources": "masters need it; `raven encode` takes every file",
}


def examine(environment: Mapping[str, str], file: Path | None, roles: Sequence[str]) -> Iterator[Finding]:
    """Everything that `roles` need; without any, everything that is set. No finding holds a secret."""
    settings, found = configuration.read(environment, file)
    urls = [value for name in ("DATABASE", "BROKER", "STORAGE") if (value := environment.get(f"RAVEN_{name}"))]
    if settings is not None:
        urls += [
            url
            for url in (
                settings.database,
                settings.broker,
                settings.storage,
                settings.sources,
                settings.upstream_database,
                settings.mail_server,
            )
            if url
        ]
    words = [environment.get(name) for name in (*SECRET_VARIABLES, *SECRETS)]
    words += [getattr(settings, name) for name in OTHERS] if settings is not None else []
    hidden = secrets_of(urls, words)
    for finding in _round(settings, found, roles):
        yield without_secrets(finding, hidden)


def _round(settings: Settings | None, found: Sequence[Finding], roles: Sequence[str]) -> Iterator[Finding]:
    yield from found
    yield from host.versions()
    if settings is None:
        for area in ("database", "broker", "storage", "sources", "ffmpeg", "machine"):
            yield Area(area).skipped("all", "the settings cannot be used")
        return
    yield from configuration.roles(settings, roles)
    told = list(_area("database", servers.database(settings, roles), settings, roles))
    yield from told
    yield from _area("broker", servers.broker(settings, roles), settings, roles)
    yield from _area("storage", objects.storage(settings, roles), settings, roles)
    yield from _area("sources", configuration.folders(settings), settings, roles)
    if set(roles) - {"client", "operator"} or not roles:
        yield from servers.log_host(settings)
    if is_set(settings, "database") and (not roles or {"watcher", "operator"} & set(roles)):
        sound = verdict(told) != Level.FAULT
        yield from (
            farm.farm(settings) if sound else [Area("farm").skipped("all", "the database, which tells, has a fault")]
        )
    if not roles or {"master", "worker"} & set(roles):
        yield from host.ffmpeg(settings)
        yield from host.machine(settings)
    else:
        for area in ("ffmpeg", "machine"):
            yield Area(area).skipped("all", f"a {' and '.join(roles)} runs no ffmpeg")


def _area(need: str, looks: Iterator[Finding], settings: Settings, roles: Sequence[str]) -> Iterator[Finding]:
    """What a setting names, if one of the roles needs it and it is set."""
    if need not in {need for role in roles or ROLES for need in NEEDS[role]}:
        yield Area(need).skipped("all", f"a {' and '.join(roles)} does not use it")
    elif not is_set(settings, need):
        yield Area(need).skipped("all", f"RAVEN_{need.upper()} is not set: {_UNSET[need]}")
    else:
        yield from looks
