"""Runs the foreign tools: shaka-packager and codem-isoboxer from npm, mediainfo from Debian, xmllint with a schema."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.e2e.tools import Film
from tests.players.modules import node_modules

HERE = Path(__file__).parent
SCHEMA_VARIABLE = "RAVEN_DASH_SCHEMA"
"""Path of DASH-MPD.xsd of ISO/IEC 23009-1, with the schemas that it imports beside it; nobody packages it."""
_SECONDS = 120


def missing() -> str | None:
    """Why the tools of npm cannot run here, None if they can."""
    if shutil.which("npm") is None:
        return "npm is not installed; tests/install.sh installs it"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "shaka-packager comes for other machines under another name"
    return None


def output_of(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """What a tool prints; it has to end well."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def whole(folder: Path, target: Path) -> Path:
    """One file of a rendition's init segment and segments."""
    parts = [folder / "init.mp4", *sorted(folder.glob("seg-*.m4s"))]
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def package(film: Film, target: Path, *, segmented: bool) -> Path:
    """shaka-packager's HLS and DASH of the same renditions: in segments, or each in one file with a sidx."""
    target.mkdir(parents=True)
    streams = []
    for folder in [*sorted((film.folder / "video").iterdir()), *sorted((film.folder / "audio").iterdir())]:
        name, kind = folder.name, folder.parent.name
        source = whole(folder, target.parent / f"{target.name}-{name}.mp4")
        words = [f"in={source}", f"stream={kind}", f"playlist_name={name}.m3u8"]
        if segmented:
            words += [f"init_segment={target}/{name}/init.mp4", f"segment_template={target}/{name}/$Number$.m4s"]
        else:
            words.append(f"output={target}/{name}.mp4")
        if kind == "audio":
            words += ["hls_group_id=audio", f"hls_name={name}", "language=en"]
        else:
            words.append(f"iframe_playlist_name={name}-iframes.m3u8")
        streams.append(",".join(words))
    outputs = ["--mpd_output", f"{target}/manifest.mpd", "--hls_master_playlist_output", f"{target}/master.m3u8"]
    packager = node_modules(HERE) / "shaka-packager" / "bin" / "packager-linux-x64"
    live = ["--generate_static_live_mpd"] if segmented else []
    output_of([packager, *streams, *live, "--segment_duration", "6", *outputs])
    return target


def fragments(files: Sequence[Path]) -> list[list[dict[str, int]]]:
    """The fragments of each file as codem-isoboxer reads them."""
    found: list[list[dict[str, int]]] = json.loads(output_of(["node", HERE / "boxes.mjs", node_modules(HERE), *files]))
    return found


def mediainfo(file: Path) -> dict[str, Any]:
    """What mediainfo says of the one track of a file."""
    said = json.loads(output_of(["mediainfo", "--Output=JSON", file]))
    (track,) = [track for track in said["media"]["track"] if track["@type"] != "General"]
    assert isinstance(track, dict)
    return track


def schema() -> Path | None:
    """The DASH schema, where somebody has put it."""
    found = os.environ.get(SCHEMA_VARIABLE)
    return Path(found) if found else None
