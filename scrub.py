#!/usr/bin/env python3
"""Removes what nobody needs from the storage and the temporary folder. For cron, daily; safe to repeat and to kill.

scrub.py --dry-run lists what it would remove; without it it removes. It needs RAVEN_DATABASE and RAVEN_STORAGE, as the
watcher does. Never touched: outputs of tasks that are done, anything of a task that is not at an end, anything young.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import structlog

from raven.config import Settings, load_settings
from raven.errors import RavenError, UsageError
from raven.log import configure
from raven.ports import Database, Storage
from raven.wiring import open_database, open_storage

ENDED = ("done", "failed")
_KEY = re.compile(r"(tmp|out)/([1-9][0-9]{0,18})/")
FOLDER_SECONDS = 24 * 3600  # a temporary folder this old belongs to no running job
log = structlog.get_logger()


@dataclass(frozen=True)
class Waste:
    """Objects of one task that can go, and why."""

    prefix: str
    reason: str
    objects: int
    bytes: int


def task_of(key: str) -> tuple[str, int] | None:
    """Tree (tmp or out) and task of a storage key; None for a key that is not Raven's."""
    found = _KEY.match(key)
    return (found[1], int(found[2])) if found else None


def judge(tree: str, status: str | None) -> str | None:
    """Why the objects of a task can go, None when they stay. `status` None: the row is gone."""
    if status is None:
        return "task deleted"
    if status == "failed":
        return "task failed"
    if status == "done" and tree == "tmp":
        return "task done"
    return None


def find_waste(database: Database, storage: Storage) -> Iterator[Waste]:
    """Task by task, in flat memory. A row is looked at after its objects were listed: a younger task is never hit."""
    for tree in ("tmp", "out"):
        current: int | None = None
        objects = size = 0
        for entry in storage.entries(f"{tree}/"):
            owner = task_of(entry.key)
            if owner is None:
                continue
            if owner[1] != current:
                yield from _verdict(database, tree, current, objects, size)
                current, objects, size = owner[1], 0, 0
            objects, size = objects + 1, size + entry.bytes
        yield from _verdict(database, tree, current, objects, size)


def _verdict(database: Database, tree: str, task: int | None, objects: int, size: int) -> Iterator[Waste]:
    if task is None:
        return
    rows = database.query("SELECT status FROM tasks WHERE id = ?", (task,))
    reason = judge(tree, rows[0]["status"] if rows else None)
    working = database.query(
        "SELECT COUNT(*) AS n FROM jobs WHERE task_id = ? AND state IN ('waiting', 'queued', 'running')", (task,)
    )
    if reason is not None and not working[0]["n"]:  # jobs still open: the watcher is cleaning up itself
        yield Waste(f"{tree}/{task}/", reason, objects, size)


def old_folders(root: Path, now: float) -> Iterator[Path]:
    """Temporary folders of jobs that were killed."""
    for folder in root.glob("raven-*-*-*"):
        if folder.is_dir() and not folder.is_symlink() and now - folder.stat().st_mtime > FOLDER_SECONDS:
            yield folder


def scrub(settings: Settings, *, dry_run: bool) -> tuple[int, int]:
    """Removes, or only tells; the number of objects and of bytes."""
    database, storage = open_database(settings), open_storage(settings)
    objects = size = 0
    for waste in find_waste(database, storage):
        click.echo(
            f"{'would remove' if dry_run else 'removing'} {waste.prefix}: {waste.reason}, {waste.objects} objects"
        )
        if not dry_run:
            storage.delete_prefix(waste.prefix)
        objects, size = objects + waste.objects, size + waste.bytes
    for folder in old_folders(settings.temporary or Path(tempfile.gettempdir()), time.time()):
        click.echo(f"{'would remove' if dry_run else 'removing'} {folder}: left by a killed job")
        if not dry_run:
            shutil.rmtree(folder)
    database.close()
    log.info("scrubbed", objects=objects, bytes=size, dry_run=dry_run)
    return objects, size


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with the settings.")
def main(dry_run: bool, config: Path | None) -> None:
    try:
        settings = load_settings(os.environ, config)
        configure(settings, "scrub")
        objects, size = scrub(settings, dry_run=dry_run)
        click.echo(f"{objects} objects, {size / 1e6:.1f} MB {'would go' if dry_run else 'removed'}")
    except RavenError as error:
        click.echo(f"scrub.py: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
