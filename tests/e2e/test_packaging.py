"""The wheel holds all that an installed Raven needs: it encodes with nothing of the checkout in reach."""

from __future__ import annotations

import configparser
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.tools import Film, clean_environment, run
from tests.media import generate_clip

ROOT = Path(__file__).parents[2]
MEMBERS = {
    "raven/__main__.py",
    "raven/db.sql",
    "raven/profiles/default.toml",
    "raven/py.typed",
    "raven/media/grid.py",
    "raven/adapters/sqlite.py",
    "watcher/daemon.py",
    "master/cutter.py",
    "worker/daemon.py",
    "scrub.py",
}
SCRIPTS = {"raven", "raven-watcher", "raven-master", "raven-worker"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as a build writes into its source folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    leave = shutil.ignore_patterns(".*", "build", "dist", "out", "*.egg-info", "__pycache__", "node_modules", "tests")
    shutil.copytree(ROOT, source, ignore=leave, symlinks=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    ran = run([*command, "--wheel-dir", str(folder), str(source)], clean_environment())
    assert ran.status == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    """A folder with what an installation would have."""
    target = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


@pytest.mark.slow
@pytest.mark.xdist_group("e2e-packaging")
class TestTheWheel:
    def test_has_every_file_that_a_running_raven_reads_and_no_test(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            members = set(archive.namelist())
            assert members >= MEMBERS
            assert archive.read("raven/db.sql") == (ROOT / "db.sql").read_bytes()
        tops = {name.split("/")[0] for name in members if ".dist-info/" not in name}
        assert tops == {"raven", "watcher", "master", "worker", "scrub.py"}

    def test_has_every_module_of_the_checkout(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            members = set(archive.namelist())
        packages = ("raven", "watcher", "master", "worker")
        modules = {str(f.relative_to(ROOT)) for package in packages for f in (ROOT / package).rglob("*.py")}
        assert modules <= members

    def test_installs_every_command(self, unpacked: Path) -> None:
        (entries,) = unpacked.glob("*.dist-info/entry_points.txt")
        scripts = configparser.ConfigParser()
        scripts.read(entries, "utf-8")
        assert set(scripts["console_scripts"]) == SCRIPTS

    @pytest.mark.parametrize("script", sorted(SCRIPTS))
    def test_has_commands_that_start(self, unpacked: Path, tmp_path: Path, script: str) -> None:
        (entries,) = unpacked.glob("*.dist-info/entry_points.txt")
        scripts = configparser.ConfigParser()
        scripts.read(entries, "utf-8")
        module, function = scripts["console_scripts"][script].split(":")
        code = f"import sys, {module} as m; sys.argv = [{script!r}, '--version']; m.{function}()"
        ran = run([sys.executable, "-P", "-c", code], self.environment(unpacked), cwd=tmp_path)
        assert ran.status == 0, ran.stderr
        assert ran.stdout.startswith(f"{script}, version ")

    def test_encodes_away_from_the_checkout(self, unpacked: Path, tmp_path: Path) -> None:
        clip = generate_clip(tmp_path / "clip.mp4", 30)
        code = "import sys, raven, master.cutter as c; print(raven.__file__, c.__file__, file=sys.stderr)"
        environment = self.environment(unpacked)
        where = run([sys.executable, "-P", "-c", code], environment, cwd=tmp_path).stderr.split()
        assert [Path(file).is_relative_to(unpacked) for file in where] == [True, True]
        command = [sys.executable, "-P", "-m", "raven", "encode", str(clip), "--output", "out", "--json"]
        ran = run(command, environment, cwd=tmp_path)
        assert ran.status == 0, ran.stderr
        Film(tmp_path / "out").check_frames(30)

    def environment(self, unpacked: Path) -> dict[str, str]:
        return clean_environment() | {"PYTHONPATH": str(unpacked)}
