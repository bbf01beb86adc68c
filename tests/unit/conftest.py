"""Hypothesis: the same examples in every run, so that a red run is a change of ours; RAVEN_EXPLORE=1 looks further."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import master.fetch
from tests.unit.web_server import Server

SLOW_IS_FINE = [HealthCheck.too_slow]  # two busy cores are no fault of a test
settings.register_profile(
    "same", derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile(
    "explore", max_examples=2000, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE
)
settings.load_profile("explore" if os.environ.get("RAVEN_EXPLORE") else "same")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server, and a master that does not wait long for it."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(master.fetch, "FIRST_WAIT", 0.01)
    running = Server()
    yield running
    running.close()
