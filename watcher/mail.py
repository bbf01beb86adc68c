"""The mails of notices: whether one may be sent, and sending it."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field

import structlog

from raven.config import Settings
from raven.errors import ConfigError, OptionInvalid, Unavailable
from watcher.alarms import NOBODY
from watcher.letters import MAIL, Domains, address, addresses, box, letter
from watcher.mailer import LATER, Mailer
from watcher.notices import NoticeRow

log = structlog.get_logger()

HOUR_MS = 3_600_000
MOST_HOUR = 100
"""Mails to one box within an hour: a client with a thousand films, or one that means harm, is no flood."""


@dataclass
class Mail:
    """By the settings; without a server nobody is sent anything. Safe for several threads."""

    mailer: Mailer | None
    sender: str
    domains: Domains
    operators: tuple[str, ...]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: dict[str, deque[int]] = field(default_factory=dict)
    """When a box was sent something, ms, by address; in the order of the last time."""

    @classmethod
    def of(cls, settings: Settings) -> Mail:
        """Raises ConfigError."""
        domains = Domains.of(settings.mail_domains)
        operators = addresses(settings.mail_operators, "mail_operators")
        if settings.mail_server is None:
            if domains.names or operators:
                raise ConfigError("mail_server: set it beside mail_domains and mail_operators, as smtp://host:25")
            return cls(None, "", domains, ())
        if settings.mail_from is None:
            raise ConfigError("mail_from: set it beside mail_server to the address that mails come from")
        return cls(Mailer.of(settings.mail_server), address(settings.mail_from, "mail_from"), domains, operators)

    def send(self, row: NoticeRow, now: int, seconds: float) -> tuple[int, str]:
        """A status, and why it was not taken now. Raises OptionInvalid where no mail may go there, Unavailable."""
        if self.mailer is None:
            raise OptionInvalid("notify_email: no mail is sent, as RAVEN_MAIL_SERVER is not set")
        recipient = row.url.removeprefix(MAIL)
        # what operators are told is seldom by itself, and no client's row, whatever its address, may hold it up
        if row.task_id != NOBODY and not self._may(self.domains.recipient(recipient), now):
            return LATER, f"{MOST_HOUR} mails have gone to this address within an hour; the others wait"
        return self.mailer.send(letter(row.id, self.sender, recipient, row.body), seconds)

    def tell_operators(self, text: dict[str, str], seconds: float) -> None:
        """At once and once: what cannot wait for the log of notices."""
        if self.mailer is None:
            return
        for operator in self.operators:
            try:
                code, fault = self.mailer.send(letter(0, self.sender, operator, json.dumps(text)), seconds)
            except (OptionInvalid, Unavailable) as error:
                code, fault = 0, str(error)
            log.info("operator told", to=operator, code=code, subject=text["subject"], fault=fault)

    def _may(self, address: str, now: int) -> bool:
        recipient = box(address)
        with self._lock:
            while self._sent and now - next(iter(self._sent.values()))[-1] >= HOUR_MS:
                del self._sent[next(iter(self._sent))]  # else all addresses there ever were would be kept
            sent = self._sent.get(recipient) or deque(maxlen=MOST_HOUR)
            if len(sent) == MOST_HOUR and now - sent[0] < HOUR_MS:
                return False
            sent.append(now)
            self._sent.pop(recipient, None)
            self._sent[recipient] = sent  # as the last one
            return True
