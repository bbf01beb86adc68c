"""docs/security.md: each line names a test that holds it, and the test is there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
MANUAL = TESTS.parent / "docs" / "security.md"


def test_each_test_that_the_manual_names_is_there() -> None:
    text = MANUAL.read_text("utf-8")
    named = re.findall(r"`(\w+/test_\w+\.py)`(?: `(test_\w+)`)?", text)
    assert len(named) > 20
    for file, function in named:
        source = (TESTS / file).read_text("utf-8")
        assert not function or f"def {function}(" in source, f"{file} {function}"


def test_each_attempt_in_the_manual_names_a_test() -> None:
    text = MANUAL.read_text("utf-8").partition("## A client that means harm")[2]
    rows = [
        line for line in text.splitlines() if line.startswith("|") and not line.startswith(("|---", "| it ", "| its "))
    ]
    assert len(rows) > 15
    assert all("test_" in row for row in rows), [row for row in rows if "test_" not in row]
