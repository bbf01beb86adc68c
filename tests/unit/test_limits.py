"""Limits: every refusal names what is too large, the value, the limit and the setting."""

from __future__ import annotations

import pytest

from raven.environment import load_settings
from raven.errors import LimitExceeded
from raven.limits import Limits

LIMITS = Limits(seconds=60, pixels=1_000_000, bytes=5000, streams=3)


def test_what_is_within_passes() -> None:
    LIMITS.check_seconds(60)
    LIMITS.check_picture(1000, 1000)
    LIMITS.check_bytes(5000)
    LIMITS.check_streams(3)


@pytest.mark.parametrize(
    ("check", "values", "saying"),
    [
        ("check_seconds", (61,), "lasts 61 s, over the limit of 60 s.*RAVEN_LIMIT_SECONDS"),
        ("check_picture", (1001, 1000), "1001x1000 = 1001000 pixels, over the limit of 1000000.*RAVEN_LIMIT_PIXELS"),
        ("check_bytes", (5001,), "5001 bytes or more, over the limit of 5000 bytes.*RAVEN_LIMIT_BYTES"),
        ("check_streams", (4,), "4 streams, over the limit of 3 streams.*RAVEN_LIMIT_STREAMS"),
    ],
)
def test_what_is_over_is_refused_for_good(check: str, values: tuple[int, ...], saying: str) -> None:
    with pytest.raises(LimitExceeded, match=saying) as refused:
        getattr(LIMITS, check)(*values)
    assert refused.value.permanent


def test_the_settings_set_the_limits() -> None:
    environment = {f"RAVEN_LIMIT_{name.upper()}": "5000" for name in Limits.model_fields}

    assert load_settings(environment).limits == Limits(seconds=5000, pixels=5000, bytes=5000, streams=5000)
    assert load_settings({}).limits == Limits()


def test_8k_film_fits_the_default_limits() -> None:
    Limits().check_picture(7680, 4320)
    Limits().check_picture(4320, 8192)
