"""Running the programs that read the files of deploy/."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers.fixtures import need
from tests.servers.process import missing_program, program

DEPLOY = Path(__file__).parents[2] / "deploy"


def check(package: str, *command: str | Path) -> str:
    """All that a command of a Debian package says. A test fails where the command does, or where it must be there."""
    need(missing_program({str(command[0]): package}))
    done = subprocess.run(
        [program(str(command[0])), *map(str, command[1:])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()
