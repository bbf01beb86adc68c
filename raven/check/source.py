"""Random access to the bytes of one segment, in blocks. Pure but for the `read` that it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from raven.media.boxes import Box, BoxError

BLOCK = 4096
"""One read holds a usual fragment's moof and the first NAL units; mdat is stepped over."""
MAX_BOX = 8 << 20
Read = Callable[[int, int], bytes]
"""`length` bytes from `start` of the segment, less at its end."""


class Source:
    """Reads in blocks and keeps the last one. `whole`: all samples must be there, not the first of each moof alone."""

    def __init__(self, read: Read, size: int, *, whole: bool = True) -> None:
        self.whole = whole
        self._read = read
        self.size = size
        self._start = 0
        self._block = b""

    def get(self, start: int, length: int) -> bytes:
        """Raises BoxError where the segment ends before."""
        if length > MAX_BOX:
            raise BoxError(f"a box of {length} bytes")
        at = start - self._start
        if at < 0 or at + length > len(self._block):
            self._start, self._block, at = start, self._read(start, min(max(length, BLOCK), self.size - start)), 0
        data = self._block[at : at + length]
        if len(data) < length:
            raise BoxError(f"the segment of {self.size} bytes ends within a box, at {start}")
        return data

    def held(self, start: int, length: int) -> bytes:
        """As much of it as is at hand from its beginning on, without another read."""
        at = start - self._start
        return self._block[at : at + length] if at >= 0 else b""

    def boxes(self) -> Iterator[Box]:
        start = 0
        while start < self.size:
            head = self.get(start, min(16, self.size - start))
            if len(head) < 8:
                raise BoxError(f"{len(head)} bytes left over at {start}")
            size, kind, payload = int.from_bytes(head[:4], "big"), head[4:8].decode("latin-1"), start + 8
            if size == 1 and len(head) == 16:
                size, payload = int.from_bytes(head[8:], "big"), start + 16
            end = start + size if size else self.size
            if end < payload or (end > self.size and kind != "mdat"):
                raise BoxError(f"box {kind!r} at {start} has size {size}, {self.size - start} bytes are there")
            yield Box(kind, start, payload, end)
            start = end
