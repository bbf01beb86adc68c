"""JavaScript packages of tests: installed once, outside of the source tree, from a folder's lock file."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[1]
_MANIFESTS = ("package.json", "package-lock.json")
_INSTALL_SECONDS = 540


class PlayersNotInstalled(RuntimeError):
    """npm could not install the players."""


def node_modules(folder: Path = _HERE) -> Path:
    """Return the node_modules directory, after installing it when the lock file is new to this machine.

    Tests run in several processes: the first one installs while the others wait for the lock.
    """
    cache = Path(os.environ.get("RAVEN_PLAYERS_CACHE") or _REPOSITORY / ".cache" / "players").absolute()
    home = cache / _fingerprint(folder)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(home):
            _install(home, folder)
    return home / "node_modules"


def _fingerprint(folder: Path) -> str:
    content = b"".join((folder / name).read_bytes() for name in _MANIFESTS)
    return hashlib.sha256(content).hexdigest()[:12]


def _is_complete(home: Path) -> bool:
    """The mark is written last: an interrupted installation is done again."""
    return (home / "complete").exists()


def _install(home: Path, folder: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    for name in _MANIFESTS:
        shutil.copy(folder / name, home)
    # The packages' own scripts are not needed, and some would try to download a browser.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=home, capture_output=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        raise PlayersNotInstalled(f"{' '.join(command)} failed:\n{done.stderr.decode()[-2000:]}")
    (home / "complete").touch()
