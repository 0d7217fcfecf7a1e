"""The command line of the comparison.

Exit status: 0 every server that is installed was measured (whether or not what is wanted holds: the page says so),
1 one of them gave no figure, or nothing could be run, 2 wrong usage.
"""

from __future__ import annotations

import datetime
import os
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click

from bench import environment, report
from bench.load.outcome import Length
from bench.peers import gochat
from bench.peers.page import page
from bench.peers.roster import PEERS
from bench.peers.run import BOUNDS, Options, run
from bench.results import Run, summarize
from bench.server import Cores

_FILES_BESIDE = 100  # Open files besides the connections.
#: A server that takes in all 64 messages before it gives one out, at 2,000 deliveries a second, is not at fault.
_PATIENCE_S = 45.0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("names", nargs=-1, metavar="[NAMES]...", type=click.Choice(sorted(PEERS)))
@click.option("--turns", type=click.IntRange(1), default=3, show_default=True, help="Times each is measured, in turn.")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="How long each stretch sends."
)
@click.option("--members", type=click.IntRange(2, 5000), default=1000, show_default=True, help="Of the room.")
@click.option("--window", type=click.IntRange(1, 128), default=64, show_default=True, help="In flight in `fanout`.")
@click.option("--pairs", type=click.IntRange(1, 2000), default=100, show_default=True, help="Of users, in `dm`.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".build/bench"),
    show_default=True,
    help="Folder for the servers' data; on a real disk.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to this file.")
@click.option("--json", "as_json", type=click.Path(dir_okay=False, path_type=Path), help="Write all measures here.")
def main(
    names: tuple[str, ...],
    turns: int,
    seconds: float,
    members: int,
    window: int,
    pairs: int,
    data: Path,
    out: Path | None,
    as_json: Path | None,
) -> None:
    """Measure gochat and other servers in turn, on the same core and under the same loads.

    NAMES are the peers; without one it is all of them. One that is not installed is left out, and named.

    \b
    python -m bench.peers                               all, in about ten minutes
    python -m bench.peers nats socketio-node --turns 1 --seconds 1
    python -m bench.peers ejabberd --members 100 --out page.md --json run.json
    """
    began, started = time.monotonic(), datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    chosen = {name: PEERS[name] for name in PEERS if name in names or not names}
    reasons = {name: peer.missing() for name, peer in chosen.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    ready = [peer for name, peer in chosen.items() if name not in left_out]
    for name, reason in left_out.items():
        click.echo(f"left out: {name}: {reason}", err=True)
    cores = Cores.split()
    place = environment.describe(data.resolve(), cores)
    versions = {gochat.NAME: version("gochat"), **{peer.name: peer.version() for peer in ready}}
    _allow_files(max(members, 2 * pairs) + _FILES_BESIDE)
    os.sched_setaffinity(0, cores.load)
    options = Options(Length(seconds, patience_s=_PATIENCE_S), turns, members, window, pairs)

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - began:4.0f} s  {line}", err=True)

    found = run(ready, data.resolve(), cores, options, say)
    text = page(started, place, versions, PEERS, left_out, found, options)
    if out:
        out.write_text(text)
    if as_json:
        result = Run(
            started=started,
            command=sys.argv[1:],
            environment=place,
            rows=summarize(found.measures, []),
            bounds=list(BOUNDS),
            measures=found.measures,
        )
        as_json.write_bytes(report.to_json(result))
    click.echo(text)
    click.echo(f"took {time.monotonic() - began:.0f} s", err=True)
    sys.exit(1 if found.failed else 0)


def _allow_files(wanted: int) -> None:
    """Raise the soft limit of open files, for the servers too, which inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise click.ClickException(
            f"{wanted} open files are needed and {hard} allowed: raise the hard limit (ulimit -Hn)"
        )
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
