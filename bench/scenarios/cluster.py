"""The cost of a message in a cluster of three nodes: the CPU time of each of its processes, and how long it takes.

The writers of `dm` are on one node, their readers on another, and the third only records. A light load tells how much
later a message comes than on one node, and a heavy one what it costs. The members of the group are on all three nodes.
The same load runs on one node alone, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench import procfs
from bench.cluster import Cluster, Nodes
from bench.load.book import Book
from bench.load.client import Client, signed_in
from bench.load.fleet import Part
from bench.load.outcome import Length
from bench.load.pairs import Pairs
from bench.results import Bound, Drawn, Measure
from bench.scenarios import dm, fanout, lateness
from bench.scenarios.stage import Rig, Stage, Stretch
from bench.server import Running, data_folder

NODES = 3
ASKER, LISTENER, BYSTANDER, REDIS = "asker's node", "listener's node", "bystander", "Redis"
#: The most that a message may cost a node that has no part in it, in CPU us.
_BYSTANDER_US = 60.0


class Options(NamedTuple):
    length: Length
    pairs: int = 100
    windows: Sequence[int] = (1, 16)
    rate: float = 2_000.0
    """Messages a second at which the bystander is measured."""
    calm: Sequence[float] = (100.0, 200.0)
    """Messages a second at which latencies are compared: so few that none waits for another."""
    members: int = 1_000
    body: int = 100
    turns: int = 3


def run(stage: Stage, options: Options) -> Drawn:
    stage.own("cluster")
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        alone = _alone(stage, options, turn)
        measures += alone.measures
        with data_folder(stage.data) as folder:
            cluster = Cluster(stage.wire, folder, stage.cores, stage.program, checkout=stage.checkout)
            with cluster.run_all(NODES) as nodes:
                measures += _idle(stage, nodes, options, turn)
                measures += _across(stage, cluster, nodes, options, turn, alone)
                measures.append(_fan_out(stage, cluster, nodes, options, turn))
    loads = dict.fromkeys(measure.load for measure in measures)
    bounds = [Bound(load=load, target=BYSTANDER, at_most=_BYSTANDER_US) for load in loads if load.endswith("/s, CPU")]
    bounds += [
        Bound(load=load, target=lateness.LATER, at_most=lateness.LATER_MS)
        for load in loads
        if load.endswith("W=1, median")
    ]
    return Drawn(measures, bounds + lateness.bounds(options.calm))


def _options(options: Options) -> dm.Options:
    return dm.Options(options.length, options.pairs, options.windows, options.body, 1, yardsticks=False)


class _Alone(NamedTuple):
    """The same on one node."""

    measures: list[Measure]
    medians: dict[int, float]
    """In milliseconds, by the number in flight."""
    calm: dict[float, Book]


def _alone(stage: Stage, options: Options, turn: int) -> _Alone:
    alone = _Alone([], {}, {})
    with (
        stage.server() as server,
        server.run() as running,
        _pairs_rig(stage, server, running, running, options, f"dm, one node, turn {turn}") as rig,
    ):
        for rate, stretch in lateness.drive(rig, [running.pid], options.length, options.calm):
            alone.calm[rate] = stretch.outcome.book
            alone.measures.extend(lateness.measures(rate, stretch, "one node", turn))
        for window in options.windows:
            stretch = rig.measure(options.length._replace(window=window))
            alone.medians[window] = _median_ms(stretch)
            alone.measures.append(_throughput(stretch, options, window, "one node", turn))
    with stage.server() as server:
        alone.measures.append(fanout.gochat(stage, server, _group(options), turn, "one node"))
    return alone


def _idle(stage: Stage, nodes: Nodes, options: Options, turn: int) -> Iterator[Measure]:
    """A cluster in which nothing happens."""
    pids = _pids(nodes)
    before, began = {name: procfs.cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(options.length.seconds)
    took = time.monotonic() - began
    for name, pid in pids.items():
        yield Measure(
            load="nothing happens",
            target=name,
            turn=turn,
            value=(procfs.cpu_s(pid) - before[name]) / took * 1e3,
            unit="ms of CPU a second",
            seconds=took,
        )


def _across(
    stage: Stage, cluster: Cluster, nodes: Nodes, options: Options, turn: int, alone: _Alone
) -> Iterator[Measure]:
    asker, listener, _ = nodes.nodes
    plans: list[tuple[str, Length]] = [(f"W={each}", options.length._replace(window=each)) for each in options.windows]
    plans.append((f"{options.rate:g}/s", options.length._replace(rate=options.rate)))
    with _pairs_rig(stage, cluster, asker, listener, options, f"dm, across nodes, turn {turn}") as rig:
        for rate, stretch in lateness.drive(rig, _pids(nodes).values(), options.length, options.calm):
            yield from lateness.measures(rate, stretch, f"{NODES} nodes", turn, alone.calm)
        for how, length in plans:
            rig.drives.drive(length.warm_up())
            pids = _pids(nodes)
            before = {name: procfs.cpu_s(pid) for name, pid in pids.items()}
            stretch = rig.plain(length)
            used = {name: procfs.cpu_s(pid) - before[name] for name, pid in pids.items()}
            if length.window:
                yield _throughput(stretch, options, length.window, f"{NODES} nodes", turn)
                yield Measure(
                    load=f"dm {options.pairs} pairs {how}, median",
                    target=lateness.LATER,
                    turn=turn,
                    value=_median_ms(stretch) - alone.medians[length.window],
                    unit="ms",
                    messages=stretch.outcome.messages,
                )
            for name, cpu_s in used.items():
                yield Measure(
                    load=f"dm {options.pairs} pairs {how}, CPU",
                    target=name,
                    turn=turn,
                    value=cpu_s * 1e6 / max(1, stretch.outcome.messages),
                    unit="us/message",
                    messages=stretch.outcome.messages,
                    seconds=stretch.outcome.seconds,
                    generator_cpu=stretch.outcome.generator_cpu,
                )


def _fan_out(stage: Stage, cluster: Cluster, nodes: Nodes, options: Options, turn: int) -> Measure:
    """One member in each three is on another node; the first, on the first, writes."""
    names = cluster.names("u", options.members)
    base = fanout.made_group(nodes.nodes[0], cluster, "bench", names)

    @contextmanager
    def connect(mine: Sequence[str]) -> Iterator[list[Client]]:
        with ExitStack() as stack:
            clients: dict[str, Client] = {}
            for place, node in enumerate(nodes.nodes):
                some = [name for name in mine if names.index(name) % NODES == place]
                signed = stack.enter_context(signed_in(node.address, cluster.issuer, some))
                clients |= {client.name: client for client, _ in signed}
            yield [clients[name] for name in mine]

    group, wanted = "group:bench", _group(options)
    return fanout._drive(stage, nodes.nodes[0], names, connect, group, base, wanted, f"{NODES} nodes", turn)


def _group(options: Options) -> fanout.Options:
    return fanout.Options(options.length, options.members, body=options.body, turns=1, yardsticks=False)


@contextmanager
def _pairs_rig(
    stage: Stage, server: dm.Server, writing: Running, reading: Running, options: Options, label: str
) -> Iterator[Rig]:
    writers, readers = server.names("a", options.pairs), server.names("b", options.pairs)

    @contextmanager
    def make(part: Part) -> Iterator[Pairs]:
        mine = slice(part.index, None, part.count)
        with dm.make_pairs(
            stage, server, writing, writers[mine], readers[mine], _options(options), reading.address
        ) as pairs:
            yield pairs

    with stage.rig(writing, make, label) as rig:
        yield rig


def _throughput(stretch: Stretch, options: Options, window: int, target: str, turn: int) -> Measure:
    load = f"dm {options.pairs} pairs W={window}"
    return stretch.throughput(stretch.outcome.messages, "messages/s", "settled", load=load, target=target, turn=turn)


def _median_ms(stretch: Stretch) -> float:
    return stretch.outcome.book["settled"].percentile(50) / 1e6


def _pids(nodes: Nodes) -> dict[str, int]:
    asker, listener, bystander = nodes.nodes
    return {ASKER: asker.pid, LISTENER: listener.pid, BYSTANDER: bystander.pid, REDIS: nodes.redis}
