"""Faults of a cluster's server, drawn for a plan, and their end; and how much of the log is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Final

from gochat import housekeeping
from gochat.cluster import faults, registry, repair, trimming
from gochat.cluster.faults import AnyFault
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS
from gochat.store.write import log_state

#: A look at 16 partitions takes no time here, and two journeys for each elsewhere.
_REPAIR: Final = {"LOOK_S": 0.1}

Draw = Callable[[Random, Sequence[str]], AnyFault]

#: By name; each gets the nodes.
FAULTS: Final[Mapping[str, Draw]] = {
    "reply lost": lambda chance, nodes: faults.ReplyLost(node=chance.choice(nodes), calls=chance.randint(1, 3)),
    "request lost": lambda chance, nodes: faults.RequestLost(node=chance.choice(nodes), calls=chance.randint(1, 3)),
    "late": lambda chance, nodes: faults.Late(node=chance.choice(nodes), delay_s=chance.expovariate(0.5)),
    "unreachable": lambda chance, nodes: chance.choice((faults.Unreachable, faults.Mended))(node=chance.choice(nodes)),
    "slow": lambda chance, nodes: faults.Slow(node=chance.choice(nodes), delay_s=chance.choice((0.0, 0.05, 1.0))),
    "full": lambda chance, _: faults.Full(on=chance.random() < 0.3),
    "tail lost": lambda chance, _: faults.TailLost(entries=chance.randint(0, 5)),
    "flushed": lambda *_: faults.EverythingLost(),
    "restarted empty": lambda *_: faults.EverythingLost(restarted=True),
    "stream lost": lambda chance, _: faults.StreamLost(partition=chance.randrange(PARTITIONS)),
    "two primaries": lambda chance, _: faults.TwoPrimaries(entries=chance.randint(0, 5)),
    "old gone": lambda *_: faults.OldGone(),
    "promoted": lambda chance, _: faults.Promoted(entries=chance.randint(0, 5)),
    "unsubscribed": lambda *_: faults.Unsubscribed(),
    "much lost": lambda chance, _: faults.TailLost(entries=chance.randint(5, 40)),
    "clock set": lambda chance, _: faults.ClockSet(
        ahead_ms=int(chance.choice((-1, 1)) * chance.expovariate(1 / 60_000))
    ),
    "flipped": lambda *_: faults.Flipped(),
    "old dump": lambda chance, _: chance.choice((faults.Dumped, faults.Restored))(),
}


def end(server: MemoryServer, nodes: Sequence[str]) -> None:
    """The server is well from now on, whatever it has lost."""
    for node in nodes:
        server.strike(faults.Mended(node=node))
        server.strike(faults.Slow(node=node))
    server.strike(faults.Full(on=False))
    server.strike(faults.ClockSet())
    server.strike(faults.OldGone())


def keeping(window: int, idle_ms: int) -> Mapping[ModuleType, Mapping[str, object]]:
    """The settings, by module and name, with which the log and the nodes keep so many entries a partition, and four
    times as many of those that a node which counts has not recorded, and with which nodes look as often for rooms that
    have been idle for so long; 0: as the product does."""
    found: dict[ModuleType, Mapping[str, object]] = {repair: _REPAIR}
    if window:
        found[registry] = {"TRIM_S": 0.5}
        found[trimming] = {"KEEP": window, "KEEP_S": 1.0, "CAP": 4 * window}
        found[log_state] = {"KEPT": window}
    if idle_ms:
        found[housekeeping] = {"SWEEP_S": idle_ms / 1000}
    return found
