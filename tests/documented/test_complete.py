"""No command is documented that nothing runs: each has its place in a table, and each entry its page."""

from __future__ import annotations

import pytest

from tests.documented import test_farm, test_machine
from tests.documented.elsewhere import TESTED, UNTESTED
from tests.documented.pages import ROOT, blocks, documented, typed, within_sentences

RUN = {
    *test_machine.COMMANDS, *test_machine.LONG, *test_machine.AUTHORITY,
    *test_farm.COMMANDS, *test_farm.README, *test_farm.SQL, *test_farm.BROKER,
}  # fmt: skip
DOCUMENTED = documented()


def is_run(command: str) -> bool:
    """Itself, or, where a sentence names it without its arguments, with them."""
    return command in RUN or any(known.startswith(f"{command} ") for known in RUN)


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_is_run_or_a_table_says_why_not(command: str) -> None:
    assert is_run(command) or command in TESTED or command in UNTESTED, (
        f"{DOCUMENTED[command]} has it, and nothing runs it: add it to a table of tests/documented"
    )


def test_no_table_has_what_no_page_has() -> None:
    assert sorted({*RUN, *TESTED, *UNTESTED} - DOCUMENTED.keys()) == []


def test_nothing_of_raven_s_own_goes_without_a_run() -> None:
    own = ("raven", "scrub.py", "/opt/raven", "python -m", "make ")
    assert [command for command in UNTESTED if command.startswith(own)] == []


@pytest.mark.parametrize("place", sorted(set(TESTED.values())))
def test_a_test_that_runs_documented_lines_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    source = (ROOT / "tests" / file).read_text("utf-8")
    assert f"def {name}(" in source or f"class {name}:" in source


def test_commands_are_found_wherever_a_page_may_have_them() -> None:
    """A search that finds none would miss none."""
    text = """
    one two \\
        three    # remarked
1. In a list:

       four

```sh
five
```

    $ six
    said
Then `raven seven --eight`, but not `eight nine`.
"""
    assert [typed(block) for block in blocks(text)] == [["one two three"], ["four"], ["five"], ["six"]]
    assert within_sentences(text) == {"raven seven --eight"}
    assert {"docs/operations.md", "docs/runbook.md", "README.md"} <= set(DOCUMENTED.values())
