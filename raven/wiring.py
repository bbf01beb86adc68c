"""Three URLs choose three adapters; nothing else knows which they are."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from raven.config import Settings
from raven.errors import ConfigError
from raven.ports import Broker, BrokerAbout, Database, Storage

WATCHER_LOCK = "raven-watcher"
"""The word that the watcher at work holds, for `open_database`."""
COURIER_LOCK = "raven-courier"
"""The same of who sends notices."""


def _file(url: str, setting: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ConfigError(f"{setting}: write the absolute path with three slashes, {parts.scheme}:///folder")
    return Path(unquote(parts.path))


def _scheme(url: str) -> str:
    """What stands before the colon; the rest is for the adapter to judge."""
    return url.partition(":")[0]


def open_database(settings: Settings, alone: str | None = None, answer_seconds: int = 30) -> Database:
    """By `settings.database`. `alone`: a word that one process at a time can hold. Raises ConfigError.

    `answer_seconds`: how long a server may take for one statement.
    """
    database = _open_database(settings, alone, answer_seconds)
    if settings.metrics is None:
        return database
    from raven.metrics.ports import MeteredDatabase  # noqa: PLC0415

    return MeteredDatabase(database)


def _open_database(settings: Settings, alone: str | None, answer_seconds: int) -> Database:
    url = settings.database or ""
    match _scheme(url):
        case "mysql":
            from raven.adapters.mariadb import MariaDatabase  # noqa: PLC0415 - only what the URLs ask for is loaded

            return MariaDatabase(url, alone, answer_seconds)
        case "sqlite":
            from raven.adapters.sqlite import SqliteDatabase  # noqa: PLC0415

            return SqliteDatabase(_file(url, "database"))
    raise ConfigError("database: set RAVEN_DATABASE to mysql://user:password@host:3306/raven or sqlite:///file")


def open_broker(settings: Settings) -> Broker:
    """By `settings.broker`. Raises ConfigError."""
    broker = _open_broker(settings)
    if settings.metrics is not None:
        from raven.metrics.ports import watch_broker  # noqa: PLC0415

        watch_broker(broker)
    return broker


def _open_broker(settings: Settings) -> Broker:
    match _scheme(settings.broker):
        case "amqp" | "amqps":
            from raven.adapters.rabbitmq import RabbitBroker  # noqa: PLC0415

            return RabbitBroker(settings.broker)
        case "local":
            from raven.adapters.local_broker import LocalBroker  # noqa: PLC0415

            return LocalBroker()
    raise ConfigError("broker: set RAVEN_BROKER to amqp://user:password@host:5672/")


def ask_broker(settings: Settings, *, declares: bool) -> BrokerAbout:
    """What RabbitMQ says of itself; `declares`: whether this account is to declare queues.

    Raises Unavailable when it does not let us in, ConfigError.
    """
    if _scheme(settings.broker) not in ("amqp", "amqps"):
        raise ConfigError("broker: set RAVEN_BROKER to amqp://user:password@host:5672/")
    from raven.adapters.rabbitmq_probe import ask  # noqa: PLC0415

    return ask(settings.broker, declares=declares)


def open_bucket(url: str) -> tuple[Storage, str]:
    """The bucket of an object's URL, `s3://bucket/key?endpoint=https://host`, and the key. Raises ConfigError."""
    from raven.adapters.s3 import S3Storage  # noqa: PLC0415

    parts = urlsplit(url)
    return S3Storage(parts._replace(path="").geturl()), unquote(parts.path.lstrip("/"))


def open_storage(settings: Settings) -> Storage:
    """By `settings.storage`. Raises ConfigError."""
    storage = _open_storage(settings)
    if settings.metrics is None:
        return storage
    from raven.metrics.ports import MeteredStorage  # noqa: PLC0415

    return MeteredStorage(storage)


def _open_storage(settings: Settings) -> Storage:
    url = settings.storage or ""
    match _scheme(url):
        case "s3":
            from raven.adapters.s3 import S3Storage  # noqa: PLC0415

            return S3Storage(url, settings.public_url)
        case "file":
            from raven.adapters.directory import DirectoryStorage  # noqa: PLC0415

            return DirectoryStorage(_file(url, "storage"), settings.public_url)
    raise ConfigError("storage: set RAVEN_STORAGE to s3://bucket/prefix?endpoint=https://host or file:///folder")
