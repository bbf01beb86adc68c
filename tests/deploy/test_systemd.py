"""The units: systemd finds no fault in them, and holds them for hardened."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.tools import DEPLOY, check

UNITS = DEPLOY / "systemd"
SERVICES = sorted(file.name for file in UNITS.glob("*.service"))
MANUAL = DEPLOY.parent / "docs" / "operations.md"
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


def test_systemd_understands_each_line_that_the_manual_has_for_drop_ins(units: Path) -> None:
    section = MANUAL.read_text("utf-8").partition("### The units\n")[2].partition("\n### ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")]
    lines = [line for row in rows for line in re.findall(r"`([A-Z]\w+=[^`]*)`", row)]
    of_unit = [line for line in lines if line.startswith("RequiresMountsFor=")]
    of_service = [line for line in lines if line not in of_unit]
    assert len(of_unit) == 1
    assert {"ReadWritePaths=/mnt/outputs", "Environment=RAVEN_DATABASE_FILE=%d/database"} <= set(of_service)

    for unit in ("raven-master.service", "raven-watcher.service"):
        drop_in = units / f"{unit}.d" / "site.conf"
        drop_in.parent.mkdir()
        drop_in.write_text("\n".join(["[Unit]", *of_unit, "[Service]", *of_service, ""]), "utf-8")
        assert check("systemd", "systemd-analyze", "verify", "--man=no", units / unit) == ""
        drop_in.write_text("[Service]\nLoadCredentials=database:/etc/raven/database\n", "utf-8")
        assert "LoadCredentials" in check("systemd", "systemd-analyze", "verify", "--man=no", units / unit)


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
    assert job.endswith(f" exec /usr/local/sbin/raven-as scrub {unit.removeprefix('ExecStart=')}")
    assert "/usr/local/sbin/raven-as\n" in (DEPLOY / "install.sh").read_text("utf-8")


NAMES = ("raven", "raven-watcher", "raven-master", "raven-worker", "raven-scrub", "raven-owner")


def files_of(unit: str) -> list[str]:
    """The names of the files that systemd reads for a unit, in its order: the unit first, drop-ins by their names."""
    folders = (UNITS / "raven-.service.d", UNITS / f"{unit}.service.d")
    drop_ins = sorted((file for folder in folders for file in folder.glob("*.conf")), key=lambda file: file.name)
    text = "\n".join(file.read_text("utf-8") for file in (UNITS / f"{unit}.service", *drop_ins))
    found = re.findall(r"^EnvironmentFile=-/etc/raven/(\S+)\.env$", text, re.M)
    assert len(found) == text.count("\nEnvironmentFile=")
    return [name.replace("%p", unit) for name in found]


class ByHand:
    """deploy/raven-as where its files are the test's, and the account is the one that runs the test."""

    def __init__(self, folder: Path) -> None:
        self.settings, self._script = folder / "settings", folder / "raven-as"
        self.settings.mkdir()
        text = (DEPLOY / "raven-as").read_text("utf-8")
        account = "setpriv --reuid=raven --regid=raven --clear-groups --no-new-privs "
        for old, new in {
            "/etc/raven": str(self.settings),
            "/var/cache/raven-": f"{folder}/cache-",
            "exec /opt/raven/bin/python": f"exec {sys.executable}",
            account: "",
        }.items():
            assert old in text
            text = text.replace(old, new)
        self._script.write_text(text, "utf-8")

    def write(self, name: str, **values: str) -> None:
        (self.settings / f"{name}.env").write_text("".join(f"{k}={v}\n" for k, v in values.items()), "utf-8")

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(DEPLOY.parent)}
        words = ["/bin/sh", str(self._script), name, *command]
        return subprocess.run(words, env=path, capture_output=True, text=True, check=False, timeout=60)

    def environment(self, name: str) -> dict[str, str]:
        done = self.run(name, sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


@pytest.fixture
def by_hand(tmp_path: Path) -> ByHand:
    return ByHand(tmp_path)


@pytest.mark.parametrize("role", ["watcher", "master", "worker", "scrub"])
def test_a_command_by_hand_has_the_settings_of_the_unit(role: str, by_hand: ByHand, tmp_path: Path) -> None:
    """Each file says which it is, and that it was there: what is read last counts."""
    for name in NAMES:
        by_hand.write(name, LAST=name, **{f"HAS_{name.removeprefix('raven').strip('-') or 'all'}": "1"})
    (tmp_path / f"cache-{role}").mkdir()
    files = files_of(f"raven-{role}")

    found = by_hand.environment(role)

    assert found["LAST"] == files[-1] == f"raven-{role}"
    wanted = {f"HAS_{name.removeprefix('raven').strip('-') or 'all'}" for name in files}
    assert {name for name in found if name.startswith("HAS_")} == wanted
    assert found["RAVEN_TEMPORARY"] == str(tmp_path / f"cache-{role}")
    assert found["PATH"].startswith("/opt/raven/bin:")


def test_the_cleaner_has_the_watcher_s_settings_over_those_of_all(by_hand: ByHand) -> None:
    by_hand.write("raven", RAVEN_LOG_LEVEL="info", RAVEN_NODE="all")
    by_hand.write("raven-watcher", RAVEN_LOG_LEVEL="debug")

    found = by_hand.environment("scrub")

    assert (found["RAVEN_LOG_LEVEL"], found["RAVEN_NODE"]) == ("debug", "all")
    files = files_of("raven-scrub")
    assert files[-2:] == ["raven-watcher", "raven-scrub"]
    assert files.index("raven") < files.index("raven-watcher")


def test_settings_are_read_as_the_units_read_them(by_hand: ByHand) -> None:
    """Of a storage whose URL has an & and a password with all that means something to a shell."""
    storage, database = "s3://b/p?endpoint=http://127.0.0.1:9000&tls=ca.pem", "mysql://bob:a$b;c#d@127.0.0.1/raven"
    by_hand.write("raven", RAVEN_STORAGE=storage)
    by_hand.write("raven-watcher", RAVEN_DATABASE=database)

    found = by_hand.environment("scrub")

    assert (found["RAVEN_STORAGE"], found["RAVEN_DATABASE"]) == (storage, database)


def test_a_name_that_has_no_settings_is_refused(by_hand: ByHand) -> None:
    """Else a slip of the pen would run the command with settings of nobody."""
    for words in (("wroker", "raven", "doctor"), ("worker",)):
        done = by_hand.run(*words)
        assert done.returncode == 2
        assert "raven-wroker.env" in done.stderr or "use: raven-as" in done.stderr
