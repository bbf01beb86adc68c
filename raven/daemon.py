"""What all three daemons share: options, logs, signals, signs of life for the service manager.

The first SIGTERM drains, a second one stops.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click
import structlog

from raven import __version__
from raven.agent import Agent
from raven.config import Settings
from raven.environment import load_settings
from raven.errors import ConfigError, SchemaDiffers, UsageError
from raven.log import configure
from raven.notify import Notifier
from raven.sandbox import network_is_cut

STOP_SECONDS = 10  # from the second signal on; services managers kill soon after
LOOK_SECONDS = 0.2
COLLECT_EVERY = 50_000
"""Objects more than before, at which Python looks for cycles; by its own 700 it spends a third of a publish on that."""

log = structlog.get_logger()


class Signals:
    """Counts SIGTERM and SIGINT: `draining` from the first on, `stopping` from the second on."""

    def __init__(self) -> None:
        self.draining, self.stopping = threading.Event(), threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, number: int, _: FrameType | None) -> None:
        (self.stopping if self.draining.is_set() else self.draining).set()


def serve(agent: Agent, signals: Signals, notifier: Notifier) -> None:
    """Runs an agent until it has drained or was stopped; a broken one is stopped, and the exit code is 1."""
    if not network_is_cut():
        log.warning(
            "no seccomp filter here: children that read sources are not cut off from the network;"
            " what they may open is still limited by libavformat's protocol_whitelist"
        )
    agent.start()
    notifier.ready()
    while not agent.fault and not signals.draining.wait(LOOK_SECONDS):
        notifier.beat()
    notifier.stopping()
    if not agent.fault:
        log.info("draining: running jobs end, no new ones start; a second signal stops them")
        agent.drain()
    while not agent.fault and not agent.join(LOOK_SECONDS):
        notifier.beat()
        if signals.stopping.is_set():
            _stop(agent)
            break
    if agent.fault:
        log.error("ending, for the supervisor to start this daemon anew", fault=repr(agent.fault))
        _stop(agent)
        sys.exit(1)


def _stop(agent: Agent) -> None:
    log.info("stopping")
    agent.stop()
    if not agent.join(STOP_SECONDS):
        log.warning("jobs that do not hear the stop are left to their leases: a server hangs")
        logging.shutdown()  # what a log host is still to hear
        os._exit(1 if agent.fault else 0)  # the interpreter would wait for their threads


def _configure(settings: Settings, role: str) -> None:
    """Logs, and metrics where a place for them is set. Raises ConfigError."""
    if settings.metrics is None:
        configure(settings, role)
        return
    from raven.metrics import events, server  # noqa: PLC0415 - loaded where they are asked for

    configure(settings, role, listener=events.count)
    port = server.serve(settings.metrics, role, settings.metrics_tls)
    log.info("metrics are shown", place=settings.metrics, port=port)


def daemon_command(role: str, what: str, run: Callable[[Settings, Signals, Notifier], None]) -> click.Command:
    """The command line of a daemon. Exit codes: 0 stopped as told, 1 broken, 2 wrong settings."""

    @click.command(name=f"raven-{role}", help=what, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="TOML file with the settings; RAVEN_... variables override it.",
    )
    @click.version_option(__version__, prog_name=f"raven-{role}")
    def command(config: Path | None) -> None:
        try:
            settings = load_settings(os.environ, config)
            if settings.broker == "local:":
                raise ConfigError(
                    "broker: set RAVEN_BROKER to amqp://user:password@host:5672/; `local:` is one process"
                )
            _configure(settings, role)
            gc.set_threshold(COLLECT_EVERY)
            signals = Signals()
            log.info("started", version=__version__)
            run(settings, signals, Notifier(os.environ, settings.alive_file))
            log.info("stopped")
        except UsageError as error:
            click.echo(f"raven-{role}: {error}", err=True)
            sys.exit(2)
        except SchemaDiffers as error:
            log.critical("stopped: the database is of another Raven", fault=str(error))
            click.echo(f"raven-{role}: {error}", err=True)
            sys.exit(1)

    return command
