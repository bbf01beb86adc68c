"""How large a source may be, and the refusal that names limit, value and setting. Pure."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from raven.errors import LimitExceeded
from raven.values import Value

START = 3
"""So many times as long as later on may a child take for its first frame: key frames can be far off, and encoders look
far ahead before they give anything."""


class Limits(Value):
    """The most that a source may have; each is a setting of the same name after `limit_`."""

    seconds: float = Field(default=48 * 3600, gt=0)
    """Length: two days of a channel. A few bytes can claim years, and each second is encoded."""
    pixels: int = Field(default=40_000_000, ge=4096, lt=1 << 31)
    """Of one picture: 8K (8192x4320) has 35 million. A decoder allocates by what a header of a few bytes says."""
    bytes: int = Field(default=1 << 40, ge=1)
    """Read of one source: a pipe may never end."""
    streams: int = Field(default=200, ge=1)
    """In one source: a broadcast multiplex has about a hundred."""

    def check_seconds(self, seconds: Fraction | float) -> None:
        """Raises LimitExceeded."""
        if seconds > self.seconds:
            raise LimitExceeded(_text("lasts", f"{float(seconds):.0f} s", f"{self.seconds:.0f} s", "seconds"))

    def check_picture(self, width: int, height: int) -> None:
        """Raises LimitExceeded."""
        if width * height > self.pixels:
            size = f"{width}x{height} = {width * height} pixels"
            raise LimitExceeded(_text("has pictures of", size, f"{self.pixels} pixels", "pixels"))

    def check_bytes(self, count: int) -> None:
        """Raises LimitExceeded."""
        if count > self.bytes:
            raise LimitExceeded(_text("has", f"{count} bytes or more", f"{self.bytes} bytes", "bytes"))

    def check_streams(self, count: int) -> None:
        """Raises LimitExceeded."""
        if count > self.streams:
            raise LimitExceeded(_text("has", f"{count} streams", f"{self.streams} streams", "streams"))


def _text(verb: str, value: str, limit: str, name: str) -> str:
    setting = f"RAVEN_LIMIT_{name.upper()}"
    return f"the source {verb} {value}, over the limit of {limit}; cut it down, or raise {setting}"
