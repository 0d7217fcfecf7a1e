"""Pages of history, or searches, a second: clients who ask one after another in a room that holds many messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bench.load.client import signed_in
from bench.load.fleet import Part
from bench.load.outcome import Length
from bench.load.queries import Queries
from bench.results import Drawn, Measure
from bench.scenarios.stage import Stage
from bench.scenarios.stored import Filled, Pages, Searches, filled


class Options(NamedTuple):
    length: Length
    clients: int = 16
    messages: int = 100_000
    limit: int = 50
    """Entries a page at most."""
    turns: int = 3
    what: str = "history"
    """Or "search"."""


def run(stage: Stage, options: Options) -> Drawn:
    measures = []
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            with filled(stage, rules, options.clients, options.messages, index=options.what == "search") as stored:
                measures.append(ask(stage, stored, options, turn, target))
    return Drawn(measures, [])


def ask(stage: Stage, stored: Filled, options: Options, turn: int, target: str) -> Measure:
    searching = options.what == "search"
    latency = "results" if searching else "page"

    @contextmanager
    def make(part: Part) -> Iterator[Queries]:
        names = stored.users[part.index :: part.count]
        query = (Searches if searching else Pages)(stored, options.limit)
        with signed_in(stored.running.address, stored.server.issuer, names) as signed:
            yield Queries([client for client, _ in signed], query, latency, part.index)

    with stage.rig(stored.running, make, f"{options.what}, {target}, turn {turn}") as rig:
        stretch = rig.measure(options.length)
    return stretch.measure(
        load=f"{options.what} {options.messages:,} stored x{len(stored.users)}",
        target=target,
        turn=turn,
        value=stretch.outcome.messages / stretch.outcome.seconds,
        unit="searches/s" if searching else "pages/s",
        deliveries=stretch.outcome.deliveries,
        latency=latency,
    )
