"""The daemon raven-master: reaches sources, cuts them, publishes and purges."""

from __future__ import annotations

from master.ahead import CutterAhead
from master.announce import announce
from master.prepare import Tools, prepare
from master.publish import publish
from master.purge import purge
from master.sources import is_remote
from master.tools import MediaTools
from raven.agent import Agent
from raven.config import Settings, ffmpeg_path
from raven.daemon import Signals, daemon_command, serve
from raven.errors import ConfigError
from raven.notify import Notifier
from raven.ports import Broker, Storage
from raven.readiness import Readiness, readiness_of
from raven.sandbox import cutter_box
from raven.scratch import sweep
from raven.selftest import self_test
from raven.wiring import open_broker, open_storage


def build_agent(
    settings: Settings,
    broker: Broker,
    storage: Storage,
    readiness: Readiness | None = None,
    ahead: CutterAhead | None = None,
) -> Agent:
    """A master with its four kinds of jobs. Raises ConfigError when the set ffmpeg cannot be run."""
    ffmpeg = ffmpeg_path(settings)
    tools = Tools(
        storage,
        settings.sources,
        settings.temporary,
        settings.limits,
        cutter_box(settings.limits, settings.cpu_seconds),
        settings.stall_seconds,
        ffmpeg,
        ahead,
    )
    finishing = MediaTools(storage, ffmpeg, settings.temporary)
    handlers = {
        "prepare": lambda job, context: prepare(job, context, tools),
        "announce": lambda job, context: announce(job, context, finishing),
        "publish": lambda job, context: publish(job, context, finishing),
        "purge": lambda job, context: purge(job, context, storage),
    }
    return Agent(settings, "master", broker, handlers, readiness)


def run(settings: Settings, signals: Signals, notifier: Notifier) -> None:
    if not settings.sources:
        raise ConfigError("sources: set RAVEN_SOURCES to the folders that sources may lie in, by commas")
    for root in settings.sources.split(","):
        if not root.strip().startswith("/") and not is_remote(root.strip()):
            raise ConfigError(
                f"sources: {root.strip() or 'an empty one'} is neither the absolute path of a folder nor a URL"
            )
    broker, storage = open_broker(settings), open_storage(settings)
    sweep(settings.temporary)
    ffmpeg = ffmpeg_path(settings)
    readiness = readiness_of(settings, ffmpeg)
    agent = build_agent(settings, broker, storage, readiness)
    # a master cuts without ffmpeg, but what it lacks or spoils is the same host's: its sheets and lossless copies too
    readiness.keep_testing(lambda: self_test(ffmpeg, readiness.ffmpeg, settings.temporary))
    serve(agent, signals, notifier)
    broker.close()


main = daemon_command("master", "Reaches sources and cuts them, publishes manifests, purges objects.", run)
