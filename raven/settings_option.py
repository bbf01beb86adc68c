"""What every command of `raven` shares: its settings, and errors as one sentence."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from raven.config import Settings
from raven.environment import load_settings
from raven.errors import RavenError, Unavailable, UsageError
from raven.ports import Database
from raven.schema import check, check_as_client
from raven.terminal import say
from raven.wiring import open_database


@contextmanager
def database_of(settings: Settings, *, client: bool = False) -> Iterator[Database]:
    """A connection to the database, once that has said that its schema is this Raven's. Raises SchemaDiffers.

    `client`: for an account that sees its own tasks only. An account that may not do what is asked is told who may.
    """
    with closing(open_database(settings)) as database:
        try:
            (check_as_client if client else check)(database)
            yield database
        except Unavailable as error:
            if client or "command denied" not in str(error):
                raise
            raise Unavailable(
                f"{error}; this wants an operator's account in RAVEN_DATABASE, or the watcher's"
            ) from error


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --config and hands the settings over. An expected error is one sentence on stderr and an exit code."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="TOML file with the settings; RAVEN_... variables override it.",
    )
    @wraps(command)
    def wrapped(config: Path | None, **options: Any) -> None:
        try:
            command(load_settings(os.environ, config), **options)
        except RavenError as error:
            if options.get("as_json"):
                click.echo(json.dumps({"status": "failed", "message": str(error)}))
            say(f"raven: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else 1)

    return wrapped
