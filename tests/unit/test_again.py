"""The second try that CI gives to a few failed tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ONCE = """
from pathlib import Path


def test_it():
    seen = Path("seen")
    seen.write_text(seen.read_text() + ".")
"""


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def again(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, str(Path(__file__).parents[1] / "again.py"))


@pytest.mark.parametrize(("passes", "code"), [(True, 0), (False, 1)])
def test_a_test_that_failed_is_run_once_more_and_named_if_it_passes(tmp_path: Path, passes: bool, code: int) -> None:
    # Given a test that fails at first, and afterwards or not
    (tmp_path / "seen").write_text("")
    (tmp_path / "test_it.py").write_text(f"{ONCE}    assert len(seen.read_text()) > {1 if passes else 9}\n")
    assert run(tmp_path, "-m", "pytest", "-q").returncode == 1

    ran = again(tmp_path)

    assert ran.returncode == code
    assert (tmp_path / "seen").read_text() == ".."
    assert ("UNSTEADY: test_it.py::test_it" in ran.stdout) == passes


@pytest.mark.parametrize("failures", [None, 0, 4])
def test_many_failures_or_none_get_no_second_try(tmp_path: Path, failures: int | None) -> None:
    if failures is not None:
        record = tmp_path / ".pytest_cache" / "v" / "cache" / "lastfailed"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({f"test_it.py::test_{n}": True for n in range(failures)}))
    ran = again(tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
