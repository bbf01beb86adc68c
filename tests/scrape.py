"""Reading what a daemon shows to Prometheus, with the client library's own parser."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Scraped:
    """The series of one scrape."""

    series: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels; 0 where there is none."""
        return sum(value for (known, has), value in self.series.items() if known == name and labels.items() <= has)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.series}


def read(text: str) -> Scraped:
    families = text_string_to_metric_families(text)
    return Scraped({(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples})


def shown(port: int, trusted: Path | None = None) -> str:
    """What a daemon shows, as it is; by TLS where it is told whom to trust."""
    context = ssl.create_default_context(cafile=trusted) if trusted else None
    url = f"http{'s' if trusted else ''}://127.0.0.1:{port}/metrics"
    with urlopen(url, timeout=30, context=context) as answer:  # noqa: S310 - one of the two
        text: str = answer.read().decode()
        return text


def scrape(port: int, trusted: Path | None = None) -> Scraped:
    return read(shown(port, trusted))
