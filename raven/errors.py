"""All errors that Raven raises on purpose; each knows whether trying again can help.

RavenError
├── UsageError            wrong use: exit code 2, nothing was started
│   └── ConfigError       a setting that cannot be used, with its name and the remedy
│       └── NoSchema      the database lacks a table
├── SchemaDiffers         the database is of an older or a newer Raven
├── TaskError             permanent: this task can never succeed as it stands
│   ├── SourceRefused     outside the allowed roots, or not a thing that can be a source
│   │   └── NoDecoder     PyAV's libavcodec has no decoder for it; the shipped ffmpeg may have one
│   ├── SourceUnreadable  missing, unreadable, empty, or not audio or video
│   ├── LimitExceeded     larger, longer or costlier than the settings allow
│   ├── OptionInvalid     a column of the row that Raven does not accept
│   ├── DataRefused       a value that no row can hold
│   └── OutputRefused     the finished film breaks a standard
├── Transient             trying again, here or elsewhere, can help
│   ├── Unavailable       a server (database, broker, storage) does not answer
│   │   ├── RowLocked     somebody else's transaction holds a row: it alone has to wait
│   │   ├── StorageAway   the storage does not: no job and no node is to blame
│   │   │   ├── ClockWrong  it refuses this host's time
│   │   │   └── SourceAway  that of a source
│   │   └── Standby       it answers, but another process has what only one can have
│   ├── ObjectMissing     storage has no such key
│   ├── ProcessFailed     ffmpeg or another child ended badly
│   ├── NoRoom            the disk with the temporary files is full
│   ├── OutputWrong       a finished chunk or track that breaks the frame law
│   └── ChunkUnusable     a chunk that does not decode to its frames
└── Cancelled             the task's row is gone, or the daemon stops
"""

from __future__ import annotations

import errno

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the OSErrors that a full disk makes."""


class RavenError(Exception):
    """Base of all; the message is a sentence that a person understands."""

    permanent: bool = False


class UsageError(RavenError):
    """The command line or a setting cannot be used as given."""

    permanent = True


class ConfigError(UsageError):
    """A setting cannot be used; the message names the setting and the remedy."""


class NoSchema(ConfigError):
    """The database lacks a table that Raven needs."""


class SchemaDiffers(RavenError):
    """The database's schema is of another version than this Raven's; the message says what to do."""

    permanent = True


class TaskError(RavenError):
    """The task can never succeed as it stands; the message goes to the column `message`."""

    permanent = True


class SourceRefused(TaskError):
    """The source is outside what this master may open."""


class NoDecoder(SourceRefused):
    """Nothing of the source can be decoded by the libavcodec that comes with PyAV."""


class SourceUnreadable(TaskError):
    """The source is missing, empty, unreadable or has neither audio nor video."""


class LimitExceeded(TaskError):
    """Over a configured limit; the message names the limit, the value and the setting."""


class OptionInvalid(TaskError):
    """A column that the client wrote has a value that Raven does not accept."""


class DataRefused(TaskError):
    """The database is well, and cannot hold a value that is made of what somebody has written or reported."""


class OutputRefused(TaskError):
    """The finished film breaks a must of the standards; publishing it again would write the same."""


class Transient(RavenError):
    """Something outside the task failed; a later attempt can succeed."""


class Unavailable(Transient):
    """A server does not answer or broke the connection."""


class RowLocked(Unavailable):
    """Somebody else's transaction holds a row for longer than is waited; all that was written in this one is undone."""


class StorageAway(Unavailable):
    """The storage does not answer, or only that it cannot serve anybody now. What it refuses is no such thing."""


class ClockWrong(StorageAway):
    """The storage refuses the time that this host signs with: for this host, until its clock is set, it is away."""


class SourceAway(StorageAway):
    """The store that a source lies in does not answer, which says nothing of the node's own storage."""


class Standby(Unavailable):
    """Another process holds what one alone can hold; it may end at any time."""


class ObjectMissing(Transient):
    """Storage has no object under this key (yet, or any more)."""


class ProcessFailed(Transient):
    """A child process ended with an error; the message carries its last lines."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """`status` is its exit status, negative for a signal; None when it hung or its status does not tell."""
        super().__init__(message)
        self.status = status


class NoRoom(Transient):
    """The disk with the temporary files is full; the node looks again before it takes another job."""


class OutputWrong(Transient):
    """An encoder's output breaks the frame law; it must be made again."""


class ChunkUnusable(Transient):
    """A chunk does not decode to its frames; if another node finds so too, the source must be cut the other way."""


class Cancelled(RavenError):
    """The work was stopped on purpose and must leave nothing behind."""
