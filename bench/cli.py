"""The command line. Its commands are in commands/, but for `trace` and `compare`.

Exit status: 0 measured (whether or not what is wanted holds: the table says so), 1 no figure, because the server
broke the contract or could not be run, or because the load could not keep its plan, 2 wrong usage, 3 a threshold does
not hold, or a comparison found something worse.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench import compare
from bench.commands import crowds, growth, plain
from bench.faults import Broken
from bench.finish import NOT_HELD, no_figure
from bench.trace.cli import trace_command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure gochat, started by this command on a core of its own, or wherever it runs; check all that it says.

    \b
    python -m bench quick                               fanout, dm and idle, in under a minute
    python -m bench fanout --seconds 10 --turns 5
    python -m bench dm --window 1 --window 16 --out run.json
    python -m bench mixed --rate 400 --threshold 'deliver.p99<50ms' --html run.html
    GOCHAT_BENCH_SECRET=... python -m bench connect --url ws://chat.example:8080
    python -m bench compare before.json after.json --tolerance 0.1
    python -m bench dm --against ../before --turns 9 --threshold 'cost<=1.03'
    """


for command in (*plain.COMMANDS, *crowds.COMMANDS, *growth.COMMANDS, trace_command):
    main.add_command(command)


@main.command("compare")
@click.argument("before", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="How much worse a figure may be: 0.1 is a tenth.",
)
def compare_command(before: Path, after: Path, tolerance: float) -> None:
    """Two runs that --out wrote: ratios, and a verdict for each. Status 3 if anything is worse.

    \b
    python -m bench compare before.json after.json
    python -m bench compare before.json after.json --tolerance 0.3
    """
    try:
        comparison = compare.compare(compare.read(before), compare.read(after))
    except Broken as error:
        no_figure(error)
    click.echo(compare.table(comparison, tolerance))
    if not comparison.changes or any(change.verdict(tolerance) == "WORSE" for change in comparison.changes):
        sys.exit(NOT_HELD)
