"""The display matrix of a container to the filters that undo it. Pure.

The rule is that of ffmpeg's own automatic rotation, so that a chunk looks like the file in any ffmpeg.
"""

from __future__ import annotations

import math


def orientation(matrix: tuple[int, ...] | None) -> tuple[tuple[str, ...], bool]:
    """Filters in order, and whether width and height change places (ISO/IEC 14496-12 8.3.2, 16.16 fixed point)."""
    if matrix is None or not any(matrix[:2]):
        return (), False
    scale = math.hypot(matrix[0], matrix[3]) or 1.0
    skew = math.hypot(matrix[1], matrix[4]) or 1.0
    angle = math.degrees(math.atan2(matrix[1] / skew, matrix[0] / scale)) % 360
    quarter = round(angle / 90) % 4
    if quarter == 1:
        return (("transpose=cclock_flip" if matrix[3] > 0 else "transpose=clock"),), True
    if quarter == 3:
        return (("transpose=clock_flip" if matrix[3] < 0 else "transpose=cclock"),), True
    if quarter == 2:
        filters = [*(["hflip"] if matrix[0] < 0 else []), *(["vflip"] if matrix[4] < 0 else [])]
        return tuple(filters), False
    return (("vflip",) if matrix[4] < 0 else ()), False
