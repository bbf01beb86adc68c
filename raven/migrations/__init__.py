"""The steps that bring a database from each version of the schema to the next one. `raven/schema.py` takes them.

The next one is a module of its number with a function `upgrade`, added to STEPS, and db.sql as it is then, with the
new number in its last line. MariaDB commits each change of a table by itself, so every step must be safe to repeat
from wherever it was interrupted, with clients that go on inserting rows. A step is never changed after its release.
"""

from __future__ import annotations

from collections.abc import Callable

from raven.migrations import v0001, v0002, v0003
from raven.ports import Database

STEPS: tuple[Callable[[Database], None], ...] = (v0001.upgrade, v0002.upgrade, v0003.upgrade)
"""The first one makes version 1 of a database that has none, the next one version 2 of that, and so on."""
