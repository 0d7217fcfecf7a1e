"""The command line: the only place of the harness that prints and exits.

Exit status: 0 measured (whether or not what is wanted holds: the table says so), 1 no figure, because the server
broke the contract or could not be run, 2 wrong usage.
"""

from __future__ import annotations

import datetime
import os
import resource
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from bench import environment, report
from bench.faults import Broken, Fault
from bench.load.outcome import Length
from bench.load.wire import WIRES
from bench.results import Drawn, Run, summarize
from bench.scenarios import dm, fanout, idle
from bench.scenarios.stage import Stage
from bench.server import Cores

_FILES_BESIDE = 100  # Open files besides the connections.
_FULL, _QUICK = 5.0, 2.0  # Seconds of load a stretch.
_QUICK_USERS = 1000


class Common(NamedTuple):
    """Options of every command."""

    turns: int | None
    transport: str
    data: Path
    program: str
    as_json: bool
    out: Path | None


class Timed(NamedTuple):
    """Options of commands that send for a while."""

    seconds: float | None
    messages: int | None
    body: int
    keys: bool
    yardsticks: bool
    quick: bool

    @property
    def length(self) -> Length:
        return Length(self.seconds or (_QUICK if self.quick else _FULL), self.messages)


def _gathered(name: str, kind: Any, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command these options, handed over as one argument `name` of that kind."""

    def decorate(command: Callable[..., None]) -> Any:
        @wraps(command)
        def gather(**values: Any) -> None:
            values[name] = kind(**{field: values.pop(field) for field in kind._fields})
            command(**values)

        decorated: Any = gather
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


_common = _gathered(
    "common",
    Common,
    click.option("--turns", type=click.IntRange(1),
                 help="Times each server is measured, in turn.  [3; quick and idle 1]"),
    click.option("--transport", type=click.Choice(sorted(WIRES)), default="ws", show_default=True),
    click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path(".build/bench"),
                 show_default=True, help="Folder for the servers' data; on a real disk."),
    click.option("--program", default="-m gochat serve", show_default=True,
                 help="What Python is started with to serve; --data, --http and --tcp are added."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
    click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the JSON to this file."),
)  # fmt: skip
_timed = _gathered(
    "timed",
    Timed,
    click.option("--seconds", type=click.FloatRange(0.1, 60), help="How long each stretch sends.  [5; quick 2]"),
    click.option("--messages", type=click.IntRange(1), help="Send so many messages in each stretch instead."),
    click.option("--body", type=click.IntRange(16, 3000), default=100, show_default=True, help="Characters a body."),
    click.option("--keys/--no-keys", default=True, show_default=True, help="Send idempotency keys, as clients do."),
    click.option("--yardsticks/--no-yardsticks", default=True, show_default=True, help="Measure the limits too."),
    click.option("--quick", is_flag=True, help="Shorter, for a first look."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure gochat, started by this command on a core of its own, beside its yardsticks.

    \b
    python -m bench quick                         everything, in under a minute
    python -m bench fanout --seconds 10 --turns 5
    python -m bench dm --window 1 --window 16 --out run.json
    python -m bench idle --users 4000 --json
    """


@main.command("fanout")
@click.option("--members", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--window", type=click.IntRange(1, 128), default=64, show_default=True, help="Messages in flight.")
@_timed
@_common
def fanout_command(members: int, window: int, timed: Timed, common: Common) -> None:
    """One member writes, all members of the group listen.

    \b
    python -m bench fanout
    python -m bench fanout --transport tcp --members 200 --messages 20000
    """
    turns = _turns(common, timed.quick)
    options = fanout.Options(timed.length, members, window, timed.body, turns, timed.keys, timed.yardsticks)
    _finish(members, common, lambda stage: fanout.run(stage, options))


@main.command("dm")
@click.option("--pairs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--window", "windows", type=click.IntRange(1, 128), multiple=True, default=(1, 16), show_default=True,
              help="Messages in flight in each pair; may be repeated.")  # fmt: skip
@_timed
@_common
def dm_command(pairs: int, windows: Sequence[int], timed: Timed, common: Common) -> None:
    """Pairs of users, one of each writes to the other.

    \b
    python -m bench dm
    python -m bench dm --pairs 10 --window 4 --turns 5
    """
    turns = _turns(common, timed.quick)
    options = dm.Options(timed.length, pairs, windows, timed.body, turns, timed.keys, timed.yardsticks)
    _finish(2 * pairs, common, lambda stage: dm.run(stage, options))


@main.command("idle")
@click.option("--users", type=click.IntRange(4), help="A multiple of 4.  [4000; quick 1000]")
@click.option("--quick", is_flag=True, help="Fewer users, for a first look.")
@_common
def idle_command(users: int | None, quick: bool, common: Common) -> None:
    """Users who are signed in and do nothing: memory for each.

    \b
    python -m bench idle
    python -m bench idle --users 10000
    """
    options = idle.Options(users or (_QUICK_USERS if quick else 4000), common.turns or 1)
    _finish(options.users, common, lambda stage: idle.run(stage, options))


@main.command("quick")
@_common
def quick_command(common: Common) -> None:
    """A short fanout, dm and idle in one table; under a minute with one turn.

    \b
    python -m bench quick
    python -m bench quick --turns 3 --out run.json
    """
    length, turns = Length(_QUICK), common.turns or 1

    def run(stage: Stage) -> Drawn:
        parts = (
            fanout.run(stage, fanout.Options(length, turns=turns)),
            dm.run(stage, dm.Options(length, turns=turns)),
            idle.run(stage, idle.Options(_QUICK_USERS, turns)),
        )
        return Drawn([m for part in parts for m in part.measures], [b for part in parts for b in part.bounds])

    _finish(_QUICK_USERS, common, run)


def _turns(common: Common, quick: bool) -> int:
    return common.turns or (1 if quick else 3)


def _finish(connections: int, common: Common, run: Callable[[Stage], Drawn]) -> None:
    """Run the scenario, and say what it found."""
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    stage = Stage(common.data.resolve(), Cores.split(), WIRES[common.transport], shlex.split(common.program))
    place = environment.describe(stage.data, stage.cores)
    try:
        _allow_files(connections + _FILES_BESIDE)
        os.sched_setaffinity(0, stage.cores.load)
        drawn = run(stage)
    except (Fault, Broken) as error:
        click.echo("\n".join([f"no figure: {error}", *getattr(error, "__notes__", [])]), err=True)
        sys.exit(1)
    result = Run(
        started=started,
        command=sys.argv[1:],
        environment=place,
        rows=summarize(drawn.measures, drawn.bounds),
        bounds=drawn.bounds,
        measures=drawn.measures,
    )
    if common.out:
        common.out.write_bytes(report.to_json(result))
    click.echo(report.to_json(result).decode() if common.as_json else report.to_table(result))


def _allow_files(wanted: int) -> None:
    """Raise the soft limit of open files; a child inherits it. Raises Broken where the hard limit forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Broken(f"{wanted} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
