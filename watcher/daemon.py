"""The daemon raven-watcher: turns until it is told to stop, through any outage of database or broker.

Of several, one turns and the others stand by: it holds a lock of the database, which ends with its connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from raven.config import Settings
from raven.daemon import Signals, daemon_command
from raven.errors import Standby, Unavailable
from raven.notify import Notifier
from raven.ports import Broker
from raven.profile import load_profiles
from raven.schema import check_closely
from raven.wiring import COURIER_LOCK, WATCHER_LOCK, open_broker, open_database
from watcher.courier import Courier
from watcher.watcher import Watcher, steady_clock

CONNECT_SECONDS = 30.0  # that a broker may take at the start
PAUSE = 1.0  # s between turns while a server is away

log = structlog.get_logger()


@dataclass
class Waits:
    """What this watcher cannot go on for, if it is the one at work and cannot."""

    fault: str | None = None


def run(settings: Settings, signals: Signals, notifier: Notifier) -> None:
    """Everything that it knows is in the database, so a signal stops it between two turns."""
    database, broker = open_database(settings, WATCHER_LOCK), open_broker(settings)
    profiles = load_profiles(settings.profiles)
    waits = Waits()
    away = partial(troubles_of, broker, time.monotonic(), waits)
    courier = Courier(settings, open_database(settings, COURIER_LOCK), steady_clock(), away=away)
    notifier.ready()  # all that may be wrong here is right; servers may be away for hours
    _await_schema(settings, signals, notifier)
    leads = threading.Event()
    with at_work(courier), counting(settings, leads):
        _turn(Watcher(settings, database, broker, profiles), signals, notifier, leads, waits)
        notifier.stopping()
    broker.close()
    database.close()


def troubles_of(broker: Broker, begun: float, waits: Waits) -> dict[str, str]:
    """What operators must hear of that the database does not know of."""
    if broker.connected_since() is None and time.monotonic() - begun > CONNECT_SECONDS:
        return {"broker away": "RabbitMQ does not answer the watcher: no job is handed out"}
    fault = waits.fault  # another thread writes it
    return {} if fault is None else {"watcher waits": f"the watcher gets nowhere: {fault}"}


@contextmanager
def at_work(courier: Courier) -> Iterator[None]:
    """Sends notices in a thread of its own meanwhile."""
    stop = threading.Event()
    thread = threading.Thread(target=courier.run, args=(stop,), name="courier")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def counting(settings: Settings, leads: threading.Event) -> Iterator[None]:
    """Counts the farm for its metrics meanwhile, in a thread and with a connection of its own."""
    if settings.metrics is None:
        yield
        return
    from raven.metrics.farm import FARM  # noqa: PLC0415 - loaded where metrics are asked for
    from watcher.numbers import keep_noting  # noqa: PLC0415

    stop, database = threading.Event(), open_database(settings)
    thread = threading.Thread(
        target=keep_noting, args=(FARM, database, leads, stop, steady_clock()), name="numbers", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _turn(watcher: Watcher, signals: Signals, notifier: Notifier, leads: threading.Event, waits: Waits) -> None:
    """Until a signal; meanwhile `leads` tells whether this watcher is the one at work. Raises SchemaDiffers."""
    known = False
    while not signals.draining.is_set():
        notifier.beat()
        try:
            watcher.turn(notifier.beat)
            if not (known and leads.is_set()):
                log.info("this watcher is at work")
            leads.set()
            known, waits.fault = True, None
        except Standby as error:
            if not known or leads.is_set():
                log.info("this watcher stands by", reason=str(error))
            leads.clear()
            known, waits.fault = True, None
            signals.draining.wait(PAUSE)
        except Unavailable as error:
            log.warning("waiting for a server", fault=str(error))
            waits.fault = str(error)
            signals.draining.wait(PAUSE)


def _await_schema(settings: Settings, signals: Signals, notifier: Notifier) -> None:
    """Until the database has told that its schema is this Raven's; one that stands by must know too.

    Raises SchemaDiffers.
    """
    database = open_database(settings)
    while not signals.draining.is_set():
        notifier.beat()
        try:
            check_closely(database)
            break
        except Unavailable as error:
            log.warning("waiting for a server", fault=str(error))
            signals.draining.wait(PAUSE)
    database.close()


main = daemon_command("watcher", "Watches the table `tasks`, plans jobs and hands them out.", run)
