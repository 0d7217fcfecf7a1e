"""How much later a message's ack and its delivery come in a cluster than on one node, while nothing queues.

In a closed loop the pairs fill the core, and most of what a message waits for is the others. Here few messages a second
come at random times, the same ones to both. Each server may use all cores of the machine, the load's too, which needs
a twentieth of its own: nodes are machines, and three of them with their Redis on one core, all woken up by the same
message, would wait for each other's turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from bench.affinity import on_all_cores
from bench.load.book import Book
from bench.load.outcome import Length
from bench.results import Bound, Measure
from bench.scenarios.stage import Rig, Stretch

#: The name of the difference, in milliseconds, and the most that it may be at the median.
LATER = "later than one node"
LATER_MS = 3.0
_LATENCIES = ("ack", "deliver")
_POINTS = (50, 99)

Books = Mapping[float, Book]
"""The latencies on one node, by messages a second."""


def drive(
    rig: Rig, servers: Collection[int], length: Length, rates: Sequence[float]
) -> Iterator[tuple[float, Stretch]]:
    """A stretch at each of the rates, with the processes `servers`."""
    for rate in rates:
        with on_all_cores(servers):
            stretch = rig.measure(length._replace(rate=rate, shape="poisson"))
        yield rate, stretch


def measures(rate: float, stretch: Stretch, target: str, turn: int, alone: Books | None = None) -> Iterator[Measure]:
    """The latencies of a stretch, at the median and the 99th percentile; with `alone` also by how much they are longer
    than there."""
    load, messages = f"{rate:g}/s", stretch.outcome.messages
    yield stretch.throughput(messages, "messages/s", "settled", load=load, target=target, turn=turn)
    for name in _LATENCIES:
        for point in _POINTS:
            load, value = f"{rate:g}/s, {name} p{point}", stretch.outcome.book[name].percentile(point) / 1e6
            fields = {"turn": turn, "unit": "ms", "messages": stretch.outcome.messages}
            yield Measure(load=load, target=target, value=value, **fields)
            if alone is not None:
                yield Measure(
                    load=load, target=LATER, value=value - alone[rate][name].percentile(point) / 1e6, **fields
                )


def bounds(rates: Sequence[float]) -> list[Bound]:
    return [
        Bound(load=f"{rate:g}/s, {name} p50", target=LATER, at_most=LATER_MS) for rate in rates for name in _LATENCIES
    ]
