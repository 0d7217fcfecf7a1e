"""`--against CHECKOUT`: the same load on the servers of two checkouts in turn, and what this one costs of the other.

In each turn both servers are started anew, run the whole scenario and stop; the one that begins alternates, so that a
machine that grows slower or faster favours neither. Load and harness are this checkout's for both. The compared
figure is the server's CPU time a message (or a sign-in), as the kernel counts it for the process, or its memory a
user: each turn gives a ratio, and the median of these stands for the run. Rates are told beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bench import environment
from bench.faults import Broken
from bench.report import aligned
from bench.results import Bound, Cost, Drawn, Measure, Row
from bench.scenarios.stage import Stage
from bench.server import HERE, Checkout

Once = Callable[[Stage], Drawn]
"""Runs the scenario for one turn, without yardsticks."""


class Rivals(NamedTuple):
    """The two checkouts; `names` go behind a target's name, that of this one is empty."""

    checkouts: tuple[Checkout, Checkout]
    names: tuple[str, str]

    @classmethod
    def of(cls, other: Checkout) -> Rivals:
        return cls((HERE, other), ("", f" at {other.root.name} {environment.commit(other.root)}"))


def run(stage: Stage, rivals: Rivals, turns: int, once: Once) -> Drawn:
    """Raises Broken, Fault."""
    stage.own("--against")
    measures: list[Measure] = []
    for turn in range(1, turns + 1):
        for which in (0, 1) if turn % 2 else (1, 0):
            for measure in once(stage._replace(checkout=rivals.checkouts[which])).measures:
                measure.turn = turn
                measure.target += rivals.names[which]
                measures.append(measure)
    # The rows of this checkout come first, whichever began.
    measures.sort(key=lambda measure: measure.target.endswith(rivals.names[1]))
    rates = [Bound(load=cost.load, target=cost.target, against=cost.against) for cost in costs(measures, rivals)]
    return Drawn(measures, rates)


def costs(measures: Sequence[Measure], rivals: Rivals) -> list[Cost]:
    """One for each load and target of this checkout that both servers had in some turn. Raises Broken where a server
    had too little to do."""
    return list(_costs(measures, rivals.names[1]))


def _costs(measures: Sequence[Measure], name: str) -> Iterator[Cost]:
    found = {(measure.load, measure.target, measure.turn): measure for measure in measures}
    for load, target in dict.fromkeys((measure.load, measure.target) for measure in measures):
        pairs = [
            (mine, found[load, target + name, mine.turn])
            for mine in measures
            if (mine.load, mine.target) == (load, target) and (load, target + name, mine.turn) in found
        ]
        if not pairs:
            continue
        if any(_cost(measure) <= 0 for pair in pairs for measure in pair):
            raise Broken(f"{load}: too little was done to say what it costs")
        here, there = ([_cost(measure) for measure in side] for side in zip(*pairs, strict=True))
        ratios = [mine / other for mine, other in zip(here, there, strict=True)]
        yield Cost(
            load=load,
            target=target,
            against=target + name,
            figure=_figure(pairs[0][0]),
            here=statistics.median(here),
            there=statistics.median(there),
            ratio=statistics.median(ratios),
            least=min(ratios),
            greatest=max(ratios),
            turns=len(pairs),
        )


def _cost(measure: Measure) -> float:
    return measure.server_cpu_us_per_message or measure.value


def _figure(measure: Measure) -> str:
    if not measure.server_cpu_us_per_message:
        return measure.unit
    return "server us/sign-in" if measure.unit == "sign-ins/s" else "server us/message"


def table(rivals: Rivals, costs: Sequence[Cost], rows: Sequence[Row]) -> str:
    """The cost of each load in both checkouts, the rates beside it, and the other differences between the two."""
    by_name = {(row.load, row.target): row for row in rows}
    heads = (
        "load",
        "server",
        "figure",
        "here",
        "there",
        "ratio",
        "least..greatest",
        "turns",
        "rate here",
        "there",
        "ratio",
    )
    cells = [heads]
    for cost in costs:
        mine, other = by_name[cost.load, cost.target], by_name[cost.load, cost.against]
        rates = ("", "", "")
        if cost.figure != mine.unit:
            rates = (f"{mine.median:,.0f} {mine.unit}", f"{other.median:,.0f}", f"{mine.ratio or 0:.3f}")
        cells.append(
            (
                cost.load,
                cost.target,
                cost.figure,
                f"{cost.here:,.1f}",
                f"{cost.there:,.1f}",
                f"{cost.ratio:.3f}",
                f"{cost.least:.3f}..{cost.greatest:.3f}",
                str(cost.turns),
                *rates,
            )
        )
    here, there = rivals.checkouts
    versions = [environment.runtime(checkout) for checkout in rivals.checkouts]
    unlike = [name for name in versions[0] if versions[0][name] != versions[1].get(name)]
    return "\n".join(
        [
            f"here: {here.root} {environment.commit(here.root)}",
            f"there: {there.root} {environment.commit(there.root)}",
            *(f"WARNING: {name} is {versions[0][name]} here and {versions[1].get(name)} there" for name in unlike),
            "",
            *aligned(cells),
            "",
            "ratio: here / there within a turn, median over the turns; below 1 a cost is less, above 1 a rate is more",
        ]
    )
