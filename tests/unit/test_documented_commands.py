"""Every `raven ...` command that the documentation shows is one that the program takes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from master.daemon import main as master_main
from raven.cli import ELSEWHERE, main
from scrub import main as scrub_main
from watcher.daemon import main as watcher_main
from worker.daemon import main as worker_main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CHANGELOG.md", "docs/operations.md", "docs/runbook.md", "docs/design.md", "docs/decisions.md")
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

    while isinstance(command, click.Group) and words and words[0] in command.list_commands(parsed):
        found = command.get_command(parsed, words.pop(0))
        assert found is not None
        command = found
    assert command is not main, "there is no such command"
    if words and words != ["--help"]:  # else its name alone is told
        with command.make_context(command.name, words, parent=parsed) as context:
            assert not context.args


def test_a_command_loads_no_module_of_another_one() -> None:
    """A film of a second would wait as long for them as it takes to encode."""
    asked = "import sys, raven.cli; print(*sorted(name for name in sys.modules if name.startswith('raven.')))"
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert "raven.cli" in loaded.stdout.split()
    assert not [name for name in loaded.stdout.split() if name.endswith("_cli")]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_command_of_another_module_goes_by_its_name(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name


def with_help(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    """The command, its options and what is below it, each with its help."""
    yield name, command.help or ""
    options = (option for option in command.params if isinstance(option, click.Option))
    yield from ((f"{name} {option.opts[-1]}", option.help or "") for option in options)
    if isinstance(command, click.Group):
        parsed = click.Context(command)
        for below in command.list_commands(parsed):
            found = command.get_command(parsed, below)
            assert found is not None
            yield from with_help(found, f"{name} {below}")


def test_every_command_and_option_says_what_it_is_for() -> None:
    """There are no manual pages: `--help` is the manual of a command."""
    daemons = {"raven-watcher": watcher_main, "raven-master": master_main, "raven-worker": worker_main}
    told = dict(pair for name, command in ({"raven": main, "scrub.py": scrub_main} | daemons).items()
                for pair in with_help(command, name))  # fmt: skip

    assert {"raven nodes drain --json", "scrub.py --most", "raven-worker --config"} <= told.keys()
    assert [name for name, help_text in told.items() if len(help_text) < 8] == []
