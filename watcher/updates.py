"""Transitions as SQL: guarded UPDATEs, of which one can change many rows. Pure.

It is the statements that cost a database and its client time: 50 transitions in one take a fifth of what they take one
by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from watcher.rows import Transition, states

TOGETHER = 50
"""Transitions in one statement. Each row looks its values up among those of all others."""


class Update(NamedTuple):
    """A statement for so many rows; each that does not match was forbidden by its guard."""

    sql: str
    parameters: tuple[object, ...]
    rows: int


def updates(transitions: Iterable[Transition]) -> Iterator[Update]:
    """As few statements as may be: those go together that have one guard and set the same columns."""
    alike: dict[tuple[object, ...], list[Transition]] = {}
    for transition in transitions:
        key = (transition.states, transition.attempt, *sorted(transition.values))
        alike.setdefault(key, []).append(transition)
    for several in alike.values():
        for start in range(0, len(several), TOGETHER):
            yield _update(several[start : start + TOGETHER])


def _update(some: Sequence[Transition]) -> Update:
    ids = [transition.job for transition in some]
    setting, parameters = list[str](), list[object]()
    for name in some[0].values:
        values = [transition.values[name] for transition in some]
        if all(value == values[0] for value in values):
            setting.append(f"{name} = ?")
            parameters.append(values[0])
        else:
            setting.append(f"{name} = CASE id {'WHEN ? THEN ? ' * len(some)}END")
            parameters += [each for pair in zip(ids, values, strict=True) for each in pair]
    attempt = some[0].attempt
    guard = f"state IN ({states(some[0].states)})" + ("" if attempt is None else " AND attempt = ?")
    sql = f"UPDATE jobs SET {', '.join(setting)} WHERE id IN ({', '.join('?' * len(ids))}) AND {guard}"  # noqa: S608
    return Update(sql, (*parameters, *ids, *([] if attempt is None else [attempt])), len(some))
