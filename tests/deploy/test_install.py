"""deploy/install.sh with its packages, on a host without a network: as `pip download` has fetched them elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.farm.farm import ROOT
from tests.hosts import host as hosts
from tests.hosts.host import Host
from tests.servers.fixtures import need
from tests.servers.process import private_directory

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("install")]
FETCH = "pip download --require-hashes -r requirements.lock -d /mnt/packages"
OFFLINE = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt/packages"


class Machine:
    """A host with a Python, a copy of the repository, a folder of packages, and settings."""

    def __init__(self, host: Host, source: Path, packages: Path) -> None:
        self.host, self.source, self._packages = host, source, packages

    def install(self, *files: str) -> None:
        python = Path(sys.base_prefix) / "bin" / "python3"
        offline = OFFLINE.replace("/mnt/packages", str(self._packages))
        # as root has it where somebody has hardened the host
        self.shell(f"umask 077 && cd {self.source} && {offline} PYTHON={python} deploy/install.sh {' '.join(files)}")

    def shell(self, line: str) -> str:
        return self.host.run("sh", "-c", f"PATH=/usr/local/sbin:$PATH; {line}")

    def raven(self, code: str) -> str:
        """What the installed Python says, nothing of the copy in reach."""
        return self.shell(f"cd / && /opt/raven/bin/python -c '{code}'").strip()


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Installed by the documented commands."""
    need(hosts.missing())
    if reason := hosts.forbidden():
        pytest.skip(reason)
    with private_directory() as folder, closing(Host("bare")) as host:
        source, packages = folder / "source", folder / "packages"
        leave = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "node_modules", "tests")
        shutil.copytree(ROOT, source, ignore=leave)
        (source / "raven" / "old.py").write_text("")
        fetch = [sys.executable, "-m", *FETCH.replace("/mnt/packages", str(packages)).split()]
        fetched = subprocess.run(fetch, cwd=source, capture_output=True, text=True, timeout=300, check=False)
        if fetched.returncode != 0:
            pytest.skip(f"no package index can be reached: {fetched.stderr[-500:]}")
        (source / "raven.env").write_text(f"RAVEN_STORAGE=file://{folder}\n")
        (source / "raven-worker.env").write_text("RAVEN_BROKER=amqp://nobody.example/\n")
        machine = Machine(host, source, packages)
        machine.install("raven.env", "raven-worker.env")
        yield machine


@pytest.mark.parametrize("line", [FETCH, OFFLINE])
def test_what_is_done_here_is_documented(line: str) -> None:
    assert f"`{line}`" in (ROOT / "docs" / "operations.md").read_text("utf-8")


def test_packages_are_those_of_the_lock_file_and_nothing_of_the_copy_is_used(machine: Machine) -> None:
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.M))
    said = machine.shell("/opt/raven/bin/pip list --format=freeze --disable-pip-version-check")
    installed = dict(line.lower().replace("_", "-").split("==") for line in said.splitlines() if "==" in line)

    assert {name: installed.get(name) for name in locked} == locked
    assert set(installed) - set(locked) <= {"pip", "raven-encoder"}
    assert machine.raven("import raven, scrub; print(raven.__file__)").startswith("/opt/raven/lib/")


def test_the_account_of_the_daemons_encodes_with_the_packaged_ffmpeg(machine: Machine) -> None:
    said = machine.shell("raven-as worker raven doctor --role worker || true")
    assert re.search(r"^ok +ffmpeg +program: .*\(/opt/raven/", said, re.M), said
    assert re.search(r"^ok +ffmpeg +self-test: ", said, re.M), said


def test_a_newer_copy_takes_the_place_of_the_older_one_whole(machine: Machine) -> None:
    """In the same folder, as after `git pull`: what an older version had and this one has not is gone."""
    machine.raven("import raven.old")
    (machine.source / "raven" / "old.py").unlink()
    (machine.source / "raven" / "newer.py").write_text("")
    machine.install()

    assert machine.raven('import importlib.util as u; print(u.find_spec("raven.old"))') == "None"
    machine.raven("import raven.newer")
    # settings that are not given again stay
    assert machine.shell("cat /etc/raven/raven-worker.env") == "RAVEN_BROKER=amqp://nobody.example/\n"
    assert machine.shell("stat -c %a,%U /etc/raven/*.env").split() == ["600,root"] * 2
    assert not [path.name for path in machine.source.iterdir() if path.name in ("build", "raven.egg-info")]
