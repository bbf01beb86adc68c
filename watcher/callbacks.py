"""The policy of notices: whom they may go to, what they say, how they are signed, when they are tried again. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from raven.errors import ConfigError, OptionInvalid
from raven.values import parse_json

DAY_MS = 86_400_000
FIRST_MS, LONGEST_MS = 30_000, 3_600_000
"""The first wait, and the longest: each is twice the one before."""
PORTS = {"http": 80, "https": 443}
MOST_METADATA = 1_000_000
"""Characters: a server takes no statement of any size, and a receiver no body of any size."""
ENDS = ("done", "failed")
SIGNATURE, NUMBER = "Raven-Signature", "Raven-Notice"
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_CARRIED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""IPv6 addresses whose last 32 bits a gateway, or an old stack, takes for an IPv4 address."""
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def back_off(attempts: int) -> int:
    """Milliseconds from an attempt that failed, the `attempts`-th, to the next one."""
    return LONGEST_MS if attempts > 20 else min(LONGEST_MS, FIRST_MS << (attempts - 1))


def is_wanted(options: str | None, status: str) -> bool:
    """Whether the callback_url of a task with these options is told of this state; by default of the two ends.

    Options that cannot be read are the default: the task fails by them, which is to be told.
    """
    try:
        wanted = parse_json(options or "{}").get("notices", ENDS)
    except (ValueError, AttributeError):
        wanted = ENDS
    return wanted == "all" or (status in wanted if isinstance(wanted, list | tuple) else status in ENDS)


def payload(task: Mapping[str, Any], thumbnails: str | None) -> str:
    """The body of a notice, of a row of `tasks` and where the track of its thumbnails is. JSON."""
    told = {name: task[name] for name in ("id", "reference", "status", "message", "url", "duration")}
    more = {"metadata": _metadata(task["metadata"]), "thumbnails": thumbnails}
    return json.dumps(told | more, separators=(",", ":"))


def _metadata(text: str | None) -> Any:
    """None for what is too long, or not JSON: a task whose rows somebody has spoilt must be able to fail."""
    if text is None or len(text) > MOST_METADATA:
        return None
    try:
        return parse_json(text)
    except ValueError:
        return None


def signature(secret: str, seconds: int, body: bytes) -> str:
    """The value of the header: when it was signed, and HMAC-SHA256 of that, a dot and the body.

    `seconds` since 1970, so that a receiver can refuse what somebody has recorded and sends again.
    """
    code = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={code.hexdigest()}"


@dataclass(frozen=True)
class Target:
    """Where a notice goes. `path` has the query too."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """For the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


@dataclass(frozen=True)
class Allowed:
    """Whom notices may go to. A host without a port stands for the two usual ones."""

    hosts: tuple[tuple[str, int | None], ...]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, hosts: str | None, networks: str | None) -> Allowed:
        """Of the settings. Raises ConfigError."""
        return cls(tuple(_hosts(hosts or "")), tuple(_networks(networks or "")))

    def target(self, url: str) -> Target:
        """Raises OptionInvalid where no notice may go to `url`, with the reason."""
        if not self.hosts:
            raise OptionInvalid("callback_url: no notice is sent to anybody, as RAVEN_CALLBACK_HOSTS names no host")
        parts, port = _split(url)
        host = (parts.hostname or "").removesuffix(".")
        if not _is_host(host):
            raise OptionInvalid("callback_url: its host is no name or address that can be asked for")
        if not any(_matches(name, host) and port in _ports(only) for name, only in self.hosts):
            raise OptionInvalid(f"callback_url: {host} port {port} is not among RAVEN_CALLBACK_HOSTS")
        query = f"?{parts.query}" if parts.query else ""
        return Target(parts.scheme == "https", host, port, (parts.path or "/") + query)

    def reaches(self, address: str) -> bool:
        """Whether a host may be connected to at this address: a public one, or one of the networks of the settings."""
        meant = _meant(ip_address(address.partition("%")[0]))
        is_public = meant.is_global and not meant.is_multicast
        return is_public or any(meant in network for network in self.networks)


def host_of(url: str) -> str:
    """Of any text; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "")[:255]
    except ValueError:
        return ""


def _split(url: str) -> tuple[SplitResult, int]:
    """The parts of a URL and its port. Raises OptionInvalid."""
    if not re.fullmatch(r"[!-~]+", url):
        raise OptionInvalid(
            "callback_url: a URL has printable ASCII characters only; encode the others by percent signs"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OptionInvalid(f"callback_url: {error}") from error
    if parts.scheme not in PORTS:
        raise OptionInvalid("callback_url: it must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise OptionInvalid("callback_url: it must not hold a user or password; the signature tells who sends")
    return parts, PORTS[parts.scheme] if port is None else port


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return _NAME.fullmatch(host) is not None
    return True


def _matches(name: str, host: str) -> bool:
    """`*.example` stands for all hosts below, not for `example` itself."""
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _ports(only: int | None) -> tuple[int, ...]:
    return tuple(PORTS.values()) if only is None else (only,)


def _meant(address: Address) -> Address:
    """The address, or the IPv4 one that it carries and that is connected to in the end."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return address
    if any(address in network for network in _CARRIED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _hosts(text: str) -> Iterator[tuple[str, int | None]]:
    for entry in filter(None, (entry.strip().lower() for entry in text.split(","))):
        try:
            parts = urlsplit(f"//{entry}")
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(f"callback_hosts: {entry}: {error}") from error
        if not _is_host(host.removeprefix("*.")) or parts.netloc != entry or "@" in entry:
            raise ConfigError(f"callback_hosts: {entry}: write host, *.domain or host:port, by commas")
        yield host, port


def _networks(text: str) -> Iterator[Network]:
    for entry in filter(None, (entry.strip() for entry in text.split(","))):
        try:
            yield ip_network(entry)
        except ValueError as error:
            raise ConfigError(f"callback_networks: {error}; write 10.0.0.0/8, by commas") from error
