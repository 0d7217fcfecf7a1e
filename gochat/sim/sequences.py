"""Faults that follow each other closely, and nodes that lag behind: the parts that situations are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from gochat.cluster import faults
from gochat.cluster.faults import AnyFault
from gochat.cluster.ports import PARTITIONS
from gochat.sim.plan import AnyTrouble, Server, Stall

Draw = Callable[[Random, Sequence[str]], list[AnyFault]]


def lag(chance: Random, node: str, at_ms: int, for_ms: int | None = None) -> list[AnyTrouble]:
    """The node records late, or hears of the log late; without `for_ms` for up to 400 ms."""
    for_ms, at_ms = for_ms or chance.randint(50, 400), max(0, at_ms)
    if chance.random() < 0.6:
        return [Stall(at_ms=at_ms, node=node, for_ms=for_ms)]
    slow = faults.Slow(node=node, delay_s=chance.choice((0.03, 0.1, 0.3)))
    return [Server(at_ms=at_ms, what=slow), Server(at_ms=at_ms + for_ms, what=faults.Slow(node=node))]


def in_turn(chance: Random, at_ms: int, found: Sequence[AnyFault], mean_ms: float = 200.0) -> list[AnyTrouble]:
    """One fault of the server after the other, the first of them at `at_ms`."""
    troubles: list[AnyTrouble] = []
    for fault in found:
        troubles.append(Server(at_ms=at_ms, what=fault))
        at_ms += int(chance.expovariate(1 / mean_ms))
    return troubles


def moved(chance: Random, node: str) -> AnyFault:
    """A call of the node fails: it connects anew, to the primary that is named then."""
    return chance.choice((faults.ReplyLost, faults.RequestLost))(node=node)


def cut_off(node: str, at_ms: int, for_ms: int) -> list[AnyTrouble]:
    """The node does not reach the server for so long."""
    return [
        Server(at_ms=at_ms, what=faults.Unreachable(node=node)),
        Server(at_ms=at_ms + for_ms, what=faults.Mended(node=node)),
    ]


# ---------------------------------------------------------------------------------------------- the server's data


def lost_call(chance: Random, node: str, calls: int) -> AnyFault:
    return chance.choice(
        (
            faults.ReplyLost(node=node, calls=calls),
            faults.RequestLost(node=node, calls=calls),
            faults.Late(node=node, calls=calls, delay_s=0.4 + chance.expovariate(2)),
        )
    )


def _lost_calls(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    return [lost_call(chance, chance.choice(nodes), chance.randint(1, 12))]


def _missing(chance: Random) -> int:
    """The entries of each partition that a new primary lacks: those of some moments before, with many writers."""
    return chance.choice((0, 1, 2, 4, 10, 20))


def _falls(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    """The latest entries are lost."""
    kinds = (faults.TailLost, faults.Promoted, faults.TwoPrimaries)
    return [chance.choice(kinds)(entries=_missing(chance)) for _ in range(chance.randint(1, 2))]


def fall(chance: Random, missing: Sequence[int] = (1, 2, 5, 10, 30)) -> AnyFault:
    """So many entries of each partition are lost, which some of the nodes have."""
    return chance.choice((faults.TailLost, faults.Promoted))(entries=chance.choice(missing))


def _flips(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    """Nodes connect to one primary or the other."""
    named: list[AnyFault] = [faults.TwoPrimaries(entries=_missing(chance)), *[faults.Flipped()] * chance.randint(1, 3)]
    return [
        fault for each in named for fault in (each, *(moved(chance, node) for node in nodes if chance.random() < 0.7))
    ]


def lost_streams(chance: Random, count: int) -> list[AnyFault]:
    return [faults.StreamLost(partition=partition) for partition in chance.sample(range(PARTITIONS), count)]


def _some_streams(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    return lost_streams(chance, chance.choice((1, 4)))


#: Each the faults of one episode.
EPISODES: Final[Sequence[Draw]] = (_lost_calls, _falls, _falls, _flips, _some_streams)
