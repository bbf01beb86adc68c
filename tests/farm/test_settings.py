"""A daemon with a setting that it cannot use ends at once with exit code 2 and a sentence, never with a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.process import clean_environment

GOOD = {
    "RAVEN_DATABASE": "mysql://bob:secret@127.0.0.1:1/raven",
    "RAVEN_BROKER": "amqp://bob:secret@127.0.0.1:1/",
    "RAVEN_STORAGE": "s3://bucket?endpoint=http://127.0.0.1:1",
    "RAVEN_SOURCES": "/srv/in",
}
WRONG = [
    ("watcher", "RAVEN_DATABASE", "", "database: .*RAVEN_DATABASE"),
    ("watcher", "RAVEN_DATABASE", "oracle://host/raven", "database: .*mysql://"),
    ("watcher", "RAVEN_DATABASE", "mysql://bob:secret@host", "database: .*mysql://"),
    ("watcher", "RAVEN_DATABASE", "mysql://bob:secret@host:port/raven", "database: .*mysql://"),
    ("watcher", "RAVEN_DATABASE", "mysql://[::1/raven", "database: "),
    ("watcher", "RAVEN_BROKER", "http://host/", "broker: .*amqp://"),
    ("watcher", "RAVEN_BROKER", "amqp://bob:secret@host:port/", "broker: .*amqp://"),
    ("watcher", "RAVEN_LEASE_SECONDS", "soon", "RAVEN_.*lease_seconds: "),
    ("watcher", "RAVEN_PROFILES", "{folder}/none", "profiles: "),
    ("watcher", "RAVEN_PROFILES", "{folder}/broken", "profile .*wrong.toml cannot be used: .*video.0.rungs"),
    ("watcher", "RAVEN_PROFILES", "{folder}/binary", "profile .*wrong.toml"),
    ("watcher", "RAVEN_CONFIG", "{folder}/none.toml", "configuration .*none.toml"),
    ("watcher", "RAVEN_CONFIG", "{folder}/config.toml", ".*config.toml.*databse"),
    ("watcher", "RAVEN_SYSLOG", "no host:514", "syslog: .*no host"),
    ("master", "RAVEN_SOURCES", "", "sources: .*RAVEN_SOURCES"),
    ("master", "RAVEN_SOURCES", "srv/in", "sources: .*srv/in"),
    ("master", "RAVEN_STORAGE", "s3://bucket?endpont=http://host", "storage: .*s3://"),
    ("master", "RAVEN_STORAGE", "s3://bucket?endpoint=host:7480", "storage: .*host:7480"),
    ("worker", "RAVEN_STORAGE", "", "storage: .*RAVEN_STORAGE"),
    ("worker", "RAVEN_STORAGE", "file://srv/films", "storage: .*///"),
    ("worker", "RAVEN_BROKER", "", "broker: .*RAVEN_BROKER"),
    ("worker", "RAVEN_FFMPEG", "{folder}/none", "ffmpeg: .*none"),
    ("worker", "RAVEN_FFMPEG", "{folder}", "ffmpeg: .*RAVEN_FFMPEG"),
    ("worker", "RAVEN_TEMPORARY", "{folder}/none", "temporary: "),
    ("worker", "RAVEN_SLOTS", "0", "slots: "),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that settings name."""
    folder = tmp_path_factory.mktemp("settings")
    for name, content in (("broken", b'name = "x"\n[video]\nrungs = []\n[audio]\n'), ("binary", b"\xff\xfe\x00")):
        (folder / name).mkdir()
        (folder / name / "wrong.toml").write_bytes(content)
    (folder / "config.toml").write_text('databse = "mysql://host/raven"\n')
    return folder


@pytest.mark.parametrize(("role", "setting", "value", "sentence"), WRONG)
def test_a_wrong_setting_ends_a_daemon_with_code_2_and_a_sentence(
    role: str, setting: str, value: str, sentence: str, folder: Path
) -> None:
    """A service manager must not restart it for ever, and its administrator must not have to read code."""
    settings = GOOD | {setting: value.format(folder=folder)}
    done = subprocess.run(
        [sys.executable, "-m", role], env=clean_environment(folder) | settings,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, done.stderr
    assert re.match(f"raven-{role}: .*{sentence}", said[0])
    assert "secret" not in said[0]
