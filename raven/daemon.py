"""What all three daemons share: options, logs, signals. The first SIGTERM drains, a second one stops."""

from __future__ import annotations

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
from raven.config import Settings, load_settings
from raven.errors import ConfigError, UsageError
from raven.log import configure
from raven.sandbox import network_is_cut

log = structlog.get_logger()


class Signals:
    """Counts SIGTERM and SIGINT: `draining` from the first on, `stopping` from the second on."""

    def __init__(self) -> None:
        self.draining, self.stopping = threading.Event(), threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, number: int, _: FrameType | None) -> None:
        (self.stopping if self.draining.is_set() else self.draining).set()


def serve(agent: Agent, signals: Signals) -> None:
    """Runs an agent until it has drained or was stopped."""
    if not network_is_cut():
        log.warning(
            "no seccomp filter here: children that read sources are not cut off from the network;"
            " what they may open is still limited by libavformat's protocol_whitelist"
        )
    agent.start()
    signals.draining.wait()
    log.info("draining: running jobs end, no new ones start; a second signal stops them")
    agent.drain()
    while not agent.join(timeout=0.2):
        if signals.stopping.is_set():
            log.info("stopping")
            agent.stop()
            agent.join(timeout=10)
            return


def daemon_command(role: str, what: str, run: Callable[[Settings, Signals], None]) -> click.Command:
    """The command line of a daemon. Exit codes: 0 stopped as told, 2 wrong settings."""

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
            configure(settings, role)
            signals = Signals()
            log.info("started", version=__version__)
            run(settings, signals)
            log.info("stopped")
        except UsageError as error:
            click.echo(f"raven-{role}: {error}", err=True)
            sys.exit(2)

    return command
