"""What is said of nodes rather than of jobs: their signs of life, and the watcher's word on whether they are held.

Beside it the types that all messages share (raven/messages.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, FiniteFloat

from raven.values import Count, Value

VERSION: Literal[1] = 1
STATE_LENGTH = 255
"""Characters of the words that say why a node takes no jobs."""

# Reports end in rows: what no row can hold is refused here, else one of them could stop the watcher for good.
Number = Annotated[int, Field(ge=0, lt=1 << 31)]
Id = Annotated[int, Field(ge=0, lt=1 << 63)]
"""Of a task or a job."""
NodeName = Annotated[str, Field(min_length=1, max_length=255)]
_Run = Annotated[str, Field(max_length=16)]
Instance = Annotated[_Run, Field(exclude_if=lambda value: not value)]
"""One run of a daemon: two hosts may have one name, and a daemon that crashed comes back under its own."""


class Alive(Value):
    """A node's sign of life, from which the watcher knows nodes, what they have and whether they take jobs.

    Unlike in other messages an unknown field is no fault: a newer node that has more to say is alive all the same.
    """

    model_config = ConfigDict(extra="ignore")

    version: Literal[1] = VERSION
    type: Literal["alive"] = "alive"
    node: NodeName
    role: Literal["master", "worker"]
    instance: Instance = ""
    slots: int = Field(ge=0, le=256)
    """Of those that take jobs now."""
    light: int = Field(default=0, ge=0, le=256)
    """Slots for light jobs."""
    build: str = Field(max_length=64)
    """Raven's version."""
    ffmpeg: str = Field(default="", max_length=128)
    """The line in which it states its version."""
    cpus: int = Field(default=0, ge=0, lt=1 << 31)
    load: FiniteFloat = 0.0
    """Of the last minute."""
    memory_total: Count = 0
    memory_free: Count = 0
    disk_free: Count = 0
    """Bytes, as the two before; where temporary files lie."""
    state: str = Field(default="", max_length=STATE_LENGTH)
    """Empty: it takes jobs. Else a word, and maybe a sentence that says why not."""
    hold: Annotated[str, Field(max_length=STATE_LENGTH)] | None = None
    """What the watcher has told it to be held by, empty for nothing; None when it has not heard yet."""


class HoldNode(Value):
    """What one run of a node's daemon is held by: it takes no job, and ends those that it has. Empty: it goes on."""

    version: Literal[1] = VERSION
    type: Literal["hold-node"] = "hold-node"
    node: NodeName
    role: Literal["master", "worker"]
    instance: _Run
    hold: str = Field(max_length=STATE_LENGTH)
