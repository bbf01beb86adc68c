"""What a rule is, and what it finds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raven.check.tree import Tree


class Severity(StrEnum):
    """As RFC 2119 has it: a broken must is an error, a broken should advice."""

    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True)
class Fault:
    """One place that breaks a rule: the file (with line, box or segment), what is there, what the rule wants."""

    where: str
    found: str
    wanted: str = ""


Faults = Iterator[Fault]


@dataclass(frozen=True)
class Rule:
    """One rule of a standard as a pure function over a tree."""

    id: str
    clauses: tuple[str, ...]
    severity: Severity
    text: str
    check: Callable[[Tree], Iterable[Fault]]
    choice: bool = False
    """Whether it asks what is on offer (how many rungs, which codecs): the profile or the source chooses that, not the
    encoder."""

    @property
    def source(self) -> str:
        """The standard of the first clause, such as `RFC 8216`."""
        return self.clauses[0].rpartition(" ")[0]


def _rule(severity: Severity, clauses: tuple[str, ...], choice: bool) -> Callable[[Callable[[Tree], Faults]], Rule]:
    def wrap(check: Callable[[Tree], Faults]) -> Rule:
        text = " ".join((check.__doc__ or "").split())
        return Rule(check.__name__.strip("_").replace("_", "-"), clauses, severity, text, check, choice)

    return wrap


def must(*clauses: str, choice: bool = False) -> Callable[[Callable[[Tree], Faults]], Rule]:
    """Makes a rule of a function: its name is the id, its docstring the text."""
    return _rule(Severity.MUST, clauses, choice)


def should(*clauses: str, choice: bool = False) -> Callable[[Callable[[Tree], Faults]], Rule]:
    return _rule(Severity.SHOULD, clauses, choice)


def rules_of(names: dict[str, object]) -> tuple[Rule, ...]:
    """The rules among a module's globals, in order."""
    return tuple(value for value in names.values() if isinstance(value, Rule))


@dataclass(frozen=True)
class Finding:
    """A rule with one of the places that break it."""

    rule: Rule
    fault: Fault

    def as_json(self) -> dict[str, object]:
        return {
            "rule": self.rule.id,
            "severity": str(self.rule.severity),
            "clauses": list(self.rule.clauses),
            "text": self.rule.text,
            "where": self.fault.where,
            "found": self.fault.found,
            "wanted": self.fault.wanted,
        }

    def __str__(self) -> str:
        wanted = f", wanted {self.fault.wanted}" if self.fault.wanted else ""
        return f"{self.fault.where}: {self.fault.found}{wanted} [{'; '.join(self.rule.clauses)}]"
