"""Settings: one file, the environment over it, and a fault that names its field."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from raven.config import Settings, ffmpeg_path
from raven.environment import load_settings
from raven.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    file = folder / "raven.toml"
    file.write_text(text, "utf-8")
    return file


def test_without_anything_set_the_defaults_hold() -> None:
    settings = load_settings({})

    assert settings == Settings()
    assert (settings.broker, settings.slots, settings.node) == ("local:", None, socket.gethostname())


def test_a_file_sets_fields_by_their_names(tmp_path: Path) -> None:
    file = written(tmp_path, 'storage = "file:///srv/out"\nslots = 4\nlease_seconds = 12.5\n')

    settings = load_settings({}, file)

    assert (settings.storage, settings.slots, settings.lease_seconds) == ("file:///srv/out", 4, 12.5)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'node = "from-file"\nslots = 4\n')

    settings = load_settings({"RAVEN_NODE": "from-environment"}, file)

    assert (settings.node, settings.slots) == ("from-environment", 4)


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "slots = 7\n")

    assert load_settings({"RAVEN_CONFIG": str(file)}).slots == 7


def test_a_file_that_is_named_on_the_command_line_wins_over_the_environment_s(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("slots = 2\n", "utf-8")

    assert load_settings({"RAVEN_CONFIG": str(other)}, written(tmp_path, "slots = 7\n")).slots == 7


def test_an_empty_variable_is_not_a_value(tmp_path: Path) -> None:
    """docker-compose and systemd pass variables that were never set as empty ones."""
    file = written(tmp_path, "slots = 3\n")

    assert load_settings({"RAVEN_SLOTS": "", "RAVEN_NODE": ""}, file).slots == 3


def test_variables_that_are_not_settings_are_left_alone() -> None:
    assert load_settings({"RAVEN_TEST_SERVERS": "require", "HOME": "/root", "SLOTS": "9"}) == Settings()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_can_be_set_in_the_environment(name: str, tmp_path: Path) -> None:
    special = {
        "log_level": "debug", "log_format": "json", "slots": "3", "attempts": "3", "poll_seconds": "0.25",
        "heartbeat_seconds": "0.25", "lease_seconds": "7.5", "profiles": str(tmp_path), "temporary": str(tmp_path),
        "limit_seconds": "90.5", "limit_pixels": "5000", "limit_bytes": "5000", "limit_streams": "5",
        "limit_cpu_hours": "0.5", "stall_seconds": "7.5", "early_playback": "False",
        "light_slots": "3", "keep_failed_hours": "7.5", "keep_hours": "7.5", "history_days": "7.5",
        "away_hours": "7.5", "owner_weights": "news=3,sport=0.5",
        "second_runs": "False",
        "reserve_disk": "5000", "reserve_memory": "5000", "mail_minutes": "7.5", "upstream_command": "list --ids",
    }  # fmt: skip
    value = special.get(name, "text")

    settings = load_settings({f"RAVEN_{name.upper()}": value})

    found = getattr(settings, name)
    if isinstance(found, dict):
        found = ",".join(f"{k}={v:g}" for k, v in found.items())
    assert (" ".join(found) if isinstance(found, tuple) else str(found)) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slots", "many"), ("slots", "0"), ("slots", "257"), ("attempts", "0"), ("poll_seconds", "0"),
        ("poll_seconds", "-1"), ("heartbeat_seconds", "61"), ("lease_seconds", "0"), ("log_level", "loud"),
        ("log_format", "xml"), ("node", "n" * 256), ("profiles", "/nonexistent/raven"),
        ("temporary", "/nonexistent/raven"), ("limit_pixels", "100"), ("limit_seconds", "0"), ("limit_streams", "few"),
        ("limit_bytes", "-1"), ("owner_weights", "news"),
        ("owner_weights", "news=0"), ("owner_weights", "news=much"), ("limit_cpu_hours", "0"), ("stall_seconds", "0"),
        ("mail_minutes", "0"), ("upstream_command", "list 'the ids"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=rf"environment \(RAVEN_...\): {name}[.:]"):
        load_settings({f"RAVEN_{name.upper()}": value})


def test_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    """One fault a run would be a guessing game."""
    file = written(tmp_path, 'slots = "x"\nlog_level = "loud"\n')

    with pytest.raises(ConfigError, match=r"raven\.toml") as wrong:
        load_settings({"RAVEN_ATTEMPTS": "0"}, file)

    assert all(f"{name}: " in str(wrong.value) for name in ("slots", "log_level", "attempts"))


def test_a_typing_error_in_the_file_is_named(tmp_path: Path) -> None:
    """A setting that silently does nothing is found at the worst time."""
    with pytest.raises(ConfigError, match=r"raven.toml.*storrage: "):
        load_settings({}, written(tmp_path, 'storrage = "file:///srv"\n'))


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"raven.toml is not TOML: .*line 2"):
        load_settings({}, written(tmp_path, "slots = 3\nnode =\n"))


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "raven.toml"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"raven.toml is not TOML"):
        load_settings({}, file)


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="configuration "):
        load_settings({"RAVEN_CONFIG": str(tmp_path / name)})


@pytest.mark.parametrize("name", ["database", "broker", "storage"])
def test_what_may_hold_a_password_can_come_from_a_file_of_its_own(name: str, tmp_path: Path) -> None:
    """As systemd's credentials and secret stores hand it out: never in an environment that others may read."""
    secret, config = tmp_path / "secret", tmp_path / "raven.toml"
    secret.write_text("mysql://raven:s3cret@db/raven\n", encoding="utf-8")
    config.write_text(f'{name} = "what the file says"\n', encoding="utf-8")

    settings = load_settings({f"RAVEN_{name.upper()}_FILE": str(secret)}, config)

    assert getattr(settings, name) == "mysql://raven:s3cret@db/raven"


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"database: RAVEN_DATABASE_FILE names .*none, which cannot be read"):
        load_settings({"RAVEN_DATABASE_FILE": str(tmp_path / "none")})


def test_a_secret_that_is_set_twice_is_refused_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mysql://one:s3cret@db/raven", encoding="utf-8")
    both = {"RAVEN_DATABASE_FILE": str(secret), "RAVEN_DATABASE": "mysql://two:s3cret@db/raven"}

    with pytest.raises(ConfigError, match="both RAVEN_DATABASE and RAVEN_DATABASE_FILE are set") as error:
        load_settings(both)

    assert "s3cret" not in str(error.value)


def test_only_what_may_hold_a_password_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("elsewhere", encoding="utf-8")
    assert load_settings({"RAVEN_NODE_FILE": str(tmp_path / "node")}).node != "elsewhere"


def test_a_fault_does_not_show_the_secrets_of_other_settings() -> None:
    """The message goes to logs and terminals."""
    with pytest.raises(ConfigError) as wrong:
        load_settings({"RAVEN_DATABASE": "mysql://raven:geheim@db/raven", "RAVEN_SLOTS": "x"})

    assert "geheim" not in str(wrong.value)


def test_settings_that_are_printed_do_not_show_passwords() -> None:
    """Somebody will log them one day, or a traceback will."""
    settings = load_settings(
        {
            "RAVEN_DATABASE": "mysql://raven:geheim1@db/raven",
            "RAVEN_BROKER": "amqp://bob:geheim2@mq/",
            "RAVEN_STORAGE": "s3://key:geheim3@bucket/prefix",
            "RAVEN_NODE": "n1",
        }
    )

    for text in (repr(settings), str(settings), f"{settings!r}"):
        assert "geheim" not in text
        assert "n1" in text


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().slots = 5  # type: ignore[misc]


def test_every_setting_says_what_it_is_for() -> None:
    """The documentation is made of these."""
    assert all(field.description for field in Settings.model_fields.values())


# ffmpeg


def test_without_a_setting_the_shipped_ffmpeg_is_run() -> None:
    assert Path(ffmpeg_path(Settings())).is_file()


def test_another_ffmpeg_is_run_when_it_is_set(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert ffmpeg_path(Settings(ffmpeg=str(program))) == str(program)


@pytest.mark.parametrize("kind", ["missing", "not executable", "a folder"])
def test_an_ffmpeg_that_cannot_be_run_is_refused_at_the_start(tmp_path: Path, kind: str) -> None:
    """Else every job would fail, one after the other."""
    program = tmp_path / "ffmpeg"
    if kind == "not executable":
        program.write_text("#!/bin/sh\n")
        program.chmod(0o644)
    if kind == "a folder":
        program.mkdir()

    with pytest.raises(ConfigError, match=r"ffmpeg: .*RAVEN_FFMPEG"):
        ffmpeg_path(Settings(ffmpeg=str(program)))
