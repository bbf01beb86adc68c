"""Every rule of the checker: the good tree passes it, the tree with that rule broken does not."""

from __future__ import annotations

import pytest

from raven.check.checker import RULES, check
from raven.check.rule import Finding
from tests.builders import aac_entry
from tests.trees import MemoryReader, good_files, tree_of
from tests.unit.check_mutations import DAMAGE, MUTATIONS, SOUND, Mutation, audio, both, swap

GOOD = good_files()


def findings(reader: MemoryReader) -> tuple[Finding, ...]:
    return check(tree_of(reader)).findings


def test_the_good_tree_breaks_nothing() -> None:
    assert [str(finding) for finding in findings(MemoryReader(dict(GOOD)))] == []


def test_the_good_tree_is_read_whole() -> None:
    """A tree that is half read would pass most rules."""
    tree = tree_of(MemoryReader(dict(GOOD)))

    assert len(tree.playlists) == 2 * 2 + 4 + 1
    assert len(tree.inits) == 2 + 4
    assert len({resource.path for resource in tree.segments}) == 3 * (2 + 4) + 3 + 2
    assert len(tree.tracks) == 2 + 4
    assert all(track.frame_rate == 25 for track in tree.tracks if track.media == "video")


@pytest.mark.parametrize("first", ["5.994667", "5.973333"])
def test_what_the_edit_list_takes_off_sound_may_be_counted_or_left_out(first: str) -> None:
    """ffmpeg leaves its priming out of EXTINF, others count it."""
    reader = MemoryReader(dict(GOOD))
    both(audio(aac_entry(), ["stereo-en"], edits=[(0, 1024)]), swap(SOUND, "5.994667", first))(reader)

    assert "extinf-is-true" not in {finding.rule.id for finding in findings(reader)}


def test_every_rule_has_its_mutation() -> None:
    assert {rule.id for rule in RULES} == set(MUTATIONS)


def test_every_rule_has_an_id_of_its_own_a_clause_and_a_sentence() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.clauses, rule.id
        assert rule.text.endswith((".", ")")), rule.id


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_tree_that_breaks_a_rule_is_found(name: str) -> None:
    # Given the good tree, broken in one place
    reader = MemoryReader(dict(GOOD))
    MUTATIONS[name](reader)

    # When it is checked
    broken = {finding.rule.id for finding in findings(reader)}

    # Then that rule is among the findings
    assert name in broken


@pytest.mark.parametrize(("rule", "mutation"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_tree_is_found(rule: str, mutation: Mutation) -> None:
    reader = MemoryReader(dict(GOOD))
    mutation(reader)

    assert rule in {finding.rule.id for finding in findings(reader)}
