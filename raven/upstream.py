"""The ids that upstream still knows, from whoever keeps them: a command, or a query in another database."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from raven.config import Settings
from raven.environment import without_secrets
from raven.errors import ConfigError, RavenError
from raven.wiring import open_database

SECONDS = 600
"""That upstream may take for its answer."""


class NoAnswer(RavenError):
    """Upstream has not said what it knows: nothing may be concluded from that."""


def known_ids(settings: Settings) -> frozenset[str] | None:
    """What the column `reference` may hold, None where no upstream is set.

    Raises NoAnswer where upstream fails or knows of nothing, ConfigError.
    """
    if settings.upstream_command and settings.upstream_query:
        raise ConfigError("upstream_command: upstream_query is set too; set one of them")
    if bool(settings.upstream_query) != bool(settings.upstream_database):
        raise ConfigError("upstream_query: it needs upstream_database beside it, and the other way round")
    if settings.upstream_command:
        found = _by_command(settings.upstream_command)
    elif settings.upstream_query:
        found = _by_query(settings, settings.upstream_query)
    else:
        return None
    if not found:
        raise NoAnswer("upstream knows of no id at all, which cannot be meant: see upstream_command or upstream_query")
    return found


def _by_command(command: Sequence[str]) -> frozenset[str]:
    """One id a line. Without a shell, and without Raven's secrets."""
    try:
        done = subprocess.run(
            command,
            env=without_secrets(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except OSError as error:
        raise NoAnswer(f"upstream_command: {command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"upstream_command: {command[0]} did not end within {SECONDS} s") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise NoAnswer(f"upstream_command: {command[0]} ended with status {done.returncode}: {said}")
    try:
        lines = done.stdout.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise NoAnswer(f"upstream_command: {command[0]} says what is not UTF-8") from error
    return frozenset(filter(None, map(str.strip, lines)))


def _by_query(settings: Settings, query: str) -> frozenset[str]:
    """The first column."""
    database = open_database(Settings(database=settings.upstream_database), answer_seconds=SECONDS)
    try:
        rows = database.query(query)
    except ConfigError as error:  # it has no schema of ours, and needs none
        raise NoAnswer(f"upstream_query: {error}") from error
    finally:
        database.close()
    return frozenset(str(value) for row in rows if (value := next(iter(row.values()))) is not None)
