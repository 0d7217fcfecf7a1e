"""Runs a scenario and says what it found: the table, the files, the exit status."""

from __future__ import annotations

import datetime
import os
import resource
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from bench import environment, hdr, html, report, versus
from bench.faults import Broken, Fault, Misused
from bench.load.wire import NNG, WIRES
from bench.options import Common
from bench.progress import Progress
from bench.remote import Place
from bench.results import Drawn, Run, summarize
from bench.scenarios.stage import Stage
from bench.server import Cores
from bench.threshold import Threshold

#: Exit statuses; that of wrong usage is click's own.
NO_FIGURE, MISUSED, NOT_HELD = 1, click.UsageError.exit_code, 3
_FILES_BESIDE = 100  # Open files besides the connections.


def finish(
    connections: int, common: Common, run: Callable[[Stage], Drawn], rivals: versus.Rivals | None = None
) -> None:
    """Run the scenario, and say what it found. `connections` are those of all load processes together; `rivals` are
    the checkouts that the scenario compares, if it does."""
    thresholds = [_threshold(text) for text in common.thresholds]
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        stage = _stage(common)
        place = environment.describe(stage.data, stage.cores)
        _allow_files(connections + _FILES_BESIDE)
        if stage.place is None:
            os.sched_setaffinity(0, stage.cores.load)
        drawn = run(stage)
        costs = versus.costs(drawn.measures, rivals) if rivals else []
        if rivals is not None:
            place["against"] = environment.commit(rivals.checkouts[1].root)
    except (Fault, Broken) as error:
        no_figure(error)
    result = Run(
        started=started,
        command=_command(common.secret),
        environment=place,
        rows=summarize(drawn.measures, drawn.bounds, costs),
        bounds=drawn.bounds,
        measures=drawn.measures,
        costs=costs,
    )
    for path, content in (
        (common.out, lambda: report.to_json(result)),
        (common.html, lambda: html.to_html(result).encode()),
        (common.hdr, lambda: hdr.log(result.measures).encode()),
    ):
        if path:
            path.write_bytes(content())
    if common.as_json:
        click.echo(report.to_json(result).decode())
    elif rivals is not None:
        click.echo(versus.table(rivals, result.costs, result.rows))
    else:
        click.echo(report.to_table(result))
    verdicts = [verdict for threshold in thresholds for verdict in threshold.judge(result.rows)]
    for verdict in verdicts:
        click.echo(f"{'holds' if verdict.holds else 'DOES NOT HOLD'}: {verdict.text}", err=common.as_json)
    if not all(verdict.holds for verdict in verdicts):
        sys.exit(NOT_HELD)


def no_figure(error: Exception) -> NoReturn:
    click.echo("\n".join([f"no figure: {error}", *getattr(error, "__notes__", [])]), err=True)
    sys.exit(MISUSED if isinstance(error, Misused) else NO_FIGURE)


def _threshold(text: str) -> Threshold:
    try:
        return Threshold.parse(text)
    except ValueError as error:
        raise click.UsageError(f"--threshold {error}") from None


def _stage(common: Common) -> Stage:
    """Raises Broken."""
    place = None
    if common.url:
        place = Place.parse(common.url, common.http, common.secret, common.tokens, common.pid)
    wire = {**WIRES, "rest": WIRES["ws"], "nng": NNG}[common.transport]
    cores = Cores.split(common.processes)
    return Stage(
        common.data.resolve(),
        cores,
        wire,
        shlex.split(common.program),
        processes=common.processes,
        rules=common.rules,
        place=place,
        syscalls=common.count_syscalls,
        rest=common.transport == "rest",
        progress=Progress(sys.stderr),
    )


def _command(secret: str) -> list[str]:
    """The arguments as they were given, without the secret."""
    said: Sequence[str] = sys.argv[1:]
    return [part.replace(secret, "...") if secret else part for part in said]


def _allow_files(wanted: int) -> None:
    """Raise the soft limit of open files; a child inherits it. Raises Broken where the hard limit forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Broken(f"{wanted} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
