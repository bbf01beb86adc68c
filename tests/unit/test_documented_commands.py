"""Every `raven ...` command that the documentation shows is one that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from raven.cli import main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CHANGELOG.md", "docs/operations.md", "docs/runbook.md", "docs/design.md")
PLACEHOLDERS = {"ID": "1", "TASK": "1", "DIR": "out", "N": "2"}


def commands() -> set[str]:
    """What stands in backticks, and in lines of code blocks, from `raven` on."""
    found: set[str] = set()
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        found |= set(re.findall(r"(?<!`)`raven ([a-z][^`]*)`", text))
        found |= {
            line.partition("#")[0].strip() for line in re.findall(r"^ {4}(?:[\w./]*/)?raven ([a-z].*)$", text, re.M)
        }
    return found


def test_commands_are_found() -> None:
    """A pattern that finds none would find no fault either."""
    assert {"doctor", "nodes drain NAME", "retry ID"} <= commands()


@pytest.mark.parametrize("line", sorted(commands()))
def test_a_documented_command_is_one_that_the_program_takes(line: str) -> None:
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]
    command: click.Command = main
    parsed = click.Context(main)

    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not main, "there is no such command"
    if words and words != ["--help"]:  # else its name alone is told
        with command.make_context(command.name, words, parent=parsed) as context:
            assert not context.args
