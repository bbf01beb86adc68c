"""The example of all settings, made from their model: `python -m raven.settings_example > deploy/raven.env.example`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from raven.config import Settings

WIDTH = 118
HEAD = """\
# All settings of Raven's daemons, for /etc/raven/raven.env (root's, mode 600). Made from raven/config.py by
# `make settings-example`: change it there. A line without its first `#` is in force; a setting that is left out, or
# empty, has the default that stands here. In a TOML file (RAVEN_CONFIG) the names are small and without RAVEN_.
# It is read as systemd reads it, by cron too (raven.env_files): a value needs quotes only if it begins with one or has
# a backslash. No shell is to source it: an & of a URL, or $, ; and # of a password, would be its own.
#
# Where one daemon of a host needs another value, or a secret that the others must not know, it goes into its own file:
# raven-watcher.env, raven-master.env, raven-worker.env, raven-scrub.env.
#
# What may hold a password can lie in a file that a variable names instead: RAVEN_DATABASE_FILE, RAVEN_BROKER_FILE,
# RAVEN_STORAGE_FILE, RAVEN_CALLBACK_SECRET_FILE, RAVEN_UPSTREAM_DATABASE_FILE,
# RAVEN_MAIL_SERVER_FILE.
#
# Not Raven's own: keys of s3:// by the usual AWS means, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY here.
"""


def example() -> str:
    """Every setting: its reason, its bounds, and its default as the environment would have it, commented out."""
    return "\n".join([HEAD, *(_entry(name, field) for name, field in Settings.model_fields.items())])


def _entry(name: str, field: FieldInfo) -> str:
    words = " ".join([field.description or "", *_bounds(field)])
    comment = textwrap.fill(words, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return f"{comment}\n#RAVEN_{name.upper()}={_text(field.default)}\n"


def _bounds(field: FieldInfo) -> Iterator[str]:
    """What is accepted, as sentences."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [
        f"{said} {getattr(bound, key)}"
        for bound in field.metadata
        for key, said in words.items()
        if hasattr(bound, key)
    ]
    if found:
        yield f"{', '.join(found).capitalize()}."
    if get_origin(field.annotation) is Literal:
        yield f"One of: {', '.join(get_args(field.annotation))}."
    if field.annotation is bool:
        yield "true or false."


def _text(default: Any) -> str:
    """Nothing where there is no default, or the host's is taken."""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) if isinstance(default, str | int | float) else ""


if __name__ == "__main__":
    click.echo(example(), nl=False)
