"""All rules over a tree, and what came out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from raven.check import (
    rules_access,
    rules_attributes,
    rules_cmaf,
    rules_cmaf_sets,
    rules_dash,
    rules_dash_media,
    rules_dash_sets,
    rules_dash_truth,
    rules_files,
    rules_groups,
    rules_headers,
    rules_hls_media,
    rules_limits,
    rules_offer,
    rules_pictures,
    rules_playlist,
    rules_samples,
    rules_text,
    rules_trick,
    rules_variants,
)
from raven.check.rule import Finding, Rule, Severity
from raven.check.tree import Tree

RULES: tuple[Rule, ...] = (
    *rules_files.RULES,
    *rules_playlist.RULES,
    *rules_attributes.RULES,
    *rules_variants.RULES,
    *rules_groups.RULES,
    *rules_offer.RULES,
    *rules_hls_media.RULES,
    *rules_pictures.RULES,
    *rules_access.RULES,
    *rules_limits.RULES,
    *rules_trick.RULES,
    *rules_text.RULES,
    *rules_headers.RULES,
    *rules_cmaf.RULES,
    *rules_samples.RULES,
    *rules_cmaf_sets.RULES,
    *rules_dash.RULES,
    *rules_dash_sets.RULES,
    *rules_dash_media.RULES,
    *rules_dash_truth.RULES,
)
MAX_FAULTS = 20
"""Of one rule: a fault in every segment is one fault to mend."""


@dataclass(frozen=True)
class Report:
    """What a tree breaks."""

    name: str
    rules: int
    findings: tuple[Finding, ...]

    @property
    def musts(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.rule.severity is Severity.MUST)

    @property
    def faulty(self) -> tuple[Finding, ...]:
        """Broken musts that are the making's fault, and no choice of a profile."""
        return tuple(f for f in self.musts if not f.rule.choice)

    def as_json(self) -> dict[str, object]:
        return {
            "rules": self.rules,
            "must": len(self.musts),
            "should": len(self.findings) - len(self.musts),
            "findings": [f.as_json() for f in self.findings],
        }


def check(tree: Tree, rules: Iterable[Rule] = RULES) -> Report:
    """Runs the rules; a rule tells its first MAX_FAULTS places."""
    wanted = tuple(rules)
    return Report(tree.name, len(wanted), tuple(_findings(tree, wanted)))


def _findings(tree: Tree, rules: Iterable[Rule]) -> Iterator[Finding]:
    for rule in rules:
        for fault in islice(rule.check(tree), MAX_FAULTS):
            yield Finding(rule, fault)


def by_source(rules: Iterable[Rule] = RULES) -> Counter[str]:
    """How many rules each standard has given."""
    return Counter(rule.source for rule in rules)
