"""All errors that Raven raises on purpose; each knows whether trying again can help.

RavenError
├── UsageError            wrong use: exit code 2, nothing was started
│   └── ConfigError       a setting that cannot be used, with its name and the remedy
├── TaskError             permanent: this task can never succeed as it stands
│   ├── SourceRefused     outside the allowed roots, or not a thing that can be a source
│   ├── SourceUnreadable  missing, unreadable, empty, or not audio or video
│   ├── LimitExceeded     larger, longer or costlier than the settings allow
│   └── OptionInvalid     a column of the row that Raven does not accept
├── Transient             trying again, here or elsewhere, can help
│   ├── Unavailable       a server (database, broker, storage) does not answer
│   ├── ObjectMissing     storage has no such key
│   ├── ProcessFailed     ffmpeg or another child ended badly
│   └── OutputWrong       a finished chunk or track that breaks the frame law
└── Cancelled             the task's row is gone, or the daemon stops
"""

from __future__ import annotations


class RavenError(Exception):
    """Base of all; the message is a sentence that a person understands."""

    permanent: bool = False


class UsageError(RavenError):
    """The command line or a setting cannot be used as given."""

    permanent = True


class ConfigError(UsageError):
    """A setting cannot be used; the message names the setting and the remedy."""


class TaskError(RavenError):
    """The task can never succeed as it stands; the message goes to the column `message`."""

    permanent = True


class SourceRefused(TaskError):
    """The source is outside what this master may open."""


class SourceUnreadable(TaskError):
    """The source is missing, empty, unreadable or has neither audio nor video."""


class LimitExceeded(TaskError):
    """Over a configured limit; the message names the limit, the value and the setting."""


class OptionInvalid(TaskError):
    """A column that the client wrote has a value that Raven does not accept."""


class Transient(RavenError):
    """Something outside the task failed; a later attempt can succeed."""


class Unavailable(Transient):
    """A server does not answer or broke the connection."""


class ObjectMissing(Transient):
    """Storage has no object under this key (yet, or any more)."""


class ProcessFailed(Transient):
    """A child process ended with an error; the message carries its last lines."""


class OutputWrong(Transient):
    """An encoder's output breaks the frame law; it must be made again."""


class Cancelled(RavenError):
    """The work was stopped on purpose and must leave nothing behind."""
