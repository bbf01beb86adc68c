#!/usr/bin/env python3
"""Removes what nobody needs from the storage and the temporary folder. For cron, daily; safe to repeat and to kill.

scrub.py --dry-run lists what it would remove; without it it removes. It needs RAVEN_DATABASE and RAVEN_STORAGE, as the
watcher does. Removed: what is left of deleted and failed tasks, chunks of done ones, outputs that are older than
keep_hours (the task's, or the setting). Never touched: other outputs of tasks that are done, anything of a task that is
not at an end, anything young. It removes nothing at all when that would be more than --most of what is there.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog

from raven.config import Settings
from raven.environment import load_settings
from raven.errors import RavenError, UsageError
from raven.log import configure
from raven.metrics.scrub import told
from raven.ports import Database, Row, Storage
from raven.schema import check
from raven.scratch import PATTERN, in_use
from raven.wiring import open_database, open_storage

ENDED = ("done", "failed")
_KEY = re.compile(r"(tmp|out)/([1-9][0-9]{0,18})/")
FOLDER_SECONDS = 24 * 3600  # a temporary folder or an unfinished object this old belongs to no running job
FEW_OBJECTS = 1000  # so few may always go: on a small farm one failed task is most of what there is
log = structlog.get_logger()


class TooMuch(RavenError):
    """Nothing was removed."""


@dataclass(frozen=True)
class Waste:
    """Objects of one task that can go, and why."""

    prefix: str
    reason: str
    objects: int
    bytes: int


@dataclass
class Survey:
    """What can go, and how many objects there are of Raven's in all."""

    waste: list[Waste] = field(default_factory=list)
    objects: int = 0

    @property
    def share(self) -> float:
        """Of the objects, that can go."""
        return sum(waste.objects for waste in self.waste) / max(1, self.objects)


def task_of(key: str) -> tuple[str, int] | None:
    """Tree (tmp or out) and task of a storage key; None for a key that is not Raven's."""
    found = _KEY.match(key)
    return (found[1], int(found[2])) if found else None


def judge(tree: str, status: str | None, *, expired: bool = False) -> str | None:
    """Why the objects of a task can go, None when they stay. `status` None: the row is gone."""
    if status is None:
        return "task deleted"
    if status == "failed":
        return "task failed"
    if status == "done" and tree == "tmp":
        return "task done"
    return "kept long enough" if status == "done" and expired else None


class Scrubber:
    """Looks and judges. `keep_hours`: of outputs whose task does not say; None: for ever. `now`: Unix time, seconds."""

    def __init__(self, database: Database, storage: Storage, keep_hours: float | None, now: float) -> None:
        self._database, self._storage, self._keep_hours, self._now = database, storage, keep_hours, now

    def survey(self) -> Survey:
        """Task by task; kept in memory are those that have waste.

        A row is looked at after its objects were listed: a younger task is never hit.
        """
        found = Survey()
        for tree in ("tmp", "out"):
            current: int | None = None
            objects = size = 0
            for entry in self._storage.entries(f"{tree}/"):
                owner = task_of(entry.key)
                if owner is None:
                    continue
                if owner[1] != current:
                    self._note(found, tree, current, objects, size)
                    current, objects, size = owner[1], 0, 0
                objects, size = objects + 1, size + entry.bytes
            self._note(found, tree, current, objects, size)
        return found

    def _note(self, found: Survey, tree: str, task: int | None, objects: int, size: int) -> None:
        found.objects += objects
        reason = self.reason(tree, task) if task is not None else None
        if reason is not None:
            found.waste.append(Waste(f"{tree}/{task}/", reason, objects, size))

    def reason(self, tree: str, task: int) -> str | None:
        """Why what is in this tree of a task can go now; None while it cannot."""
        rows = self._database.query("SELECT status, finished_at, keep_hours FROM tasks WHERE id = ?", (task,))
        reason = judge(tree, rows[0]["status"] if rows else None, expired=bool(rows) and self._expired(rows[0]))
        working = self._database.query(
            "SELECT COUNT(*) AS n FROM jobs WHERE task_id = ? AND state IN ('waiting', 'queued', 'running')", (task,)
        )
        return None if working[0]["n"] else reason  # jobs still open: the watcher is cleaning up itself

    def _expired(self, row: Row) -> bool:
        keep = self._keep_hours if row["keep_hours"] is None else float(row["keep_hours"])
        if keep is None or row["finished_at"] is None:
            return False
        finished = datetime.fromisoformat(str(row["finished_at"])).replace(tzinfo=UTC)
        return self._now - finished.timestamp() > keep * 3600


def old_folders(root: Path, now: float) -> Iterator[Path]:
    """Temporary folders of jobs that were killed."""
    for folder in root.glob(PATTERN):
        real = folder.is_dir() and not folder.is_symlink()
        if real and now - folder.stat().st_mtime > FOLDER_SECONDS and not in_use(folder):
            yield folder


def scrub(settings: Settings, *, dry_run: bool, most: float = 1.0) -> tuple[int, int]:
    """Removes, or only tells; the number of objects and bytes. Raises TooMuch for more of all than `most`."""
    database, storage = open_database(settings), open_storage(settings)
    check(database)
    scrubber = Scrubber(database, storage, settings.keep_hours, time.time())
    survey = scrubber.survey()
    doubt = _doubt(survey, most)
    if doubt and not dry_run:
        raise TooMuch(doubt)
    objects, size = _remove(survey, scrubber, storage, dry_run=dry_run)
    if parts := storage.leftovers(FOLDER_SECONDS, remove=not dry_run):
        click.echo(f"{'would remove' if dry_run else 'removed'} {parts} unfinished objects of killed writers")
    for folder in old_folders(settings.temporary or Path(tempfile.gettempdir()), time.time()):
        click.echo(f"{'would remove' if dry_run else 'removing'} {folder}: left by a killed job")
        if not dry_run:
            shutil.rmtree(folder)
    if doubt:
        click.echo(doubt)
    database.close()
    log.info("scrubbed", objects=objects, bytes=size, dry_run=dry_run)
    return objects, size


def _doubt(survey: Survey, most: float) -> str:
    """Why nothing may be removed, as a sentence; empty where it may."""
    count = sum(waste.objects for waste in survey.waste)
    if count <= FEW_OBJECTS or survey.share <= most:
        return ""
    told = f"{count} of {survey.objects} objects can go, {survey.share:.0%}, which is more than {most:.0%}"
    return f"{told}: is this the right database? If so, run it once by hand with --most {math.ceil(100 * survey.share)}"


def _remove(survey: Survey, scrubber: Scrubber, storage: Storage, *, dry_run: bool) -> tuple[int, int]:
    objects = size = 0
    for waste in survey.waste:
        tree, task, _ = waste.prefix.split("/")
        if scrubber.reason(tree, int(task)) is None:  # somebody tries it again meanwhile
            continue
        click.echo(
            f"{'would remove' if dry_run else 'removing'} {waste.prefix}: {waste.reason}, {waste.objects} objects"
        )
        if not dry_run:
            storage.delete_prefix(waste.prefix)
        objects, size = objects + waste.objects, size + waste.bytes
    return objects, size


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dry-run", is_flag=True, help="List only.")
@click.option(
    "--most",
    default=50,
    show_default=True,
    type=click.IntRange(0, 100),
    help=f"Percent of the objects that may go in one run; fewer than {FEW_OBJECTS} always may.",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file with the settings.")
def main(dry_run: bool, most: int, config: Path | None) -> None:
    try:
        settings = load_settings(os.environ, config)
        configure(settings, "scrub")
        with told(None if dry_run else settings.metrics_folder) as outcome:
            objects, size = scrub(settings, dry_run=dry_run, most=most / 100)
            outcome.objects, outcome.bytes = objects, size
        click.echo(f"{objects} objects, {size / 1e6:.1f} MB {'would go' if dry_run else 'removed'}")
    except RavenError as error:
        click.echo(f"scrub.py: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
