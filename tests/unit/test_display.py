"""What `raven watch` and `raven encode` show of a task: chunks, nodes, speed and the time that is left."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from raven import display
from raven.display import LiveDisplay, PlainDisplay
from raven.snapshot import RunningJob, Snapshot, shortened, strip_of

FILM = 100.0
"""Seconds."""


def job(position: int, state: str, kind: str = "encode") -> dict[str, Any]:
    return {"kind": kind, "position": position, "state": state}


def running(position: int, node: str, speed: float, kind: str = "encode") -> RunningJob:
    return RunningJob(kind, position, node, 25, speed)


FARM = Snapshot(
    task=42, status="encoding", progress=0.5, message=None, url=None, duration=FILM, rate=None, trouble=None,
    elapsed=None, jobs_done=3, jobs_known=8, chunks="###>>..",
    running=(running(3, "worker-1", 1.5), running(4, "worker-2", 0.5)),
)  # fmt: skip


def test_chunks_stand_in_the_order_of_the_film_whatever_the_order_of_their_jobs() -> None:
    jobs = [job(2, "waiting"), job(0, "done"), job(1, "running"), job(3, "queued"), job(4, "unusable")]
    assert strip_of([*jobs, job(0, "running", "audio"), job(0, "done", "prepare")]) == "#>.-!"


def test_of_a_chunk_that_is_begun_twice_the_better_run_counts() -> None:
    assert (
        strip_of([job(0, "running"), job(0, "done", "second"), job(1, "running"), job(1, "waiting", "second")]) == "#>"
    )


@pytest.mark.parametrize(
    ("strip", "short"),
    [
        ("##>.", "##>."),
        ("########", "####"),
        ("######>.", "###>"),
        ("#.#.#.#.", "...."),
        ("#!##>-..", "!#>."),
        ("", ""),
    ],
)
def test_a_long_film_has_a_strip_that_fits(strip: str, short: str) -> None:
    """And nothing of it that is not encoded is shown as if it were."""
    assert shortened(strip, 4) == short


def test_a_film_of_a_farm_is_as_fast_as_its_running_chunks_whenever_it_is_looked_at() -> None:
    """It was begun before: half of it is done, and nobody has watched that."""
    assert (FARM.speed, FARM.left) == (2.0, 25.0)
    twice = replace(FARM, running=(*FARM.running, running(3, "worker-3", 1.5, "second")))
    assert twice.speed == 2.0
    idle = replace(FARM, running=())
    assert (idle.speed, idle.left) == (None, None)


def test_a_film_that_was_begun_here_is_as_fast_as_it_was_so_far() -> None:
    here = replace(FARM, elapsed=100.0)
    assert (here.speed, here.left) == (0.5, 100.0)


def live(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> str:
    """The picture on a terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(
        display, "Console", lambda **_: Console(file=screen, force_terminal=True, width=120, color_system=None)
    )
    with LiveDisplay("task 42") as shown:
        shown.show(snapshot)
    return screen.getvalue()


def test_on_a_terminal_chunks_nodes_speed_and_time_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    said = live(FARM, monkeypatch)

    for words in ("task 42", "50.0 %", "2.00x", "0:25 left", "###>>..", "encode 4  worker-1  25 frames  1.50x"):
        assert words in said, said
    assert "worker-1" not in live(replace(FARM, elapsed=1.0), monkeypatch), "here there is one node alone"


def test_elsewhere_a_line_has_them() -> None:
    with redirect_stderr(io.StringIO()) as stderr, PlainDisplay("task 42") as shown:
        shown.show(FARM)

    assert stderr.getvalue() == (
        "task 42:  50.0 %  encoding, 3/8 jobs, 2.00x real time, 0:25 left, ###>>.., on worker-1, worker-2\n"
    )
