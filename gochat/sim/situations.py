"""Situations that chance alone rarely makes: nodes that lag behind others, and faults that follow each other closely
while clients write and read.

Each is a kind of plan for a cluster, drawn as the others are. It is made for a promise, and not for a fault in its
keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from msgspec.structs import replace

from gochat.cluster import faults
from gochat.cluster.faults import AnyFault
from gochat.sim.plan import (
    AnyStep,
    AnyTrouble,
    ClientPlan,
    Contact,
    Delete,
    Edit,
    Forget,
    Group,
    Guess,
    Kill,
    Look,
    Loss,
    Plan,
    React,
    Reconnect,
    Rollback,
    Send,
    Server,
    Stall,
    dm,
)


class _Cast:
    """Two users who share a room, on two nodes, and a third node for a reader."""

    def __init__(self, chance: Random, plan: Plan) -> None:
        groups = [group for group, members in plan.groups.items() if len(members) > 1]
        self.group = chance.choice(groups) if groups and chance.random() < 0.7 else ""
        self.owner = plan.groups[self.group][0] if self.group else chance.choice(plan.users)
        members = plan.groups[self.group] if self.group else plan.users
        self.writer = chance.choice([user for user in members if user != self.owner])
        self.room = f"group:{self.group}" if self.group else dm(self.owner, self.writer)
        self.nodes = chance.sample(plan.nodes, len(plan.nodes))
        """The writer's, the owner's, the reader's."""


def draw_situation(chance: Random, plan: Plan) -> Plan:
    """A plan with the users and groups of this one."""
    cast = _Cast(chance, plan)
    kind = chance.choice(tuple(_KINDS))
    writes, changes, troubles = _KINDS[kind](chance, cast)
    clients = [
        ClientPlan(cast.writer, cast.writer, cast.nodes[0], writes),
        ClientPlan(cast.owner, cast.owner, cast.nodes[1], changes),
        ClientPlan(f"{cast.owner}2", cast.owner, cast.nodes[2], _reads(chance, cast)),
        ClientPlan(f"{cast.writer}2", cast.writer, cast.nodes[1], _reads(chance, cast)),
    ]
    return replace(
        plan,
        clients=clients,
        troubles=sorted(troubles, key=lambda trouble: trouble.at_ms),
        spares=[],
        window=chance.choice((0, 0, 0, 2, 5)),
    )


# ---------------------------------------------------------------------------------------------- what clients do


def _soon(chance: Random, mean_ms: float = 30.0) -> int:
    return chance.choice((0, 5, int(chance.expovariate(1 / mean_ms))))


def _writes(chance: Random, cast: _Cast, count: int) -> list[AnyStep]:
    """Messages close to each other, some of them without a key, and now and then a change of one of them."""
    steps: list[AnyStep] = []
    for _ in range(count):
        steps.append(Send(after_ms=_soon(chance, 60), room=cast.room, keyed=chance.random() < 0.6))
        if chance.random() < 0.1:
            steps.append(chance.choice((Edit, Delete))(after_ms=_soon(chance), back=0))
    return steps


def _reads(chance: Random, cast: _Cast) -> list[AnyStep]:
    """Sign-ins and pages, all the time."""
    return [
        chance.choice((Reconnect(after_ms=_soon(chance, 100)), Look(after_ms=_soon(chance, 60), room=cast.room)))
        for _ in range(chance.randint(10, 30))
    ]


def _changes(chance: Random, cast: _Cast) -> list[AnyStep]:
    """Changes of what the writer may do, and back."""
    kinds: list[Callable[[str], AnyStep]] = []
    if not cast.group:
        pair = ("block", "unblock")
        kinds.append(lambda act: Contact(after_ms=_soon(chance), user=cast.writer, action=act))  # type: ignore[arg-type]
    else:
        pair = chance.choice((("remove", "add"), ("mute", "unmute")))
        kinds.append(
            lambda act: Group(after_ms=_soon(chance), group=cast.group, action=act, user=cast.writer)  # type: ignore[arg-type]
        )
    return [kinds[0](act) for _ in range(chance.randint(2, 6)) for act in pair]


# ---------------------------------------------------------------------------------------------- kinds


Drawn = tuple[list[AnyStep], list[AnyStep], list[AnyTrouble]]


def _race_behind(chance: Random, cast: _Cast) -> Drawn:
    """The writer's node lags behind the owner's, who changes what the writer may do."""
    writes: list[AnyStep] = [Look(room=cast.room)]
    writes += [Send(after_ms=chance.choice((0, 2, 5, 10)), room=cast.room) for _ in range(chance.randint(20, 60))]
    changes: list[AnyStep] = [Look(room=cast.room), *_changes(chance, cast)]
    at_ms, troubles = chance.randint(10, 100), list[AnyTrouble]()
    for _ in range(chance.randint(1, 3)):
        troubles += _lag(chance, cast.nodes[0], at_ms)
        at_ms += chance.randint(50, 400)
    return writes, changes, troubles


def _guesses(chance: Random, cast: _Cast) -> Drawn:
    """The writer edits messages before they have a place, while others write too."""
    writes: list[AnyStep] = []
    for _ in range(chance.randint(10, 30)):
        writes += [Send(room=cast.room) for _ in range(chance.randint(0, 2))]
        writes.append(Guess(room=cast.room))
    changes: list[AnyStep] = [Send(after_ms=chance.choice((0, 1, 3)), room=cast.room) for _ in range(60)]
    return writes, changes, _lag(chance, cast.nodes[0], chance.randint(10, 200)) if chance.random() < 0.3 else []


def _storm(chance: Random, cast: _Cast) -> Drawn:
    """Faults of the server, one soon after the other, while everybody writes and reads."""
    troubles: list[AnyTrouble] = []
    at_ms = chance.randint(50, 300)
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.4:
            troubles += _lag(chance, chance.choice(cast.nodes), at_ms)
        for fault in chance.choice(_CHAINS)(chance, cast.nodes):
            troubles.append(Server(at_ms=at_ms, what=fault))
            at_ms += int(chance.expovariate(1 / 200))
        at_ms += int(chance.expovariate(1 / 300))
    changes = _writes(chance, cast, chance.randint(20, 40))
    if chance.random() < 0.3:
        changes += [React(after_ms=_soon(chance), room=cast.room, seq=99, on=True)]
    return _writes(chance, cast, chance.randint(20, 40)), changes, troubles


def _host_loss(chance: Random, cast: _Cast) -> Drawn:
    """A machine is lost while the others lag behind it, and the end of the log soon before or after."""
    at_ms, lost = chance.randint(100, 500), cast.nodes[0]
    troubles: list[AnyTrouble] = []
    for node in cast.nodes[1:]:
        troubles += _lag(chance, node, at_ms - 50)
    back_ms = int(chance.expovariate(1 / 1000))
    troubles.append(
        chance.choice(
            (
                Loss(at_ms=at_ms, node=lost, back_ms=back_ms, empty=False),
                Forget(at_ms=at_ms, node=lost, cut_off=chance.random() < 0.3, back_ms=back_ms),
                Rollback(at_ms=at_ms, node=lost, down_ms=back_ms),
                Kill(at_ms=at_ms, node=lost, down_ms=back_ms, keep=False, silent=chance.random() < 0.5),
            )
        )
    )
    fall = faults.TailLost(entries=chance.randint(1, 10))
    troubles.append(Server(at_ms=max(0, at_ms + chance.choice((-5, 0, 5, 50, 300))), what=fall))
    return _writes(chance, cast, chance.randint(20, 40)), _writes(chance, cast, 20), troubles


_KINDS: Final[Mapping[str, Callable[[Random, _Cast], Drawn]]] = {
    "race behind": _race_behind,
    "guesses": _guesses,
    "storm": _storm,
    "another storm": _storm,
    "host loss": _host_loss,
}

# ---------------------------------------------------------------------------------------------- faults


def _lag(chance: Random, node: str, at_ms: int) -> list[AnyTrouble]:
    """The node records late, or hears of the log late."""
    for_ms, at_ms = chance.randint(50, 400), max(0, at_ms)
    if chance.random() < 0.6:
        return [Stall(at_ms=at_ms, node=node, for_ms=for_ms)]
    slow = faults.Slow(node=node, delay_s=chance.choice((0.03, 0.1, 0.3)))
    return [Server(at_ms=at_ms, what=slow), Server(at_ms=at_ms + for_ms, what=faults.Slow(node=node))]


Chain = Callable[[Random, Sequence[str]], list[AnyFault]]


def _lost_calls(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    node, calls = chance.choice(nodes), chance.randint(1, 12)
    return [
        chance.choice(
            (
                faults.ReplyLost(node=node, calls=calls),
                faults.RequestLost(node=node, calls=calls),
                faults.Late(node=node, calls=calls, delay_s=0.4 + chance.expovariate(2)),
            )
        )
    ]


def _falls(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    return [
        chance.choice((faults.TailLost, faults.Promoted, faults.TwoPrimaries))(entries=chance.randint(0, 4))
        for _ in range(chance.randint(1, 2))
    ]


def _flips(chance: Random, nodes: Sequence[str]) -> list[AnyFault]:
    return [faults.TwoPrimaries(entries=chance.randint(0, 4)), *[faults.Flipped()] * chance.randint(1, 3)]


_CHAINS: Final[Sequence[Chain]] = (_lost_calls, _lost_calls, _falls, _falls, _flips)
