"""Runs a program with settings from environment files: `python -m raven.env_files FILE... -- COMMAND...`.

For cron, and by hand. The files are read as systemd reads them for the units (man systemd.exec, EnvironmentFile=): a
shell would take the & of a URL, and the $, ; and # of a password, for its own. As for the units, what stands further
back counts, and a file that is not there is skipped.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

USE = "use: python -m raven.env_files FILE... -- COMMAND [ARGUMENT...]"
_SINGLE, _DOUBLE = r"'[^']*(?:'|\Z)", r'"(?:\\.|[^"\\])*(?:"|\Z)'
_BARE = r"""(?:\\.|[^\s'"\\])(?:\\.|[^\\\n])*?(?=[ \t\r]*(?:\n|\Z))"""
_LINE = re.compile(
    r"[#;](?:\\.|[^\\\n])*"  # a comment, which a backslash at its end makes longer
    rf"|(?P<name>[^\s=#;][^=\n]*)=(?P<value>(?:[ \t\r]*(?:{_SINGLE}|{_DOUBLE}))*[ \t\r]*(?:{_BARE})?)"
    r"|[^\s=#;][^=\n]*",
    re.DOTALL,
)
_PIECE = re.compile(f"(?P<single>{_SINGLE})|(?P<double>{_DOUBLE})|(?P<bare>{_BARE})", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Names and values, in their order. Lines that are none are passed over."""
    for line in _LINE.finditer(text):
        if _NAME.fullmatch(name := (line["name"] or "").strip()):
            yield name, "".join(_plain(piece) for piece in _PIECE.finditer(line["value"]))


def _plain(piece: re.Match[str]) -> str:
    """Without its quotes and backslashes."""
    if piece["single"]:
        return piece["single"].strip("'")
    if piece["double"]:
        return _ESCAPE.sub(lambda found: _escaped(found[1], found[0]), piece["double"][1:].removesuffix('"'))
    return _ESCAPE.sub(lambda found: _escaped(found[1], found[1]), piece["bare"])


def _escaped(letter: str, other: str) -> str:
    """What a backslash makes of a letter: of the end of a line nothing, of what a shell would take itself."""
    return "" if letter == "\n" else letter if letter in '"\\`$' else other


def main(arguments: Sequence[str]) -> None:
    if "--" not in arguments[:-1]:
        sys.exit(USE)
    place = arguments.index("--")
    environment = dict(os.environ)
    for file in map(Path, arguments[:place]):
        try:
            environment.update(pairs(file.read_text("utf-8")))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            sys.exit(f"{file} cannot be read: {error}")
    command = list(arguments[place + 1 :])
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is what it is for
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
