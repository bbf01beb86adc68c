"""What all values that travel are made of: exact numbers, safe names, and the base that checks them."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_EXACT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40}|/0*[1-9][0-9]{0,39})?")
"""No exponent, no zero below the line: Fraction takes the one at any size and breaks on the other."""


def _fraction(value: Any) -> Fraction:
    if isinstance(value, int | Fraction) or (isinstance(value, str) and _EXACT.fullmatch(value)):
        return Fraction(value)
    raise ValueError("an exact time or rate is an integer or a string such as 24000/1001")


def encodable(text: str) -> str:
    """Any text as UTF-8 can hold it: JSON, and names of files, may have halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


Rational = Annotated[Fraction, BeforeValidator(_fraction), PlainSerializer(str, return_type=str)]


def parse_json(text: str) -> Any:
    """Of anybody's text. Raises ValueError: also for what is nested deeper than Python follows, a RecursionError else,
    which whoever minds bad text would not expect."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


Count = Annotated[int, Field(ge=0, lt=1 << 63)]
"""What a row can hold."""

# What ends in a path or a command line is spelled out: a message is not to be believed.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
"""Of a rendition or a track: a folder of the outputs."""
Word = Annotated[str, Field(pattern=r"^[a-z0-9]*$")]

Mark = Annotated[str, Field(pattern=r"^([0-9]{1,19}-[0-9a-f]{32})?$", exclude_if=lambda value: not value)]
"""Of a source, by which it is known again: its size and a hash. Sent only where it is known."""

Rarely = Annotated[bool, Field(exclude_if=lambda value: not value)]
"""A later field that is sent only where it is true, as daemons from before it refuse what they do not know."""


class Value(BaseModel):
    """Base of all values: immutable, and an unknown field is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")
