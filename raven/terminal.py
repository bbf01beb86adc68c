"""Words for a person's terminal. Rows, messages and films are written by others: a terminal must not obey them."""

from __future__ import annotations

import click
from rich.text import Text


def plain(text: object) -> str:
    """In one line, with control characters, and those that turn the direction of writing, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(text: object, *, err: bool = False) -> None:
    """Prints it, line by line. What must not begin a line of its own is made `plain` before."""
    click.echo("\n".join(map(plain, str(text).split("\n"))), err=err)


def cell(text: object, style: str = "") -> Text:
    """For tables of rich: one line, which is cut where there is no room."""
    return Text(plain(text), style=style, no_wrap=True, overflow="ellipsis")
