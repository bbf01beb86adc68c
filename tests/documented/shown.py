"""How a documented command is run, and what it has to say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

S = TypeVar("S")
_SECONDS = 120


@dataclass(frozen=True)
class Shown(Generic[S]):
    """What a command does. `S`: the stage that it is run on.

    `says`: a regular expression in its output. `given`: what stands for words of the page, made by the stage.
    `more`: options behind it, which make it small. `settings`: those of the stage, others where a role is looked at.
    """

    says: str
    given: Mapping[str, Callable[[S], str]] = field(default_factory=dict)
    more: str = ""
    settings: Callable[[S], Mapping[str, str]] | None = None

    def line(self, command: str, stage: S) -> str:
        """The command with what is at hand here in place of the page's words, all of which must stand in it."""
        for word, value in self.given.items():
            assert word in command, f"{word} does not stand in {command}"
            command = command.replace(word, value(stage))
        return f"{command} {self.more}".strip()


def run(line: str, environment: Mapping[str, str], folder: Path) -> str:
    """What a shell says to a line, on both channels; it must end well."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],  # noqa: S607 - the system's
        env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{line} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def check(said: str, shown: Shown[S]) -> None:
    assert re.search(shown.says, said, re.M), f"nothing like {shown.says!r} in:\n{said}"
