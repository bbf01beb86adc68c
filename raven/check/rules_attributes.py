"""Rules of attributes in playlists: their type, and the values that they may have (RFC 8216 4.2 to 4.3.5). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from raven.check.m3u8 import DECIMAL, INTEGER, Playlist, Tag
from raven.check.rule import Fault, Faults, must, rules_of
from raven.check.tree import Tree

_QUOTED = frozenset({
    "URI", "GROUP-ID", "LANGUAGE", "ASSOC-LANGUAGE", "NAME", "INSTREAM-ID", "CHARACTERISTICS", "CHANNELS", "CODECS",
    "SUPPLEMENTAL-CODECS", "ALLOWED-CPC", "AUDIO", "VIDEO", "SUBTITLES", "KEYFORMAT", "KEYFORMATVERSIONS", "DATA-ID",
    "VALUE", "ID", "CLASS", "START-DATE", "END-DATE", "STABLE-VARIANT-ID", "STABLE-RENDITION-ID", "PATHWAY-ID",
    "BYTERANGE",
})  # fmt: skip
_WHOLE = frozenset({"BANDWIDTH", "AVERAGE-BANDWIDTH", "PROGRAM-ID", "BIT-DEPTH", "SAMPLE-RATE"})
_DECIMALS = frozenset({"FRAME-RATE", "SCORE", "TIME-OFFSET", "DURATION", "PLANNED-DURATION"})
_VALUES = {
    "TYPE": {"AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"},
    "HDCP-LEVEL": {"NONE", "TYPE-0", "TYPE-1"},
} | {name: {"YES", "NO"} for name in ("DEFAULT", "AUTOSELECT", "FORCED", "PRECISE", "END-ON-NEXT")}
_LANGUAGE = re.compile(r'"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*"')
_STABLE = re.compile(r'"[A-Za-z0-9+/=.\-_]+"')
_CLIENT = "X-"
"""Attributes of EXT-X-DATERANGE that a client defines, of any type."""


def _attributes(tree: Tree) -> Iterator[tuple[Playlist, Tag, str, str]]:
    multivariant = [tree.multivariant] if tree.multivariant else []
    for playlist in (*multivariant, *tree.playlists.values()):
        for tag in playlist.tags:
            for name, value in tag.attributes.items():
                yield playlist, tag, name, value


@must("RFC 8216 4.2")
def attributes_are_of_their_type(tree: Tree) -> Faults:
    """Strings stand in quotes, enumerated values and numbers do not."""
    for playlist, tag, name, value in _attributes(tree):
        if name.startswith(_CLIENT):
            continue
        quoted = value.startswith('"')
        if name in _QUOTED and not quoted:
            wanted = "a quoted string"
        elif name in _WHOLE and not INTEGER.fullmatch(value):
            wanted = "an integer"
        elif name in _DECIMALS and not DECIMAL.fullmatch(value):
            wanted = "a decimal number"
        elif quoted and name not in _QUOTED and name != "CLOSED-CAPTIONS":
            wanted = "no quotes"
        else:
            continue
        yield Fault(f"{playlist.path} line {tag.line}", f"{name}={value[:40]}", wanted)


@must("RFC 8216 4.3.4.1", "RFC 8216 4.3.4.2", "RFC 8216bis 4.4.6")
def attribute_values_are_known(tree: Tree) -> Faults:
    """Enumerated attributes have a value that is known, SCORE is positive, languages are of RFC 5646, ids plain."""
    for playlist, tag, name, value in _attributes(tree):
        if name in _VALUES and value.strip('"') not in _VALUES[name]:
            wanted = ", ".join(sorted(_VALUES[name]))
        elif name in ("LANGUAGE", "ASSOC-LANGUAGE") and not _LANGUAGE.fullmatch(value):
            wanted = "a tag of RFC 5646"
        elif name.startswith("STABLE-") and not _STABLE.fullmatch(value):
            wanted = "letters, digits and +/=.-_ alone"
        elif name == "SCORE" and value.startswith("-"):
            wanted = "a positive number"
        elif name == "FRAME-RATE" and len(value.partition(".")[2]) > 3:
            wanted = "three decimals at most"
        else:
            continue
        yield Fault(f"{playlist.path} line {tag.line}", f"{name}={value[:40]}", wanted)


RULES = rules_of(globals())
