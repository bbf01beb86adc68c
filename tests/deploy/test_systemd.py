"""The units: systemd finds no fault in them, and holds them for hardened."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, check

UNITS = DEPLOY / "systemd"
SERVICES = sorted(file.name for file in UNITS.glob("*.service"))
TIMERS = sorted(file.name for file in UNITS.glob("*.timer"))
INSTALLED = "/opt/raven/bin/"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The folder as it is installed, but with the programs of these tests in the place of installed ones."""
    folder = tmp_path / "systemd"
    shutil.copytree(UNITS, folder)
    for name in SERVICES:
        text = (folder / name).read_text("utf-8").replace(INSTALLED, f"{Path(sys.executable).parent}/")
        (folder / name).write_text(text, "utf-8")
    return folder


def test_each_daemon_has_a_unit_and_the_cleaner_a_timer() -> None:
    assert SERVICES == ["raven-master.service", "raven-scrub.service", "raven-watcher.service", "raven-worker.service"]
    assert TIMERS == ["raven-scrub.timer"]


@pytest.mark.parametrize("unit", [*SERVICES, *TIMERS])
def test_systemd_understands_each_line_of_a_unit(unit: str, units: Path) -> None:
    """It also looks whether the programs are there; what it does not understand it says, and goes on."""
    assert check("systemd", "systemd-analyze", "verify", "--man=no", units / unit) == ""


@pytest.mark.parametrize("unit", SERVICES)
def test_systemd_holds_a_unit_for_hardened(unit: str, units: Path) -> None:
    """An exposure below 3.0 of 10."""
    check("systemd", "systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", units / unit)


@pytest.mark.parametrize("unit", ["raven-master.service", "raven-watcher.service", "raven-worker.service"])
def test_daemons_are_watched_and_come_back(unit: str) -> None:
    lines = (UNITS / unit).read_text("utf-8").splitlines()
    assert {"Type=notify", "Restart=on-failure", "RestartPreventExitStatus=2", "StartLimitIntervalSec=0"} <= set(lines)
    assert any(line.startswith("WatchdogSec=") for line in lines)


def test_the_user_of_the_units_can_be_made() -> None:
    said = check("systemd", "systemd-sysusers", "--dry-run", UNITS / "raven.sysusers")
    assert "raven" in said


def test_cron_and_the_timer_start_the_same_program() -> None:
    (unit,) = (
        line for line in (UNITS / "raven-scrub.service").read_text("utf-8").splitlines() if line.startswith("ExecStart")
    )
    job = (DEPLOY / "cron" / "raven").read_text("utf-8").splitlines()[-1]
    assert job.endswith(unit.removeprefix("ExecStart="))


def test_cron_takes_the_settings_as_the_units_do(tmp_path: Path) -> None:
    """Of a storage whose URL has an & and a password with all that means something to a shell."""
    storage, database = "s3://b/p?endpoint=http://127.0.0.1:9000&tls=ca.pem", "mysql://bob:a$b;c#d@127.0.0.1/raven"
    (tmp_path / "raven.env").write_text(f"RAVEN_STORAGE={storage}\n", "utf-8")
    (tmp_path / "raven-watcher.env").write_text(f"RAVEN_DATABASE={database}\n", "utf-8")
    job = (DEPLOY / "cron" / "raven").read_text("utf-8").splitlines()[-1].partition(" root ")[2]
    shows = "import os; print(os.environ['RAVEN_STORAGE'], os.environ['RAVEN_DATABASE'])"
    job = job.partition(" setpriv ")[0].replace("/opt/raven/bin/python", sys.executable)
    line = f'{job.replace("/etc/raven", str(tmp_path))} {sys.executable} -c "{shows}"'

    said = subprocess.run(["/bin/sh", "-c", line], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout

    assert said.split() == [storage, database]
