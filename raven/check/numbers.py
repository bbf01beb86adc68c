"""Exact numbers, of which a long film has tens of thousands. Pure."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

fraction = lru_cache(maxsize=1 << 14)(Fraction)
"""For times and lengths, which a film has in each of its tracks anew: to make one takes a gcd."""


def apart(a: Fraction, b: Fraction, most: Fraction) -> bool:
    """Whether two numbers are more than `most` apart. In whole numbers: of each rule there are thousands of these."""
    if a is b:
        return False
    (n, d), (m, e), (top, bottom) = a.as_integer_ratio(), b.as_integer_ratio(), most.as_integer_ratio()
    return abs(n * e - m * d) * bottom > top * d * e
