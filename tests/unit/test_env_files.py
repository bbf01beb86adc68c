"""Environment files, read by cron as systemd reads them for the units."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raven.env_files import USE, pairs

GENERATOR = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
"""Reads files of this form, and prints them for a shell; it alone takes $NAME for a variable."""
PLAIN = r"""
# a comment; ends here
; another, that ends in a backslash \
HIDDEN=of old systemds
URL=s3://bucket/prefix?endpoint=http://127.0.0.1:9000&tls=/etc/raven/ca.pem
HARD=amqp://bob:a#b;c`d"e'f@host/~~
 SPACED = two words~
SINGLE='mysql://bob:$a # & \ ; "b"@host/raven'
DOUBLE="a \" \\ \` \$ \x 'b'"
INNER=a'b'c
FIRST='a'b'c'
SEVERAL="a" 'b' c
LONG=a\
b~\
 c
ESCAPED=\ a\'b\~
LINES='two
lines'
TWICE=first
TWICE=second
1N=bad
O P=bad
export U=bad
nothing
OPEN="the rest
""".replace("~", " ")
EXPECTED = {
    "URL": "s3://bucket/prefix?endpoint=http://127.0.0.1:9000&tls=/etc/raven/ca.pem",
    "HARD": "amqp://bob:a#b;c`d\"e'f@host/",
    "SPACED": "two words",
    "SINGLE": 'mysql://bob:$a # & \\ ; "b"@host/raven',
    "DOUBLE": "a \" \\ ` $ \\x 'b'",
    "INNER": "a'b'c",
    "FIRST": "ab'c'",
    "SEVERAL": "abc",
    "LONG": "ab  c",
    "ESCAPED": " a'b ",
    "LINES": "two\nlines",
    "TWICE": "second",
    "OPEN": "the rest\n",
}


def test_values_are_what_systemd_makes_of_them() -> None:
    """With all that a URL or a password may hold, in quotes or without."""
    assert dict(pairs(PLAIN)) == EXPECTED
    assert dict(pairs("A=\nB=$x$\n")) == {"A": "", "B": "$x$"}


@pytest.mark.skipif(not GENERATOR.exists(), reason="no systemd here")
def test_systemd_itself_reads_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "environment.d"
    folder.mkdir()
    (folder / "a.conf").write_text(PLAIN.replace("$a", "a"), "utf-8")
    printed = subprocess.run(
        [GENERATOR], env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=20,
    ).stdout  # fmt: skip
    read = dict(line.split("=", 1) for line in printed.splitlines())
    bare = {name: re.sub(r"\\(.)", _unprinted, value.strip('"')) for name, value in read.items()}
    assert {name: bare.get(name) for name in EXPECTED} == EXPECTED | {"SINGLE": EXPECTED["SINGLE"].replace("$a", "a")}


def _unprinted(escaped: re.Match[str]) -> str:
    return {"n": "\n"}.get(escaped[1], escaped[1])


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raven.env_files", *map(str, arguments)]
    return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60)


def test_a_program_runs_with_the_settings_of_all_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "raven.env").write_text("A=1\nB=$HOME&;#\n", "utf-8")
    (tmp_path / "raven-watcher.env").write_text("A=2\n", "utf-8")
    files = [tmp_path / name for name in ("raven.env", "missing.env", "raven-watcher.env")]

    done = run(*files, "--", "sh", "-c", 'printf "%s %s" "$A" "$B"; exit 3')

    assert (done.returncode, done.stdout) == (3, "2 $HOME&;#")


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    assert run("a.env", "--").stderr == f"{USE}\n"
    assert f"{tmp_path} cannot be read" in run(tmp_path, "--", "true").stderr
    assert "/nowhere/x cannot be started: No such file" in run("--", "/nowhere/x").stderr
