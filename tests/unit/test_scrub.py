"""scrub.py: what can go goes, and nothing else, ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from raven import names
from raven.adapters.directory import DirectoryStorage
from raven.adapters.sqlite import SqliteDatabase
from raven.config import Settings
from raven.environment import without_secrets
from raven.metrics.scrub import FILE
from raven.names import task_of
from raven.ports import Entry
from raven.scratch import FOLDER_SECONDS, discard, old_folders, scratch
from raven.upstream import NoAnswer
from scrub import Scrubber, Survey, TooMuch, Waste, _remove, judge, main, scrub
from tests.scrape import read
from watcher.rows import JobState, TaskState

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SCHEMA = Path(__file__).parents[2] / "db.sql"


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("tmp/7/chunk-000000.nut", ("tmp", 7)),
        ("out/12/video/720p/init.mp4", ("out", 12)),
        (names.thumb_path(3), None),
        ("out/12", None),
        ("out/", None),
        ("out/x/a", None),
        ("out/-1/a", None),
        ("out/007/a", None),
        ("out/0/a", None),
        ("out/²/a", None),
        ("out/٣/a", None),
        ("out/1.5/a", None),
        ("out/9223372036854775807/a", ("out", (1 << 63) - 1)),
        ("out/9223372036854775808/a", None),
        ("backup/7/a", None),
        ("", None),
    ],
)
def test_only_raven_s_own_keys_have_an_owner(key: str, owner: tuple[str, int] | None) -> None:
    """Somebody else's objects in the bucket are none of our business."""
    assert task_of(key) == owner


@given(st.integers(1, 10**12), st.integers(0, 999_999))
def test_every_key_of_a_task_is_found_again(task: int, number: int) -> None:
    assert task_of(names.chunk_key(task, number, "copy")) == ("tmp", task)
    assert task_of(names.out_prefix(task) + names.TASK_JSON) == ("out", task)


@given(st.text())
def test_any_key_has_an_answer(key: str) -> None:
    for text in (key, f"out/{key}/a", f"tmp/{key}"):
        owner = task_of(text)
        assert owner is None or text.startswith(f"{owner[0]}/{owner[1]}/")


@pytest.mark.parametrize("status", [*TaskState, "something new"])
@pytest.mark.parametrize("tree", ["tmp", "out"])
def test_the_objects_of_a_task_stay_unless_they_are_of_no_use(tree: str, status: str) -> None:
    goes = {("tmp", "done"): "task done", ("tmp", "failed"): "task failed", ("out", "failed"): "task failed"}

    assert judge(tree, status) == goes.get((tree, status))
    assert judge(tree, status, expired=True) == ({("out", "done"): "kept long enough"} | goes).get((tree, status))


@pytest.mark.parametrize("tree", ["tmp", "out"])
def test_nothing_of_a_deleted_task_stays(tree: str) -> None:
    assert judge(tree, None) == "task deleted"


# over a real database and a folder


class Place:
    """A database and a storage with some tasks in them."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "objects"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.settings = Settings(
            database=f"sqlite://{folder}/raven.db", storage=f"file://{self.root}", temporary=self.temporary
        )
        self.database = SqliteDatabase(folder / "raven.db")
        self.database.script(SCHEMA.read_text("utf-8"))
        self.storage = DirectoryStorage(self.root)

    def task(self, task: int, status: str | None, job: str = "done") -> None:
        """A task with two objects of each kind; without a status its row is gone."""
        if status is not None:
            self.database.execute("INSERT INTO tasks (id, source, status) VALUES (?, 'x', ?)", (task, status))
        self.database.execute(
            "INSERT INTO jobs (task_id, kind, position, state, lane) VALUES (?, 'purge', 1, ?, 'master.light')",
            (task, job),
        )
        for key in (names.chunk_key(task, 0, "copy"), names.chunk_key(task, 1, "conform")):
            self._put(key)
        for name in (names.MPD, names.MULTIVARIANT):
            self._put(names.out_prefix(task) + name)

    def _put(self, key: str) -> None:
        (self.root / key).parent.mkdir(parents=True, exist_ok=True)
        (self.root / key).write_bytes(b"12345")

    def waste(self) -> list[Waste]:
        return self.survey().waste

    def survey(self, keep_hours: float | None = None) -> Survey:
        return Scrubber(self.database, self.storage, keep_hours, NOW.timestamp()).survey()

    def finished(self, task: int, hours: float, keep_hours: int | None) -> None:
        """So many hours ago."""
        at = (NOW - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
        self.database.execute("UPDATE tasks SET finished_at = ?, keep_hours = ? WHERE id = ?", (at, keep_hours, task))

    def left(self) -> set[str]:
        return {f"{kind}/{task.name}" for kind in ("tmp", "out") for task in (self.root / kind).iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_waste_is_counted_task_by_task(place: Place) -> None:
    """Tasks whose numbers sort between each other must not mix."""
    for task, status in ((1, "done"), (10, "failed"), (2, None), (11, "encoding")):
        place.task(task, status)

    assert place.waste() == [
        Waste("tmp/1/", "task done", 2, 10),
        Waste("tmp/10/", "task failed", 2, 10),
        Waste("tmp/2/", "task deleted", 2, 10),
        Waste("out/10/", "task failed", 2, 10),
        Waste("out/2/", "task deleted", 2, 10),
    ]


@pytest.mark.parametrize("state", JobState)
def test_while_a_job_is_open_the_watcher_cleans_up_itself(place: Place, state: JobState) -> None:
    """A purge may be running, or a node may still store what it made."""
    place.task(1, "failed", job=state)
    is_open = state in ("waiting", "queued", "running")

    assert bool(place.waste()) != is_open


class Many(DirectoryStorage):
    """A bucket of films with a thousand objects each, a page at a time."""

    def __init__(self, films: int) -> None:
        self._films = films

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        return (Entry(f"{prefix}{task}/seg-{n}", 5) for task in range(1, self._films + 1) for n in range(1000))


def test_a_look_at_many_objects_takes_no_more_memory_than_one_at_few(place: Place) -> None:
    """It has one at a time; a million of them would be hundreds of megabytes. Films that can go are kept in mind."""

    def peak(films: int) -> int:
        tracemalloc.start()
        try:
            survey = Scrubber(place.database, Many(films), None, NOW.timestamp()).survey()
            assert survey.objects == 2 * films * 1000
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    place.database.execute("INSERT INTO tasks (id, source, status) VALUES (1, 'x', 'encoding')")
    peak(1)  # what is loaded once
    assert peak(50) < peak(5) + 100_000


def test_nothing_in_an_empty_place_is_waste(place: Place) -> None:
    assert place.waste() == []


def test_a_dry_run_tells_and_removes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.task(1, None)

    counted = scrub(place.settings, dry_run=True)

    assert counted == (4, 20)
    assert "would remove out/1/: task deleted, 2 objects" in capsys.readouterr().out
    assert place.left() == {"tmp/1", "out/1"}


@pytest.mark.parametrize(
    ("hours", "own", "setting", "goes"),
    [
        (25, 24, None, True),
        (23, 24, None, False),
        (25, None, 24, True),
        (25, 48, 24, False),  # the task's own word counts
        (1, 0, None, True),
        (1_000_000, None, None, False),  # without a word for ever
    ],
)
def test_outputs_go_when_they_were_kept_long_enough(
    place: Place, hours: float, own: int | None, setting: float | None, goes: bool
) -> None:
    place.task(1, "done")
    place.finished(1, hours, own)

    assert [w.reason for w in place.survey(setting).waste if w.prefix == "out/1/"] == ["kept long enough"] * goes


def test_nothing_goes_where_most_of_all_would(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the wrong database, or an empty one."""
    monkeypatch.setattr("scrub.FEW_OBJECTS", 3)
    for task in (1, 2):
        place.task(task, None)
    place.task(3, "encoding")

    with pytest.raises(TooMuch, match=r"8 of 12 objects can go, 67%, which is more than 50%.* with --most 67"):
        scrub(place.settings, dry_run=False, most=0.5)
    assert len(place.left()) == 6

    # a dry run tells all of it
    assert scrub(place.settings, dry_run=True, most=0.5) == (8, 40)
    assert "more than 50%" in capsys.readouterr().out
    # and with the share that it names it goes
    assert scrub(place.settings, dry_run=False, most=0.67) == (8, 40)
    assert place.left() == {"tmp/3", "out/3"}


def test_by_the_command_line_prometheus_hears_of_each_run_but_dry_ones(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrub.FEW_OBJECTS", 3)
    monkeypatch.setattr("scrub.configure", lambda *_: None)  # the log of the tests stays as it is
    place.task(1, None)
    folder = tmp_path / "textfiles"
    folder.mkdir()
    settings = {
        "RAVEN_DATABASE": place.settings.database, "RAVEN_STORAGE": place.settings.storage,
        "RAVEN_TEMPORARY": str(place.settings.temporary), "RAVEN_METRICS_FOLDER": str(folder),
    }  # fmt: skip

    dry = CliRunner().invoke(main, ["--dry-run"], env=settings)
    assert (dry.exit_code, list(folder.iterdir())) == (0, [])

    refused = CliRunner().invoke(main, ["--most", "50"], env=settings)
    told = read((folder / FILE).read_text())
    assert (refused.exit_code, told("raven_scrub_succeeded"), told("raven_scrub_removed_objects")) == (1, 0, 0)

    done = CliRunner().invoke(main, ["--most", "100"], env=settings)
    told = read((folder / FILE).read_text())
    assert (done.exit_code, told("raven_scrub_succeeded")) == (0, 1), done.output
    assert (told("raven_scrub_removed_objects"), told("raven_scrub_removed_bytes")) == (4, 20)


def test_few_objects_may_go_although_they_are_all_that_there_is(place: Place) -> None:
    place.task(1, None)

    assert scrub(place.settings, dry_run=False, most=0.5) == (4, 20)


def test_a_task_that_is_tried_again_between_the_look_and_the_removal_loses_nothing(place: Place) -> None:
    place.task(1, "failed")
    scrubber = Scrubber(place.database, place.storage, None, NOW.timestamp())
    survey = scrubber.survey()
    place.database.execute("UPDATE tasks SET status = 'encoding'")

    assert _remove(survey, scrubber, dry_run=False) == (0, 0)
    assert place.left() == {"tmp/1", "out/1"}


def test_scrubbing_removes_the_waste_and_keeps_the_rest(place: Place) -> None:
    for task, status in ((1, "done"), (2, None), (3, "preparing"), (4, "failed")):
        place.task(task, status)

    counted = scrub(place.settings, dry_run=False)

    assert counted == (10, 50)
    assert place.left() == {"out/1", "tmp/3", "out/3"}
    assert scrub(place.settings, dry_run=False) == (0, 0)


def test_lines_of_history_go_when_they_are_old_enough(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    day, now = 86_400_000, time.time_ns() // 1_000_000
    for at in (now - 91 * day, now - 89 * day, now, now + 400 * day):
        place.database.execute("INSERT INTO history (task_id, at, event) VALUES (1, ?, 'encode done')", (at,))

    def left() -> int:
        return len(place.database.query("SELECT id FROM history"))

    scrub(place.settings, dry_run=True)
    assert "history: 1 lines, older than 90 days, would go" in capsys.readouterr().out
    assert left() == 4
    scrub(place.settings, dry_run=False)
    assert "history: 1 lines, older than 90 days, removed" in capsys.readouterr().out
    assert left() == 3
    scrub(place.settings.model_copy(update={"history_days": 2.5}), dry_run=False)
    assert left() == 2
    place.database.execute("UPDATE history SET at = 1 WHERE at > ?", (now,))
    scrub(place.settings.model_copy(update={"history_days": 36525}), dry_run=False)
    assert left() == 2


def test_where_something_is_wrong_history_stays_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be that of another farm."""
    monkeypatch.setattr("scrub.FEW_OBJECTS", 3)
    place.task(1, None)
    place.database.execute("INSERT INTO history (task_id, at, event) VALUES (1, 1, 'encode done')")

    with pytest.raises(TooMuch):
        scrub(place.settings, dry_run=False, most=0.5)
    assert len(place.database.query("SELECT id FROM history")) == 1


# upstream


def known(place: Place, *ids: str) -> Settings:
    """With an upstream that says that it knows these."""
    return place.settings.model_copy(update={"upstream_command": ("printf", "%s\\n", *ids)})


def film(place: Place, task: int, reference: str | None, hours: float = 48) -> None:
    place.task(task, "done")
    at = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
    place.database.execute("UPDATE tasks SET reference = ?, finished_at = ? WHERE id = ?", (reference, at, task))


def outputs(place: Place) -> set[str]:
    return {name for name in place.left() if name.startswith("out/")}


def test_what_upstream_no_longer_knows_goes(place: Place) -> None:
    for task, reference in ((1, "a"), (2, "b"), (3, "ü"), (4, None), (5, "")):
        film(place, task, reference)
    film(place, 6, "young", hours=23)  # whoever submits it writes it into its own database afterwards
    place.task(7, "encoding")
    place.database.execute("UPDATE tasks SET reference = 'elsewhere' WHERE id = 7")

    scrub(known(place, "a", "", "  ü  ", "others"), dry_run=False, most=0.5)

    assert outputs(place) == {"out/1", "out/3", "out/4", "out/5", "out/6", "out/7"}


def test_without_an_upstream_references_are_the_client_s_own_affair(place: Place) -> None:
    film(place, 1, "a")
    scrub(place.settings, dry_run=False)
    assert outputs(place) == {"out/1"}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("false",), "false ended with status 1"),
        (("sh", "-c", "echo a; echo 'no route' >&2; exit 3"), "status 3: no route"),
        (("sh", "-c", "echo a; kill -9 $$"), "status -9"),
        (("true",), "knows of no id at all"),
        (("/nonexistent/upstream",), "cannot be run: No such file"),
        (("printf", "\\377"), "not UTF-8"),
    ],
)
def test_an_upstream_that_fails_or_knows_nothing_stops_the_run(
    place: Place, command: tuple[str, ...], why: str
) -> None:
    film(place, 1, "a")
    place.task(2, None)

    with pytest.raises(NoAnswer, match=why):
        scrub(place.settings.model_copy(update={"upstream_command": command}), dry_run=False)

    assert place.left() == {"out/1", "tmp/1", "out/2", "tmp/2"}


def test_an_upstream_that_knows_too_little_stops_the_run(place: Place) -> None:
    """However few films there are: an answer that was cut off looks like many that were deleted."""
    for task, reference in enumerate("abcd", 1):
        film(place, task, reference)
    place.task(5, None)

    with pytest.raises(TooMuch, match=r"upstream does not know 3 of 4 films, 75%, .* with --most 75"):
        scrub(known(place, "a"), dry_run=False, most=0.5)
    assert len(outputs(place)) == 5

    scrub(known(place, "a"), dry_run=False, most=0.75)
    assert outputs(place) == {"out/1"}


def test_upstream_may_be_a_query_in_another_database(place: Place, tmp_path: Path) -> None:
    other = SqliteDatabase(tmp_path / "shop.db")
    other.execute("CREATE TABLE films (number INTEGER, live INTEGER)")
    other.execute("INSERT INTO films VALUES (10, 1), (20, 0), (30, 1), (NULL, 1)")
    for task in (1, 2, 3):
        film(place, task, f"{task}0")
    query = {
        "upstream_database": f"sqlite://{tmp_path}/shop.db",
        "upstream_query": "SELECT number FROM films WHERE live",
    }

    scrub(place.settings.model_copy(update=query), dry_run=False, most=0.5)

    assert outputs(place) == {"out/1", "out/3"}
    for wrong in ("SELECT number FROM nowhere", "SELECT number FROM films WHERE live = 2"):
        with pytest.raises(NoAnswer):
            scrub(place.settings.model_copy(update=query | {"upstream_query": wrong}), dry_run=False)


def test_a_command_is_run_without_a_shell_and_without_raven_s_passwords(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVEN_DATABASE", "geheim")
    film(place, 1, "*;geheim")
    words = Settings.model_validate({"upstream_command": "sh -c 'echo \"*;$RAVEN_DATABASE\"; echo x'"}).upstream_command
    assert words[:2] == ("sh", "-c")

    with pytest.raises(TooMuch):  # it says `*;` alone
        scrub(place.settings.model_copy(update={"upstream_command": words}), dry_run=False, most=0.5)
    scrub(known(place, "*;geheim"), dry_run=False)
    assert outputs(place) == {"out/1"}


# several at once, and killed ones


def test_two_at_once_remove_everything_and_neither_fails(place: Place) -> None:
    for task in range(1, 41):
        place.task(task, None if task % 2 else "done")

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(scrub, place.settings, dry_run=False) for _ in range(2)]
        counted = [run.result()[0] for run in runs]

    assert place.left() == {f"out/{task}" for task in range(2, 41, 2)}
    assert max(counted) <= 20 * 4 + 20 * 2 <= sum(counted)


def test_one_that_is_killed_anywhere_leaves_nothing_but_work_for_the_next(place: Place) -> None:
    for task in range(1, 61):
        place.task(task, None if task % 3 else "done")
    environment = without_secrets(os.environ) | {
        "RAVEN_DATABASE": str(place.settings.database),
        "RAVEN_STORAGE": str(place.settings.storage),
        "RAVEN_TEMPORARY": str(place.temporary),
    }
    removed = 0
    for lines in (1, 7, 20):
        command = [sys.executable, "-u", str(SCHEMA.with_name("scrub.py")), "--most", "100"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            removed += sum(1 for _ in islice(run.stdout, lines))  # so far it has come
            run.kill()

    assert removed == 28
    scrub(place.settings, dry_run=False)
    assert place.left() == {f"out/{task}" for task in range(3, 61, 3)}
    assert all(len(list((place.root / name).iterdir())) == 2 for name in place.left())


# temporary folders


def aged(folder: Path, seconds: float) -> Path:
    folder.mkdir(parents=True)
    os.utime(folder, (1_000_000 - seconds, 1_000_000 - seconds))
    return folder


def test_only_old_folders_of_jobs_are_left_over(tmp_path: Path) -> None:
    old = aged(tmp_path / "raven-7-70-abc", FOLDER_SECONDS + 1)
    aged(tmp_path / "raven-7-71-abc", FOLDER_SECONDS - 1)
    aged(tmp_path / "somebody-else-s", FOLDER_SECONDS + 1)
    aged(tmp_path / "deeper" / "raven-7-72-abc", FOLDER_SECONDS + 1)
    (tmp_path / "raven-7-73-file").write_text("")
    os.utime(tmp_path / "raven-7-73-file", (0, 0))

    assert list(old_folders(tmp_path, 1_000_000)) == [old]


def test_an_old_folder_that_a_daemon_holds_stays(tmp_path: Path) -> None:
    """A film that is recorded for days has a job as long."""
    with scratch(7, 70, tmp_path) as folder:
        os.utime(folder, (0, 0))
        assert list(old_folders(tmp_path, time.time())) == []
        assert not discard(folder)
        assert folder.exists()


def test_a_link_in_the_temporary_folder_is_not_followed(tmp_path: Path) -> None:
    """/tmp is everybody's: a link of that name would lead the removal elsewhere, or stop it."""
    aged(tmp_path / "precious", FOLDER_SECONDS + 1)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "raven-7-70-abc").symlink_to(tmp_path / "precious")

    assert list(old_folders(tmp_path / "t", 1_000_000)) == []


def test_scrubbing_removes_old_folders(place: Place) -> None:
    old = place.temporary / "raven-7-70-abc"
    (old / "deep").mkdir(parents=True)
    (old / "deep" / "chunk.nut").write_bytes(b"x")
    os.utime(old, (0, 0))

    scrub(place.settings, dry_run=True)
    assert old.exists()

    scrub(place.settings, dry_run=False)
    assert not old.exists()


def test_unfinished_objects_of_killed_writers_are_found_and_removed_once_they_are_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A young one is being written."""
    place = Place(tmp_path)
    incoming = place.root / ".incoming"
    incoming.mkdir(parents=True)
    for name, age in (("young", FOLDER_SECONDS - 600), ("old", FOLDER_SECONDS + 600)):
        (incoming / name).write_bytes(b"half")
        then = time.time() - age
        os.utime(incoming / name, (then, then))

    scrub(place.settings, dry_run=True)
    assert {part.name for part in incoming.iterdir()} == {"young", "old"}
    assert "would remove 1 unfinished objects" in capsys.readouterr().out

    scrub(place.settings, dry_run=False)
    assert {part.name for part in incoming.iterdir()} == {"young"}
    assert "removed 1 unfinished objects" in capsys.readouterr().out
