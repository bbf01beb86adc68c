"""A real mail server that fails in each way that mail servers do: what it does next is said by the test."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.process import HOST, free_port

HANG = "hang"
OK = "250 Taken"


@dataclass(frozen=True)
class Taken:
    """A mail as it came, and to whom and from whom its envelope was."""

    sender: str
    recipients: list[str]
    mail: EmailMessage
    by_tls: bool
    login: str | None


@dataclass
class Postmaster:
    """Says what it is told to at RCPT and at the mail's end; then takes all."""

    at_recipient: list[str] = field(default_factory=list)
    at_end: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    over: asyncio.Event | None = None

    async def handle_RCPT(  # noqa: N802 - named by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = self.at_recipient.pop(0) if self.at_recipient else OK
        if said == OK:
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        said = self.at_end.pop(0) if self.at_end else OK
        if said == HANG:
            await asyncio.sleep(3600)
        if said == OK:
            mail: Any = message_from_bytes(envelope.original_content or b"", policy=default)
            login = session.auth_data.login.decode() if session.auth_data else None
            sender, to = str(envelope.mail_from), list(envelope.rcpt_tos)
            self.taken.append(Taken(sender, to, mail, session.ssl is not None, login))
        return said


@dataclass
class MailServer:
    postmaster: Postmaster
    port: int


@contextlib.contextmanager
def mail_server(tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> Iterator[MailServer]:
    """Listens on a free port; `tls`: what it must be spoken to by, from STARTTLS on; `login`: who may send."""
    postmaster = Postmaster()

    def judge(server: SMTP, session: Session, envelope: Envelope, how: str, told: Any) -> AuthResult:
        good = isinstance(told, LoginPassword) and login is not None
        right = good and (told.login, told.password) == (login[0].encode(), login[1].encode())  # type: ignore[index]
        return AuthResult(success=bool(right), handled=False, auth_data=told)

    options: dict[str, Any] = {"tls_context": tls, "require_starttls": tls is not None}
    if login is not None:
        options |= {"authenticator": judge, "auth_required": True}
    controller = Controller(postmaster, HOST, free_port(), ready_timeout=30, **options)
    controller.start()
    try:
        yield MailServer(postmaster, controller.port)
    finally:
        controller.stop()
