"""The command under test, for all end-to-end tests."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.e2e.tools")  # before it is imported

from tests.e2e.tools import Raven, StandIn, write_profiles  # noqa: E402


@pytest.fixture(scope="session")
def raven(tmp_path_factory: pytest.TempPathFactory) -> Raven:
    """`raven encode` with the profiles of these tests."""
    return Raven(write_profiles(tmp_path_factory.mktemp("profiles")))


@pytest.fixture
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """A fresh program for RAVEN_FFMPEG that can be watched and held."""
    return StandIn.install(tmp_path_factory.mktemp("ffmpeg") / "stand-in")
