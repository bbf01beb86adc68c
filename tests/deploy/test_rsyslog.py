"""Logs of nodes come together on a log host, by real rsyslogd; a log host that is away costs nothing."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, check
from tests.servers.process import (
    HOST,
    ChildProcess,
    clean_environment,
    free_port,
    private_directory,
    program,
)
from tests.waiting import wait_until

RSYSLOG = DEPLOY / "rsyslog"
DAEMON = """
import sys
import structlog
from raven.config import Settings
from raven.log import configure

configure(Settings(syslog=sys.argv[1], node="one"), "worker")
structlog.get_logger().info(sys.argv[2], task=42, kind="encode", speed=1.5, command="x" * int(sys.argv[3]))
"""


@contextmanager
def rsyslogd(folder: Path, name: str, configuration: str) -> Iterator[None]:
    """A running rsyslogd, which has found no fault in its configuration."""
    work = folder / name
    work.mkdir(exist_ok=True)
    file = folder / f"{name}.conf"
    file.write_text(f'global(workDirectory="{work}" maxMessageSize="64k")\n{configuration}', "utf-8")
    assert "rror" not in check("rsyslog", "rsyslogd", "-N1", "-f", file)
    command = [program("rsyslogd"), "-n", "-iNONE", "-f", str(file)]
    process = ChildProcess("rsyslogd", command, log=folder / f"{name}.log", env=clean_environment(folder))
    try:
        yield
    finally:
        process.terminate()


class Farm:
    """A node and a log host with the documented configurations, in which ports, hosts and paths are the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._own, self._system = folder / "raven-log", folder / "dev-log"
        self.log = folder / "raven.log"
        self.log_host_url = f"tcp://{HOST}:{self._port}"
        self.system_url = str(self._system)

    def node(self, more: str = "") -> AbstractContextManager[None]:
        """`more`: what stands in the machine's own configuration behind Raven's."""
        text = (RSYSLOG / "raven-node.conf").read_text("utf-8")
        text = text.replace("log.example", HOST).replace('"10514"', f'"{self._port}"')
        text = text.replace("/run/raven-log", str(self._own))
        text = text.replace('action.resumeInterval="10"', 'action.resumeInterval="1"')
        # as Debian has it, but /dev/log, which is the machine's
        before = f'module(load="imuxsock" sysSock.name="{self._system}")\n'
        return rsyslogd(self._folder, "node", before + text + more)

    def hear(self, line: str) -> None:
        """A line of any program on the node."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
            program.sendto(line.encode(), str(self._system))

    def log_host(self, before: str = "", action: str = "") -> AbstractContextManager[None]:
        """`action`: what it does with Raven's lines besides."""
        text = (RSYSLOG / "raven-loghost.conf").read_text("utf-8")
        text = text.replace("/var/log/raven/raven.log", str(self.log)).replace('"10514"', f'"{self._port}"')
        return rsyslogd(self._folder, "loghost", before + text.replace("    action(", f"    {action}\n    action("))

    def say(self, event: str, length: int = 1, where: str | None = None) -> None:
        """A daemon logs an event, by the node if nothing else is said; it must not wait for anybody."""
        command = [sys.executable, "-c", DAEMON, where or f"unix://{self._own}", event, str(length)]
        subprocess.run(command, check=True, timeout=20, capture_output=True)

    def until_heard(self) -> None:
        """The node has begun to listen."""
        wait_until(lambda: self._own.exists() and self._system.exists(), "the node hears", pause=0.2)

    def until_logged(self, event: str) -> str:
        """The line of an event on the log host."""

        def line() -> str:
            lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
            return next((line for line in lines if event in line), "")

        return wait_until(line, f"{event} is on the log host")


@pytest.fixture
def farm() -> Iterator[Farm]:
    with private_directory() as folder:
        yield Farm(folder)


def test_a_tasks_lines_are_found_on_the_log_host_whole(farm: Farm) -> None:
    """Also long ones, such as tracebacks and commands."""
    with farm.log_host(), farm.node():
        farm.until_heard()
        farm.say("chunk encoded", 20_000)
        line = farm.until_logged("chunk encoded")

    assert '"task": 42,' in line
    assert '"node": "one"' in line
    assert "x" * 20_000 in line
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ \S+ raven-worker\[\d+\] task=42 \{", line)
    assert line.endswith("}")


@pytest.mark.parametrize("way", ["by the node", "by itself"])
def test_the_log_host_has_the_fields_of_a_line_without_reading_its_message(farm: Farm, way: str) -> None:
    """Who keeps logs in a database looks for a task there by a field."""
    fields = farm.log.with_name("fields")
    wanted = " ".join(f"%$!rfc5424-sd!raven@32473!{name}%" for name in ("task", "kind", "node"))
    before = f'module(load="mmpstrucdata")\ntemplate(name="Fields" type="string" string="{wanted}\\n")\n'
    action = f'action(type="mmpstrucdata") action(type="omfile" file="{fields}" template="Fields")'
    with farm.log_host(before, action), farm.node():
        farm.until_heard()
        farm.say("chunk encoded", 20_000, farm.log_host_url if way == "by itself" else None)
        farm.until_logged("chunk encoded")

    assert fields.read_text("utf-8") == "42 encode one\n"


def test_lines_to_the_system_s_own_socket_come_through_too(farm: Farm) -> None:
    with farm.log_host(), farm.node():
        farm.until_heard()
        farm.say("chunk encoded", 5_000, farm.system_url)
        line = farm.until_logged("chunk encoded")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ \S+ raven-worker\[\d+\] task=42 \{", line)
    assert line.endswith("}")


def test_a_daemon_may_speak_to_the_log_host_itself(farm: Farm) -> None:
    """By TCP, without an rsyslog of its node."""
    with farm.log_host():
        farm.say("chunk encoded", 20_000, farm.log_host_url)
        line = farm.until_logged("chunk encoded")
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ \S+ raven-worker\[\d+\] task=42 \{", line)
    assert line.endswith("}")


def test_what_is_said_while_the_log_host_is_away_comes_later(farm: Farm) -> None:
    with farm.node():
        with farm.log_host():
            farm.until_heard()
        farm.say("nobody there")
        farm.say("nobody there either")
        with farm.log_host():
            farm.until_logged("nobody there either")


def test_a_node_s_own_syslog_has_nothing_of_raven_s(farm: Farm, tmp_path: Path) -> None:
    """Neither its lines to local7 nor its output, which the journal hands on as a daemon's; all others' it has."""
    own = tmp_path / "syslog"
    with farm.log_host(), farm.node(f'action(type="omfile" file="{own}")\n'):
        farm.until_heard()
        for line in ("<30>raven-worker[1]: its output", "<190>raven-worker[1]: {}", "<30>sshd[2]: somebody else's"):
            farm.hear(line)
        wait_until(lambda: own.exists() and "somebody else's" in own.read_text("utf-8"), "the last line is there")

    assert "raven" not in own.read_text("utf-8")


def test_logs_are_rotated_packed_and_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "raven"
    folder.mkdir(mode=0o755)
    text = (DEPLOY / "logrotate" / "raven").read_text("utf-8").replace("/var/log/raven", str(folder))
    rules = tmp_path / "rules"
    rules.write_text(text.replace("root adm", "").replace("/usr/lib/rsyslog/rsyslog-rotate", f"touch {tmp_path}/told"))
    rules.chmod(0o644)
    (folder / "raven.log").write_text("a line\n")

    assert "rror" not in check("logrotate", "logrotate", "-d", rules)
    check("logrotate", "logrotate", "-f", "-s", tmp_path / "state", rules)

    assert (folder / "raven.log").read_text() == ""
    (first,) = folder.glob("raven.log-*")
    assert first.read_text() == "a line\n"

    first.rename(first.with_name(re.sub(r"-\d+$", "-1700000000", first.name)))  # the clock has gone on
    (folder / "raven.log").write_text("a line of the same day\n")
    check("logrotate", "logrotate", "-f", "-s", tmp_path / "state", rules)
    (packed,) = folder.glob("raven.log-*.gz")
    (second,) = set(folder.glob("raven.log-*")) - {packed}
    assert second.read_text() == "a line of the same day\n"
    assert gzip.decompress(packed.read_bytes()) == b"a line\n"
    assert (tmp_path / "told").exists(), "rsyslog is told"
