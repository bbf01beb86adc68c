"""docs/protocol.pml, explored whole by spin: what nodes do with old orders, several at once, each step by itself.

What it found that the state machine of test_plan_storm.py, whose nodes act upon a word at once and whose chunks never
come back, does not:

- A master with an order to cut from before the source was cut anew brings a chunk back. A worker with an old encode
  then saw its chunk, and put what it was made of over the new segments. So it looks for the new chunks too, and a
  master that has such an order conforms the source if the film came out so.
- A node that hangs between the question and the act. So whoever takes long asks again (`raven/recheck.py`), and what
  is left is a node that hangs for longer than a lease within one request.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.fixtures import need

MODEL = Path(__file__).parents[2] / "docs" / "protocol.pml"
FILM_IS_WHOLE = "assertion violated (segment==(1+way))"


def explored(folder: Path, *defines: str) -> tuple[int, str]:
    """How many states there are, and the first assertion that does not hold in the nearest of them."""
    spin, gcc = shutil.which("spin"), shutil.which("gcc")
    need(None if spin and gcc else "spin or gcc is not installed; tests/install.sh installs them")
    assert spin and gcc
    subprocess.run([spin, *defines, "-a", MODEL], cwd=folder, check=True, capture_output=True)
    subprocess.run([gcc, "-O2", "-w", "-DSAFETY", "-DBFS", "-o", "pan", "pan.c"], cwd=folder, check=True)
    told = subprocess.run(["./pan", "-m10000"], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert "max search depth too small" not in told
    states = re.search(r"(\d+) states, stored", told)
    broken = re.search(r"assertion violated \S+", told)
    assert states is not None, told
    return int(states[1]), broken[0] if broken else ""


def test_a_film_that_is_out_stays_whole_and_of_one_that_is_deleted_nothing_is_left(tmp_path: Path) -> None:
    states, broken = explored(tmp_path)
    assert broken == ""
    assert states > 1_000_000


@pytest.mark.parametrize("flaw", ["-DBLIND", "-DHANG"])
def test_the_model_finds_what_goes_wrong_where_nodes_look_too_little_or_never_again(tmp_path: Path, flaw: str) -> None:
    _, broken = explored(tmp_path, flaw)
    assert broken == FILM_IS_WHOLE
