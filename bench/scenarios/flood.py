"""The effect of one user who floods on the others: pairs that chat at a planned rate, first by themselves, then
beside a user with many sessions that send requests which are refused, repeated, or read things that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from bench.load.flooder import flooding
from bench.load.outcome import Length
from bench.results import Drawn, Measure
from bench.scenarios import beside, dm
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
    return beside.turns(stage, options.turns, partial(_turn, stage, options))


def _turn(stage: Stage, options: Options, turn: int, target: str, rules: str) -> Iterator[Measure]:
    chat = dm.Options(options.length, options.pairs, rate=options.rate)
    # As a community has it: the load that is measured meets no limit, the flood meets those that are set by default.
    own = {"limits__reads_per_s": "50", "limits__read_burst": "2000"}
    with (
        stage.server(rules, **own) as server,
        server.run() as running,
        dm.chatting(stage, server, running, chat, f"flood, {target}, turn {turn}") as rig,
        ExitStack() as stack,
    ):
        alone = 0.0
        for sessions in (0, options.sessions):
            if sessions:
                stack.enter_context(flooding(running.address, server.issuer, "flooder", sessions))
                rig.plain(Length(_BUILD_UP_S, rate=options.rate))
            measure, acks = beside.measured(rig, chat, f"{sessions} sessions that flood", target, turn)
            p99 = acks.percentile(99)
            if sessions:
                measure.remarks.append(f"p99 of an ack is {p99 / alone:.1f} times that without the flood")
            alone = p99
            yield measure
