"""One mail to the site's own server, by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

from raven import tls
from raven.errors import ConfigError, OptionInvalid, Unavailable

FORM = "write it as smtp://host:25, with STARTTLS as smtp://user:password@host:587?tls=system, or smtps://host:465?tls=FILE"
PORTS = {"smtp": 25, "smtps": 465}
SECONDS = 10.0
"""That the server may be silent."""
TAKEN, LATER, PERMANENT = 250, 450, 500
"""From the last on another attempt would be answered alike (RFC 5321, 4.2.1)."""


@dataclass(frozen=True)
class Mailer:
    """Where mails go to be sent on. `trusted`: for TLS; None for a server in the clear."""

    host: str
    port: int
    login: tuple[str, str] | None
    trusted: ssl.SSLContext | None
    at_once: bool
    """TLS from the first byte, not by STARTTLS."""

    @classmethod
    def of(cls, url: str) -> Mailer:
        """Raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # whose words may hold a piece of the password
            raise ConfigError(f"mail_server: {FORM}") from None
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        trusted = asked.pop("tls", tls.SYSTEM if parts.scheme == "smtps" else None)
        if parts.scheme not in PORTS or not parts.hostname or asked or trusted == "" or parts.path.strip("/"):
            raise ConfigError(f"mail_server: {FORM}")
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        if login and trusted is None:
            raise ConfigError("mail_server: a password goes by TLS alone: write ?tls=system or ?tls=FILE behind it")
        context = None if trusted is None else tls.trusting("mail_server", trusted)
        return cls(parts.hostname, port or PORTS[parts.scheme], login, context, parts.scheme == "smtps")

    def send(self, mail: EmailMessage, seconds: float = SECONDS) -> tuple[int, str]:
        """The server's status, and its words where it has not taken the mail now.

        Raises OptionInvalid when it will never take it for this recipient, Unavailable when it serves nobody now.
        """
        try:
            with self._connected(seconds) as server:
                if self.trusted is not None and not self.at_once:
                    server.starttls(context=self.trusted)
                if self.login is not None:
                    server.login(*self.login)
                server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            return self._refused(code, words)
        except smtplib.SMTPDataError as error:
            return self._refused(error.smtp_code, error.smtp_error)
        except smtplib.SMTPResponseException as error:  # of the greeting, the login, the sender: the site's own matter
            raise Unavailable(f"{self.host} answers {error.smtp_code} {_words(error.smtp_error)}") from error
        except (smtplib.SMTPException, OSError) as error:
            if isinstance(error, TimeoutError) or "timed out" in str(error):  # smtplib has one of its own
                raise Unavailable(f"{self.host} did not answer within {seconds:g} s") from error
            raise Unavailable(f"{self.host}: {tls.told(getattr(error, 'strerror', None) or error)}") from error
        return TAKEN, ""

    def _connected(self, seconds: float) -> smtplib.SMTP:
        if self.at_once:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=seconds, context=self.trusted)
        return smtplib.SMTP(self.host, self.port, timeout=seconds)

    def _refused(self, code: int, words: bytes | str) -> tuple[int, str]:
        said = f"{self.host} answers {code} {_words(words)}"
        if code >= PERMANENT:
            raise OptionInvalid(f"notify_email: {said}")
        return code, said


def _words(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:300]
