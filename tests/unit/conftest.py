"""Hypothesis: the same examples in every run, so that a red run is a change of ours; RAVEN_EXPLORE=1 looks further."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow]  # two busy cores are no fault of a test
settings.register_profile(
    "same", derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile(
    "explore", max_examples=2000, deadline=None, database=None, suppress_health_check=SLOW_IS_FINE
)
settings.load_profile("explore" if os.environ.get("RAVEN_EXPLORE") else "same")
