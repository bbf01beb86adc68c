"""`raven migrate`: brings a database to the schema of this Raven."""

from __future__ import annotations

import json
import sys

import click

from raven.config import Settings
from raven.errors import SchemaDiffers, Standby, UsageError
from raven.restored import go_on
from raven.schema import LOCK, VERSION, migrate, version
from raven.settings_option import with_settings
from raven.wiring import open_database, open_storage

PATIENCE = 24 * 3600  # s for one statement: an index over a large table takes its time


@click.command("migrate")
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit code 1 if it is of another version.")
@click.option("--restored", is_flag=True, help="It comes from a backup: no number in the storage is given again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_settings
def migrate_command(settings: Settings, only_check: bool, restored: bool, as_json: bool) -> None:
    """Brings the database to the version of the schema that this Raven needs. For the schema's owner.

    An empty database gets all tables. Safe to repeat and to interrupt; rows stay. Stop the watchers before.
    """
    if restored and only_check:
        raise UsageError("migrate: --check changes nothing, so it does not go with --restored")
    storage = open_storage(settings) if restored else None
    following = None
    database = open_database(settings, LOCK, PATIENCE)
    try:
        before, after = (version(database), VERSION) if only_check else migrate(database)
        following = go_on(database, storage) if storage is not None else None
    except Standby as error:
        raise SchemaDiffers("another `raven migrate` is at work on this database; wait for its end") from error
    finally:
        database.close()
    if as_json:
        told = {"before": before, "needed": VERSION, "migrated": before != after and not only_check}
        click.echo(json.dumps(told | ({} if following is None else {"next": following})))
    else:
        has = {None: "no tables", 0: "a schema from before versions"}.get(before, f"schema version {before}")
        if before == after:
            click.echo(f"the database has {has}, which this Raven needs")
        else:
            click.echo(f"the database had {has}, and has version {after} now" if not only_check else _differs(has))
        if following is not None:
            click.echo(f"the next task gets number {following}, above all that the storage has")
    sys.exit(1 if only_check and before != VERSION else 0)


def _differs(has: str) -> str:
    return f"the database has {has}, this Raven needs version {VERSION}"
