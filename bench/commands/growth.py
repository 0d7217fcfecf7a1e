"""The cost of size: stored messages, members, and the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.commands.running import alone
from bench.finish import finish
from bench.options import Common, Timed, common, timed
from bench.scenarios import cluster, history, scaling


def _queries(what: str, limit: int) -> click.Command:
    @click.command(what, help=_QUERY_HELP[what])
    @click.option("--clients", type=click.IntRange(2), default=16, show_default=True, help="Who ask, one at a time.")
    @click.option(
        "--stored", type=click.IntRange(200), default=100_000, show_default=True, help="Messages in the room."
    )
    @click.option("--limit", type=click.IntRange(1, 200), default=limit, show_default=True, help="Entries a page.")
    @timed
    @common
    def command(clients: int, stored: int, limit: int, timed: Timed, common: Common) -> None:
        turns = common.turns_or(3, quick=timed.quick)
        options = history.Options(timed.length(), clients, stored, limit, turns, what)
        alone(common)
        finish(clients, common, lambda stage: history.run(stage, options))

    return command


_QUERY_HELP = {
    "history": """Pages of history from random places of a room that holds --stored messages.

    \b
    python -m bench history
    python -m bench history --stored 1000000 --limit 200
    """,
    "search": """Searches for words of a room that holds --stored messages.

    \b
    python -m bench search
    python -m bench search --stored 1000000 --clients 4
    """,
}


@click.command("scaling")
@click.option("--members", type=click.IntRange(2), multiple=True, default=(100, 1000, 10_000), show_default=True)
@click.option("--few", type=click.IntRange(1), default=256, show_default=True, help="n of n and 4n messages.")
@click.option(
    "--stored",
    type=click.IntRange(200),
    multiple=True,
    show_default=True,
    default=tuple(10**power for power in range(3, 8)),
)
@click.option(
    "--big",
    type=click.IntRange(0),
    default=10_000,
    show_default=True,
    help="Members of the room beside which others write; 0 leaves that out.",
)
@timed
@common
def scaling_command(
    members: Sequence[int], few: int, stored: Sequence[int], big: int, timed: Timed, common: Common
) -> None:
    """The cost of one more: CPU a delivery for n and 4n messages, by members; a message and a page, by what is stored;
    the others' acks while a message goes to a big room. Minutes, and 2 GB of disk for 10^7 messages.

    \b
    python -m bench scaling
    python -m bench scaling --members 100 --members 400 --stored 1000 --stored 100000 --big 500
    """
    options = scaling.Options(timed.length(), members, few, stored, big, body=timed.body, turns=common.turns or 1)
    alone(common)
    finish(max([*members, big]) + 40, common, lambda stage: scaling.run(stage, options))


@click.command("cluster")
@click.option("--pairs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--members", type=click.IntRange(3), default=1_000, show_default=True, help="Of the group, on all nodes.")
@click.option("--rate", type=click.FloatRange(0.1), default=2_000.0, show_default=True, help="Messages a second.")
@timed
@common
def cluster_command(pairs: int, members: int, rate: float, timed: Timed, common: Common) -> None:
    """Three nodes and a Redis: by how much later than on one node a message between two of the nodes is acked and
    delivered, at 100 and at 200 messages/s, and the CPU time of each for it; then a group whose members are on all
    three. Needs valkey-server or redis-server.

    \b
    python -m bench cluster
    python -m bench cluster --turns 1 --seconds 3 --rate 500
    """
    # Two turns of eight seconds: all of it within six minutes.
    turns = common.turns_or(2, quick=timed.quick)
    options = cluster.Options(timed.length(8.0), pairs, rate=rate, members=members, body=timed.body, turns=turns)
    alone(common)
    finish(3 * pairs + members, common, lambda stage: cluster.run(stage, options))


COMMANDS = (_queries("history", 50), _queries("search", 20), scaling_command, cluster_command)
