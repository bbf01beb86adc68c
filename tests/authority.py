"""A private authority that signs certificates for test servers, as a site of its own has one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and key, and the authority's own certificate, by which it is trusted."""

    file: Path
    key: Path
    trusted: Path

    @property
    def both(self) -> Path:
        """Certificate and key in one file."""
        file = self.file.with_suffix(".both.pem")
        file.write_text(self.file.read_text("ascii") + self.key.read_text("ascii"), "ascii")
        return file


class Authority:
    """Its files lie in a folder, readable by all: servers may be other users. Their keys are worth nothing."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._key = folder, folder / f"{name}.key"
        self.file = folder / f"{name}.pem"
        _openssl(*_KEY, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.file)

    def certify(self, name: str, alternative: str) -> Certificate:
        """For a server that is asked for by `alternative`, such as IP:127.0.0.1 or DNS:localhost."""
        file, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        is_server = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", f"subjectAltName={alternative}")
        signed = ("-CA", self.file, "-CAkey", self._key)
        _openssl(*_KEY, *signed, "-subj", f"/CN={name}", *is_server, "-keyout", key, "-out", file)
        for made in (file, key):
            made.chmod(0o644)
        return Certificate(file, key, self.file)


def _openssl(*options: str | Path) -> None:
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *options], check=True, capture_output=True)  # noqa: S607 - of the PATH
