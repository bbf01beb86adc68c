"""The design's layer table, walked by machine: who may import whom, what stays pure, how large a thing may grow."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DAEMONS = frozenset({"watcher", "master", "worker", "tracker"})
PACKAGES = ("raven", *sorted(DAEMONS))
COMPOSERS = frozenset({"raven.local", "raven.cli"})
"""The two files that compose the whole farm in one process."""
METERED = frozenset({"raven.wiring", "raven.daemon", "watcher.daemon", "watcher.numbers", "scrub"})
"""Who sets metrics up, or looks at the farm for them."""
FOREIGN = frozenset({"pika", "pymysql", "boto3", "botocore"})
IMPURE = frozenset({"os", "time", "subprocess", "logging", "structlog", "socket", "threading", "random", "datetime"})
PURE = (
    *(f"watcher.{name}" for name in ("rows", "ledger", "plan", "transitions", "orders", "schedule", "show", "health")),
    "watcher.updates",
    "watcher.callbacks",
    "watcher.letters",
    *(f"raven.{name}" for name in ("names", "model", "messages", "alive", "errors", "profile", "capacity")),
    "raven.doctor.findings",
)
OPENS_SOURCES = frozenset({"raven.media.probe", "raven.check.readers", "raven.check.load"})
"""The rest of raven.media and raven.check is pure too."""
FILES = frozenset({"io", "pathlib", "shutil", "tempfile"})
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, its text and what was parsed of it."""

    name: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def read_modules() -> list[Module]:
    """All product modules; scrub.py stands alone."""
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))] + [ROOT / "scrub.py"]
    return [_module(file) for file in files]


def _module(file: Path) -> Module:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), file.read_text("utf-8"), is_package)


MODULES = read_modules()


# what a module imports


def imported(module: Module) -> set[str]:
    """Every dotted name that a module imports anywhere in it, functions and TYPE_CHECKING blocks included.

    `from a import b` counts as both `a` and `a.b`, as b may be a module.
    """
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif _is_import_call(node):
            found |= {text.value for text in ast.walk(node) if _is_text(text)}  # type: ignore[attr-defined]
    return found


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _is_import_call(node: ast.AST) -> bool:
    """importlib.import_module("a.b") and __import__("a.b")."""
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _top(name: str) -> str:
    return name.split(".", 1)[0]


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


# the checks: each yields what is wrong, as a sentence


def daemons_apart(module: Module) -> Iterator[str]:
    """A daemon imports raven and itself, never another daemon."""
    here = _top(module.name)
    if here in DAEMONS:
        for name in sorted(imported(module)):
            if _top(name) in DAEMONS - {here}:
                yield f"{module.name} imports {name} of another daemon"


def raven_below(module: Module) -> Iterator[str]:
    """The shared library knows no daemon, but for the composers."""
    if _top(module.name) == "raven" and module.name not in COMPOSERS:
        for name in sorted(imported(module)):
            if _top(name) in DAEMONS:
                yield f"{module.name} imports the daemon's {name}"


def adapters_wired(module: Module) -> Iterator[str]:
    """Only wiring imports adapters, so that everything else stays behind the ports."""
    if module.name != "raven.wiring" and not _within(module.name, "raven.adapters"):
        for name in sorted(imported(module)):
            if _within(name, "raven.adapters"):
                yield f"{module.name} imports {name}"


def drivers_in_adapters(module: Module) -> Iterator[str]:
    """pika, pymysql and boto3 appear in adapters alone."""
    if not _within(module.name, "raven.adapters"):
        for name in sorted(imported(module)):
            if _top(name) in FOREIGN:
                yield f"{module.name} imports {name}"


def metrics_apart(module: Module) -> Iterator[str]:
    """Nobody counts by the way: prometheus_client is known to raven.metrics alone, and that to those who set it up."""
    if not _within(module.name, "raven.metrics"):
        for name in sorted(imported(module)):
            if _top(name) == "prometheus_client":
                yield f"{module.name} imports {name}"
            if _within(name, "raven.metrics") and module.name not in METERED:
                yield f"{module.name} imports {name}"


def pure_is_pure(module: Module) -> Iterator[str]:
    """Pure modules take values and return values; only the profiles' loader may read files."""
    floor = any(_within(module.name, package) for package in ("raven.media", "raven.check"))
    if module.name in PURE or (floor and module.name not in OPENS_SOURCES):
        forbidden = IMPURE if module.name == "raven.profile" else IMPURE | FILES
        for name in sorted(imported(module)):
            if _top(name) in forbidden:
                yield f"{module.name} is pure but imports {name}"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input"):
                yield f"{module.name}:{node.lineno} is pure but calls {ast.unparse(node.func)}"


def no_mode_flag(module: Module) -> Iterator[str]:
    """The mode is three URLs, never a flag."""
    for number, line in enumerate(module.text.splitlines(), 1):
        if "if embedded" in line:
            yield f"{module.name}:{number} asks for the mode"


def short_enough(module: Module) -> Iterator[str]:
    """What does not fit a screen is not read."""
    lines = len(module.text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{module.name} has {lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{module.name}.{node.name} has {length} lines"


def no_shell(module: Module) -> Iterator[str]:
    """Nothing foreign is ever evaluated: no eval, exec, os.system, os.popen, shell=True."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"):
            yield f"{module.name}:{node.lineno} calls {called}"
        for keyword in node.keywords:
            if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value):
                yield f"{module.name}:{node.lineno} passes shell={ast.unparse(keyword.value)}"


Check = Callable[[Module], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    daemons_apart,
    raven_below,
    adapters_wired,
    drivers_in_adapters,
    metrics_apart,
    pure_is_pure,
    no_mode_flag,
    short_enough,
    no_shell,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_code_keeps_to_the_layer_table(check: Check) -> None:
    # When every module is looked at
    faults = [fault for module in MODULES for fault in check(module)]

    # Then nothing is wrong
    assert faults == []


def test_the_walk_sees_the_whole_product() -> None:
    """A walk over nothing would find nothing wrong."""
    names = {module.name for module in MODULES}

    assert {"raven", "raven.media.grid", "raven.adapters.s3", "watcher.plan", "scrub", *PURE, *COMPOSERS} <= names
    assert len(names) == len(MODULES) > 40


def test_every_exception_to_the_table_is_still_needed() -> None:
    """An exception that nobody uses any more is a hole."""
    by_name = {module.name: module for module in MODULES}

    assert all(DAEMONS & {_top(name) for name in imported(by_name[composer])} for composer in COMPOSERS)
    assert any(_within(name, "raven.adapters") for name in imported(by_name["raven.wiring"]))
    assert "pathlib" in imported(by_name["raven.profile"])


# each check can fail

LONG_FUNCTION = "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES
FAULTY: tuple[tuple[Check, str, str], ...] = (
    (daemons_apart, "watcher.plan", "import master"),
    (daemons_apart, "master.cut", "from worker.encode import Tools"),
    (daemons_apart, "worker.audio", "def f():\n    import watcher.plan"),
    (daemons_apart, "worker.audio", "import importlib\nimportlib.import_module('master.cut')"),
    (raven_below, "raven.agent", "from watcher import plan"),
    (raven_below, "raven.daemon", "if TYPE_CHECKING:\n    import master.cut"),
    (raven_below, "raven.media.grid", "__import__('worker')"),
    (adapters_wired, "raven.agent", "from raven.adapters.s3 import S3Storage"),
    (adapters_wired, "raven.agent", "from .adapters import s3"),
    (adapters_wired, "raven.media.probe", "from ..adapters import s3"),
    (adapters_wired, "watcher.store", "from raven import adapters"),
    (adapters_wired, "scrub", "import raven.adapters"),
    (drivers_in_adapters, "raven.wiring", "import boto3"),
    (drivers_in_adapters, "watcher.store", "from pymysql.constants import CLIENT"),
    (drivers_in_adapters, "worker.output", "from botocore import exceptions"),
    (drivers_in_adapters, "raven.agent", "import pika.exceptions as wrong"),
    (metrics_apart, "worker.encode", "from prometheus_client import Counter"),
    (metrics_apart, "raven.agent", "from raven.metrics import definitions"),
    *((pure_is_pure, "watcher.plan", f"import {name}") for name in sorted(IMPURE)),
    (pure_is_pure, "raven.media.command", "from os import path"),
    (pure_is_pure, "raven.names", "from pathlib import Path"),
    (pure_is_pure, "raven.profile", "import time"),
    (pure_is_pure, "raven.check.rules_cmaf", "import pathlib"),
    (pure_is_pure, "raven.media.hls", "def f():\n    return open('x')"),
    (no_mode_flag, "raven.agent", "if embedded:\n    pass"),
    (short_enough, "raven.agent", "\n" * (MAX_MODULE_LINES + 1)),
    (short_enough, "raven.agent", LONG_FUNCTION),
    (short_enough, "raven.agent", "class A:\n    async " + LONG_FUNCTION.replace("\n", "\n    ")),
    (no_shell, "raven.process", "eval('1')"),
    (no_shell, "raven.process", "exec('1')"),
    (no_shell, "raven.process", "os.system('ls')"),
    (no_shell, "raven.process", "subprocess.run('ls', shell=True)"),
    (no_shell, "raven.process", "subprocess.run('ls', shell=flag)"),
)


@pytest.mark.parametrize(("check", "name", "text"), FAULTY)
def test_a_check_finds_its_fault(check: Check, name: str, text: str) -> None:
    """A check that cannot fail would let the table rot."""
    assert len(list(check(Module(name, text)))) >= 1


SOUND: tuple[tuple[Check, str, str], ...] = (
    (daemons_apart, "watcher.plan", "from watcher.rows import JobRow\nfrom raven.model import Value"),
    (daemons_apart, "raven.local", "import watcher.watcher"),
    (raven_below, "raven.local", "import watcher.watcher"),
    (raven_below, "raven.agent", "import workers_of_others, masterful"),
    (adapters_wired, "raven.wiring", "from raven.adapters.s3 import S3Storage"),
    (adapters_wired, "raven.adapters.s3", "from .directory import INCOMING"),
    (drivers_in_adapters, "raven.adapters.s3", "import boto3"),
    (metrics_apart, "raven.wiring", "from raven.metrics.ports import MeteredStorage"),
    (pure_is_pure, "watcher.store", "import time"),
    (pure_is_pure, "raven.profile", "from pathlib import Path"),
    (no_mode_flag, "raven.agent", "whether = 'embedded'"),
    (short_enough, "raven.agent", "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1)),
    (no_shell, "raven.process", "subprocess.run(['ls'], shell=False)\nmodel.evaluate('1')"),
)


@pytest.mark.parametrize(("check", "name", "text"), SOUND)
def test_a_check_lets_sound_code_pass(check: Check, name: str, text: str) -> None:
    assert list(check(Module(name, text))) == []
