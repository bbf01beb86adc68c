#!/usr/bin/env python3
"""Removes what nobody needs from the storage and the temporary folder. For cron, daily; safe to repeat and to kill.

scrub.py --dry-run lists what it would remove; without it it removes. It needs RAVEN_DATABASE and RAVEN_STORAGE, as the
watcher does. Removed: what is left of deleted and failed tasks, chunks of done ones, outputs older than keep_hours (the
task's, or the setting), outputs whose `reference` upstream no longer knows (where upstream_command or upstream_query is
set), history older than history_days, unfinished uploads and temporary folders of killed daemons. Never touched: other
outputs of tasks that are done, anything of a task that is not at an end, anything young. It removes nothing at all when
that would be more than --most of what is there, or when upstream does not answer.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Set
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click
import structlog

from raven.config import Settings
from raven.environment import load_settings
from raven.errors import RavenError, RowLocked, UsageError
from raven.history import cleaned
from raven.log import configure
from raven.metrics.scrub import told
from raven.names import task_of
from raven.ports import Database, Row, Storage
from raven.restored import next_number
from raven.schema import check
from raven.scratch import discard, old_folders
from raven.upstream import known_ids
from raven.wiring import open_database, open_storage

UNKNOWN = "unknown upstream"
_LOCKED = " /*M! LOCK IN SHARE MODE */"  # SQLite's transactions hold the whole file anyway
_PATIENT = "/*M! SET SESSION idle_transaction_timeout = 600 */"  # a storage may take minutes; raven.cnf says 10 s
YOUNG_SECONDS = 24 * 3600  # so long after its end a film need not be known upstream yet
PART_SECONDS = 24 * 3600  # an unfinished object this old belongs to no running job
BATCH = 200  # objects that are removed while a row is held: a second of a gateway that is busy
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

    @property
    def place(self) -> tuple[str, int]:
        """Tree and task."""
        tree, task, _ = self.prefix.split("/")
        return tree, int(task)


@dataclass
class Survey:
    """What can go, and how many objects there are of Raven's in all."""

    waste: list[Waste] = field(default_factory=list)
    objects: int = 0
    newest: int = 0  # the highest number of a task that has some
    referring: int = 0
    """Finished films that upstream should know."""

    @property
    def going(self) -> int:
        return sum(waste.objects for waste in self.waste)

    @property
    def share(self) -> float:
        """Of the objects, that can go."""
        return self.going / max(1, self.objects)

    @property
    def unknown(self) -> int:
        """Films that upstream does not know any more."""
        return sum(waste.reason == UNKNOWN for waste in self.waste)


def judge(tree: str, status: str | None, *, expired: bool = False, unknown: bool = False) -> str | None:
    """Why the objects of a task can go, None when they stay. `status` None: the row is gone. `unknown`: to upstream."""
    if status is None:
        return "task deleted"
    if status == "failed":
        return "task failed"
    if status != "done":
        return None
    if tree == "tmp":
        return "task done"
    return "kept long enough" if expired else UNKNOWN if unknown else None


class Scrubber:
    """Looks and judges. `keep_hours`: of outputs whose task does not say; None: for ever. `now`: Unix time, seconds.

    `known`: the ids that upstream knows; None where there is no upstream.
    """

    def __init__(
        self, database: Database, storage: Storage, keep_hours: float | None, now: float, known: Set[str] | None = None
    ) -> None:
        self._database, self._storage, self._keep_hours, self._now = database, storage, keep_hours, now
        self._known = known

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
        if task is None:
            return
        row = self._row(task)
        found.objects += objects
        found.newest = max(found.newest, task)
        found.referring += tree == "out" and row is not None and self._refers(row)
        if (reason := self._judge(tree, task, row)) is not None:
            found.waste.append(Waste(f"{tree}/{task}/", reason, objects, size))

    def reason(self, tree: str, task: int) -> str | None:
        """Why what is in this tree of a task can go now; None while it cannot."""
        return self._judge(tree, task, self._row(task))

    def remove(self, waste: Waste) -> tuple[int, int]:
        """Objects and bytes that have gone. It stops as soon as they may be of use again.

        Each batch goes in a transaction that holds the row, so that nobody has a failed task tried again meanwhile.
        Raises RowLocked where another program holds the row.
        """
        tree, task = waste.place
        objects = size = 0
        entries = self._storage.entries(waste.prefix)
        while True:
            batch = list(islice(entries, BATCH))
            with self._database.transaction():
                self._database.execute(_PATIENT)
                if self._judge(tree, task, self._row(task, _LOCKED)) is None:
                    return objects, size
                if not batch:
                    self._storage.delete_prefix(waste.prefix)  # unfinished uploads, empty folders
                    return objects, size
                self._storage.delete([entry.key for entry in batch])
            objects, size = objects + len(batch), size + sum(entry.bytes for entry in batch)

    def _row(self, task: int, locked: str = "") -> Row | None:
        sql = "SELECT status, finished_at, keep_hours, reference FROM tasks WHERE id = ?"
        return next(iter(self._database.query(sql + locked, (task,))), None)

    def _judge(self, tree: str, task: int, row: Row | None) -> str | None:
        if row is None:
            reason = judge(tree, None)
        else:
            unknown = self._known is not None and self._refers(row) and str(row["reference"]) not in self._known
            reason = judge(tree, row["status"], expired=self._expired(row), unknown=unknown)
        working = self._database.query(
            "SELECT COUNT(*) AS n FROM jobs WHERE task_id = ? AND state IN ('waiting', 'queued', 'running')", (task,)
        )
        return None if working[0]["n"] else reason  # jobs still open: the watcher is cleaning up itself

    def _refers(self, row: Row) -> bool:
        """Whether upstream has had its time to know of this film."""
        return row["status"] == "done" and bool(row["reference"]) and self._age(row) > YOUNG_SECONDS

    def _expired(self, row: Row) -> bool:
        keep = self._keep_hours if row["keep_hours"] is None else float(row["keep_hours"])
        return keep is not None and self._age(row) > keep * 3600

    def _age(self, row: Row) -> float:
        """Seconds since its end; below zero for a task that has none."""
        if row["finished_at"] is None:
            return -1
        return self._now - datetime.fromisoformat(str(row["finished_at"])).replace(tzinfo=UTC).timestamp()


def scrub(settings: Settings, *, dry_run: bool, most: float = 1.0) -> tuple[int, int]:
    """Removes, or only tells; the number of objects and bytes.

    Raises TooMuch for more of all than `most`, NoAnswer where upstream has none.
    """
    with closing(open_database(settings)) as database:
        storage = open_storage(settings)
        check(database)
        scrubber = Scrubber(database, storage, settings.keep_hours, time.time(), known_ids(settings))
        survey = scrubber.survey()
        doubt, following = _doubt(survey, most), next_number(database)
        if following is not None and following <= (highest := survey.newest):
            log.warning("the storage has films of numbers that are still to come", highest=highest, next=following)
        if doubt and not dry_run:
            raise TooMuch(doubt)
        objects, size = _remove(survey, scrubber, dry_run=dry_run)
        click.echo(cleaned(database, settings.history_days, time.time(), dry_run=dry_run))
    _leftovers(settings, storage, dry_run=dry_run)
    if doubt:
        click.echo(doubt)
    verb, kept = "would go" if dry_run else "removed", survey.objects - objects
    click.echo(f"{objects} objects, {size / 1e6:.1f} MB {verb}; {kept} stay")
    log.info("scrubbed", objects=objects, bytes=size, kept=kept, dry_run=dry_run)
    return objects, size


def _doubt(survey: Survey, most: float) -> str:
    """Why nothing may be removed, as a sentence; empty where it may."""
    if survey.unknown > survey.referring * most:
        share = survey.unknown / survey.referring
        told = f"upstream does not know {survey.unknown} of {survey.referring} films, {share:.0%}"
        asked = "is that all that it knows?"
    elif survey.going > FEW_OBJECTS and survey.share > most:
        share = survey.share
        told, asked = f"{survey.going} of {survey.objects} objects can go, {share:.0%}", "is this the right database?"
    else:
        return ""
    once = f"If so, run it once by hand with --most {math.ceil(100 * share)}"
    return f"{told}, which is more than {most:.0%}: {asked} {once}"


def _remove(survey: Survey, scrubber: Scrubber, *, dry_run: bool) -> tuple[int, int]:
    objects, size = Counter[str](), Counter[str]()
    for waste in survey.waste:
        if scrubber.reason(*waste.place) is None:  # somebody tries it again meanwhile
            continue
        verb = "would remove" if dry_run else "removing"
        click.echo(f"{verb} {waste.prefix}: {waste.reason}, {waste.objects} objects")
        try:
            gone = (waste.objects, waste.bytes) if dry_run else scrubber.remove(waste)
        except RowLocked as error:
            log.warning("a task's row is locked by another program: its rest goes tomorrow", fault=str(error))
            continue
        objects[waste.reason] += gone[0]
        size[waste.reason] += gone[1]
    for reason in sorted(objects):
        click.echo(f"{reason}: {objects[reason]} objects, {size[reason] / 1e6:.1f} MB")
    return objects.total(), size.total()


def _leftovers(settings: Settings, storage: Storage, *, dry_run: bool) -> None:
    if parts := storage.leftovers(PART_SECONDS, remove=not dry_run):
        click.echo(f"{'would remove' if dry_run else 'removed'} {parts} unfinished objects of killed writers")
    for folder in old_folders(settings.temporary or Path(tempfile.gettempdir()), time.time()):
        click.echo(f"{'would remove' if dry_run else 'removing'} {folder}: left by a killed job")
        if not dry_run:
            discard(folder)


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
            outcome.objects, outcome.bytes = scrub(settings, dry_run=dry_run, most=most / 100)
    except RavenError as error:
        click.echo(f"scrub.py: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
