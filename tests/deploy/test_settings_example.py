"""The example of all settings: it is what the model says, and the manual knows the same settings."""

from __future__ import annotations

import re

import pytest

from raven.config import Settings
from raven.environment import load_settings
from raven.settings_example import example
from tests.deploy.tools import DEPLOY

FILE = DEPLOY / "raven.env.example"
MANUAL = DEPLOY.parent / "docs" / "operations.md"


def test_the_example_is_not_stale() -> None:
    assert FILE.read_text("utf-8") == example(), "run `make settings-example`"


def test_each_setting_stands_in_it_once_with_a_reason() -> None:
    text = FILE.read_text("utf-8")

    assert re.findall(r"^#RAVEN_(\w+)=", text, re.M) == [name.upper() for name in Settings.model_fields]
    assert len(re.findall(r"^# \S.+\n#RAVEN_", text, re.M)) == len(Settings.model_fields)


def test_with_every_line_in_force_nothing_changes() -> None:
    """So each default stands there as the environment has to spell it."""
    lines = re.findall(r"^#(RAVEN_\w+)=(.*)$", FILE.read_text("utf-8"), re.M)

    assert load_settings(dict(lines)) == load_settings({})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RAVEN_SLOTS", "At least 1, at most 256."),
        ("RAVEN_POLL_SECONDS", "More than 0, at most 60."),
        ("RAVEN_LOG_LEVEL", "One of: debug, info, warning, error."),
        ("RAVEN_SECOND_RUNS", "true or false."),
    ],
)
def test_what_is_accepted_is_said(name: str, words: str) -> None:
    (reason,) = re.findall(rf"((?:^# .*\n)+)#{name}=", FILE.read_text("utf-8"), re.M)

    assert " ".join(reason.replace("\n# ", " ").split()).endswith(words)


def test_the_manual_has_the_same_settings() -> None:
    section = MANUAL.read_text("utf-8").partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(Settings.model_fields)


def test_the_units_read_the_file_that_it_is_an_example_of() -> None:
    unit = (DEPLOY / "systemd" / "raven-.service.d" / "10-raven.conf").read_text("utf-8")

    assert "EnvironmentFile=-/etc/raven/raven.env\n" in unit
    assert "for /etc/raven/raven.env" in FILE.read_text("utf-8").splitlines()[0]
