"""Metrics: what is counted of what is logged and asked for, and a port that nobody can block."""

from __future__ import annotations

import ast
import errno
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import RemoteDisconnected
from pathlib import Path
from urllib.error import URLError

import pytest
import structlog
from prometheus_client import generate_latest

from raven.adapters.directory import DirectoryStorage
from raven.adapters.sqlite import SqliteDatabase
from raven.config import Settings
from raven.errors import ConfigError, ObjectMissing, Standby, TaskError, Unavailable
from raven.log import configure
from raven.metrics import events, farm, scrub, server
from raven.metrics.farm import FARM, FarmNumbers
from raven.metrics.ports import MeteredDatabase, MeteredStorage
from raven.wiring import open_database, open_storage
from tests.authority import Authority
from tests.scrape import Scraped, read, scrape
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EMPTY = FarmNumbers({}, {}, {}, {}, {}, {}, {})


def shown(role: str = "watcher") -> Scraped:
    return read(generate_latest(server.registry_of(role)).decode())


# from the log


def said(event: str, **fields: object) -> None:
    events.count(None, "info", {"event": event, **fields})


def events_in_the_code() -> set[str]:
    """The first argument of each call of a method of `log`, also where it is one of two."""
    calls = (
        node.args[0]
        for package in ("raven", "watcher", "master", "worker")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.") and node.args
    )
    return {
        text.value
        for call in calls
        for text in ast.walk(call)
        if isinstance(text, ast.Constant)
        if isinstance(text.value, str)
    }


def test_each_event_that_is_counted_is_one_that_is_logged() -> None:
    """Events are known by their words: whoever changes them in one place learns of the other."""
    assert set(events.EVENTS) <= events_in_the_code()


def test_a_done_encode_counts_its_frames_and_its_speed() -> None:
    before = shown("worker")

    said("job begun", kind="encode")
    running = shown("worker")
    said("job done", kind="encode", seconds=2.5, frames=250, film_seconds=10.0, speed=4.0)

    after = shown("worker")
    assert running("raven_jobs_running", kind="encode") == before("raven_jobs_running", kind="encode") + 1
    assert after("raven_jobs_running", kind="encode") == before("raven_jobs_running", kind="encode")
    for name, value in {
        "raven_encoded_frames_total": 250,
        "raven_encoded_film_seconds_total": 10,
        "raven_encode_speed_ratio_sum": 4,
        "raven_job_seconds_sum": 2.5,
    }.items():
        assert after(name) - before(name) == value, name
    done = {"kind": "encode", "outcome": "done"}
    assert after("raven_jobs_total", **done) - before("raven_jobs_total", **done) == 1


@pytest.mark.parametrize(
    ("event", "fields", "name", "labels"),
    [
        ("lease lapsed", {}, "raven_jobs_taken_away_total", {"reason": "silence"}),
        ("message lost", {}, "raven_jobs_taken_away_total", {"reason": "message lost"}),
        ("job changed", {"kind": "audio", "event_name": "retried"}, "raven_job_changes_total", {"change": "retried"}),
        ("late report", {"report": "done"}, "raven_late_reports_total", {"report": "done"}),
        ("node held", {"role": "worker"}, "raven_quarantines_total", {"role": "worker"}),
        ("message dead-lettered", {"queue": "raven.reports"}, "raven_messages_refused_total", {}),
        ("task failed", {"fault": "no such file"}, "raven_tasks_ended_total", {"status": "failed"}),
        ("notice given up", {"host": "a.example"}, "raven_notices_total", {"outcome": "given up"}),
    ],
)
def test_what_goes_wrong_is_counted(event: str, fields: dict[str, object], name: str, labels: dict[str, str]) -> None:
    before = shown()

    said(event, task=7, job=8, **fields)

    assert shown()(name, **labels) - before(name, **labels) == 1


def test_no_label_names_a_task_or_a_job() -> None:
    """Each value of a label is a series for as long as the daemon runs."""
    said("job changed", task=7, job=8, chunk=9, kind="encode", event_name="done", node="w1")

    labels = {label for role in server.PORTS for _, labels in shown(role).series for label, _ in labels}

    assert labels & {"task", "job", "chunk", "host", "owner", "source"} == set()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.reset_defaults()
    root.handlers = handlers
    root.setLevel(level)


def test_events_below_the_level_of_the_log_count_and_are_not_logged(
    logging_as_before: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(Settings(log_level="error", node="n1"), "watcher", listener=events.count)
    before = shown()

    structlog.get_logger().debug("job changed", kind="text", event_name="retried")
    structlog.get_logger().error("it broke")

    after = shown()
    retried = {"kind": "text", "change": "retried"}
    assert after("raven_job_changes_total", **retried) - before("raven_job_changes_total", **retried) == 1
    assert after("raven_log_lines_total", level="error") - before("raven_log_lines_total", level="error") == 1
    told = capsys.readouterr().err
    assert "it broke" in told
    assert "job changed" not in told


def test_an_event_that_cannot_be_counted_is_told_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    said("late report", task=3)

    assert "an event was not counted" in caplog.text


# through the ports


@pytest.fixture
def database(tmp_path: Path) -> Iterator[MeteredDatabase]:
    """With a table."""
    found = MeteredDatabase(SqliteDatabase(tmp_path / "raven.db"))
    found.script("CREATE TABLE films (name TEXT);")
    yield found
    found.close()


def names_in(database: MeteredDatabase) -> list[str]:
    return [row["name"] for row in database.query("SELECT name FROM films")]


def test_statements_and_commits_are_measured(database: MeteredDatabase) -> None:
    before = shown()

    with database.transaction():
        assert database.execute("INSERT INTO films VALUES (?)", ("kept",)) == 1

    assert names_in(database) == ["kept"]
    after = shown()
    for operation in ("begin", "execute", "commit", "query"):
        name, labels = "raven_database_seconds_count", {"operation": operation}
        assert after(name, **labels) - before(name, **labels) == 1, operation


def test_a_transaction_that_breaks_is_undone(database: MeteredDatabase) -> None:
    with pytest.raises(TaskError, match="no"), database.transaction():
        database.execute("INSERT INTO films VALUES ('lost')")
        raise TaskError("no")

    assert names_in(database) == []
    with database.transaction():
        database.execute("INSERT INTO films VALUES ('kept')")
    assert names_in(database) == ["kept"]


class Away(SqliteDatabase):
    """A server that does not answer, or says that another has the lock."""

    fault: type[Unavailable] = Unavailable

    def execute(self, sql: str, parameters: object = ()) -> int:
        raise self.fault("it is away")


@pytest.mark.parametrize(("fault", "counts"), [(Unavailable, 1), (Standby, 0)])
def test_a_server_that_is_away_is_counted_and_a_watcher_that_stands_by_is_not(
    tmp_path: Path, fault: type[Unavailable], counts: int
) -> None:
    away = Away(tmp_path / "raven.db")
    away.fault = fault
    before = shown()

    with pytest.raises(fault):
        MeteredDatabase(away).execute("SELECT 1")

    assert shown()("raven_database_errors_total") - before("raven_database_errors_total") == counts


def test_what_goes_to_the_storage_and_comes_from_it_is_measured(tmp_path: Path) -> None:
    storage, copy, film = MeteredStorage(DirectoryStorage(tmp_path / "objects")), tmp_path / "copy", tmp_path / "film"
    film.write_bytes(b"film")
    before = shown("worker")

    storage.put("out/1/a", b"12345")
    storage.put("out/1/b", film)
    assert storage.get("out/1/a", 1, 2) == b"23"
    storage.fetch("out/1/b", copy)
    assert [entry.key for entry in storage.entries("out/")] == ["out/1/a", "out/1/b"]
    assert storage.delete_prefix("out/1/") == 2
    assert list(storage.entries("out/")) == []
    with pytest.raises(ObjectMissing):
        storage.get("out/1/a")

    assert copy.read_bytes() == b"film"
    after = shown("worker")
    for operation, (times, size) in {"put": (2, 9), "get": (2, 2), "fetch": (1, 4), "list": (2, 0)}.items():
        labels = {"operation": operation}
        count, bytes_ = "raven_storage_seconds_count", "raven_storage_bytes_total"
        assert after(count, **labels) - before(count, **labels) == times, operation
        assert after(bytes_, **labels) - before(bytes_, **labels) == size, operation
    errors = "raven_storage_errors_total"
    assert after(errors) == before(errors), "an object that is not there is an answer"


def test_without_the_setting_nothing_is_measured(tmp_path: Path) -> None:
    off = Settings(database=f"sqlite://{tmp_path}/raven.db", storage=f"file://{tmp_path}")
    on = off.model_copy(update={"metrics": "127.0.0.1"})

    assert type(open_database(off)) is SqliteDatabase
    assert type(open_storage(off)) is DirectoryStorage
    assert type(open_database(on)) is MeteredDatabase
    assert type(open_storage(on)) is MeteredStorage


# the farm


def test_the_farm_is_shown_as_it_was_noted_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = FarmNumbers(
        slots={"worker": 4}, queued={"worker": 6}, waiting={"worker": 90}, running={("encode", "w1"): 3},
        speeds={"w1": 5.5}, nodes={("w1", "worker", "ready"): 1}, tasks={"encoding": 2},
    )  # fmt: skip
    FARM.note(numbers)
    now = shown()
    monkeypatch.setattr(farm, "KEPT_SECONDS", 0.0)
    old = shown()
    FARM.note(None)

    assert now("raven_farm_slots", lane="worker") == 4
    assert now("raven_farm_jobs_queued", lane="worker") == 6
    assert now("raven_farm_jobs_waiting", lane="worker") == 90
    assert now("raven_farm_jobs_running", kind="encode", node="w1") == 3
    assert now("raven_farm_encode_speed", node="w1") == 5.5
    assert now("raven_farm_nodes", node="w1", role="worker", state="ready") == 1
    assert now("raven_farm_tasks", status="encoding") == 2
    assert not {name for name in old.names if name.startswith("raven_farm")}


def test_a_watcher_that_stands_by_shows_no_farm() -> None:
    FARM.note(EMPTY)
    FARM.note(None)

    assert not {name for name in shown().names if name.startswith("raven_farm")}


# the port


def test_a_role_shows_its_own_metrics_and_its_process() -> None:
    port = server.serve("127.0.0.1:0", "worker")

    found = scrape(port)

    assert found("raven_build_info", role="worker") == 1
    assert found("process_resident_memory_bytes") > 1e6
    assert "raven_watcher_at_work" not in found.names


def test_the_port_is_one_for_each_role_or_the_one_that_is_named() -> None:
    assert server._place("127.0.0.1", "watcher") == ("127.0.0.1", 9741)
    assert server._place("raven-7.example", "worker") == ("raven-7.example", 9743)
    assert server._place("10.0.0.7:9999", "master") == ("10.0.0.7", 9999)
    assert server._place("[::1]", "master") == ("::1", 9742)
    assert server._place("[::1]:80", "master") == ("::1", 80)


@pytest.mark.parametrize("where", ["", ":9741", "::1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "[::1]9", "a:²"])
def test_what_is_no_place_is_refused_with_the_form(where: str) -> None:
    with pytest.raises(ConfigError, match=r"^metrics: .*write address or address:port"):
        server.serve(where, "worker")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_host_s_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ADDRESS_SECONDS", 0.0)
    with pytest.raises(ConfigError, match=f"^metrics: {host} port 9743 cannot be listened at: "):
        server.serve(host, "worker")


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), socket.gaierror(socket.EAI_AGAIN, "Try again")],
    ids=["address", "name"],
)
def test_an_address_that_a_host_gets_a_moment_later_is_waited_for(
    fault: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it comes up after a power failure: systemd leaves a daemon down that takes its settings for wrong."""
    faults, bind = [fault, fault], server._Server.server_bind

    def not_yet(self: server._Server) -> None:
        if faults:
            raise faults.pop()
        bind(self)

    monkeypatch.setattr(server._Server, "server_bind", not_yet)

    assert "raven_build_info" in scrape(server.serve("127.0.0.1:0", "worker")).names
    assert faults == []


def test_a_port_that_another_daemon_has_is_refused() -> None:
    port = server.serve("127.0.0.1:0", "worker")

    with pytest.raises(ConfigError, match=r"in use.*another port"):
        server.serve(f"127.0.0.1:{port}", "worker")


def test_a_client_that_says_nothing_is_cut_off_and_crowds_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 1.0)
    port = server.serve("127.0.0.1:0", "worker")
    with ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3 * server.AT_ONCE)]
        for client in crowd:
            client.settimeout(60)
            assert client.recv(1) == b"", "each is closed, at once or after its time"

        def again() -> Scraped | None:
            try:
                return scrape(port)
            except OSError:  # its thread is just ending
                return None

        assert wait_until(again, "the next scrape is answered")("raven_build_info") == 1


def test_a_scrape_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with structlog.testing.capture_logs() as told:
        port = server.serve("127.0.0.1:0", "watcher")
        monkeypatch.setattr(FARM, "collect", lambda: 1 / 0)
        with pytest.raises(RemoteDisconnected):
            scrape(port)

    assert [line["fault"] for line in told if line["event"] == "a scrape broke"] == [
        "ZeroDivisionError('division by zero')"
    ]


def test_by_tls_only_who_speaks_tls_is_told(tmp_path: Path) -> None:
    made = Authority(tmp_path).certify("metrics", "IP:127.0.0.1")
    port = server.serve("127.0.0.1:0", "worker", made.both)

    assert scrape(port, made.trusted)("raven_build_info", role="worker") == 1
    with structlog.testing.capture_logs() as told:
        with pytest.raises(URLError, match="certificate verify failed"):
            scrape(port, Authority(tmp_path, "other").file)
        with pytest.raises(OSError, match=r"[Rr]emote end closed|reset"):
            scrape(port)
        silent = socket.create_connection(("127.0.0.1", port))
        assert scrape(port, made.trusted)("raven_build_info") == 1, "while another one drags out its handshake"
        silent.close()
    assert told == [], "anybody may knock"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_what_is_no_certificate_is_refused_at_the_start(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "metrics.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(
        ConfigError, match=r"^metrics_tls: .*/metrics\.pem is no PEM file with a certificate and its key"
    ):
        server.serve("127.0.0.1:0", "worker", file)


# the cleaner


def test_a_run_of_the_cleaner_leaves_what_came_of_it(tmp_path: Path) -> None:
    with scrub.told(tmp_path) as outcome:
        outcome.objects, outcome.bytes = 12, 3456
    good = read((tmp_path / scrub.FILE).read_text())
    with pytest.raises(Unavailable), scrub.told(tmp_path):
        raise Unavailable("the storage is away")
    bad = read((tmp_path / scrub.FILE).read_text())

    assert good("raven_scrub_succeeded") == 1
    assert (good("raven_scrub_removed_objects"), good("raven_scrub_removed_bytes")) == (12, 3456)
    assert bad("raven_scrub_succeeded") == 0
    assert bad("raven_scrub_ended_timestamp_seconds") >= good("raven_scrub_ended_timestamp_seconds") > 1.7e9
    assert list(tmp_path.iterdir()) == [tmp_path / scrub.FILE], "nothing half written is left"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"^metrics_folder: .*raven_scrub.prom cannot be written"),
        scrub.told(tmp_path / "missing"),
    ):
        pass


def test_without_the_setting_the_client_library_is_not_even_loaded() -> None:
    """`raven encode` and the daemons of a farm without Prometheus do not pay for it."""
    code = (
        "import sys, raven.cli, watcher.daemon, master.daemon, worker.daemon, scrub;"
        " print('prometheus_client' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert said.stdout.strip() == "False"
