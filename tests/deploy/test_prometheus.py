"""Alerts and dashboard: they parse, each alert fires when it should, and what they ask for is what daemons export."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from raven.metrics.server import PORTS, registry_of
from tests.deploy.tools import DEPLOY, check
from tests.exported import exported

FOLDER, DASHBOARD = DEPLOY / "prometheus", DEPLOY / "grafana" / "raven.json"
RULES, CASES = FOLDER / "raven.rules.yml", FOLDER / "raven.rules.test.yml"
RUNBOOK = DEPLOY.parent / "docs" / "runbook.md"
OTHERS = {"up", "ALERTS", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""What Prometheus itself, or the client library, has."""
OF_SCRAPE = {"job", "instance", "role", "le"}
"""Labels that Prometheus adds, and the one of histograms."""


def alerts() -> dict[str, str]:
    """The text of each alert by its name."""
    blocks = re.split(r"^ +- alert: ", RULES.read_text("utf-8"), flags=re.M)[1:]
    return {block.split()[0]: block for block in blocks}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def asked(text: str) -> dict[str, set[str]]:
    """Names of metrics in expressions, and the labels by which they are chosen."""
    found: dict[str, set[str]] = {}
    for name, choice in re.findall(r"\b(raven_\w+|process_\w+|up|ALERTS)\b(?:\{([^}]*)\})?", text):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=|!)", choice))
    return found


def alert_expressions() -> str:
    return "\n".join(block.partition("labels:")[0].partition("expr:")[2] for block in alerts().values())


def test_rules_and_example_parse() -> None:
    assert f"{len(alerts())} rules found" in check("prometheus", "promtool", "check", "rules", RULES)
    assert "is valid" in check("prometheus", "promtool", "check", "config", FOLDER / "prometheus.yml")


@pytest.mark.parametrize("role", PORTS)
def test_metrics_are_named_and_typed_as_prometheus_wants_them(role: str, tmp_path: Path) -> None:
    """Units, totals and help, by its own linter."""
    file = tmp_path / "metrics"
    file.write_bytes(generate_latest(registry_of(role)))
    assert file.stat().st_size > 1000

    assert check("prometheus", "sh", "-c", f"promtool check metrics < {file}") == ""


def test_the_example_has_the_ports_that_daemons_take() -> None:
    example = (FOLDER / "prometheus.yml").read_text("utf-8")
    targets = dict(reversed(found) for found in re.findall(r"targets: \[(.*)\]\n +labels: \{role: (\w+)\}", example))

    assert {role: set(re.findall(r":(\d+)", listed)) for role, listed in targets.items()} == {
        role: {str(port)} for role, port in PORTS.items()
    }


def test_alerts_come_when_they_should_and_not_before() -> None:
    assert "SUCCESS" in check("prometheus", "promtool", "test", "rules", CASES)


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    cases = CASES.read_text("utf-8")

    for name, text in alerts().items():
        severity = re.findall(r"severity: (\w+)", text)[0]
        fires = rf'alertname="{name}", alertstate="firing", severity="{severity}"}}\)\'\n +eval_time: \w+\n'
        assert re.search(fires + r" +exp_samples: \[\{labels", cases), name


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_grave_it_is_what_is_wrong_and_where_to_read_on(name: str) -> None:
    text = alerts()[name]

    assert re.search(r"labels: \{severity: (critical|warning)\}", text)
    assert re.search(r"summary: \S", text)
    assert f"runbook: docs/runbook.md#{name.lower()}\n" in text
    assert re.search(rf"^### {name}$", RUNBOOK.read_text("utf-8"), re.M), "the runbook has its section"


def test_what_is_asked_for_is_what_daemons_export() -> None:
    """And the labels by which it is chosen are the metric's own."""
    known = exported()
    wanted = asked(alert_expressions() + "\n".join(dashboard_expressions()))

    assert len(wanted) > 30
    assert {name for name in wanted if name not in known} <= OTHERS
    wrong = {name: labels - known.get(name, labels) - OF_SCRAPE for name, labels in wanted.items()}
    assert {name: labels for name, labels in wrong.items() if labels and name != "ALERTS"} == {}


def test_what_daemons_export_is_explained_to_operators() -> None:
    manual = (RUNBOOK.parent / "operations.md").read_text("utf-8").partition("## Metrics")[2].partition("\n## ")[0]
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()}
    # `raven_farm_slots`, `_jobs_queued` is short for the first one's beginning and the second one's end
    ends = re.findall(r"`(raven)?(_\w+)`", manual)

    assert [name for name in sorted(shown) if not any(name.endswith(end) for _, end in ends)] == []


def test_the_dashboard_has_panels_that_prometheus_understands(tmp_path: Path) -> None:
    rules = [f"      - {{record: 'panel:{n}', expr: {json.dumps(e)}}}" for n, e in enumerate(dashboard_expressions())]
    file = tmp_path / "panels.yml"
    file.write_text("\n".join(["groups:", "  - name: panels", "    rules:", *rules, ""]))

    assert f"{len(rules)} rules found" in check("prometheus", "promtool", "check", "rules", file)
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids) > 20
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len(places) == len(ids), "no panel lies on another"
