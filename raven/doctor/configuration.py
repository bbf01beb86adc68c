"""The doctor's look at the settings: whether they can be used, are for this role, and are kept to themselves."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from raven.config import Settings
from raven.doctor.findings import Area, Finding
from raven.environment import SECRETS, load_settings
from raven.errors import ConfigError
from raven.profile import load_profiles

_AREA = Area("configuration")
_SOURCES = Area("sources")
ROLES = ("watcher", "master", "worker", "scrub", "client", "operator")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "watcher": ("database", "broker"),
    "master": ("broker", "storage", "sources"),
    "worker": ("broker", "storage"),
    "scrub": ("database", "storage"),
    "client": ("database",),
    "operator": ("database",),
}
EXAMPLES = {
    "database": "mysql://user:password@host:3306/raven",
    "broker": "amqp://user:password@host:5672/",
    "storage": "s3://bucket/prefix?endpoint=https://host, or file:///folder",
    "sources": "the folders that sources may lie in, by commas",
}
ALIKE = 0.8
"""Of a variable's name and a setting's: it is a slip of the pen."""


def read(environment: Mapping[str, str], file: Path | None) -> tuple[Settings | None, list[Finding]]:
    """The settings, or what is wrong with them."""
    named = file or (Path(environment["RAVEN_CONFIG"]) if environment.get("RAVEN_CONFIG") else None)
    secrets = [Path(value) for name in SECRETS if (value := environment.get(f"{name}_FILE"))]
    found = [*_slips(environment), *(fault for one in [named, *secrets] if one for fault in _exposed(one))]
    try:
        settings = load_settings(environment, file)
        load_profiles(settings.profiles)
    except ConfigError as error:
        fault = _AREA.fault("settings", str(error), "correct it; docs/operations.md has all settings")
        return None, [*found, fault]
    where = f"{named} and the environment" if named else "the environment"
    return settings, [_AREA.ok("settings", f"from {where}; this node is called {settings.node}"), *found]


def _slips(environment: Mapping[str, str]) -> Iterator[Finding]:
    known = [f"RAVEN_{name.upper()}" for name in Settings.model_fields] + ["RAVEN_CONFIG"]
    known += [f"{name}_FILE" for name in SECRETS]
    for name in sorted(environment):
        if name.startswith("RAVEN_") and name not in known:
            meant = difflib.get_close_matches(name, known, 1, ALIKE)
            if meant:
                yield _AREA.warning("variables", f"{name} is no setting, so it is not read", f"call it {meant[0]}")


def _exposed(file: Path) -> Iterator[Finding]:
    """A file with passwords that every account of the host can read."""
    try:
        mode, text = file.stat().st_mode, file.read_text("utf-8", "replace")
    except OSError:
        return  # reading the settings says so
    if mode & stat.S_IROTH and any("://" in line and "@" in line for line in text.splitlines()):
        yield _AREA.warning("file", f"every account here can read {file}, which holds a password", f"chmod 640 {file}")


def roles(settings: Settings, named: Sequence[str]) -> Iterator[Finding]:
    """Whether what the roles need is set, and nothing that they must not have."""
    for role in named:
        for need in NEEDS[role]:
            if not is_set(settings, need):
                todo = f"set RAVEN_{need.upper()} to {EXAMPLES[need]}"
                yield _AREA.fault(f"{role}'s settings", f"{need} is not set", todo)
    if named and settings.database and not {"watcher", "scrub", "client", "operator"} & set(named):
        said = f"a {' and '.join(named)} has no use for the database's password, a thief of this host would"
        yield _AREA.warning("secrets", said, "take RAVEN_DATABASE out of its settings")


def is_set(settings: Settings, need: str) -> bool:
    return getattr(settings, need) not in (None, "", "local:")


def folders(settings: Settings) -> Iterator[Finding]:
    """The folders of sources; what comes by URL is asked for when a task wants it."""
    for root in (root.strip() for root in (settings.sources or "").split(",")):
        if "://" in root:
            yield _SOURCES.skipped(root.partition("?")[0], "a URL: it is asked for when a task wants something of it")
        elif not root.startswith("/"):
            todo = "write the absolute path of a folder, or a URL"
            yield _SOURCES.fault(root or "an empty one", "it is neither an absolute path nor a URL", todo)
        elif not Path(root).is_dir():
            yield _SOURCES.fault(root, "there is no such folder", "mount it, or correct RAVEN_SOURCES")
        elif not os.access(root, os.R_OK | os.X_OK):
            todo = "give the account that runs the master the right to read it"
            yield _SOURCES.fault(root, "this account cannot read it", todo)
        else:
            yield _SOURCES.ok(root, "can be read")
