"""What all tests share: the real servers, one group for the tests that use them, the corpus line in the header."""

from __future__ import annotations

import os
import signal

import pytest

from tests import media

# Started in the background by a shell, a process ignores SIGINT, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.servers.fixtures"]
SERVERS = "servers"
# servers are killed and kept away for minutes: `make faults`
collect_ignore = [] if os.environ.get("RAVEN_TEST_FAULTS") else ["fault"]


def pytest_report_header() -> list[str]:
    """Say when tests over the corpus of real files will be skipped; an absent corpus must not go unnoticed."""
    if media.corpus() is not None:
        return []
    return [f"no corpus of media files: set {media.CORPUS_VARIABLE} to a folder with MANIFEST.tsv"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put all tests with servers into one group of pytest-xdist, so that each server is started once.

    Its own mark for groups, xdist_group, has no effect: version 3.8.0 writes `_nodeid`, which pytest 9.2 does not read.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        if item.get_closest_marker(SERVERS) is not None:
            item._id = type(item._id).parse(f"{item.nodeid}@{SERVERS}")
