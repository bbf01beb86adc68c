"""Documented commands of one machine: no farm, no server."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documented.pages import ROOT
from tests.documented.shown import Shown, check, run
from tests.media import generate_clip
from tests.servers.process import clean_environment

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Machine:
    """A folder with a film in it, and what is made of that."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        plain = clean_environment(self.folder)
        return plain | {"PATH": f"{BIN}:{plain['PATH']}", "COLUMNS": "200"}

    def run(self, line: str, folder: Path | None = None) -> str:
        return run(line, self.environment, folder or self.folder)

    @property
    def film(self) -> str:
        return str(self.folder / "film.mkv")

    @property
    def made(self) -> str:
        return str(self.folder / "made")

    def encoded(self) -> str:
        """The folder that the documented command fills, whether or not it has been run by itself before."""
        self.run(ENCODE)
        return "film"


ENCODE = "raven encode film.mkv"


INSTALLED = f"make BIN={shlex.quote(str(BIN))} -o .venv/.installed"
"""Raven is installed where these tests run: so as it is, wherever that may be."""
COMMANDS: dict[str, Shown[Machine]] = {
    ENCODE: Shown(r"^(Done|Already encoded): 1\.00 s of film, 25 frames$"),
    "raven encode --help": Shown(r"--output"),
    "raven probe film.mkv": Shown(r"^  video  h264 320x180 yuv420p, 25\.000 frames/s \(constant\)$"),
    "raven check film": Shown(r"^film: good: \d+ rules, 0 must", {"film": Machine.encoded}),
    "raven check --rules": Shown(r"^\d+ rules: .*Apple \d+"),
    "raven profiles": Shown(r"^default: libx264 .*1080p \(1920x1080\)"),
    "make encode SOURCE=film.mkv OUT=out": Shown(
        r"^To play it: +mpv .*/made/master\.m3u8",
        {"make": lambda _: INSTALLED, "film.mkv": lambda m: m.film, "=out": lambda m: f"={m.made}"},
    ),
    "python -m benchmarks.encode FILM": Shown(
        r"checker: \d+\.\d+ % of Raven's CPU", {"FILM": lambda m: m.film}, "--rounds 1"
    ),
}
LONG = {
    "make test": (r"pytest -n 3 --dist loadgroup", "what runs these tests"),
    "make check": (r"mypy raven watcher", "what runs before these tests"),
    "make test-fast": (r"pytest .*not servers and not players", "a part of these tests"),
    "make faults": (r"pytest -v tests/fault", "servers are kept away for minutes"),
    "make chaos MINUTES=30 SEED=1": (r"-m tests\.fault\.chaos --minutes 30 --seed 1$", "half an hour"),
    "python -m benchmarks.farm": (r"^  speedup ", "minutes, on a machine that does nothing else"),
    "python -m benchmarks.farm speedup": (r"--workers", "minutes, on a machine that does nothing else"),
    "python -m benchmarks.scrub": (r"--objects", "minutes, on a machine that does nothing else"),
}
"""What would be done, or is offered, and why it is only asked for that."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("documented")
    generate_clip(folder / "film.mkv", 25)
    return Machine(folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_does_what_it_says(command: str, machine: Machine) -> None:
    shown = COMMANDS[command]
    in_the_checkout = command.startswith(("make", "python"))

    check(machine.run(shown.line(command, machine), ROOT if in_the_checkout else None), shown)


@pytest.mark.parametrize("command", LONG)
def test_a_documented_command_that_takes_long_is_there(command: str, machine: Machine) -> None:
    line = command.replace("make", "make --dry-run --always-make", 1) if command.startswith("make") else f"{command} -h"

    check(machine.run(line, ROOT), Shown(LONG[command][0]))


AUTHORITY = [
    "openssl req -x509 -days 3650 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=raven-ca"
    " -keyout ca.key -out ca.pem",
    "openssl req -x509 -days 825 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -CA ca.pem -CAkey ca.key"
    " -subj /CN=db1.example -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:db1.example"
    " -keyout db1.key -out db1.pem",
]


def test_the_documented_authority_signs_for_a_server_of_that_name(machine: Machine) -> None:
    for line in AUTHORITY:
        machine.run(line)

    assert "db1.pem: OK" in machine.run("openssl verify -CAfile ca.pem -verify_hostname db1.example db1.pem")
    with pytest.raises(AssertionError, match="hostname mismatch"):
        machine.run("openssl verify -CAfile ca.pem -verify_hostname db2.example db1.pem")
