"""Child processes: watched, explained when they fail, and gone when they shall be gone, with all that they started."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven.errors import Cancelled, NoRoom, ProcessFailed
from raven.process import TAIL_LINES, Child, StopSignal, pasteable, run
from tests.waiting import wait_until

GONE_WITHIN = 2.0  # s, what the design promises for a cancelled task


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def is_gone(pid: int) -> bool:
    """Dead; a zombie is dead too, whoever has to reap it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


# how it ends


def test_progress_comes_in_blocks() -> None:
    blocks: list[dict[str, str]] = []

    run(
        shell("printf 'frame=1\\nfps=25.0\\nprogress=continue\\nframe=2\\nprogress=end\\n'"),
        StopSignal(),
        blocks.append,
    )

    assert blocks == [
        {"frame": "1", "fps": "25.0", "progress": "continue"},
        {"frame": "2", "progress": "end"},
    ]


def test_a_failure_names_program_status_and_last_words() -> None:
    with pytest.raises(ProcessFailed, match=r"^sh ended with status 3: the disk is full$"):
        run(shell("echo the disk is full >&2; exit 3"), StopSignal())


def test_a_full_disk_is_told_from_other_failures() -> None:
    """The node looks at its disk before it takes another job."""
    with pytest.raises(NoRoom, match=r"^sh ended with status \d, for its files found no room: .*No space left"):
        run(shell("LC_ALL=C cat /proc/version > /dev/full"), StopSignal())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_death_by_signal_is_named(number: signal.Signals) -> None:
    """SIGKILL is the kernel out of memory, SIGSEGV a broken decoder: a number would tell nobody."""
    with pytest.raises(ProcessFailed, match=f"^sh was killed by {number.name}: last words$"):
        run(shell(f"ulimit -c 0; echo last words >&2; kill -{number.value} $$"), StopSignal())


def test_the_last_lines_of_stderr_are_kept_and_only_those() -> None:
    """A decoder can complain about every frame of a day of film."""
    child = Child(shell("for n in $(seq 1 5000); do echo line $n; done >&2"))

    assert child.wait() == 0

    assert child.stderr_tail.splitlines() == [f"line {n}" for n in range(5001 - TAIL_LINES, 5001)]


def test_a_message_is_not_longer_than_a_person_reads() -> None:
    with pytest.raises(ProcessFailed) as failed:
        run(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1"), StopSignal())

    assert 2000 <= len(str(failed.value)) < 2100


def test_bytes_that_are_no_text_do_not_hide_the_failure() -> None:
    with pytest.raises(ProcessFailed, match="status 1: caf\ufffd"):
        run(shell("printf 'caf\\351\\n' >&2; exit 1"), StopSignal())


def test_a_child_reads_nothing_of_ours() -> None:
    """It would eat the daemon's terminal."""
    child = Child(["/bin/cat"])

    assert child.stdout.read() == b""
    assert child.wait() == 0


def test_a_program_that_does_not_exist_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="nonexistent"):
        run(["/nonexistent/ffmpeg"], StopSignal())


# how it is stopped

STUBBORN = "trap '' TERM; sleep 300 & echo $!; while :; do wait; done"
ORPHANING = "(trap '' TERM; sleep 300) & echo $!; wait"
OBEDIENT = "sleep 300 & echo $!; wait"


@pytest.mark.parametrize("script", [STUBBORN, ORPHANING, OBEDIENT], ids=["stubborn", "stubborn child", "obedient"])
def test_stopping_ends_the_whole_group(script: str) -> None:
    """A cancelled task's ffmpeg must not go on, nor anything that it started, whatever it does with TERM."""
    # Given a child with a child of its own
    child = Child(shell(script))
    grandchild = int(child.stdout.readline())
    assert not is_gone(grandchild)

    # When it is stopped
    begun = time.monotonic()
    child.stop()
    status = child.wait()

    # Then both are gone in time
    assert time.monotonic() - begun < GONE_WITHIN
    assert status in (-signal.SIGTERM, -signal.SIGKILL)
    wait_until(lambda: is_gone(grandchild), "the grandchild is gone", timeout=GONE_WITHIN)


def test_stopping_twice_or_after_the_end_is_safe() -> None:
    child = Child(shell("exit 0"))
    assert child.wait() == 0

    child.stop()
    child.stop()


def test_what_a_child_leaves_behind_is_ended_with_it() -> None:
    child = Child(shell("sleep 300 >/dev/null 2>&1 & echo $!"))
    left = int(child.stdout.readline())

    assert child.wait() == 0

    wait_until(lambda: is_gone(left), "what it left is gone", timeout=GONE_WITHIN)


def test_a_stop_while_it_runs_is_a_cancel_not_a_failure() -> None:
    stop = StopSignal()
    begun = time.monotonic()

    with pytest.raises(Cancelled):
        run(shell("echo progress=continue; exec sleep 300"), stop, lambda _: stop.set())

    assert time.monotonic() - begun < GONE_WITHIN


def test_a_stop_before_the_start_starts_nothing(tmp_path: Path) -> None:
    stop = StopSignal()
    stop.set()

    with pytest.raises(Cancelled):
        run(["/usr/bin/touch", str(tmp_path / "started")], stop)

    assert not (tmp_path / "started").exists()


def test_a_result_that_was_there_before_the_stop_does_not_count() -> None:
    """A cancelled job must not be reported done."""
    stop = StopSignal()

    with pytest.raises(Cancelled):
        run(shell("echo progress=end"), stop, lambda _: stop.set())


def test_an_error_while_progress_is_taken_leaves_no_child_behind() -> None:
    """An ffmpeg that nobody waits for would fill the disk of the node."""
    pids: list[int] = []

    def broken(block: dict[str, str]) -> None:
        pids.append(int(block["pid"]))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(shell("echo pid=$$; echo progress=continue; exec sleep 300"), StopSignal(), broken)

    wait_until(lambda: is_gone(pids[0]), "the child is gone", timeout=GONE_WITHIN)


def test_a_child_dies_with_a_daemon_that_is_killed() -> None:
    """kill -9 leaves no time to clean up: the kernel has to do it."""
    # Given a daemon with a child
    script = (
        "from raven.process import Child\nimport time\nc = Child(['/bin/sh', '-c', 'echo $$; exec sleep 300'])\n"
        "print(int(c.stdout.readline()), flush=True)\ntime.sleep(300)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as daemon:
        assert daemon.stdout is not None
        child = int(daemon.stdout.readline())
        assert not is_gone(child)

        # When it is killed
        daemon.kill()

    # Then its child is gone too
    wait_until(lambda: is_gone(child), "the child is gone", timeout=20)


def test_a_stop_signal_is_heard_by_all_who_ask() -> None:
    stop = StopSignal()
    stop.check()
    assert not stop
    assert not stop.wait(0)

    stop.set()

    assert stop
    assert stop.wait(0)
    with pytest.raises(Cancelled):
        stop.check()


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_a_pasted_command_is_the_command(command: list[str]) -> None:
    """It stands in the log, for a person to try again."""
    assert shlex.split(pasteable(command)) == command


def test_a_child_is_alone_in_its_group() -> None:
    """Ctrl-C on a terminal reaches the daemon, which then decides."""
    child = Child(shell("ps -o pgid= -p $$ || cut -d' ' -f5 /proc/$$/stat"))

    assert int(child.stdout.read()) != os.getpgrp()
    assert child.wait() == 0
