"""The publish job's look at what is stored, before the manifests go live."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from master.output_check import check_output
from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.check.checker import RULES
from raven.check.load import Known
from raven.errors import Cancelled, OutputRefused
from raven.ports import Entry
from raven.process import StopSignal
from tests.trees import Files, good_files
from tests.trees import MemoryReader as Broken
from tests.unit.check_mutations import MUTATIONS

PREFIX = names.out_prefix(7)
GOOD = good_files()
MANIFESTS = (names.MULTIVARIANT, names.MPD)


def stored(root: Path, files: Files) -> tuple[DirectoryStorage, dict[str, str]]:
    """A storage with all but the manifests, and those as texts."""
    storage = DirectoryStorage(root)
    for path, content in files.items():
        if path not in MANIFESTS:
            storage.put(PREFIX + path, content)
    return storage, {name: files[name].decode() for name in MANIFESTS}


def broken(rule: str) -> Files:
    reader = Broken(dict(GOOD))
    MUTATIONS[rule](reader)
    return reader.files


def test_a_good_output_is_told_with_the_number_of_rules_and_seconds(tmp_path: Path) -> None:
    storage, texts = stored(tmp_path, GOOD)

    verdict = check_output(storage, PREFIX, texts, StopSignal())

    assert isinstance(verdict.pop("seconds"), float)
    assert verdict == {"rules": len(RULES), "must": 0, "should": 0, "findings": []}


@pytest.mark.parametrize("rule", ["fragments-run-on", "files-are-there", "bandwidth-is-peak", "mpd-codecs-are-true"])
def test_a_broken_must_is_an_error_that_names_place_and_clause(tmp_path: Path, rule: str) -> None:
    # Given an output that breaks a must
    storage, texts = stored(tmp_path, broken(rule))
    clause = next(r.clauses[0] for r in RULES if r.id == rule)

    # When it is to be published, then the error says what is wrong
    with pytest.raises(OutputRefused, match="the output breaks the standards: ") as error:
        check_output(storage, PREFIX, texts, StopSignal())
    assert f"[{clause}" in str(error.value)
    assert error.value.permanent  # the next attempt would read the same segments and write the same manifests


def test_a_must_that_the_profile_chooses_to_break_is_told_and_published(tmp_path: Path) -> None:
    """One rung alone breaks Apple 9.9, and is what the profile asks for."""
    storage, texts = stored(tmp_path, broken("several-bit-rates"))

    verdict = check_output(storage, PREFIX, texts, StopSignal())

    assert verdict["must"] == 1


class Counting(DirectoryStorage):
    """Notes what is read, and takes as long as a server of objects."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.reads[key] += 1
        time.sleep(0.01)
        return super().get(key, start, length)


def test_a_file_of_many_i_frames_is_asked_for_once(tmp_path: Path) -> None:
    """Each is a segment of its own to the checker, and many are looked at side by side."""
    _, texts = stored(tmp_path, GOOD)
    storage = Counting(tmp_path)

    check_output(storage, PREFIX, texts, StopSignal())

    media = {key: count for key, count in storage.reads.items() if key.endswith(".m4s")}
    assert len(media) > 10
    assert set(media.values()) == {1}


class Listing(DirectoryStorage):
    """Notes what is listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: list[str] = []

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        for entry in super().entries(prefix, after):
            self.listed.append(entry.key.removeprefix(PREFIX))
            yield entry


def test_what_was_read_ahead_is_not_even_listed(tmp_path: Path) -> None:
    """Of two hours in six rungs there are nine thousand objects, and at the end a few dozen are new."""
    # Given a film of which all but the last segment of a rung was read while it grew
    _, texts = stored(tmp_path, GOOD)
    known: Known = {}
    check_output(DirectoryStorage(tmp_path), PREFIX, texts, StopSignal(), known)
    folder = "360p"
    *_, last = sorted(path for path in GOOD if path.startswith(f"{folder}/") and path.endswith(".m4s"))
    known = {resource: segment for resource, segment in known.items() if resource.path != last}

    # When it is checked
    storage = Listing(tmp_path)
    verdict = check_output(storage, PREFIX, texts, StopSignal(), known)

    # Then the segments before it are not asked for, and the verdict is the same
    assert [path for path in storage.listed if path.startswith(folder) and path.endswith(".m4s")] == [last]
    assert verdict["findings"] == []


def test_an_object_that_is_not_there_is_found_missing_whoever_lists(tmp_path: Path) -> None:
    storage, texts = stored(tmp_path, GOOD)
    gone = next(path for path in GOOD if path.startswith("360p/") and path.endswith(".m4s"))
    storage.delete([PREFIX + gone])

    with pytest.raises(OutputRefused, match="there is no such object"):
        check_output(storage, PREFIX, texts, StopSignal())


def test_a_stopped_job_stops_checking(tmp_path: Path) -> None:
    storage, texts = stored(tmp_path, GOOD)
    stop = StopSignal()
    stop.set()

    with pytest.raises(Cancelled):
        check_output(storage, PREFIX, texts, stop)
