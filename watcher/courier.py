"""The courier: sends notices to the callback_url and notify_email of tasks, and mails to operators, in threads of its
own, so that no turn waits for a host.

It has its own connection to the database. Of several watchers' couriers one is at work, whoever has the lock.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from raven import __version__
from raven.config import Settings
from raven.errors import ConfigError, OptionInvalid, Standby, Transient, Unavailable
from raven.ports import Database
from watcher.alarms import Alarms
from watcher.callbacks import NUMBER, SIGNATURE, Allowed, signature
from watcher.letters import MAIL, alarm
from watcher.mail import Mail
from watcher.notices import NoticeRow, Notices
from watcher.post import SECONDS, post

SENDERS = 8  # notices under way at once
SENDERS_HOST = 2  # of these to one host: one that hangs must not take them all
REST_SECONDS = 30.0  # a host that did not answer is left alone for so long: several that hang must not take them all
TURN_SECONDS = 0.5
STANDBY_SECONDS = 5.0
FORGET_SECONDS = 60.0
AWAY_SECONDS = 300.0  # that the database may be away before operators are told
LOOK_SECONDS = 10.0  # between looks for troubles that operators are told of
SECRET_CHARACTERS = 16  # a shorter one could be guessed from a notice

log = structlog.get_logger()


@dataclass(frozen=True)
class Answer:
    """What came of an attempt: the status, or why there is none."""

    code: int | None = None
    fault: str = ""
    refused: bool = False
    """By our own rules."""

    @property
    def is_good(self) -> bool:
        return self.code is not None and 200 <= self.code < 300


class Courier:
    """One turn after the other; `clock` gives milliseconds since 1970. Raises ConfigError.

    `away`: what is wrong that the database does not know, for operators, by name and sentence.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], int],
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        away: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._allowed = Allowed.of(settings.callback_hosts, settings.callback_networks)
        self._secret = settings.callback_secret or ""
        if self._allowed.hosts and len(self._secret) < SECRET_CHARACTERS:
            raise ConfigError(
                f"callback_secret: set it to at least {SECRET_CHARACTERS} characters beside callback_hosts, so that"
                " receivers can tell who sends"
            )
        self._database, self._clock, self._seconds = database, clock, seconds
        self._notices = Notices(database, settings.node)
        self._mail = Mail.of(settings)
        self._alarms = Alarms(database, self._mail.operators, round(settings.mail_minutes * 60_000), away)
        self._looked = float("-inf")
        self._away_since: float | None = None
        self._tls = tls or ssl.create_default_context()
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="notice")
        self._under_way: dict[int, tuple[NoticeRow, Future[Answer]]] = {}
        self._rest: dict[str, float] = {}
        self._forgot, self._forget_after = float("-inf"), 0

    def run(self, stop: threading.Event) -> None:
        """Until told to stop, through any outage of the database. What is under way then is waited for and noted."""
        while not stop.is_set():
            pause = TURN_SECONDS
            try:
                self.turn()
                self._away_since = None
            except Standby:
                pause, self._away_since = STANDBY_SECONDS, None
            except Transient as error:
                log.warning("notices wait for the database", fault=str(error))
                self._tell_away(str(error))
            except Exception:  # a fault here must neither end the watcher nor all notices to come
                log.exception("notices: a turn broke")
                pause = STANDBY_SECONDS
            stop.wait(pause)
        self.close()

    def turn(self) -> None:
        """Notes what has come of attempts, begins those that are due. Raises Unavailable."""
        self._note_answers()
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            self._alarms.look(self._clock())
        self._send_due()
        if time.monotonic() - self._forgot >= FORGET_SECONDS:
            self._forget_after = self._notices.forget_gone(self._forget_after)
            self._forgot = time.monotonic()

    def _tell_away(self, fault: str) -> None:
        """Operators, of a database that is away for long; by mail alone, as there is no row to write it into."""
        now = time.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= AWAY_SECONDS:
            self._away_since = float("inf")  # once is enough
            self._pool.submit(
                self._mail.tell_operators, alarm([f"the database is away: {fault}"], (), ()), self._seconds
            )

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    def close(self) -> None:
        """Waits for what is under way, which is not long. What cannot be noted any more will be sent again."""
        self._pool.shutdown()
        try:
            self._note_answers()
        except Transient as error:
            log.warning("notices may be sent again", notices=sorted(self._under_way), fault=str(error))
        self._database.close()

    def _send_due(self) -> None:
        free = SENDERS - len(self._under_way)
        if not free:
            return
        now = time.monotonic()
        self._rest = {host: until for host, until in self._rest.items() if until > now}
        to = Counter(row.host for row, _ in self._under_way.values())
        busy = {host for host, count in to.items() if count >= SENDERS_HOST} | self._rest.keys()
        for row in self._notices.due(self._clock(), free, self._under_way.keys(), busy):
            if to[row.host] < SENDERS_HOST and self._notices.is_wanted(row):
                to[row.host] += 1
                self._under_way[row.id] = (row, self._pool.submit(self._attempt, row))

    def _attempt(self, row: NoticeRow) -> Answer:
        """In a thread of the pool."""
        try:
            if row.host == MAIL:
                return Answer(*self._mail.send(row, self._clock(), self._seconds))
            target, body = self._allowed.target(row.url), row.body.encode()
            headers = {
                "User-Agent": f"raven/{__version__}",
                NUMBER: str(row.id),
                # by the time of day, which receivers compare with theirs: our steady clock goes on as it began
                SIGNATURE: signature(self._secret, int(time.time()), body),
            }
            return Answer(post(target, headers, body, self._allowed, self._tls, self._seconds))
        except OptionInvalid as error:
            return Answer(fault=str(error), refused=True)
        except Unavailable as error:
            return Answer(fault=str(error))

    def _note_answers(self) -> None:
        """An attempt stays under way until the database has what came of it: else it would be sent again."""
        for number, (row, future) in list(self._under_way.items()):
            if future.done():
                self._note(row, self._answer(row, future))
                del self._under_way[number]

    @staticmethod
    def _answer(row: NoticeRow, future: Future[Answer]) -> Answer:
        fault = future.exception()
        if fault is None:
            return future.result()
        log.error("a notice broke its sender", notice=row.id, task=row.task_id, fault=repr(fault))
        return Answer(fault=f"a fault of Raven: {fault!r}")

    def _note(self, row: NoticeRow, answer: Answer) -> None:
        now, about = self._clock(), {"notice": row.id, "task": row.task_id, "host": row.host}
        if answer.is_good and answer.code is not None:
            self._notices.sent(row, answer.code, now)
            log.info("notice sent", code=answer.code, **about)
        elif answer.refused:
            self._notices.refused(row, answer.fault, now)
            log.warning("notice refused", fault=answer.fault, **about)
        else:
            if answer.code is None:
                self._leave_alone(row.host)
            fault = answer.fault or f"{row.host} answers {answer.code}{_hint(answer.code)}"
            again = self._notices.failed(row, answer.code, fault, now)
            log.warning("notice failed" if again else "notice given up", fault=fault, **about)

    def _leave_alone(self, host: str) -> None:
        """For a while. What comes for it meanwhile is passed over: that is little."""
        if self._rest.get(host, 0.0) <= time.monotonic():
            self._notices.rest(host, self._clock() + round(REST_SECONDS * 1000))
            self._rest[host] = time.monotonic() + REST_SECONDS


def _hint(code: int | None) -> str:
    return "; redirects are not followed" if code is not None and 300 <= code < 400 else ""
