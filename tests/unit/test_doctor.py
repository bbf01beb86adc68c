"""`raven doctor`: how findings are judged, what it says without a farm, and that no password is ever shown."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from raven.cli import main
from raven.doctor.configuration import read, roles
from raven.doctor.examine import examine
from raven.doctor.farm import judge_nodes
from raven.doctor.findings import (
    ENCODERS,
    EXTRAS,
    Area,
    Finding,
    Level,
    database_remedy,
    judge_build,
    judge_clock,
    judge_server,
    listed,
    places,
    secrets_of,
    shown,
    storage_remedy,
    verdict,
    version_of,
    without_secrets,
)
from raven.roster import DRAINED, Node
from tests.servers.fixtures import SCHEMA
from tests.servers.process import free_port

AREA = Area("test")


def found(findings: list[Finding], area: str, what: str) -> Finding:
    """The one finding of this kind."""
    (one,) = [finding for finding in findings if (finding.area, finding.what) == (area, what)]
    return one


# how findings are judged


@pytest.mark.parametrize(
    ("text", "version"),
    [("10.11.14-MariaDB-0+deb12u2", (10, 11, 14)), ("3.10.8", (3, 10, 8)), ("11.4.2-MariaDB", (11, 4, 2)), ("", ())],
)
def test_a_version_is_the_first_dotted_number(text: str, version: tuple[int, ...]) -> None:
    assert version_of(text) == version


def test_an_old_server_is_a_fault_and_a_newer_one_is_not() -> None:
    """By number, not by letter: 10 is more than 6."""
    assert judge_server(AREA, "MariaDB", "10.5.9-MariaDB", (10, 6)).level == Level.FAULT
    assert judge_server(AREA, "MariaDB", "10.11.2-MariaDB", (10, 6)).level == Level.OK
    assert "10.6 or newer" in judge_server(AREA, "MariaDB", "", (10, 6)).remedy


@pytest.mark.parametrize(
    ("ahead", "level", "said"),
    [
        (0.2, Level.OK, "0.2 s ahead of"),
        (-7.0, Level.WARNING, "7.0 s behind"),
        (3600.0, Level.FAULT, "3600.0 s ahead of"),
    ],
)
def test_a_clock_may_differ_by_seconds_and_not_by_minutes(ahead: float, level: Level, said: str) -> None:
    finding = judge_clock(AREA, ahead, "the database's")

    assert finding.level == level
    assert finding.said == f"{said} the database's"


def test_an_ffmpeg_without_a_needed_encoder_is_a_fault_and_without_an_extra_a_warning() -> None:
    lines = " V....D libx264   H.264\n A....D aac       AAC\n V....D libx265 HEVC\n"

    findings = judge_build(AREA, listed(lines), frozenset(EXTRAS) - {"libvmaf"})

    assert [(f.what, f.level) for f in findings] == [("encoders", Level.FAULT), ("libvmaf", Level.WARNING)]
    assert findings[0].said == "without libsvtav1"
    assert [f.level for f in judge_build(AREA, frozenset(ENCODERS), frozenset(EXTRAS))] == [Level.OK]


def test_the_verdict_is_the_worst_and_what_was_not_checked_is_no_fault() -> None:
    ok, skipped = AREA.ok("a", "b"), AREA.skipped("c", "d")

    assert verdict([ok, skipped]) == Level.OK
    assert verdict([ok, AREA.warning("a", "b", "c")]) == Level.WARNING
    assert verdict([AREA.warning("a", "b", "c"), AREA.fault("a", "b", "c"), ok]) == Level.FAULT


def test_what_a_server_says_leads_to_what_to_do() -> None:
    assert "create the bucket" in storage_remedy("storage: NoSuchBucket for tmp/1/doctor in bucket films")
    assert "AWS_ACCESS_KEY_ID" in storage_remedy("storage: Unable to locate credentials")
    assert "password" in database_remedy("MariaDB: Access denied for user 'raven'@'10.0.0.1' (using password: YES)")


def test_several_hosts_of_a_url_are_all_told() -> None:
    url = "amqp://bob:p%40ss@one:5673,two,[fd00::3]:5674/vhost"

    assert places(url, {"amqp": 5672}) == [("one", 5673), ("two", 5672), ("fd00::3", 5674)]
    with pytest.raises(ValueError, match="no host"):
        places("amqp:///vhost", {})


# secrets


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("mysql://raven:geheim@db:3306/raven", "mysql://raven:***@db:3306/raven"),
        ("amqp://bob:p%40ss@one,two/v", "amqp://bob:***@one,two/v"),
        ("amqp://bob@one/", "amqp://bob@one/"),
        ("s3://bucket/prefix?endpoint=https://host", "s3://bucket/prefix?endpoint=https://host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, clean: str) -> None:
    assert shown(url) == clean


def test_a_password_that_a_driver_says_is_hidden_as_it_stands_and_as_it_is_meant() -> None:
    secrets = secrets_of(["amqp://bob:p%40ss@one/", None, "file:///folder"], ["keykey", None])
    said = AREA.fault("login", "refused p%40ss and p@ss", "not keykey")

    clean = without_secrets(said, secrets)

    assert (clean.said, clean.remedy) == ("refused *** and ***", "not ***")


# the settings


def test_a_setting_that_cannot_be_used_is_a_fault_and_the_rest_is_not_checked() -> None:
    findings = list(examine({"RAVEN_SLOTS": "many", "RAVEN_DATABASE": "mysql://a:geheim@db/raven"}, None, ()))

    assert "slots" in found(findings, "configuration", "settings").said
    assert {f.area for f in findings if f.level == Level.SKIPPED} >= {"database", "broker", "storage", "ffmpeg"}
    assert verdict(findings) == Level.FAULT
    assert not any("geheim" in f.said + f.remedy for f in findings)


def test_a_slip_in_a_variable_s_name_is_found() -> None:
    _, findings = read({"RAVEN_DATABSE": "mysql://host/raven", "RAVEN_TEST_SERVERS": "require"}, None)

    assert [(f.said, f.remedy) for f in findings if f.level == Level.WARNING] == [
        ("RAVEN_DATABSE is no setting, so it is not read", "call it RAVEN_DATABASE")
    ]


def test_a_file_with_a_password_that_all_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "raven.toml"
    file.write_text('database = "mysql://raven:geheim@db/raven"\n')
    file.chmod(0o644)
    warned = [f for f in read({}, file)[1] if f.level == Level.WARNING]
    file.chmod(0o640)

    assert [f.remedy for f in warned] == [f"chmod 640 {file}"]
    assert [f for f in read({}, file)[1] if f.level == Level.WARNING] == []


def test_a_role_tells_what_it_misses_and_what_it_must_not_have() -> None:
    settings, _ = read({"RAVEN_DATABASE": "mysql://host/raven", "RAVEN_BROKER": "amqp://host/"}, None)
    assert settings is not None

    said = {finding.said: finding.level for finding in roles(settings, ["worker"])}

    assert said["storage is not set"] == Level.FAULT
    assert any("thief" in words and level == Level.WARNING for words, level in said.items())
    assert list(roles(settings, ["watcher"])) == []


# a laptop without a farm


def test_without_a_farm_it_says_what_it_did_not_check_and_why(tmp_path: Path) -> None:
    findings = list(examine({"RAVEN_TEMPORARY": str(tmp_path), "RAVEN_RESERVE_MEMORY": "0"}, None, ()))

    for area, why in (("database", "RAVEN_DATABASE is not set"), ("broker", "`local:`"), ("storage", "RAVEN_STORAGE")):
        finding = found(findings, area, "all")
        assert finding.level == Level.SKIPPED
        assert why in finding.said
    assert found(findings, "ffmpeg", "self-test").level == Level.OK
    assert found(findings, "ffmpeg", "encoders").level == Level.OK
    assert "free in" in found(findings, "machine", "room").said
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_for_a_job_is_a_fault(tmp_path: Path) -> None:
    environment = {"RAVEN_TEMPORARY": str(tmp_path), "RAVEN_RESERVE_DISK": str(1 << 60)}

    finding = found(list(examine(environment, None, ["worker"])), "machine", "room")

    assert finding.level == Level.FAULT
    assert "RAVEN_RESERVE_DISK" in finding.remedy


def test_an_ffmpeg_that_is_none_is_a_fault(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)

    finding = found(list(examine({"RAVEN_FFMPEG": str(program)}, None, ())), "ffmpeg", "program")

    assert finding.level == Level.FAULT
    assert "status 3" in finding.said


def test_a_master_s_folders_are_looked_at(tmp_path: Path) -> None:
    environment = {"RAVEN_SOURCES": f"{tmp_path},{tmp_path}/none,srv/in,https://host/films/"}

    levels = {f.what: f.level for f in examine(environment, None, ["master"]) if f.area == "sources"}

    assert levels == {
        str(tmp_path): Level.OK,
        f"{tmp_path}/none": Level.FAULT,
        "srv/in": Level.FAULT,
        "https://host/films/": Level.SKIPPED,
    }


def test_a_client_is_asked_for_its_database_alone() -> None:
    findings = list(examine({"RAVEN_BROKER": "amqp://host/"}, None, ["client"]))

    assert found(findings, "broker", "all").said == "a client does not use it"
    assert found(findings, "ffmpeg", "all").level == Level.SKIPPED
    assert found(findings, "configuration", "client's settings").said == "database is not set"


# servers that are none


def test_where_nothing_listens_firewall_and_address_are_named_and_not_the_password() -> None:
    port = free_port()
    environment = {
        "RAVEN_DATABASE": f"mysql://raven:geheim@127.0.0.1:{port}/raven",
        "RAVEN_BROKER": f"amqp://raven:geheim@127.0.0.1:{port}/",
        "RAVEN_STORAGE": f"s3://bucket?endpoint=http://127.0.0.1:{port}",
    }

    findings = list(examine(environment, None, ()))

    for area in ("database", "broker", "storage"):
        finding = found(findings, area, "reach")
        assert finding.level == Level.FAULT
        assert f"127.0.0.1 port {port}" in finding.said
        assert "firewall" in finding.remedy
    assert "geheim" not in str(findings)


def test_a_folder_as_storage_and_a_file_as_database_are_tried_once_they_are_there(tmp_path: Path) -> None:
    environment = {"RAVEN_STORAGE": f"file://{tmp_path}/objects", "RAVEN_DATABASE": f"sqlite://{tmp_path}/raven.db"}

    findings = list(examine(environment, None, ()))

    assert found(findings, "storage", "folder").level == found(findings, "database", "file").level == Level.FAULT
    assert list(tmp_path.iterdir()) == [], "what is missing is not made"

    (tmp_path / "objects").mkdir()
    (tmp_path / "raven.db").touch()
    findings = list(examine(environment, None, ()))

    assert found(findings, "storage", "under tmp/").level == found(findings, "storage", "under out/").level == Level.OK
    assert found(findings, "database", "clock").level == Level.SKIPPED
    assert "raven migrate" in found(findings, "database", "schema").remedy
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


def test_a_file_with_the_schema_is_a_sound_database(tmp_path: Path) -> None:
    file = tmp_path / "raven.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA.read_text("utf-8"))

    findings = [f for f in examine({"RAVEN_DATABASE": f"sqlite://{file}"}, None, ()) if f.area == "database"]

    assert {f.what: f.level for f in findings if f.level != Level.OK} == {"clock": Level.SKIPPED}
    assert {"schema", "tasks", "jobs", "nodes", "holds", "history"} <= {f.what for f in findings}


# the farm


def node(name: str, state: str = "ready", *, seen: float | None = 1.0) -> Node:
    return Node(name, "worker", "x", "1", 2, 1, 0, 0.0, 2, 1, 1, 1, "", 0, seen, state)


@pytest.mark.parametrize(
    ("nodes", "level", "said"),
    [
        ([], Level.WARNING, "none lives"),
        ([node("a"), node("b", DRAINED)], Level.OK, "1 of 2 take jobs"),
        ([node("a"), node("b", "stopped", seen=99.0)], Level.OK, "1 of 1 take jobs"),
        ([node("a", DRAINED)], Level.WARNING, "0 of 1 take jobs"),
        ([node("a"), node("b", "unfit: no memory")], Level.WARNING, "1 of 2 take jobs; b is unfit: no memory"),
        ([node("b", "silent", seen=99.0)], Level.WARNING, "none lives; b is silent"),
        ([node(f"n{n}", "silent", seen=99.0) for n in range(6)], Level.WARNING, "none lives; n0 is silent, "),
    ],
)
def test_nodes_that_stand_aside_against_somebody_s_will_are_told(nodes: list[Node], level: Level, said: str) -> None:
    finding = judge_nodes("worker", nodes)

    assert (finding.area, finding.what, finding.level) == ("farm", "workers", level)
    assert finding.said.startswith(said)
    assert len(finding.said) < 100


# the command


def test_the_command_ends_with_1_on_a_fault_with_0_without_and_with_2_on_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVEN_SOURCES", str(tmp_path))
    run = CliRunner().invoke

    good = run(main, ["doctor", "--role", "client", "--json"], env={"RAVEN_DATABASE": ""})
    wrong = run(main, ["doctor", "--role", "cook"])

    assert (good.exit_code, wrong.exit_code) == (1, 2)
    told = json.loads(good.stdout)
    assert told["verdict"] == "fault"
    assert {"area", "what", "level", "said", "remedy"} == set(told["findings"][0])


def test_the_command_shows_a_line_for_each_finding_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raven.doctor_cli.examine", lambda *_: iter([AREA.ok("a", "b"), AREA.warning("c", "d", "e")]))

    done = CliRunner().invoke(main, ["doctor"])

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "ok          test           a: b",
        "warning     test           c: d",
        "            -> e",
        "1 ok, 1 warning",
    ]


# the log host


@pytest.mark.parametrize("scheme", ["tcp", "udp", "unix", ""])
def test_a_log_host_that_can_be_reached_is_fine_and_another_one_a_warning(scheme: str, tmp_path: Path) -> None:
    def finding(where: str) -> Finding:
        return found(list(examine({"RAVEN_SYSLOG": where}, None, ("worker",))), "log", "syslog")

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        local.bind(str(tmp_path / "log"))
        place = f"127.0.0.1:{server.getsockname()[1]}" if scheme in ("tcp", "udp") else str(tmp_path / "log")
        good = finding(f"{scheme}://{place}" if scheme else place)
    nowhere = {"tcp": f"127.0.0.1:{free_port()}", "udp": "log.invalid:514", "unix": "/nonexistent", "": "/nonexistent"}
    bad = finding(f"{scheme}://{nowhere[scheme]}" if scheme else nowhere[scheme])

    assert (good.level, bad.level) == (Level.OK, Level.WARNING)
    assert "RAVEN_SYSLOG" in bad.remedy


def test_without_a_log_host_none_is_looked_for_and_a_client_has_none() -> None:
    assert found(list(examine({}, None, ("worker",))), "log", "syslog").level == Level.SKIPPED
    assert [finding for finding in examine({}, None, ("client",)) if finding.area == "log"] == []
