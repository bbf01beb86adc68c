"""Logs: pretty for a person, JSON for a machine, and no secret in either."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import structlog

from raven.config import Settings
from raven.errors import ConfigError
from raven.log import configure

CHATTY = ("pika", "botocore", "boto3", "urllib3", "s3transfer")


class Stderr(io.StringIO):
    """A stderr that is a terminal, or not, for logs that are set up with it."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal

    def configure(self, settings: Settings, role: str, *, quiet: bool = False) -> None:
        with redirect_stderr(self):
            configure(settings, role, quiet=quiet)

    @property
    def text(self) -> str:
        return self.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stderr() -> Iterator[Stderr]:
    """A stderr that is no terminal; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in CHATTY}
    yield Stderr()
    structlog.reset_defaults()
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def terminal(stderr: Stderr) -> Stderr:
    stderr.terminal = True
    return stderr


def settings(**fields: object) -> Settings:
    return Settings.model_validate({"node": "n1", **fields})


def test_elsewhere_than_on_a_terminal_each_line_is_json(stderr: Stderr) -> None:
    stderr.configure(settings(), "worker")

    structlog.get_logger().info("job done", task=7, seconds=1.5)

    (event,) = stderr.events
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "job done", "level": "info", "role": "worker", "node": "n1", "task": 7, "seconds": 1.5}


def test_on_a_terminal_it_is_for_a_person(terminal: Stderr) -> None:
    terminal.configure(settings(), "worker")

    structlog.get_logger().info("job done", task=7)

    assert "job done" in terminal.text
    assert not terminal.text.startswith("{")


@pytest.mark.parametrize(("log_format", "is_json"), [("json", True), ("pretty", False)])
def test_the_format_can_be_forced(stderr: Stderr, log_format: str, is_json: bool) -> None:
    stderr.configure(settings(log_format=log_format), "worker")

    structlog.get_logger().info("job done")

    assert stderr.text.startswith("{") is is_json
    assert "\x1b" not in stderr.text  # no colours into a file


def test_lines_of_libraries_have_the_same_shape(stderr: Stderr) -> None:
    stderr.configure(settings(), "master")

    logging.getLogger("some.package").warning("watch %s", "out")

    (event,) = stderr.events
    assert (event["event"], event["level"], event["role"]) == ("watch out", "warning", "master")


def test_every_thread_says_who_it_is(stderr: Stderr) -> None:
    """The work is done in threads, which do not inherit bound context."""
    stderr.configure(settings(), "worker")

    thread = threading.Thread(target=lambda: structlog.get_logger().info("job done"))
    thread.start()
    thread.join()

    assert [(e["role"], e["node"]) for e in stderr.events] == [("worker", "n1")]


def test_what_is_below_the_level_is_not_logged(stderr: Stderr) -> None:
    stderr.configure(settings(log_level="warning"), "worker")

    structlog.get_logger().info("chatter")
    logging.getLogger("some.package").info("chatter")
    structlog.get_logger().warning("trouble")

    assert [e["event"] for e in stderr.events] == ["trouble"]


def test_quiet_lets_only_errors_through(stderr: Stderr) -> None:
    """The progress display owns the terminal."""
    stderr.configure(settings(), "local", quiet=True)

    structlog.get_logger().warning("trouble")
    structlog.get_logger().error("disaster")

    assert [e["event"] for e in stderr.events] == ["disaster"]


def test_an_exception_is_a_field_of_its_line(stderr: Stderr) -> None:
    stderr.configure(settings(), "worker")

    try:
        raise OSError("the disk is full")
    except OSError:
        structlog.get_logger().exception("handler broke")

    (event,) = stderr.events
    assert "OSError: the disk is full" in event["exception"]


# secrets


def test_settings_in_a_line_do_not_show_passwords(stderr: Stderr) -> None:
    chosen = settings(database="mysql://raven:geheim@db/raven", broker="amqp://bob:geheim@mq/", log_level="debug")
    stderr.configure(chosen, "watcher")

    structlog.get_logger().info("started", settings=chosen)
    logging.getLogger("some.package").info("with %r", chosen)

    assert len(stderr.events) == 2
    assert "geheim" not in stderr.text


@pytest.mark.parametrize("library", CHATTY)
def test_libraries_that_log_credentials_are_silent_at_any_level(stderr: Stderr, library: str) -> None:
    """botocore writes signed headers at debug, pika whole URLs."""
    stderr.configure(settings(log_level="debug"), "worker")

    logging.getLogger(f"{library}.auth").debug("AWS4-HMAC-SHA256 geheim")
    logging.getLogger(f"{library}.connection").error("amqp://bob:geheim@mq/")

    assert stderr.text == ""


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_a_traceback_does_not_show_the_values_of_variables(terminal: Stderr, log_format: str) -> None:
    """Of ours and of libraries: a URL with its password is one."""
    terminal.configure(settings(log_format=log_format), "worker")

    def breaks() -> None:
        url = "-".join(["geheim"] * 2)  # not in the source as it is shown
        raise ValueError(len(url))

    for told in (structlog.get_logger().exception, logging.getLogger("some.package").exception):
        try:
            breaks()
        except ValueError:
            told("broke")

    assert terminal.text.count("ValueError") >= 2
    assert "geheim-geheim" not in terminal.text


# syslog


def test_syslog_gets_each_line_too(stderr: Stderr) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log_host:
        log_host.bind(("127.0.0.1", 0))
        log_host.settimeout(20)
        stderr.configure(settings(syslog=f"127.0.0.1:{log_host.getsockname()[1]}"), "worker")

        structlog.get_logger().info("job done", task=7)

        datagram = log_host.recv(65_536).decode()
    # priority: facility local7 (23), severity info (6); then what RFC 5424, 6.2 wants
    head, _, body = datagram.partition("{")
    assert re.fullmatch(
        rf"<190>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}Z \S+ raven-worker {os.getpid()} - \[.+\] task=7 ", head
    )
    assert json.loads("{" + body)["event"] == "job done"
    assert [e["event"] for e in stderr.events] == ["job done"]


def structured(line: str) -> str:
    """The STRUCTURED-DATA of a line: behind six fields."""
    found = re.match(r"(?:\S+ ){6}(-|\[(?:[^]\\]|\\.)*\]) ", line)
    assert found is not None
    return found[1]


def test_who_did_what_for_which_task_stands_in_fields_that_log_servers_know(stderr: Stderr) -> None:
    """Also a value that would end them: a name of a node is whatever the setting says (RFC 5424, 6.3.3)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log_host:
        log_host.bind(("127.0.0.1", 0))
        log_host.settimeout(20)
        stderr.configure(settings(syslog=f"127.0.0.1:{log_host.getsockname()[1]}", node='a"b]c\\d'), "worker")
        structlog.get_logger().info("job done", task=7, job=9, chunk=3, attempt=1, kind="encode", speed=1.5)
        logging.getLogger("a.library").warning("as a library says it")
        ours, another_s = (log_host.recv(65_536).decode() for _ in range(2))

    assert structured(ours) == (
        '[raven@32473 task="7" job="9" chunk="3" attempt="1" kind="encode" role="worker" '
        'node="a\\"b\\]c\\\\d" event="job done"]'
    )
    assert structured(another_s) == "-"


def test_a_socket_of_a_local_server_gets_lines_by_rfc_5424_also_one_that_starts_later(
    stderr: Stderr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raven.syslog.AGAIN_SECONDS", 0.05)
    stderr.configure(settings(syslog=f"unix://{tmp_path}/log"), "worker")
    structlog.get_logger().info("job done", task=7)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(20)
        line = log.recv(65_536).decode()

    assert re.match(rf'<190>1 \S+Z \S+ raven-worker {os.getpid()} - \[raven@32473 task="7" .*\] task=7 \{{', line)


def test_the_local_socket_gets_lines_as_the_c_library_writes_them(stderr: Stderr, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(20)
        stderr.configure(settings(syslog=str(tmp_path / "log")), "worker")
        structlog.get_logger().info("started")
        line = log.recv(65_536).decode()
    assert line.startswith(f"<190>raven-worker[{os.getpid()}]: {{")


class LogHost:
    """A server by TCP that counts octets, as RFC 6587, 3.4.1 has it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self.port: int = self._listener.getsockname()[1]

    def frames(self) -> Iterator[str]:
        """Of the first connection."""
        connection, _ = self._listener.accept()
        connection.settimeout(30)
        with connection, connection.makefile("rb") as stream:
            while length := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                yield stream.read(int(length)).decode()

    def close(self) -> None:
        self._listener.close()


def test_by_tcp_each_line_is_a_frame_also_one_with_line_breaks(stderr: Stderr) -> None:
    with closing(LogHost()) as host:
        stderr.configure(settings(syslog=f"tcp://127.0.0.1:{host.port}"), "worker")
        structlog.get_logger().warning("job failed", task=7, fault="one\ntwo")
        structlog.get_logger().info("job done", task=8)
        first, second = itertools.islice(host.frames(), 2)
    assert first.startswith("<188>1 ")
    assert json.loads(first[first.index("{") :])["fault"] == "one\ntwo"
    assert " task=8 {" in second


def test_while_a_log_host_by_tcp_is_away_nobody_waits_and_when_it_is_back_what_was_lost_is_told(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, connect = threading.Event(), socket.create_connection

    def connect_when_back(target: tuple[str, int], seconds: float) -> socket.socket:
        if not back.is_set():
            raise ConnectionRefusedError
        return connect(target, seconds)

    monkeypatch.setattr("raven.syslog.KEPT_LINES", 10)
    monkeypatch.setattr("raven.syslog.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("raven.syslog.socket.create_connection", connect_when_back)
    with closing(LogHost()) as host:
        stderr.configure(settings(syslog=f"tcp://127.0.0.1:{host.port}"), "worker")
        for number in range(300):
            structlog.get_logger().info("job done", number=number)
        back.set()
        events = (json.loads(line[line.index("{") :]) for line in host.frames())
        kept, told = [], next(events)
        while "lost" not in told["event"]:
            kept.append(told)
            told = next(events)

    assert kept[0]["number"] == 0
    assert len(kept) in (10, 11)  # in the queue, and in the hand of the thread
    said = len(stderr.events)  # that the server is away, too
    assert said == 300 + 1
    assert told["event"] == f"{said - len(kept)} lines were lost while the syslog server was away"
    assert told["level"] == "warning"


def test_a_log_host_that_is_down_stops_nothing(stderr: Stderr) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    stderr.configure(settings(syslog=f"127.0.0.1:{port}"), "worker")

    for _ in range(3):
        structlog.get_logger().info("job done")

    assert [e["event"] for e in stderr.events] == ["job done"] * 3


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_names_are_looked_up_by_nobody_who_logs(stderr: Stderr, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Nor at the start: a resolver that is away takes many seconds, and the daemon would not come up with its host."""
    asked, answered, askers = threading.Event(), threading.Event(), set()
    look_up = socket.getaddrinfo

    def slowly(host: str, *rest: Any, **more: Any) -> Any:
        askers.add(threading.current_thread())
        asked.set()
        if not answered.wait(60):
            raise AssertionError("nobody answers")
        return look_up("127.0.0.1", *rest, **more)

    with closing(LogHost()) as host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", host.port))
        datagrams.settimeout(30)
        monkeypatch.setattr("raven.syslog.socket.getaddrinfo", slowly)
        stderr.configure(settings(syslog=f"{scheme}://log.example:{host.port}"), "worker")
        for number in range(3):
            structlog.get_logger().info("job done", number=number)
        assert asked.wait(30)
        answered.set()
        heard = (
            list(itertools.islice(host.frames(), 3))
            if scheme == "tcp"
            else [datagrams.recv(65_536).decode() for _ in range(3)]
        )

    assert [json.loads(line[line.index("{") :])["number"] for line in heard] == [0, 1, 2]
    assert threading.current_thread() not in askers


def test_a_name_that_nobody_knows_is_told_once_where_else_lines_go(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Semaphore(0)

    def unknown(*_: Any, **__: Any) -> Any:
        tried.release()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("raven.syslog.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("raven.syslog.socket.getaddrinfo", unknown)
    stderr.configure(settings(syslog="udp://log.example:514"), "worker")
    structlog.get_logger().info("job done")
    for _ in range(3):
        assert tried.acquire(timeout=30)

    told = [event for event in stderr.events if event["event"] != "job done"]
    assert [(event["event"], event["where"], event["fault"]) for event in told] == [
        ("the syslog server is away", "udp://log.example:514", "Temporary failure in name resolution")
    ]


def test_a_local_server_that_does_not_read_makes_nobody_wait(stderr: Stderr, tmp_path: Path) -> None:
    """A datagram socket holds a few, and then whoever writes waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(30)
        stderr.configure(settings(syslog=str(tmp_path / "log")), "worker")
        for number in range(2000):
            structlog.get_logger().info("job done", number=number)
        numbers = [
            json.loads(line[line.index("{") :])["number"] for line in (log.recv(65_536).decode() for _ in range(2000))
        ]

    assert numbers == list(range(2000))


def test_a_line_that_fits_into_no_datagram_is_cut_and_the_next_one_comes(stderr: Stderr) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log_host:
        log_host.bind(("127.0.0.1", 0))
        log_host.settimeout(30)
        stderr.configure(settings(syslog=f"udp://127.0.0.1:{log_host.getsockname()[1]}"), "worker")
        structlog.get_logger().info("job done", command="x" * 100_000)
        structlog.get_logger().info("job failed")
        long, short = (log_host.recv(100_000) for _ in range(2))

    assert 59_900 < len(long) <= 60_000
    long.decode()
    assert b'"event": "job failed"' in short


@pytest.mark.parametrize(
    "where",
    [
        "loghost", "loghost:syslog", ":514", "no host:514", "/nonexistent/log", "tcp://:514", "tls://loghost:6514", "unix://log",
        "udp://log..example:514", f"udp://{'a' * 64}.example:514", "udp://loghost:66050", "udp://loghost:0",
    ],
)  # fmt: skip
def test_a_syslog_that_is_not_there_is_refused_at_the_start(stderr: Stderr, where: str) -> None:
    with pytest.raises(ConfigError, match="syslog: "):
        stderr.configure(settings(syslog=where), "worker")


def test_a_path_that_is_no_socket_is_refused(stderr: Stderr, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")

    with pytest.raises(ConfigError, match="syslog: "):
        stderr.configure(settings(syslog=str(tmp_path / "log")), "worker")
