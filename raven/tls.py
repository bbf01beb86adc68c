"""TLS to the three servers: whom to trust (`tls=system` or `tls=FILE` in a URL), and what to do about a refusal."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from raven.errors import ConfigError

SYSTEM = "system"
DEBIAN = "/etc/ssl/certs/ca-certificates.crt"
_REMEDIES = {
    r"certificate is not valid for|SSL validation failed .* doesn't match": "write the host in the URL as the server's"
    " certificate names it, or give the server a certificate for this host",
    "certificate has expired": "renew the server's certificate (or set this host's clock)",
    "certificate is not yet valid": "set this host's clock, or wait",
    "certificate verify failed": "name the file with the authority that has signed the server's certificate behind the"
    " URL, tls=/etc/raven/ca.pem",
    "wrong.version.number": "this port speaks no TLS: write the server's port for TLS",
}
"""By what the drivers and OpenSSL say."""


def trusting(setting: str, trusted: str) -> ssl.SSLContext:
    """For a client that speaks only to servers that prove by a certificate that they are the host that it asks for.

    `trusted`: a file with certificates of authorities, or `system` for those that this host trusts. Raises ConfigError.
    """
    try:
        if not trusted:
            raise FileNotFoundError(2, "no file is named")
        return ssl.create_default_context(cafile=None if trusted == SYSTEM else trusted)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or error
        raise ConfigError(
            f"{setting}: tls={trusted} is no file of certificates: {why}; name a PEM file, or write tls={SYSTEM}"
        ) from error


def system_file(setting: str) -> str:
    """The file of the authorities that this host trusts, for libraries that want one. Raises ConfigError."""
    for file in (ssl.get_default_verify_paths().cafile, DEBIAN):
        if file and Path(file).is_file():
            return file
    raise ConfigError(f"{setting}: tls={SYSTEM}: this host has no {DEBIAN}; install ca-certificates, or name a file")


def told(fault: object) -> str:
    """A driver's words, and where they are about a certificate what to do."""
    text = str(fault)
    remedy = next((todo for mark, todo in _REMEDIES.items() if re.search(mark, text, re.IGNORECASE | re.DOTALL)), None)
    return f"{text}; {remedy}" if remedy else text
