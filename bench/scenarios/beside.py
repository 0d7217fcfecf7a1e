"""Pairs that chat at a planned rate, by themselves and beside something that may disturb them: the parts that such
scenarios share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.histogram import Histogram
from bench.results import Drawn, Measure
from bench.scenarios import dm
from bench.scenarios.stage import Rig, Stage


def turns(stage: Stage, count: int, turn_of: Callable[[int, str, str], Iterable[Measure]]) -> Drawn:
    """So many turns of every target. `turn_of` takes the turn, the target and its rules."""
    measures = [
        measure
        for turn in range(1, count + 1)
        for target, rules in stage.targets()
        for measure in turn_of(turn, target, rules)
    ]
    return Drawn(measures, dm.against_off(stage, measures))


def measured(rig: Rig, options: dm.Options, what: str, target: str, turn: int) -> tuple[Measure, Histogram]:
    """The measure of the pairs beside `what`, and how long their acks took."""
    stretch = rig.measure(options.plan)
    load = f"dm beside {what}, {options.rate:g}/s"
    measure = stretch.throughput(stretch.outcome.messages, "messages/s", "ack", load=load, target=target, turn=turn)
    return measure, stretch.outcome.book["ack"]
