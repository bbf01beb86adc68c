"""systemd's part, as systemd itself does not run on these hosts: a unit is started and stopped as its file says."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from tests.farm.farm import Daemon
from tests.hosts.host import Host
from tests.servers.process import clean_environment, program, run

_UNITS = Path("/etc/systemd/system")


class Service(Daemon):
    """A daemon of an installed unit. It is made on its host's thread: begin()."""

    def __init__(self, host: Host, role: str, folder: Path) -> None:
        self.host, self._unit = host, f"raven-{role}"
        self._lines = list(_service_lines(self._unit))
        self._make_folders()
        environment = dict(self._settings())
        (start,) = self._all("ExecStart")
        (user,) = self._all("User")
        super().__init__(role, host.name, folder, environment, shlex.split(start), user)

    def stop(self) -> Future[None]:
        """What `systemctl stop` does first: the unit's ExecStop, which ends when the daemon has. Reap it meanwhile."""
        (command,) = self._all("ExecStop")
        words = shlex.split(command.removeprefix("-"))
        environment = clean_environment(Path("/")) | {"MAINPID": str(self.pid)}

        def stops() -> None:
            run([program(words[0]), *words[1:]], environment)

        return self.host.begin(stops)

    # on its host

    def _make_folders(self) -> None:
        """Those that systemd makes for it, its own."""
        for name in self._all("CacheDirectory"):
            folder = Path("/var/cache") / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
            (user,) = self._all("User")
            shutil.chown(folder, user, user)

    def _settings(self) -> Iterator[tuple[str, str]]:
        """Environment first, then the files over it, in their order."""
        for line in self._all("Environment"):
            yield _pair(line.replace("%C", "/var/cache"))
        for line in self._all("EnvironmentFile"):
            file = Path(line.removeprefix("-"))
            if file.exists() or not line.startswith("-"):
                assert file.stat().st_mode & 0o077 == 0, f"{file} is for root's eyes only"
                settings = file.read_text("utf-8").splitlines()
                yield from (_pair(setting) for setting in settings if setting and not setting.startswith("#"))

    def _all(self, key: str) -> list[str]:
        return [value.replace("%p", self._unit) for name, value in self._lines if name == key]


def begin(host: Host, role: str, folder: Path) -> Service:
    """What `systemctl enable --now raven-ROLE` does."""
    return host.call(Service, host, role, folder)


def _service_lines(unit: str) -> Iterator[tuple[str, str]]:
    """What stands under [Service] in a unit and its drop-ins, on the host of the calling thread."""
    files = [_UNITS / f"{unit}.service", *sorted((_UNITS / "raven-.service.d").glob("*.conf"))]
    for file in files:
        section = ""
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and not line.startswith("#"):
                yield _pair(line)


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value
