"""The effect of one user who floods on the others: pairs that chat at a planned rate, first by themselves, then
beside a user with many sessions that send requests which are refused, repeated, or read things that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.load.fleet import Part
from bench.load.flooder import flooding
from bench.load.outcome import Length
from bench.load.pairs import Pairs
from bench.results import Drawn, Measure
from bench.scenarios import dm
from bench.scenarios.stage import Stage

#: Long enough for the flood to be past what its user has left from before.
_BUILD_UP_S = 5.0


class Options(NamedTuple):
    length: Length
    pairs: int = 20
    sessions: int = 20
    rate: float = 200.0
    turns: int = 3


def run(stage: Stage, options: Options) -> Drawn:
    measures = [
        measure
        for turn in range(1, options.turns + 1)
        for target, rules in stage.targets()
        for measure in _turn(stage, options, turn, target, rules)
    ]
    return Drawn(measures, dm.against_off(stage, measures))


def _turn(stage: Stage, options: Options, turn: int, target: str, rules: str) -> Iterator[Measure]:
    chat = dm.Options(options.length, options.pairs, rate=options.rate)
    # As a community has it: the load that is measured meets no limit, the flood meets those that are set by default.
    own = {"limits__reads_per_s": "50", "limits__read_burst": "2000"}
    with stage.server(rules, **own) as server, server.run() as running:
        writers, readers = server.names("a", options.pairs), server.names("b", options.pairs)

        @contextmanager
        def make(part: Part) -> Iterator[Pairs]:
            mine = slice(part.index, None, part.count)
            with dm.make_pairs(stage, server, running, writers[mine], readers[mine], chat) as pairs:
                yield pairs

        with stage.rig(running, make, f"flood, {target}, turn {turn}") as rig, ExitStack() as stack:
            alone = 0.0
            for sessions in (0, options.sessions):
                if sessions:
                    stack.enter_context(flooding(running.address, server.issuer, "flooder", sessions))
                    rig.plain(Length(_BUILD_UP_S, rate=options.rate))
                stretch = rig.measure(options.length._replace(rate=options.rate))
                measure = stretch.measure(
                    load=f"dm beside {sessions} sessions that flood, {options.rate:g}/s",
                    target=target,
                    turn=turn,
                    value=stretch.outcome.messages / stretch.outcome.seconds,
                    unit="messages/s",
                    deliveries=stretch.outcome.messages,
                    latency="ack",
                )
                p99 = stretch.outcome.book["ack"].percentile(99) / 1e6
                if sessions:
                    measure.remarks.append(f"p99 of an ack is {p99 / alone:.1f} times that without the flood")
                alone = p99
                yield measure
