"""The policy of mails: to whom they may go and what they say. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from raven.errors import ConfigError, OptionInvalid

MAIL = "mailto:"
"""Before the address in a notice's `url`; and its `host`, as all mails go by one server."""
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?P<local>{_LOCAL})@(?P<domain>{_DOMAIN})")
_ROUTED = re.compile("^-|[%!]")
"""Not from a client: mail servers read somebody%elsewhere@here and elsewhere!somebody@here as orders to send on, for
hosts that they trust (Postfix does so by default), and what begins with a dash as an option of a program."""
MOST_SUBJECT, MOST_TEXT = 200, 4000
"""Characters of what a row brings with it."""


def address(text: str, setting: str) -> str:
    """One plain address, without a name. Raises ConfigError."""
    if not _ADDRESS.fullmatch(text.strip()):
        raise ConfigError(f"{setting}: {text.strip()!r} is no address; write one as raven@example.org")
    return text.strip()


def addresses(text: str | None, setting: str) -> tuple[str, ...]:
    """By commas. Raises ConfigError."""
    return tuple(address(one, setting) for one in (text or "").split(",") if one.strip())


def box(text: str) -> str:
    """Whose an address is: desk+anything@ and Desk@ are mostly one box."""
    local, _, domain = text.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


@dataclass(frozen=True)
class Domains:
    """Whom clients may have mails sent to: anybody there, or with `*.` before it anybody in all below."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, setting: str | None) -> Domains:
        """Raises ConfigError."""
        names = tuple(name.strip().lower() for name in (setting or "").split(",") if name.strip())
        for name in names:
            if not re.fullmatch(_DOMAIN, name.removeprefix("*.")):
                raise ConfigError(f"mail_domains: {name}: write example.org or *.example.org, by commas")
        return cls(names)

    def recipient(self, text: str) -> str:
        """The address of a row, which may hold anything. Raises OptionInvalid where no mail may go there."""
        found = _ADDRESS.fullmatch(text)
        if found is None or _ROUTED.search(found["local"]):
            raise OptionInvalid("notify_email: it is no plain address; write one, such as desk@example.org")
        domain = found["domain"].lower()
        if not any(domain.endswith(name[1:]) if name.startswith("*.") else domain == name for name in self.names):
            raise OptionInvalid(f"notify_email: {domain} is not among RAVEN_MAIL_DOMAINS")
        return text


def letter(number: int, sender: str, recipient: str, body: str) -> EmailMessage:
    """The mail of a notice: of an alarm as it stands in its body, of a task by what its callback would be told."""
    told: Mapping[str, Any] = json.loads(body)
    subject, text = (told["subject"], told["text"]) if "subject" in told else _of_task(told)
    found = EmailMessage(policy=SMTP)
    found["From"], found["To"] = _address(sender), _address(recipient)
    found["Subject"] = _line(subject)
    found["Message-ID"] = f"<raven-notice-{number}@{sender.rpartition('@')[2]}>"  # of one that comes twice the same
    found["Auto-Submitted"] = "auto-generated"  # so no holiday note comes back (RFC 3834)
    found.set_content(text)
    return found


def _of_task(told: Mapping[str, Any]) -> tuple[str, str]:
    name = f"task {told['id']}" + (f" ({_line(told['reference'])})" if told["reference"] else "")
    lines = [f"Raven: {name} {'is done' if told['status'] == 'done' else 'failed'}.", ""]
    lines += [f"{what}: {_line(str(told[key]), MOST_TEXT)}" for what, key in _TOLD.items() if told[key] is not None]
    return f"{told['status']}: {name}", "\n".join([*lines, ""])


_TOLD = {"Address": "url", "Seconds": "duration", "Note": "message"}


def _address(text: str) -> Address:
    local, _, domain = text.rpartition("@")
    return Address(username=local, domain=domain)


def _line(text: str, most: int = MOST_SUBJECT) -> str:
    """One line of it, however many there were: nothing that a client writes becomes a header or a line of its own."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]


def alarm(new: Iterable[str], still: Iterable[str], over: Iterable[str]) -> dict[str, str]:
    """Subject and text of a mail to operators: what has begun, what goes on, what has ended."""
    new, still, over = sorted(new), sorted(still), sorted(over)
    counts = [f"{len(some)} {word}" for some, word in ((new, "new"), (still, "still there"), (over, "over")) if some]
    parts = []
    for some, title in ((new, "New:"), (still, "Still there:"), (over, "Over:")):
        if some:
            parts += [title, *(f"  {_line(one, MOST_TEXT)}" for one in some), ""]
    text = "\n".join(
        [*parts, "`raven nodes`, `raven top` and `raven doctor` tell more; what to do: docs/operations.md.", ""]
    )
    return {"subject": f"Raven: {', '.join(counts)}", "text": text}
