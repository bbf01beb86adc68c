"""`raven check`: opens a tree wherever it lies, runs the rules, tells what came out."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raven import names
from raven.check.checker import RULES, Report, by_source, check
from raven.check.load import find_manifests, load
from raven.check.readers import DirectoryReader, HttpReader, ReadError
from raven.check.rule import Severity
from raven.check.tree import Tree
from raven.config import Settings
from raven.errors import UsageError
from raven.settings_option import with_settings
from raven.terminal import plain, say


def open_tree(target: str) -> Tree:
    """The tree in a folder, beside a manifest, or at an http(s) URL of a manifest or a folder.

    Raises UsageError for what is none.
    """
    if "://" in target:
        return _remote(target)
    path = Path(target)
    if not path.exists():
        raise UsageError(f"{target}: there is no such file or folder")
    reader = DirectoryReader(path if path.is_dir() else path.parent)
    try:
        return load(reader, find_manifests(reader) if path.is_dir() else (path.name,), target)
    except UsageError as error:
        raise UsageError(f"{target}: {error}") from error


def _remote(url: str) -> Tree:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise UsageError(f"{url[:200]}: a tree is a folder or an http:// or https:// URL without a user")
    path = parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")
    folder = not parts.path.rpartition("/")[2] or "." not in parts.path.rpartition("/")[2]
    base = f"{path.rstrip('/')}/".lstrip("/")
    manifests = (base + names.MULTIVARIANT, base + names.MPD) if folder else (path,)
    reader = HttpReader(url)
    try:
        return load(reader, [m for m in manifests if _is_there(reader, m)] or manifests, url)
    except UsageError as error:
        raise UsageError(f"{url[:200]}: {error}") from error


def _is_there(reader: HttpReader, path: str) -> bool:
    """A server tells no list of its files, and a tree may well have HLS or DASH alone."""
    try:
        return reader.size(path) > 0
    except ReadError:
        return False


@click.command("check")
@click.argument("target", required=False, metavar="DIR-or-URL")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--rules", "list_rules", is_flag=True, help="List all rules with their clauses instead.")
@with_settings
def check_command(_: Settings, target: str | None, as_json: bool, list_rules: bool) -> None:
    """Checks HLS, DASH and CMAF output against the rules of Apple, RFC 8216, CMAF and DASH-IF.

    DIR-or-URL is a folder, a manifest in it, or an http(s) URL of either. Exit code 1 if a must is broken.
    """
    if list_rules:
        _tell_rules(as_json=as_json)
        return
    if target is None:
        raise UsageError("raven check wants a folder or a URL; `raven check --rules` lists the rules")
    begun = time.monotonic()
    report = check(open_tree(target))
    seconds = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps({"target": target, "seconds": round(seconds, 3), **report.as_json()}))
    else:
        _tell(report, seconds)
    sys.exit(1 if report.musts else 0)


def _tell(report: Report, seconds: float) -> None:
    console = Console()
    if console.is_terminal and report.findings:
        table = Table("", "where", "found", "wanted", "rule", box=None, header_style="bold", pad_edge=False)
        for finding in report.findings:
            fault, red = finding.fault, finding.rule.severity is Severity.MUST
            mark = Text(str(finding.rule.severity), style="bold red" if red else "yellow")
            cells = (fault.where, fault.found, fault.wanted, "; ".join(finding.rule.clauses))
            table.add_row(mark, *(Text(plain(text)) for text in cells))
        console.print(table)
    else:
        for finding in report.findings:
            say(f"{finding.rule.severity}: {finding}")
    musts, shoulds = len(report.musts), len(report.findings) - len(report.musts)
    verdict = "broken" if musts else "good"
    say(f"{report.name}: {verdict}: {report.rules} rules, {musts} must, {shoulds} should, {seconds:.1f} s")


def _tell_rules(*, as_json: bool) -> None:
    if as_json:
        rows = [{"rule": r.id, "severity": str(r.severity), "clauses": list(r.clauses), "text": r.text} for r in RULES]
        click.echo(json.dumps(rows))
        return
    for rule in RULES:
        click.echo(f"{rule.severity:<6} {rule.id:<34} {'; '.join(rule.clauses)}\n       {rule.text}")
    counted = ", ".join(f"{source} {count}" for source, count in by_source().most_common())
    click.echo(f"{len(RULES)} rules: {counted}")
