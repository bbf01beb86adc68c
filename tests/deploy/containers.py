"""What a container of Raven's image may name."""

from __future__ import annotations

import configparser

from raven.config import Settings
from raven.environment import SECRETS
from tests.deploy.tools import DEPLOY

ROOT = DEPLOY.parent
_SETTINGS = {f"RAVEN_{name.upper()}" for name in Settings.model_fields}
_AWS = {"AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"}
_PYTHON = {"PYTHONFAULTHANDLER", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PATH"}

KNOWN_VARIABLES = _SETTINGS | {f"{name}_FILE" for name in SECRETS} | _AWS | _PYTHON


def _scripts() -> set[str]:
    """The commands that Raven installs."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    lines = settings["options.entry_points"]["console_scripts"].split("\n")
    return {line.partition("=")[0].strip() for line in lines if line.strip()}


EXECUTABLES = _scripts() | {"python"}
