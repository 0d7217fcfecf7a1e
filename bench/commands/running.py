"""How a command runs its scenario, and what it refuses before."""

from __future__ import annotations

from collections.abc import Callable

import click

from bench import versus
from bench.faults import Broken
from bench.finish import finish
from bench.options import Common
from bench.results import Drawn
from bench.scenarios.stage import Stage
from bench.server import Checkout

Run = Callable[[Stage], Drawn]


def not_rest(common: Common) -> None:
    if common.transport == "rest":
        raise click.UsageError("--transport rest: only dm sends by REST")


def stream_only(common: Common) -> None:
    """For loads that speak neither REST nor nng."""
    not_rest(common)
    if common.transport == "nng":
        raise click.UsageError("--transport nng: only dm, fanout and nng speak it")


def finish_or_compare(connections: int, common: Common, turns: int, run: Run, once: versus.Once) -> None:
    """Run the scenario, or, with --against, `once` in turn with the other checkout."""
    if common.against is None:
        finish(connections, common, run)
        return
    try:
        rivals = versus.Rivals.of(Checkout.at(common.against))
    except Broken as error:
        raise click.UsageError(f"--against: {error}") from None
    if common.url:
        raise click.UsageError("--against needs servers that the harness starts: leave --url out")
    finish(connections, common, lambda stage: versus.run(stage, rivals, turns, once), rivals)


def alone(common: Common) -> None:
    """For commands that neither speak REST or nng nor compare checkouts."""
    stream_only(common)
    if common.against:
        raise click.UsageError("--against: only dm, fanout, idle and connect compare checkouts")
