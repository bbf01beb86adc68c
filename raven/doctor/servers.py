"""The doctor's look at database and broker: reachable, the right version, and allowed to do what the role does."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raven import names, syslog
from raven.config import Settings
from raven.doctor.findings import (
    MARIADB,
    RABBITMQ,
    Area,
    Finding,
    broker_remedy,
    database_remedy,
    judge_clock,
    judge_server,
    places,
    shown,
)
from raven.errors import NoSchema, RavenError
from raven.ports import BrokerAbout, Database
from raven.schema import VERSION, check, check_closely
from raven.wiring import ask_broker, open_database

REACH_SECONDS = 5.0
_PORTS = {"mysql": 3306, "amqp": 5672, "amqps": 5671, "http": 80, "https": 443}
_DATABASE, _BROKER, _LOG = Area("database"), Area("broker"), Area("log")
_COLUMNS = {
    "tasks": ("source",),
    "jobs": ("task_id", "kind", "position", "lane"),
    "nodes": ("blames", "name", "role", "instance", "slots", "build", "seen_at"),
    "holds": ("name", "reason", "since"),
    "history": ("at", "task_id", "event"),
    "notices": ("state", "task_id", "event", "url", "host", "body", "created_at", "due_at", "until"),
    "schema_version": ("version",),
}
"""What an INSERT must name. The first is one that all roles may read, and change, that read or change any."""
_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE")
WATCHER: dict[str, tuple[str, ...]] = {
    "tasks": ("SELECT", "UPDATE"),
    "jobs": _ALL,
    "nodes": _ALL,
    "holds": _ALL,
    "history": ("SELECT", "INSERT"),
    "notices": _ALL,
    "schema_version": ("SELECT",),
}
RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "watcher": WATCHER,
    "operator": {
        "tasks": _ALL,
        "jobs": ("SELECT", "UPDATE", "DELETE"),
        "nodes": ("SELECT", "UPDATE", "DELETE"),
        "holds": ("SELECT", "INSERT", "DELETE"),
        "history": ("SELECT", "INSERT"),
        "notices": ("SELECT", "UPDATE"),
    },
    "client": {"tasks": ("SELECT", "INSERT", "DELETE")},
    "scrub": {
        "tasks": ("SELECT",),
        "jobs": ("SELECT",),
        "history": ("SELECT", "DELETE"),
        "schema_version": ("SELECT",),
    },
}
"""What each role does with which table."""


def reached(area: Area, url: str, todo: str) -> Iterator[Finding]:
    """Whether something listens, host by host; nothing for a URL without hosts."""
    try:
        hosts = places(url, _PORTS)
    except ValueError as error:
        yield area.fault("address", str(error), todo)
        return
    for host, port in hosts:
        try:
            socket.create_connection((host, port), timeout=REACH_SECONDS).close()
        except OSError as error:
            said = f"{host} port {port}: {error.strerror or error}"
            yield area.fault("reach", said, f"is it running, and does a firewall let this host pass? {todo}")
        else:
            yield area.ok("reach", f"{host} port {port}")


def is_away(findings: Sequence[Finding]) -> bool:
    return bool(findings) and all(finding.level == "fault" for finding in findings)


def local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


# the database


def database(settings: Settings, roles: Sequence[str]) -> Iterator[Finding]:
    url = settings.database or ""
    if url.startswith("mysql:"):
        found = list(reached(_DATABASE, url, f"See RAVEN_DATABASE ({shown(url)})"))
        yield from found
        if is_away(found):
            return
    elif not local_path(url).exists():  # opening it would make it
        yield _DATABASE.fault(
            "file", f"there is no {local_path(url)}", "correct RAVEN_DATABASE, or run `raven migrate`"
        )
        return
    try:
        connection = open_database(settings)
    except RavenError as error:
        yield _DATABASE.fault("login", str(error), database_remedy(str(error)))
        return
    try:
        yield from _database(connection, roles)
    finally:
        connection.close()


def _database(connection: Database, roles: Sequence[str]) -> Iterator[Finding]:
    try:
        before = time.time()
        about = connection.about()
        after = time.time()
    except RavenError as error:
        yield _DATABASE.fault("login", str(error), database_remedy(str(error)))
        return
    yield _DATABASE.ok("login", f"{about.name} takes it")
    if about.clock is None:
        yield _DATABASE.ok("version", f"{about.name} {about.version}")
        yield _DATABASE.skipped("clock", f"{about.name} has none but this host's")
    else:
        yield judge_server(_DATABASE, about.name, about.version, MARIADB)
        yield judge_clock(_DATABASE, (before + after) / 2 - about.clock, "the database's")
    if not roles or "watcher" in roles:  # clients need not see it
        yield _schema(connection, check_closely)
    elif "scrub" in roles:  # which sees no other tables
        yield _schema(connection, check)
    for role in [role for role in roles if role in RIGHTS] or ["watcher"]:
        for table, verbs in RIGHTS[role].items():
            yield _rights(connection, table, verbs)


def _schema(connection: Database, checks: Callable[[Database], None]) -> Finding:
    try:
        checks(connection)
    except NoSchema as error:
        return _DATABASE.fault("schema", str(error), "run `raven migrate` as the schema's owner")
    except RavenError as error:
        return _DATABASE.fault("schema", str(error), database_remedy(str(error)))
    return _DATABASE.ok("schema", f"version {VERSION}, which this Raven needs")


def _rights(connection: Database, table: str, verbs: Sequence[str]) -> Finding:
    """Asks by statements that touch no row: what is not allowed is refused all the same."""
    columns, changed = _COLUMNS[table], "status" if table == "tasks" else _COLUMNS[table][0]
    nothing = f"SELECT {', '.join('0' for _ in columns)} FROM (SELECT 1 AS one) AS none_at_all WHERE 1 = 0"
    statements = {
        "SELECT": f"SELECT {changed} FROM {table} WHERE 1 = 0",
        "INSERT": f"INSERT INTO {table} ({', '.join(columns)}) {nothing}",
        "UPDATE": f"UPDATE {table} SET {changed} = {changed} WHERE 1 = 0",
        "DELETE": f"DELETE FROM {table} WHERE 1 = 0",
    }
    for verb in verbs:
        try:
            connection.query(statements[verb]) if verb == "SELECT" else connection.execute(statements[verb])
        except NoSchema as error:
            return _DATABASE.fault(table, str(error), "run `raven migrate` as the schema's owner")
        except RavenError as error:
            return _DATABASE.fault(table, str(error), database_remedy(str(error)))
    return _DATABASE.ok(table, f"{', '.join(verbs)} allowed")


# the log host


def log_host(settings: Settings) -> Iterator[Finding]:
    """Daemons go on without it, so it is no fault."""
    if settings.syslog is None:
        yield _LOG.skipped("syslog", "RAVEN_SYSLOG is not set: lines go to the daemons' own output alone")
        return
    try:
        syslog.reach(settings.syslog)
    except (OSError, RavenError) as error:
        said = f"{settings.syslog}: {getattr(error, 'strerror', None) or error}"
        yield _LOG.warning(
            "syslog", said, "correct RAVEN_SYSLOG, or see whether the log host runs and lets this one pass"
        )
    else:
        by_udp = "its name is known; by UDP nobody tells whether it listens"
        heard = settings.syslog.startswith(("/", "unix:", "tcp:"))
        yield _LOG.ok("syslog", f"{settings.syslog}: {'it takes a connection' if heard else by_udp}")


# the broker


def broker(settings: Settings, roles: Sequence[str]) -> Iterator[Finding]:
    """A watcher's account has to declare the queues; without a role nobody knows whether this one has."""
    declares = not roles or "watcher" in roles
    found = list(reached(_BROKER, settings.broker, f"See RAVEN_BROKER ({shown(settings.broker)})"))
    yield from found
    if is_away(found):
        return
    try:
        about = ask_broker(settings, declares=declares)
    except RavenError as error:
        yield _BROKER.fault("login", str(error), broker_remedy(str(error)))
        return
    yield _BROKER.ok("login", f"RabbitMQ at {about.host} takes it")
    yield judge_server(_BROKER, "RabbitMQ", about.version, RABBITMQ)
    if about.faults:
        more = f" (and {len(about.faults) - 1} more)" if about.faults[1:] else ""
        yield _BROKER.fault("rights", about.faults[0] + more, broker_remedy(about.faults[0]))
    elif declares:
        yield _BROKER.ok("rights", "a queue can be declared, filled and emptied")
    else:
        yield _BROKER.ok("rights", "a queue can be had for what all daemons are told")
    yield from _queues(about)


def _queues(about: BrokerAbout) -> Iterator[Finding]:
    absent = [queue for queue in names.QUEUES if about.queues.get(queue) is None]
    if absent and not about.faults:
        said = f"not there yet: {', '.join(absent)}"
        yield _BROKER.skipped("queues", f"{said}; a watcher that starts declares them")
    if there := {queue: count for queue in names.QUEUES if (count := about.queues.get(queue)) is not None}:
        yield _BROKER.ok("queues", ", ".join(f"{queue} {count}" for queue, count in there.items()) + " messages ready")
    for queue in names.QUEUES:
        dead = names.dead_letters(queue)
        if count := about.queues.get(dead):
            todo = "daemons of different versions? Update the watcher first, then empty the queue"
            yield _BROKER.warning(dead, f"{count} messages that nobody could read", todo)
