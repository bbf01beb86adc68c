"""The command `raven`. Exit codes: 0 done, 1 the work failed, 2 wrong use, 130 interrupted."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raven import __version__, names
from raven.config import Settings
from raven.display import choose_display
from raven.errors import UsageError
from raven.log import configure
from raven.settings_option import with_settings
from raven.terminal import say

if TYPE_CHECKING:
    from raven.film import Finished

LOOK_SECONDS = 0.5
"""Between looks at how far an encode is: as often as its jobs tell."""
_CONTEXT = {"help_option_names": ["-h", "--help"]}


ELSEWHERE = {
    "submit": "farm_cli:submit",
    "list": "farm_cli:list_tasks",
    "status": "farm_cli:status",
    "watch": "farm_cli:watch",
    "cancel": "farm_cli:cancel",
    "retry": "farm_cli:retry_task",
    "log": "story_cli:log_command",
    "top": "top_cli:top_command",
    "nodes": "nodes_cli:nodes_command",
    "notices": "notices_cli:notices_command",
    "check": "check_cli:check_command",
    "doctor": "doctor_cli:doctor_command",
    "migrate": "migrate_cli:migrate_command",
}
"""The commands of other modules, which are loaded when they are asked for."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, _, name = ELSEWHERE[cmd_name].partition(":")
        found: click.Command = getattr(import_module(f"raven.{module}"), name)
        return found


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="raven")
def main() -> None:
    """Raven encodes a video into adaptive HLS and DASH, on this machine or on a farm."""


def _local(source: Path) -> Path:
    """The source's own path. Raises UsageError where it is a URL."""
    scheme, colon, rest = str(source).partition(":/")
    if colon and scheme.isalnum() and not source.exists():
        url = f"{scheme}://{rest.lstrip('/')}"  # a path has lost a slash of it
        raise UsageError(f"{url} is a URL, and this command reads files; download it, or `raven submit` it to a farm")
    return source.absolute()


@main.command()
@click.argument("source", type=click.Path(path_type=Path, readable=False))  # the master says it better
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to fill. [default: one here with the name of SOURCE, without its ending]",
)
@click.option("--profile", default="default", show_default=True, help="Ladder and options; see `raven profiles`.")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Chunks encoded side by side. [default: half the cores, 2 at least]"
)
@click.option("--force", is_flag=True, help="Encode anew what lies encoded there.")
@click.option("--strict", is_flag=True, help="Refuse a source that is damaged or ends before its time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout at the end.")
@with_settings
def encode(  # noqa: PLR0913, PLR0917 - one for each option of the command
    settings: Settings,
    source: Path,
    output: Path | None,
    profile: str,
    workers: int | None,
    force: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Encodes SOURCE into a folder, on this machine alone.

    The same command resumes what was interrupted.
    """
    from raven.film import film_in, own_folder  # noqa: PLC0415 - the others need none

    configure(settings, "local", quiet=settings.log_format == "auto" and "RAVEN_LOG_LEVEL" not in os.environ)
    source = _local(source)
    output = (output or own_folder(source, Path())).absolute()
    begun = time.monotonic()
    film = None if force or film_in(output) is None else _finished(settings, source, output, profile)
    already = film is not None
    if film is None:
        film = _encode(settings, source, output, profile, workers, anew=force, strict=strict)
    _tell(film.task, output, time.monotonic() - begun, already=already, as_json=as_json)


def _finished(settings: Settings, source: Path, output: Path, profile: str) -> Finished | None:
    from raven.film import finished  # noqa: PLC0415
    from raven.profile import known_profile  # noqa: PLC0415 - a new film loads it while its source is opened

    return finished(output, source, known_profile(settings.profiles, profile))


def _encode(
    settings: Settings, source: Path, output: Path, profile: str, workers: int | None, *, anew: bool, strict: bool
) -> Finished:
    """The finished film; an interruption ends the process."""
    from master.ahead import CutterAhead  # noqa: PLC0415 - the others need none
    from raven.sandbox import cutter_box  # noqa: PLC0415

    box = cutter_box(settings.limits, settings.cpu_seconds)
    with closing(CutterAhead(box)) as ahead:  # first of all, since it loads as much as what follows
        from raven.local import LocalFarm, default_workers  # noqa: PLC0415

        workers = workers or default_workers()
        farm = LocalFarm(settings, source, output, profile, workers, anew=anew, strict=strict)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            with farm.running(ahead), choose_display(source.name) as display:
                snapshot = farm.snapshot()
                while not snapshot.ended:
                    display.show(snapshot)
                    farm.wait(LOOK_SECONDS)
                    snapshot = farm.snapshot()
                return farm.collect()
        except KeyboardInterrupt:
            click.echo("raven: interrupted; the same command resumes", err=True)
            sys.exit(130)


def _tell(task: dict[str, Any], output: Path, seconds: float, *, already: bool, as_json: bool) -> None:
    hls, dash = output / names.MULTIVARIANT, output / names.MPD
    if as_json:
        result = {
            "status": "done",
            "output": str(output),
            "hls": str(hls),
            "dash": str(dash),
            "already": already,
            "elapsed": round(seconds, 3),
            "speed": round(task["duration"] / seconds, 2) if seconds > 0 and not already else None,
            **task,
        }
        click.echo(json.dumps(result))
        return
    rungs = ", ".join(f"{r['name']} {r['width']}x{r['height']}" for r in task["renditions"]) or "audio only"
    say(f"{'Already encoded' if already else 'Done'}: {task['duration']:.2f} s of film, {task['frames']} frames")
    if not already:
        say(f"  in {seconds:.1f} s ({task['duration'] / seconds:.2f}x real time)")
    say(f"  {rungs}; {task['bytes'] / 1e6:.1f} MB")
    for note in [*task.get("warnings", []), *(f"not converted: {text}" for text in task["source"]["ignored"])]:
        say(f"  Note: {note}")
    say(f"  HLS   {hls}\n  DASH  {dash}")


@main.command()
@click.argument("source", type=click.Path(path_type=Path, readable=False))  # the master says it better
@click.option("--json", "as_json", is_flag=True, help="All facts as JSON.")
@with_settings
def probe(settings: Settings, source: Path, as_json: bool) -> None:
    """Says what Raven sees in SOURCE."""
    from master.prepare import probe as look  # noqa: PLC0415 - the others need no PyAV
    from master.sources import resolve  # noqa: PLC0415
    from raven.config import ffmpeg_path  # noqa: PLC0415
    from raven.process import StopSignal  # noqa: PLC0415
    from raven.sandbox import cutter_box  # noqa: PLC0415

    box = cutter_box(settings.limits, settings.cpu_seconds)
    path, ffmpeg = resolve(str(_local(source)), "/"), ffmpeg_path(settings)
    facts = look(path, StopSignal(), settings.limits, box, settings.stall_seconds, ffmpeg)
    if as_json:
        click.echo(facts.model_dump_json())
        return
    say(f"{source}: {facts.container}, {facts.duration or 0:.2f} s claimed, {facts.bytes or 0} bytes")
    if facts.video:
        v = facts.video
        kind = "constant" if v.constant_rate else "variable in the source"
        say(f"  video  {v.codec} {v.width}x{v.height} {v.pixel_format}, {float(v.rate):.3f} frames/s ({kind})")
    for track in facts.audio:
        say(f"  audio  {track.name}: {track.codec}, {track.channels} channels, {track.sample_rate} Hz")
    for words in facts.text:
        say(f"  text   {words.name}: {words.codec}, {words.language}")
    for text in facts.ignored:
        say(f"  not converted: {text}")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with all that is in them.")
@with_settings
def profiles(settings: Settings, as_json: bool) -> None:
    """Lists the profiles and their rungs."""
    from raven.profile import load_profiles  # noqa: PLC0415 - the others need none

    for name, profile in sorted(load_profiles(settings.profiles).items()):
        if as_json:
            click.echo(profile.model_dump_json())
            continue
        parts = []
        for ladder in profile.video:
            rungs = ", ".join(f"{r.name} ({r.width}x{r.height})" for r in ladder.rungs)
            parts.append(f"{ladder.codec} {ladder.preset}: {rungs}")
        parts += [f"{a.codec} {a.bitrate} kbit/s, {a.channels} channels" for a in profile.audio]
        click.echo(f"{name}: {'; '.join(parts)}")


@main.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seconds", type=click.IntRange(1, 3600), default=20, show_default=True, help="How long it is.")
@with_settings
def testpicture(settings: Settings, target: Path, seconds: int) -> None:
    """Makes TARGET (.mkv), a film to try Raven with: running time code and beeps."""
    from raven.config import ffmpeg_path  # noqa: PLC0415 - the others need none
    from raven.media.command import test_picture_command  # noqa: PLC0415
    from raven.process import StopSignal, run  # noqa: PLC0415

    run(test_picture_command(ffmpeg_path(settings), str(target), seconds), StopSignal())
