"""Where waiting begins: `mixed` at one rate after the other, and once more at 70 % of the best.

The best, the *knee*, is the rate with the highest power, that is rate divided by the time a delivery takes (Kleinrock,
"Power and deterministic rules of thumb for probabilistic problems in computer communications", 1979): below it more
load costs little time, above it time grows faster than what is got for it. The time is the mean over all deliveries.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from bench.faults import Broken
from bench.results import Drawn, Measure
from bench.scenarios import mixed
from bench.scenarios.stage import BUSY_OPEN, Stage, Stretch

#: Of the knee: how much of it a machine that has room to spare carries.
SHARE = 0.7
#: From so many times the time at the lowest rate on, higher rates only take longer to measure.
_FAR = 30
#: Rates among which one may be the best.
LEAST = 3
RATES = (100, 200, 300, 400, 550, 700, 850, 1000, 1200)


Times: TypeAlias = Mapping[float, Sequence[float]]
"""The mean time of a delivery in each turn, by the rate."""


class Options(NamedTuple):
    community: mixed.Options
    rates: Sequence[float] = RATES
    """Actions a second, ascending."""
    turns: int = 3


def found(times: Times) -> float | None:
    """The rate with the highest power, by the medians over the turns that came to it. None where it is the highest of
    all: the knee lies above it, or there."""
    power = {rate: rate / statistics.median(each) for rate, each in times.items()}
    knee = max(power, key=power.__getitem__)
    return None if knee == max(times) else knee


def run(stage: Stage, options: Options, find: Callable[[Times], float | None] = found) -> Drawn:
    measures: list[Measure] = []
    times: dict[float, list[float]] = {}
    [(target, rules)] = stage.targets()[:1]
    for turn in range(1, options.turns + 1):
        for rate, stretch in _climb(stage, options, rules, turn):
            measures.append(mixed.measured(stretch, f"{_named(options)} {rate:g}/s", target, turn))
            times.setdefault(rate, []).append(_mean(stretch))
    knee = find(times)
    if knee is None:
        measures[-1].remarks.append(f"the knee is at {max(times):g}/s or above: no figure at {SHARE:.0%} of it")
        return Drawn(measures, [])
    rate = SHARE * knee
    load = f"{_named(options)} {rate:g}/s, {SHARE:.0%} of the knee ({knee:g}/s)"
    for turn in range(1, options.turns + 1):
        with (
            stage.server(rules) as server,
            mixed.community(stage, server, options.community, f"knee, {rate:g}/s, turn {turn}") as rig,
        ):
            stretch = rig.measure(options.community.length._replace(rate=rate, shape="day", seed=turn))
        measures.append(mixed.measured(stretch, load, target, turn))
    return Drawn(measures, [])


def _climb(stage: Stage, options: Options, rules: str, turn: int) -> list[tuple[float, Stretch]]:
    """One server at all rates, until the load can't follow or deliveries take very long."""
    stretches: list[tuple[float, Stretch]] = []
    with (
        stage.server(rules) as server,
        mixed.community(stage, server, options.community, f"knee, turn {turn}") as rig,
    ):
        for rate in options.rates:
            stretch = rig.measure(options.community.length._replace(rate=rate, shape="day", seed=turn))
            if stretch.outcome.generator_cpu > BUSY_OPEN and stretches:
                break  # At the lowest rate of all the measure itself says so.
            stretches.append((rate, stretch))
            if _mean(stretch) > _FAR * _mean(stretches[0][1]):
                break
    return stretches


def _mean(stretch: Stretch) -> float:
    """Raises Broken where nothing was delivered."""
    delivered = stretch.outcome.book["deliver"]
    if not delivered.count:
        raise Broken("nothing was delivered in the time given: give it more --seconds")
    return delivered.mean()


def _named(options: Options) -> str:
    return f"knee {options.community.users} users"
