"""The shell scripts that operators run: shellcheck finds nothing in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, check

SCRIPTS = [
    *(file for file in DEPLOY.rglob("*") if file.is_file() and file.read_bytes().startswith(b"#!/bin/")),
    DEPLOY.parent / "tests" / "install.sh",
    DEPLOY.parent / ".ci" / "run",
]


def test_scripts_are_found() -> None:
    names = {file.name for file in SCRIPTS}
    assert {"install.sh", "venv.sh", "encode.sh", "raven-as", "users.sh", "secrets.sh"} <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    assert check("shellcheck", "shellcheck", script) == ""
    assert script.stat().st_mode & 0o111, "it can be run"
