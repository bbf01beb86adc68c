"""docs/runbook.md has an entry for every message that the code can show to a person."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
ONE_CURE = {"OutputWrong", "Cancelled"}
"""Kinds whose many sentences all have the same cause and cure."""
FEW = 8
"""Characters; so short a rest of a message, such as `: `, is no words of its own."""
LOUD = {"log.warning", "log.error", "log.critical", "log.exception"}


@cache
def trees() -> tuple[ast.Module, ...]:
    files = [file for package in ("raven", "watcher", "master", "worker") for file in (ROOT / package).rglob("*.py")]
    return tuple(ast.parse(file.read_text("utf-8")) for file in [*files, ROOT / "scrub.py"])


def kinds() -> set[str]:
    """RavenError, and whatever descends from it."""
    made = [node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found, before = {"RavenError"}, 0
    while len(found) > before:
        before = len(found)
        found |= {node.name for node in made if found & {ast.unparse(base) for base in node.bases}}
    return found


KINDS = kinds()


@cache
def calls() -> tuple[tuple[str, ast.expr], ...]:
    """Name and first argument of each call of a plain name, or of a method of one."""
    found = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return tuple((ast.unparse(call.func), call.args[0]) for call in found if _is_plain(call.func))


def _is_plain(called: ast.expr) -> bool:
    return isinstance(called, ast.Name) or (isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name))


def words(message: ast.expr) -> list[str]:
    """What a message says whatever its names and figures are, the longest first."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    said = [part.value.strip() for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return sorted((part for part in said if len(part) >= FEW), key=len, reverse=True)


def messages() -> set[tuple[str, str]]:
    """Kind and longest words of each error that is made."""
    found = ((name.rpartition(".")[2], words(message)) for name, message in calls())
    return {(kind, said[0]) for kind, said in found if kind in KINDS - ONE_CURE and said}


def loud_lines() -> set[str]:
    events = (event for name, event in calls() if name in LOUD)
    texts = (text.value for event in events for text in ast.walk(event) if isinstance(text, ast.Constant))
    return {text for text in texts if isinstance(text, str)}


def areas() -> set[str]:
    """What the doctor looks at."""
    texts = (area.value for name, area in calls() if name == "Area" and isinstance(area, ast.Constant))
    return {text for text in texts if isinstance(text, str)}


def test_messages_are_found() -> None:
    """A search that finds none would miss none."""
    assert {"UsageError", "NoDecoder", "BadMessage", "TooMuch"} <= KINDS
    assert len(messages()) > 120
    assert ("SourceRefused", "the playlist names no variant") in messages()
    assert {"lease lapsed", "handler broke", "notice given up"} <= loud_lines()
    assert {"database", "broker", "storage", "farm", "machine"} <= areas()


def test_each_message_of_an_error_has_an_entry() -> None:
    missing = sorted((kind, said) for kind, said in messages() if said not in RUNBOOK)

    assert missing == [], "add message, cause and cure to docs/runbook.md"


def test_each_warning_and_error_of_the_log_has_an_entry() -> None:
    assert sorted(line for line in loud_lines() if line not in RUNBOOK) == []


@pytest.mark.parametrize("kind", sorted(KINDS - {"RavenError"}))
def test_each_kind_of_error_has_an_entry(kind: str) -> None:
    assert re.search(rf"\b{kind}\b", RUNBOOK.partition("## Kinds of errors")[2])


@pytest.mark.parametrize("area", sorted(areas()))
def test_each_area_of_the_doctor_has_an_entry(area: str) -> None:
    assert re.search(rf"^\|.*`{area}`.*\|", RUNBOOK.partition("## What the doctor finds")[2], re.M)


def test_each_alert_and_setting_that_it_names_is_there() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (ROOT / "deploy/prometheus/raven.rules.yml").read_text("utf-8")))
    settings = set(re.findall(r"#(RAVEN_\w+)=", (ROOT / "deploy/raven.env.example").read_text("utf-8")))
    named = set(re.findall(r"\bRaven[A-Z]\w+", RUNBOOK))

    assert named == alerts
    assert set(re.findall(r"\bRAVEN_[A-Z_]+[A-Z]", RUNBOOK)) - settings == {"RAVEN_LIMIT"}


def test_each_row_says_all_that_its_table_promises() -> None:
    rows = [line for line in RUNBOOK.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    assert [row for row in cells if not all(row) or len(row) not in (2, 3)] == []
    sections = re.findall(r"^### (Raven\w+)\n(.*?)(?=^#)", RUNBOOK, re.M | re.S)
    assert [name for name, text in sections if len(text) < 80] == []
