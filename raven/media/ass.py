"""Subtitle events as libavcodec gives them (Advanced SubStation Alpha) to WebVTT cue text. Pure.

Every text decoder of libavcodec speaks ASS. Of its tags those survive that WebVTT knows: bold, italic, underline,
line breaks; of its positions whether a text stands at the top, in the middle or below, left or right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(r"\{[^{}]*\}|\\[Nnh{}]|[^\\{]+|.", re.DOTALL)
_OVERRIDE = re.compile(r"\\(an|a|b|i|u|p)(\d*)\s*(?=[\\)]|$)|\\r([^\\)]*)|\\(?:pos|move)\(\s*[-\d.]+\s*,\s*([-\d.]+)")
_LEGACY_ALIGNMENT = {1: 1, 2: 2, 3: 3, 5: 7, 6: 8, 7: 9, 9: 4, 10: 5, 11: 6}
_BELOW = 2  # the middle of the bottom, as on a number pad
_BOLD_WEIGHT = 600
_EVENT_FIELDS = 9  # ReadOrder, Layer, Style, Name, three margins, Effect, Text


@dataclass(frozen=True)
class Style:
    """How a piece of text looks. `alignment` is a place on a number pad, 8 being the middle of the top."""

    bold: bool = False
    italic: bool = False
    underline: bool = False
    alignment: int = _BELOW


@dataclass(frozen=True)
class Script:
    """What the header of a track says."""

    styles: Mapping[str, Style] = field(default_factory=dict)
    height: float | None = None
    """PlayResY: the height that positions are counted in."""

    def style(self, name: str) -> Style:
        return self.styles.get(name.strip().lstrip("*"), self.styles.get("Default", Style()))


@dataclass(frozen=True)
class _State:
    style: Style
    drawing: bool = False
    """Vector graphics follow, not text."""
    row: float | None = None
    """Explicit position from the top."""


def parse_header(header: str) -> Script:
    """Styles and size of a script; what is not understood is left out."""
    columns: list[str] = []
    styles: dict[str, Style] = {}
    height = None
    for line in header.splitlines():
        key, _, value = line.partition(":")
        match key.strip().lower():
            case "format" if not styles:
                columns = [name.strip().lower() for name in value.split(",")]
            case "style":
                row = dict(zip(columns, (v.strip() for v in value.split(",")), strict=False))
                styles[row.get("name", "").lstrip("*")] = _style(row)
            case "playresy" if re.fullmatch(r"[1-9]\d{0,4}", value.strip()):
                height = float(value)
    return Script(styles, height)


def _style(row: Mapping[str, str]) -> Style:
    alignment = row.get("alignment", "")
    return Style(
        bold=row.get("bold", "0") not in ("0", ""),
        italic=row.get("italic", "0") not in ("0", ""),
        underline=row.get("underline", "0") not in ("0", ""),
        alignment=int(alignment) if re.fullmatch("[1-9]", alignment) else _BELOW,
    )


def cue_text(event: str, script: Script, *, comments: bool) -> tuple[str, str]:
    """Text and settings of a WebVTT cue for one event; empty text where nothing is to be read.

    `comments`: braces without a tag in them are comments (ASS itself), else they are text of another format.
    """
    fields = event.split(",", _EVENT_FIELDS - 1)
    if len(fields) < _EVENT_FIELDS:
        return "", ""
    base = script.style(fields[2])
    state, runs = _State(base), list[tuple[Style, str]]()
    for token in _TOKEN.findall(fields[-1]):
        if token.startswith("{") and len(token) > 1 and ("\\" in token or comments):
            state = _overridden(state, token[1:-1], base, script)
        elif not state.drawing:
            runs.append((state.style, _plain(token)))
    lines = (_line(line) for line in _lines(runs))
    return "\n".join(line for line in lines if line), _settings(state, script.height)


def _overridden(state: _State, tags: str, base: Style, script: Script) -> _State:
    for tag, digits, reset, row in (match.groups() for match in _OVERRIDE.finditer(tags)):
        if reset is not None:
            style = script.style(reset) if reset.strip() in script.styles else base
            state = replace(state, style=replace(style, alignment=state.style.alignment))
        elif row is not None:
            state = replace(state, row=_number(row))
        else:
            state = _set(state, tag, int(digits[:4]) if digits else None, base)
    return state


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _set(state: _State, tag: str, value: int | None, base: Style) -> _State:
    style = state.style
    match tag:
        case "p":
            return replace(state, drawing=bool(value))
        case "b":
            style = replace(style, bold=base.bold if value is None else value == 1 or value >= _BOLD_WEIGHT)
        case "i":
            style = replace(style, italic=base.italic if value is None else bool(value))
        case "u":
            style = replace(style, underline=base.underline if value is None else bool(value))
        case "an":
            style = replace(style, alignment=value if value and value < 10 else base.alignment)
        case "a":
            style = replace(style, alignment=_LEGACY_ALIGNMENT.get(value or 0, base.alignment))
    return replace(state, style=style)


def _plain(token: str) -> str:
    named = {"\\N": "\n", "\\n": "\n", "\\h": "\N{NO-BREAK SPACE}", "\\{": "{", "\\}": "}"}
    text = named.get(token, token)
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def _lines(runs: list[tuple[Style, str]]) -> Iterator[list[tuple[Style, str]]]:
    line: list[tuple[Style, str]] = []
    for style, text in runs:
        first, *others = text.split("\n")
        line.append((style, first))
        for other in others:
            yield line
            line = [(style, other)]
    yield line


def _line(runs: list[tuple[Style, str]]) -> str:
    """One line, each run in tags of its own; a blank line would end the cue (WebVTT 4.1), so it comes out empty."""
    if not "".join(text for _, text in runs).strip():
        return ""
    merged: list[tuple[tuple[str, ...], str]] = []
    for style, text in runs:
        tags = tuple(tag for tag, on in (("b", style.bold), ("i", style.italic), ("u", style.underline)) if on)
        if merged and merged[-1][0] == tags:
            merged[-1] = tags, merged[-1][1] + text
        elif text:
            merged.append((tags, text))
    parts = (
        "".join(f"<{t}>" for t in tags) + escaped(text) + "".join(f"</{t}>" for t in reversed(tags))
        for tags, text in merged
    )
    return "".join(parts).strip()


def escaped(text: str) -> str:
    """Text as a cue can hold it (WebVTT 4.2.2): no markup, and no `-->`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def squeezed(text: str) -> str:
    """Cue text with one space between words, where spaces were only there to put them in their places."""
    lines = (re.sub("[ \N{NO-BREAK SPACE}]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _settings(state: _State, height: float | None) -> str:
    """Where the cue stands, as far as every player can place it: the thirds of the picture."""
    column, row = (state.style.alignment - 1) % 3, (state.style.alignment - 1) // 3
    if state.row is not None and height:
        row = 2 - min(2, max(0, int(3 * state.row / height)))
    where = ["", "line:45%", "line:0"][row], ["align:left", "", "align:right"][column]
    return " ".join(part for part in where if part)
