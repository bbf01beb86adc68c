"""The daemon raven-worker: encodes chunks and sound, writes subtitles. It needs the broker and the storage only."""

from __future__ import annotations

from raven.agent import Agent
from raven.config import Settings, ffmpeg_path
from raven.daemon import Signals, daemon_command, serve
from raven.machine import host_share
from raven.notify import Notifier
from raven.ports import Broker, Storage
from raven.readiness import Readiness, readiness_of
from raven.scratch import sweep
from raven.selftest import self_test
from raven.wiring import open_broker, open_storage
from worker.audio import encode_audio
from worker.encode import Tools, encode
from worker.text import make_text


def build_agent(settings: Settings, broker: Broker, storage: Storage, readiness: Readiness | None = None) -> Agent:
    """A worker with its three kinds of jobs. Raises ConfigError when the set ffmpeg cannot be run."""
    tools = Tools(
        storage,
        ffmpeg_path(settings),
        settings.temporary,
        settings.limit_pixels,
        settings.cpu_seconds,
        settings.stall_seconds,
    )
    handlers = {
        "encode": lambda job, context: encode(job, context, tools),
        "audio": lambda job, context: encode_audio(job, context, tools),
        "text": lambda job, context: make_text(job, context, tools),
    }
    whole = None if settings.slots else host_share(settings.reserve_memory)
    return Agent(settings, "worker", broker, handlers, readiness, whole)


def run(settings: Settings, signals: Signals, notifier: Notifier) -> None:
    ffmpeg = ffmpeg_path(settings)
    broker, storage = open_broker(settings), open_storage(settings)
    sweep(settings.temporary)
    readiness = readiness_of(settings, ffmpeg)
    agent = build_agent(settings, broker, storage, readiness)
    readiness.keep_testing(lambda: self_test(ffmpeg, readiness.ffmpeg, settings.temporary))
    serve(agent, signals, notifier)
    broker.close()


main = daemon_command("worker", "Encodes chunks into CMAF segments.", run)
