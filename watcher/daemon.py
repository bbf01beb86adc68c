"""The daemon raven-watcher: turns until it is told to stop, through any outage of database or broker."""

from __future__ import annotations

import structlog

from raven.config import Settings
from raven.daemon import Signals, daemon_command
from raven.errors import Unavailable
from raven.profile import load_profiles
from raven.wiring import open_broker, open_database
from watcher.watcher import Watcher

PAUSE = 1.0  # s between turns while a server is away

log = structlog.get_logger()


def run(settings: Settings, signals: Signals) -> None:
    """Everything that it knows is in the database, so a signal stops it between two turns."""
    database, broker = open_database(settings), open_broker(settings)
    watcher = Watcher(settings, database, broker, load_profiles(settings.profiles))
    while not signals.draining.is_set():
        try:
            watcher.turn()
        except Unavailable as error:
            log.warning("waiting for a server", fault=str(error))
            signals.draining.wait(PAUSE)
    broker.close()
    database.close()


main = daemon_command("watcher", "Watches the table `tasks`, plans jobs and hands them out.", run)
