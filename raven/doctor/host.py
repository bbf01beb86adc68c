"""The doctor's look at this host: versions, the packaged ffmpeg or another, temporary folder, memory, walls."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from raven import __version__
from raven.config import Settings, ffmpeg_path
from raven.doctor.findings import Area, Finding, judge_build, listed
from raven.environment import without_secrets
from raven.errors import ConfigError, RavenError
from raven.machine import default_slots, ffmpeg_build, host_share, look, size
from raven.readiness import Reserve, shortage
from raven.sandbox import network_is_cut
from raven.selftest import self_test

_VERSIONS, _FFMPEG, _MACHINE = Area("versions"), Area("ffmpeg"), Area("machine")
LIST_SECONDS = 20


def versions() -> Iterator[Finding]:
    yield _VERSIONS.ok("Raven", __version__)
    yield _VERSIONS.ok("Python", platform.python_version())  # pip lets no older one install Raven
    if platform.system() == "Linux":
        yield _VERSIONS.ok("system", platform.platform())
    else:
        todo = "fine for trying it out; take Linux for a farm"
        yield _VERSIONS.warning("system", f"{platform.platform()}: ffmpeg has no walls around it here", todo)


def ffmpeg(settings: Settings) -> Iterator[Finding]:
    """The one that jobs would run: what it is, what it has, whether it encodes."""
    try:
        path = ffmpeg_path(settings)
    except (ConfigError, RuntimeError) as error:  # imageio_ffmpeg has none for this machine
        yield _FFMPEG.fault("program", str(error), "set RAVEN_FFMPEG to an ffmpeg that can be run, or leave it unset")
        return
    build = ffmpeg_build(path)
    if build.startswith("none: "):
        yield _FFMPEG.fault("program", f"{path} does not run: {build}", "set RAVEN_FFMPEG to one that does")
        return
    yield _FFMPEG.ok("program", f"{build} ({path})")
    try:
        encoders, others = _listed(path, "-encoders"), _listed(path, "-decoders") | _listed(path, "-filters")
    except (OSError, subprocess.SubprocessError) as error:
        yield _FFMPEG.fault("encoders", f"it lists none: {error}", "set RAVEN_FFMPEG to one that does")
        return
    yield from judge_build(_FFMPEG, encoders, others)
    fault = self_test(path, build, settings.temporary)
    if fault:
        todo = "a worker takes no job here: try the packaged ffmpeg, then another machine"
        yield _FFMPEG.fault("self-test", fault, todo)
    else:
        yield _FFMPEG.ok("self-test", "a second of test picture comes out as it should")


def _listed(path: str, what: str) -> frozenset[str]:
    command, environment = [path, "-hide_banner", what], without_secrets(os.environ)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=LIST_SECONDS, check=True)
    return listed(done.stdout.decode("utf-8", "replace"))


def machine(settings: Settings) -> Iterator[Finding]:
    """Room for temporary files, memory, slots, and the walls around children."""
    folder = settings.temporary or Path(tempfile.gettempdir())
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix="raven-doctor-") as file:
            file.write(b"room")
            file.flush()
        here = look(folder)
    except OSError as error:
        todo = "set RAVEN_TEMPORARY to a folder that this account can write, with room for some chunks"
        yield _MACHINE.fault("temporary folder", f"{folder}: {error.strerror or error}", todo)
        return
    short = shortage(here, Reserve(settings.reserve_disk, settings.reserve_memory))
    said = f"{size(here.disk_free)} free in {folder}, {size(here.memory_free)} of memory"
    if short:
        todo = "make room, or lower RAVEN_RESERVE_DISK or RAVEN_RESERVE_MEMORY; until then this node takes no jobs"
        yield _MACHINE.fault("room", f"{short} ({said})", todo)
    else:
        yield _MACHINE.ok("room", said)
    yield _slots(settings)
    yield _walls()


def _slots(settings: Settings) -> Finding:
    fitting = default_slots("worker", host_share(settings.reserve_memory))
    slots = settings.slots or fitting
    if slots > 2 * fitting:
        todo = "leave RAVEN_SLOTS unset, or give this host more cores and memory"
        return _MACHINE.warning("slots", f"{slots}, where {fitting} suit its cores and memory", todo)
    which = "heavy jobs" if settings.slots else "encodes of eight rungs of 1080p"
    return _MACHINE.ok("slots", f"{slots} {which} side by side in a worker")


def _walls() -> Finding:
    try:
        cut = network_is_cut()
    except (OSError, subprocess.SubprocessError, RavenError) as error:
        return _MACHINE.warning("walls", f"children cannot be boxed: {error}", "let the service start child processes")
    if cut:
        return _MACHINE.ok("walls", "children that read sources are cut off from the network")
    todo = "allow seccomp filters, as Docker's default profile does"
    return _MACHINE.warning("walls", "the kernel refuses the filter that cuts ffmpeg off from the network", todo)
