"""What a daemon says to its service manager, heard on a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from raven.notify import Notifier

Hear = Callable[[], list[str]]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[str, Hear]]:
    """The address of a manager, and a function for all that it has heard since."""
    yield from listening(str(tmp_path / "notify"))


def listening(address: str) -> Iterator[tuple[str, Hear]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        listener.setblocking(False)

        def hear() -> list[str]:
            heard = []
            try:
                while True:
                    heard.append(listener.recv(4096).decode())
            except BlockingIOError:
                return heard

        yield address, hear


def test_a_daemon_says_that_it_is_ready_and_that_it_stops(manager: tuple[str, Hear]) -> None:
    address, hear = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})

    notifier.ready()
    notifier.stopping()

    assert hear() == ["READY=1", "STOPPING=1"]


def test_an_abstract_socket_is_spelled_with_an_at_sign() -> None:
    for address, hear in listening(f"@raven-test-{os.getpid()}"):
        Notifier({"NOTIFY_SOCKET": address}).ready()

        assert hear() == ["READY=1"]


def test_beats_come_three_times_in_the_managers_patience(
    manager: tuple[str, Hear], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, hear = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
    now = 1000.0
    monkeypatch.setattr("raven.notify.time.monotonic", lambda: now)

    for _ in range(600):  # a minute of the daemon's loop, at 0.1 s
        notifier.beat()
        now += 0.1

    assert hear() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}],
    ids=["nobody watches", "not a number", "another process is watched"],
)
def test_without_a_watchdog_there_are_no_beats(watchdog: dict[str, str], manager: tuple[str, Hear]) -> None:
    address, hear = manager

    Notifier({"NOTIFY_SOCKET": address, **watchdog}).beat()

    assert hear() == []


def test_a_file_is_touched_every_few_seconds_for_the_health_check_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("raven.notify.time.monotonic", lambda: now)
    file = tmp_path / "alive"
    notifier = Notifier({}, file)
    assert not file.exists()

    times = []
    for _ in range(100):  # ten seconds of the daemon's loop
        file.unlink(missing_ok=True)
        notifier.beat()
        times += [round(now - 1000, 1)] if file.exists() else []
        now += 0.1

    assert times == [0.0, 5.0]


def test_a_file_that_cannot_be_touched_is_logged_and_stops_nobody(tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({}, tmp_path / "gone" / "alive").beat()

    assert [(line["event"], line["fault"]) for line in logs] == [
        ("the alive file cannot be touched", "No such file or directory")
    ]


def test_a_daemon_that_no_manager_started_says_nothing() -> None:
    with capture_logs() as logs:
        Notifier({}).ready()

    assert logs == []


def test_a_manager_that_is_gone_is_logged_and_stops_nobody(tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()

    assert [(line["event"], line["state"], line["fault"]) for line in logs] == [
        ("the service manager was not told", "READY=1", "No such file or directory")
    ]


def test_a_manager_that_does_not_read_makes_nobody_wait(manager: tuple[str, Hear]) -> None:
    """Its queue is full: what would block is left out and logged."""
    address, _ = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})

    with capture_logs() as logs:
        for _ in range(10_000):
            notifier.ready()
            if logs:
                break

    assert logs[0]["fault"] == "Resource temporarily unavailable"
