"""The dashboard is what Grafana takes for one, by the types that its makers publish. No Grafana is run."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import DEPLOY
from tests.players.modules import node_modules
from tests.servers.fixtures import need
from tests.servers.process import missing_program

pytestmark = [pytest.mark.players, pytest.mark.xdist_group("grafana")]
TYPES = Path(__file__).parents[1] / "grafana"
OPTIONS = {"stat": "StatPanel", "timeseries": "TimeSeriesPanel"}
"""The panels that are used, and what their options are."""
COMPILER = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--target",
    "es2022",
]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "raven.json").read_text("utf-8"))


def parts(board: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The type that each part has to have, and the part."""
    yield "Board", board
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield OPTIONS[panel["type"]], panel["options"]
            yield from (("Query", target) for target in panel["targets"])
            if drawn := panel["fieldConfig"]["defaults"].get("custom"):
                yield "Drawn", drawn


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What the compiler says of dashboards."""
    need(missing_program({"npm": "npm"}))
    modules, folder = node_modules(TYPES), tmp_path_factory.mktemp("grafana")
    (folder / "node_modules").symlink_to(modules)
    shutil.copy(TYPES / "types.ts", folder)
    compiler = ["node", str(modules / "typescript" / "bin" / "tsc"), *COMPILER, str(folder / "board.ts")]

    def found(*boards: dict[str, Any]) -> str:
        pieces = [piece for board in boards for piece in parts(board)]
        lines = [f'import type {{ {", ".join(sorted({name for name, _ in pieces}))} }} from "./types";']
        lines += [f"export const part{n}: {name} = {json.dumps(part)};" for n, (name, part) in enumerate(pieces)]
        (folder / "board.ts").write_text("\n".join(lines), "utf-8")
        return subprocess.run(compiler, capture_output=True, text=True, check=False, timeout=120).stdout

    return found


def test_grafana_knows_each_field_of_the_dashboard_and_misses_none(faults: Callable[..., str]) -> None:
    assert faults(BOARD) == ""


STAT, LINES = (next(n for n, panel in enumerate(BOARD["panels"]) if panel["type"] == kind) for kind in OPTIONS)
SLIPS: dict[str, list[str | int]] = {
    "pannels": [],
    "refreshh": ["templating", "list", 0],
    "iconColour": ["annotations", "list", 0],
    "unitt": ["panels", STAT, "fieldConfig", "defaults"],
    "colourMode": ["panels", STAT, "options"],
    "exprr": ["panels", STAT, "targets", 0],
    "placementt": ["panels", LINES, "options", "legend"],
    "showPointss": ["panels", LINES, "fieldConfig", "defaults", "custom"],
}


def with_slip(place: list[str | int], slip: str) -> dict[str, Any]:
    board: Any = copy.deepcopy(BOARD)
    part = board
    for step in place:
        part = part[step]
    part[slip] = "x"
    return dict(board)


def test_a_slip_of_the_pen_is_found_in_each_part(faults: Callable[..., str]) -> None:
    """Else that part would not have been looked at."""
    said = faults(*(with_slip(place, slip) for slip, place in SLIPS.items()))

    assert [slip for slip in SLIPS if slip not in said] == []
