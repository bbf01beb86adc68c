"""`raven doctor`: the first thing to run when something is wrong."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from raven import __version__
from raven.doctor.configuration import ROLES
from raven.doctor.examine import examine
from raven.doctor.findings import Finding, Level, verdict
from raven.log import hush
from raven.terminal import plain

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "bold red", Level.SKIPPED: "dim"}


@click.command("doctor")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file with the settings; RAVEN_... variables override it.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    help="What this host is to be; several times for several. [default: whatever is set is checked]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def doctor_command(config: Path | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Checks settings, servers, rights, versions, clock, ffmpeg and room; says what to do.

    It changes nothing, leaves nothing behind and shows no password. Exit code 1 if there is a fault.
    """
    hush()
    console, findings = Console(highlight=False), []
    for finding in examine(os.environ, config, roles):
        findings.append(finding)
        if not as_json:
            _show(console, finding)
    found = verdict(findings)
    if as_json:
        about = {"verdict": found, "version": __version__, "findings": [f.as_json() for f in findings]}
        click.echo(json.dumps(about))
    else:
        _conclude(console, findings)
    sys.exit(1 if found == Level.FAULT else 0)


def _show(console: Console, finding: Finding) -> None:
    """As it comes: a server that does not answer takes some seconds."""
    line = Text.assemble(
        (f"{finding.level:<12}", _COLOURS[finding.level]), (f"{finding.area:<14} ", "bold"), f"{finding.what}: "
    )
    console.print(line.append(plain(finding.said)), soft_wrap=True)
    if finding.remedy:
        console.print(Text(f"{'':<12}-> {finding.remedy}"), soft_wrap=True)


def _conclude(console: Console, findings: list[Finding]) -> None:
    counts = Counter(finding.level for finding in findings)
    console.print(Text(", ".join(f"{counts[level]} {level}" for level in Level if counts[level])))
