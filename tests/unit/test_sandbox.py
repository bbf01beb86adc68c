"""The walls around children: what untrusted bytes make a program do stays in its box, and the reason is told."""

from __future__ import annotations

import socket
import sys

import pytest

from raven.errors import LimitExceeded, ProcessFailed
from raven.limits import Limits
from raven.process import Child, StopSignal, Watch, run
from raven.sandbox import Box, cutter_box, encoder_box, network_is_cut

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the walls are the kernel's of Linux")


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


def said(code: str, box: Box | None = None) -> str:
    """What a child in a box writes."""
    child = Child(python(code), box=box)
    text = child.stdout.read().decode()
    assert child.wait() == 0, child.stderr_tail
    return text.strip()


# no secrets


def test_a_child_is_given_neither_passwords_nor_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("RAVEN_BROKER", "RAVEN_STORAGE_FILE", "RAVEN_CONFIG", "AWS_SECRET_ACCESS_KEY", "https_proxy")
    for name in (*secrets, "LANG"):
        monkeypatch.setenv(name, "C.UTF-8")

    told = said("import os; print(sorted(os.environ))")

    assert "'LANG'" in told
    assert not [name for name in secrets if name in told]


# no network


@LINUX
def test_a_child_cannot_connect_to_a_server_of_this_machine() -> None:
    """A playlist in a film could otherwise ask services that trust this host."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]

        told = said(
            f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}))\nexcept OSError as e: print(e.errno)"
        )

        with pytest.raises(TimeoutError):
            server.accept()
    assert told == "1"  # EPERM


@LINUX
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_a_child_can_make_no_socket_of_any_family(family: str) -> None:
    code = f"import socket\ntry: socket.socket(socket.{family}, socket.SOCK_DGRAM)\nexcept PermissionError: print('no')"

    assert said(code) == "no"


@LINUX
def test_a_child_of_a_child_is_in_the_same_box() -> None:
    code = "import socket\\ntry: socket.socket()\\nexcept PermissionError: print(1)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', '{code}'])"

    assert said(outer) == "1"


@LINUX
def test_the_daemon_can_tell_whether_children_are_cut_off() -> None:
    assert network_is_cut()


def test_the_daemon_itself_keeps_its_network() -> None:
    with socket.socket():
        assert said("print(1)") == "1"
        socket.socket().close()


# limits


def test_a_child_leaves_no_core_dump_and_gains_no_rights() -> None:
    code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/status').read())"

    told = said(code)

    assert told.startswith("(0, 0)")
    assert "NoNewPrivs:\t1" in told


def test_too_much_cpu_time_ends_a_child_with_limit_and_setting() -> None:
    with pytest.raises(LimitExceeded, match="1 s of CPU time that RAVEN_LIMIT_CPU_HOURS allows"):
        run(python("while True: pass"), StopSignal(), box=Box(cpu_seconds=1))


def test_the_kernel_ends_what_the_parent_does_not() -> None:
    """A daemon that is stuck itself must not let a child burn on."""
    limit = said("import resource; print(resource.getrlimit(resource.RLIMIT_CPU))", Box(cpu_seconds=10))

    assert limit == "(40, 40)"


def test_too_large_a_file_ends_a_child_with_the_limit(tmp_path: str) -> None:
    code = f"open({str(tmp_path) + '/x'!r}, 'wb', buffering=0).write(bytes(2 << 20))\n"
    twice = "import os\nf = os.open({!r}, os.O_CREAT | os.O_WRONLY)\nwhile True: os.write(f, bytes(1 << 20))"

    with pytest.raises(LimitExceeded, match="a file of more than 1048576 bytes"):
        run(python(twice.format(str(tmp_path) + "/y")), StopSignal(), box=Box(file_bytes=1 << 20))
    run(python(code), StopSignal(), box=Box(file_bytes=4 << 20))


def test_too_much_memory_is_named_but_may_be_tried_elsewhere() -> None:
    """The node may be short of memory, not the source greedy."""
    with pytest.raises(ProcessFailed, match=r"out of memory \(it may map 300 MiB\)"):
        run(python("x = bytes(1 << 30)"), StopSignal(), box=Box(memory_bytes=300 << 20))


def test_the_boxes_grow_with_the_work() -> None:
    small = encoder_box(640 * 360, 640 * 360, 2, 250, 60)
    large = encoder_box(7680 * 4320, 7680 * 4320, 32, 250, 60)

    assert small.memory_bytes is not None
    assert large.memory_bytes is not None
    assert 3 << 30 < small.memory_bytes < large.memory_bytes
    assert small.file_bytes is not None
    assert small.file_bytes > 640 * 360 * 3 * 250
    assert cutter_box(Limits(pixels=1 << 20), 60).memory_bytes == (4 << 30) + (192 << 20)


# hanging


def test_a_program_whose_progress_stands_still_is_ended() -> None:
    """ffmpeg reports on and on, also when nothing moves."""
    script = "import time\nwhile True: print('frame=7\\nprogress=continue', flush=True); time.sleep(0.05)"

    with pytest.raises(ProcessFailed, match=r"hung: it made no progress for 0.5 s \(RAVEN_STALL_SECONDS\)"):
        run(python(script), StopSignal(), stall_seconds=0.5)


def test_a_program_may_take_longer_for_its_first_frame() -> None:
    """It decodes from a far-off key frame, or looks ahead; what it reports meanwhile is no frame."""
    waits = "import time\nfor _ in range(30): print('frame=0\\nout_time_us=N/A', flush=True); time.sleep(0.05)\n"

    run(python(waits), StopSignal(), stall_seconds=0.75)
    with pytest.raises(ProcessFailed, match=r"no progress for 0.6 s \(3 times RAVEN_STALL_SECONDS\)"):
        run(python(waits), StopSignal(), stall_seconds=0.2)


def test_a_slow_program_that_moves_is_left_alone() -> None:
    script = "import time\nfor n in range(8): print(f'frame={n}\\nprogress=continue', flush=True); time.sleep(0.2)"

    run(python(script), StopSignal(), stall_seconds=1)


@LINUX
def test_what_a_child_has_read_is_known() -> None:
    code = "import sys\nsys.stdin.buffer.read(1)\nopen('/dev/zero', 'rb').read(5 << 20)\nprint(1, flush=True)\ninput()"
    child = Child(python(code), stdin=-1)
    before = child.bytes_read()
    child.stdin.write(b"xy\n")
    child.stdin.flush()
    child.stdout.readline()

    assert child.bytes_read() - before >= 5 << 20
    child.stop()
    child.wait()


def test_a_good_end_is_no_fault_even_if_the_watch_was_near() -> None:
    child = Child(python("pass"))
    with Watch(child, "it", StopSignal(), stall_seconds=0.0) as watch:
        status = child.wait()
    if status == 0:
        watch.check(status)
