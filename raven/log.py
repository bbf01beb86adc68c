"""Logs: structlog, pretty on a terminal, JSON elsewhere, to syslog (local7) too where that is set."""

from __future__ import annotations

import logging
import sys

import structlog

from raven.config import Settings
from raven.syslog import syslog_handler


def configure(
    settings: Settings, role: str, *, quiet: bool = False, listener: structlog.typing.Processor | None = None
) -> None:
    """Sets up logging for this process. `quiet`: only errors on stderr, for the progress display.

    `listener`: hears every event, also those below the level.
    """
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _who(role, settings.node),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *([listener, _at_least(level)] if listener else []),
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if listener else level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.setLevel(settings.log_level.upper())
    root.handlers = [_stderr(settings, shared, quiet=quiet)]
    if settings.syslog:
        text = _formatter(shared, _task_first)
        root.handlers.append(syslog_handler(settings.syslog, role, text))
    hush()


def hush() -> None:
    """Drivers say nothing by themselves: their faults are raised to us and told once."""
    for chatty in ("pika", "botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)


def _at_least(level: int) -> structlog.typing.Processor:
    """Events below the level end here."""

    def drop(_: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if logging.getLevelName(name.upper()) < level:
            raise structlog.DropEvent
        return event

    return drop


def _who(role: str, node: str) -> structlog.typing.Processor:
    """Role and node on every line; bound context would not reach the threads that do the work."""

    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("role", role)
        event.setdefault("node", node)
        return event

    return add


def _stderr(settings: Settings, shared: list[structlog.typing.Processor], *, quiet: bool) -> logging.Handler:
    pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        # rich tracebacks would show the values of variables, secrets among them
        structlog.dev.ConsoleRenderer(
            colors=pretty and sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if pretty
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(shared, renderer))
    if quiet:
        handler.setLevel(logging.ERROR)
    return handler


def _task_first(logger: object, name: str, event: structlog.typing.EventDict) -> str:
    """JSON, behind what a person looks for: `grep -w task=42` is a task's story."""
    task = f"task={event['task']} " if "task" in event else ""
    return f"{task}{structlog.processors.JSONRenderer()(logger, name, event)!s}"


def _formatter(shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor) -> logging.Formatter:
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[drop, renderer])
