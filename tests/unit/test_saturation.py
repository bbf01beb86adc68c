"""The benchmark's model of a large farm: sums that can be done by hand."""

from __future__ import annotations

import pytest

from benchmarks.farm.control import Control
from benchmarks.farm.model import Cost, Load, differences, full_at, use

LOAD = Load(chunk=58.0, heartbeat=2.0, wait=0.5, upload=1.5)
WATCHER = Cost("watcher", job=0.006, report=0.0001, capacity=1)


def run(*, watcher: float, database: float, broker: float, reports: float) -> Control:
    about = {"waiting": 1, "slots": 1, "seconds": 1.0, "rate": 1.0, "median": 0.0, "p99": 0.0}
    left = {"fleet_cpu": 0.0, "memory": 0.0, "idle": 0.0}
    return Control(**about, **left, watcher_cpu=watcher, database_cpu=database, broker_cpu=broker, reports=reports)  # type: ignore[arg-type]


def test_what_a_report_costs_is_what_the_run_with_reports_cost_more() -> None:
    still = run(watcher=6.0, database=2.0, broker=1.0, reports=0)
    telling = run(watcher=7.0, database=3.0, broker=0.9, reports=10)

    costs = differences(still, telling, 10, 4)

    assert [(cost.part, round(cost.job, 9), round(cost.report, 9), cost.capacity) for cost in costs] == [
        ("watcher", 0.006, 0.0001, 1),
        ("database", 0.002, 0.0001, 4),
        ("broker", 0.001, 0.0, 4),  # noise
    ]


def test_a_part_is_as_full_as_its_jobs_and_reports_of_a_second_make_it() -> None:
    found = use(600, [WATCHER], LOAD)

    assert (found.jobs, found.reports) == (10.0, 300.0)
    assert found.parts == {"watcher": pytest.approx(0.06 + 0.03)}
    assert found.efficiency == pytest.approx(58 / 60)


def test_the_part_with_the_least_room_is_full_first() -> None:
    broker = Cost("broker", job=0.006, report=0.0001, capacity=4)
    wire = Cost("wire", job=0.06, report=0.0, capacity=1)

    assert list(full_at([broker, WATCHER, wire], LOAD).items()) == [
        ("wire", 1000),
        ("watcher", 6666),
        ("broker", 26666),
    ]
