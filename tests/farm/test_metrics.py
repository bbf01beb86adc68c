"""Metrics of real daemons on real servers: what a scrape says after an encode, and that no scrape breaks anything."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.deploy.test_prometheus import RULES, dashboard_expressions
from tests.farm.farm import FRAMES, Farm, Servers
from tests.scrape import Scraped, scrape
from tests.servers.fixtures import need
from tests.servers.process import HOST, ChildProcess, clean_environment, free_port, missing_program, program
from tests.servers.process import wait_until as until_ready
from tests.waiting import wait_until

pytestmark = pytest.mark.servers
SECONDS = FRAMES / 25


class Prometheus:
    """The server, and its answers."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        command = [
            *(program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"),
            *(f"--web.listen-address={HOST}:{self._port}", "--log.level=warn"),
        ]
        self._process = ChildProcess(
            "prometheus", command, log=folder / "prometheus.log", env=clean_environment(folder)
        )
        until_ready(lambda: bool(self.get("status/buildinfo")), 60, self._process)

    def get(self, path: str, **query: str) -> Any:
        with urlopen(f"http://{HOST}:{self._port}/api/v1/{path}?{urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def ask(self, expression: str) -> list[str]:
        """The values of all series now."""
        return [series["value"][1] for series in self.get("query", query=expression)["result"]]

    def rules(self) -> set[str]:
        return {rule["health"] for group in self.get("rules")["groups"] for rule in group["rules"]}

    def close(self) -> None:
        self._process.kill()


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {role: free_port() for role in ("watcher", "master", "worker")}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory, servers: Servers, ports: dict[str, int]) -> Iterator[Farm]:
    with closing(Farm(tmp_path_factory.mktemp("metrics"), servers, RAVEN_SECOND_RUNS="false")) as farm:
        for role, port in ports.items():
            farm.start(role, f"the-{role}", RAVEN_METRICS=f"{HOST}:{port}", RAVEN_LOG_LEVEL="warning")
        farm.until_seen()
        yield farm
        assert farm.complaints() == []


@pytest.fixture(scope="module")
def source(farm: Farm, film: Path) -> Path:
    """The film where the master may read it."""
    return Path(shutil.copy(film, farm.sources / "film.ts"))


@pytest.fixture(scope="module")
def task(farm: Farm, source: Path) -> int:
    """A film that is done."""
    task = farm.submit(source, profile="tiny")
    farm.done(task)
    return task


def told(port: int, name: str, value: float = 1, **labels: str) -> Scraped:
    """A scrape that shows this value: reports and looks at the farm take a moment."""

    def has() -> Scraped | None:
        found = scrape(port)
        return found if name in found.names and found(name, **labels) == value else None

    return wait_until(has, f"{name} {labels} is {value}")


def test_a_worker_tells_what_it_has_encoded_and_how_fast(farm: Farm, ports: dict[str, int], task: int) -> None:
    worker = told(ports["worker"], "raven_jobs_total", kind="audio", outcome="done")

    chunks = len(farm.history(task, "encode done"))
    assert worker("raven_jobs_total", kind="encode", outcome="done") == chunks > 1
    assert worker("raven_encoded_frames_total") == FRAMES
    assert worker("raven_encoded_film_seconds_total") == pytest.approx(SECONDS)
    assert worker("raven_encode_speed_ratio_count") == chunks
    assert worker("raven_jobs_running") == 0
    sizes = sum(len(content) for content in farm.outputs(task).values())
    assert 0.5 * sizes < worker("raven_storage_bytes_total", operation="put") < sizes, "all but what the master writes"
    assert worker("raven_storage_seconds_count", operation="fetch") >= chunks
    assert worker("raven_broker_connected") == 1


def test_a_master_tells_how_long_publishing_took(ports: dict[str, int], task: int) -> None:
    master = told(ports["master"], "raven_job_seconds_count", kind="publish")

    assert master("raven_job_seconds_count", kind="publish") == 1
    assert 0 < master("raven_job_seconds_sum", kind="publish") < 60
    assert master("raven_jobs_total", kind="prepare", outcome="done") == 1
    assert master("raven_storage_errors_total") == 0


def test_the_watcher_tells_of_tasks_jobs_and_nodes(farm: Farm, ports: dict[str, int], task: int) -> None:
    watcher = told(ports["watcher"], "raven_farm_tasks", 0)

    assert watcher("raven_watcher_at_work") == 1
    assert watcher("raven_tasks_ended_total", status="done") == 1
    sizes = sum(len(content) for content in farm.outputs(task).values())
    assert 0.5 * sizes < watcher("raven_published_bytes_total") < sizes, "all but manifests"
    assert watcher("raven_job_changes_total", kind="encode", change="done") == len(farm.history(task, "encode done"))
    assert watcher("raven_farm_slots", lane="worker") == 1
    assert watcher("raven_farm_jobs_waiting", lane="worker") == 0
    assert watcher("raven_farm_nodes", node="the-worker", role="worker", state="ready") == 1
    assert watcher("raven_database_seconds_count", operation="commit") > 0
    assert watcher("raven_database_errors_total") == 0


def test_scrapers_that_hang_do_not_hold_up_an_encode(farm: Farm, ports: dict[str, int], source: Path) -> None:
    with ExitStack() as stack:
        for port in ports.values():
            for _ in range(20):
                stack.enter_context(socket.create_connection((HOST, port))).sendall(b"GET /metrics")
        farm.done(farm.submit(source, profile="tiny"))


@pytest.fixture
def prometheus(tmp_path: Path, ports: dict[str, int]) -> Iterator[Prometheus]:
    """A real one with the alerts of deploy/, which scrapes the farm each second."""
    need(missing_program({"prometheus": "prometheus"}))
    targets = "".join(
        f"      - {{targets: ['{HOST}:{port}'], labels: {{role: {role}}}}}\n" for role, port in ports.items()
    )
    (tmp_path / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{RULES}']\n"
        f"scrape_configs:\n  - job_name: raven\n    static_configs:\n{targets}"
    )
    with closing(Prometheus(tmp_path)) as found:
        yield found


def test_a_real_prometheus_fills_the_dashboard_and_finds_the_farm_well(prometheus: Prometheus, task: int) -> None:
    wait_until(lambda: prometheus.ask('count(up{job="raven"} == 1)') == ["3"], "all three are scraped")
    wait_until(lambda: prometheus.rules() == {"ok"}, "each rule was evaluated, and none has a fault")

    at_once = [expression for expression in dashboard_expressions() if not re.search("rate|increase|scrub", expression)]
    assert len(at_once) > 10
    for expression in dashboard_expressions():
        prometheus.ask(expression)  # raises where it is no question
    idle = ["raven_farm_jobs_running", "raven_farm_encode_speed"]
    empty = [expression for expression in at_once if not prometheus.ask(expression)]
    assert [expression for expression in empty if not any(name in expression for name in idle)] == []
    alerts = prometheus.get("alerts")["alerts"]
    assert [alert for alert in alerts if alert["state"] == "firing"] == []


def test_a_failed_task_and_its_cause_are_counted(farm: Farm, ports: dict[str, int]) -> None:
    farm.ended(farm.submit(farm.sources / "missing.mkv"))

    watcher = told(ports["watcher"], "raven_tasks_ended_total", status="failed")
    master = told(ports["master"], "raven_jobs_total", kind="prepare", outcome="failed")

    assert watcher("raven_tasks_ended_total", status="failed") == 1
    assert master("raven_jobs_total", kind="prepare", outcome="failed") == 1


def test_of_two_watchers_the_one_at_work_tells_of_the_farm(farm: Farm, ports: dict[str, int]) -> None:
    """Else whatever is summed over all daemons would count twice."""
    port = free_port()
    second = farm.start("watcher", "second", RAVEN_METRICS=f"{HOST}:{port}", RAVEN_LOG_LEVEL="info")
    farm.until(lambda: second.logged(event="this watcher stands by"), "it stands by")
    assert "raven_farm_slots" not in told(port, "raven_watcher_at_work", 0).names
    assert "raven_farm_slots" in scrape(ports["watcher"]).names

    first = farm.daemons.pop("the-watcher")
    first.signal(signal.SIGTERM)
    assert first.exit_status() == 0

    told(port, "raven_watcher_at_work", 1)
    told(port, "raven_farm_slots", 1, lane="worker")
