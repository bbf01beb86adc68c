"""The farm on real servers that are started for it. Nothing is judged; the aims stand beside the figures."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from benchmarks.farm.control import Control, measure, servers
from benchmarks.farm.model import Load, differences, full_at, storing, use
from benchmarks.farm.speedup import Speed, real_servers, speeds, waits
from benchmarks.farm.throttle import missing
from raven.config import Settings

CHUNK_SECONDS = 60.0
"""What a chunk of 30 s costs a worker of two cores with the default ladder, about: twice real time."""
TOLD = 10
"""Reports of progress for each job of a second, so many that what they cost can be told from what the job costs."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, help=__doc__)
def main() -> None: ...


def _tell(rows: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows))
        return
    if rows:
        click.echo("  ".join(f"{name:>12}" for name in rows[0]))
    for row in rows:
        values = (f"{value:>12.2f}" if isinstance(value, float) else f"{value:>12}" for value in row.values())
        click.echo("  ".join(values))


@main.command()
@click.option("--waiting", default="1000,100000,1000000", show_default=True, help="Chunks that wait, by commas.")
@click.option("--slots", default=600, show_default=True, help="Of the fleet.")
@click.option("--seconds", default=1.0, show_default=True, help="That a job lasts; 0 for as fast as it goes.")
@click.option("--lasts", default=30.0, show_default=True, help="Seconds of each run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def control(waiting: str, slots: int, seconds: float, lasts: float, as_json: bool) -> None:
    """The watcher's limit: encodes are sleeps. Aims: 500 jobs/s, p99 of the wait 100 ms, memory and rate flat."""
    rows: list[Control] = []
    with servers() as (mariadb, rabbitmq):
        for count in map(int, waiting.split(",")):
            spent = int(lasts * slots / seconds) if seconds else int(lasts * 2000)
            rows.append(measure(mariadb, rabbitmq, count + spent, slots, seconds, lasts))
    _tell([asdict(row) for row in rows], as_json)


@main.command("model")
@click.option("--slots", default=100, show_default=True, help="Of the fleet that is measured.")
@click.option("--lasts", default=20.0, show_default=True, help="Seconds of each of the two runs.")
@click.option("--cores", default=4, show_default=True, help="Each of the database's, the broker's, the storage's host.")
@click.option("--gigabits", default=10.0, show_default=True, help="A second, of the wire to the storage.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def model_command(slots: int, lasts: float, cores: int, gigabits: float, as_json: bool) -> None:
    """How full each part of a farm is with 100 and with 1,000 slots, from what jobs, reports of progress and uploads
    cost as measured here; and what is full first.
    """
    spent = int(lasts * slots)
    with real_servers() as (mariadb, rabbitmq, ceph):
        still = measure(mariadb, rabbitmq, 1000 + spent, slots, 1.0, lasts)
        telling = measure(mariadb, rabbitmq, 1000 + spent, slots, 1.0, lasts, tells=1 / TOLD)
        stored, upload = storing(ceph, gigabits, cores)
    costs = [*differences(still, telling, telling.reports, cores), *stored]
    load = Load(CHUNK_SECONDS, Settings().heartbeat_seconds, still.p99 / 1000, upload)
    rows = [use(count, costs, load) for count in (100, 1000)]
    full = full_at(costs, load)
    about = [{"part": c.part, "ms_a_job": 1000 * c.job, "ms_a_report": 1000 * c.report} for c in costs]
    _tell([row | {"full_at": full[str(row["part"])]} for row in about], as_json)
    _tell([{"slots": r.slots, "jobs_s": r.jobs, **r.parts, "efficiency": r.efficiency} for r in rows], as_json)
    if not as_json:
        part, most = next(iter(full.items()))
        click.echo(f"The first to be full is the {part}, with {most} slots.")


@main.command("speedup")
@click.option("--workers", default="1,2,4,8", show_default=True, help="Numbers of workers, by commas.")
@click.option("--share", default=0.1, show_default=True, help="Of a core that each worker has.")
@click.option("--lasts", default=60.0, show_default=True, help="Seconds of each run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def speedup_command(workers: str, share: float, lasts: float, as_json: bool) -> None:
    """Throughput of n workers against n times one, and of n ffmpegs alone. Aim: an efficiency of 0.95 up to 8."""
    if (reason := missing()) is not None:
        raise click.UsageError(reason)
    with real_servers() as all_servers:
        runs = speeds(all_servers, [int(n) for n in workers.split(",")], share, lasts)
    _tell([asdict(run) | _efficiency(run, runs[0]) for run in runs], as_json)


def _efficiency(run: Speed, one: Speed) -> dict[str, object]:
    """Of the farm, of ffmpegs alone, and the farm's against theirs."""
    growth = run.workers / one.workers
    farm, bare = run.rate / one.rate / growth, run.bare / one.bare / growth
    return {"efficiency": farm, "of_bare": bare, "ratio": farm / bare}


@main.command("waits")
@click.option("--seconds", default=7200, show_default=True, help="Length of the film.")
@click.option("--workers", default=2, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def waits_command(seconds: int, workers: int, as_json: bool) -> None:
    """INSERT to first chunk, last chunk to `done`, of a long film of six rungs. Aims: 2 s each."""
    with real_servers() as all_servers:
        _tell([asdict(waits(all_servers, seconds, workers))], as_json)


if __name__ == "__main__":
    main()
