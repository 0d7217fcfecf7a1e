"""Situations that chance alone rarely makes: nodes that lag behind others, and faults that follow each other closely
while clients write and read.

Each is a kind of plan for a cluster, drawn as the others are. It is made for a promise, and not for a fault in its
keeping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from msgspec.structs import replace

from gochat.cluster import faults
from gochat.cluster.faults import AnyFault
from gochat.cluster.ports import PARTITIONS
from gochat.sim.plan import (
    AnyStep,
    AnyTrouble,
    ClientPlan,
    Contact,
    ContactChange,
    Delete,
    Edit,
    Failing,
    Forget,
    Group,
    GroupChange,
    Guess,
    Kill,
    Leave,
    Look,
    Loss,
    Plan,
    React,
    Reconnect,
    Resume,
    Rollback,
    Send,
    Server,
    Stall,
    Stop,
    dm,
)
from gochat.sim.sequences import EPISODES, cut_off, fall, in_turn, lag, lost_call, lost_streams, moved


class _Scene:
    """Two users who share a room, on two nodes, and a third node for a reader. A kind of situation fills it."""

    def __init__(self, chance: Random, plan: Plan) -> None:
        self.groups = {group: members for group, members in plan.groups.items() if len(members) > 1}
        if not self.groups:
            self.groups["ash"] = chance.sample(plan.users, len(plan.users))
        self.chance = chance
        self.group = chance.choice(list(self.groups)) if chance.random() < 0.7 else ""
        self.owner = self.groups[self.group][0] if self.group else chance.choice(plan.users)
        members = self.groups[self.group] if self.group else plan.users
        self.writer = chance.choice([user for user in members if user != self.owner])
        self.room = f"group:{self.group}" if self.group else dm(self.owner, self.writer)
        rooms = [f"group:{group}" for group, users in self.groups.items() if {self.owner, self.writer} <= {*users}]
        rooms.append(dm(self.owner, self.writer))
        self.rooms = [self.room] * 3 + rooms
        """Where they write, the room that matters more often."""
        self.nodes = chance.sample(plan.nodes, len(plan.nodes))
        """The writer's, the owner's, the reader's."""
        self.writes: list[AnyStep] = []
        self.changes: list[AnyStep] = []
        """The owner's steps."""
        self.troubles: list[AnyTrouble] = []
        self.readers: list[tuple[str, str]] = [(self.owner, self.nodes[2]), (self.writer, self.nodes[1])]
        """The users who read, and where."""
        self.read_ms = 80.0
        """The mean of the longer pauses between their readings."""
        self.resumes = False
        """Whether these mostly have rooms told again."""
        self.window = chance.choice((0, 0, 0, 2, 5))
        self.linger_ms = chance.choice((0, 500, 1500))
        self.idle_ms = 0
        self.tell_ms = chance.choice((0.0, 0.0, 5.0))

    def clients(self) -> list[ClientPlan]:
        found = [
            ClientPlan(self.writer, self.writer, self.nodes[0], self.writes),
            ClientPlan(self.owner, self.owner, self.nodes[1], self.changes),
        ]
        for number, (user, node) in enumerate(self.readers, 2):
            found.append(ClientPlan(f"{user}{number}", user, node, self._reads()))
        return found

    # ------------------------------------------------------------------------------------------ what clients do

    def soon(self, mean_ms: float = 30.0) -> int:
        return self.chance.choice((0, 5, int(self.chance.expovariate(1 / mean_ms))))

    def wait(self, mean_ms: float) -> int:
        return int(self.chance.expovariate(1 / mean_ms))

    def write(self, count: int, mean_ms: float = 60.0) -> list[AnyStep]:
        """Messages close to each other, some of them without a key, and now and then a change of one of them."""
        chance, steps = self.chance, list[AnyStep]()
        for _ in range(count):
            room, keyed = chance.choice(self.rooms), chance.random() < 0.6
            steps.append(Send(after_ms=self.soon(mean_ms), room=room, keyed=keyed))
            if chance.random() < 0.1:
                steps.append(chance.choice((Edit, Delete))(after_ms=self.soon(), back=0))
        return steps

    def _reads(self) -> list[AnyStep]:
        """Sign-ins and pages, all the time."""
        chance, steps = self.chance, list[AnyStep]()
        for _ in range(chance.randint(10, 30)):
            after_ms, goes = self.soon(self.read_ms), chance.random() < 0.5
            if self.resumes and chance.random() < 0.9:
                steps.append(Resume(after_ms=after_ms, room=chance.choice(self.rooms)))
            elif goes:
                steps.append(Reconnect(after_ms=after_ms))
            else:
                steps.append(Look(after_ms=after_ms, room=self.room))
        return steps

    def take_and_give(self, count: int, after_ms: Callable[[], int]) -> list[AnyStep]:
        """Changes of what the writer may do, and back."""
        if not self.group:
            both: tuple[ContactChange, ContactChange] = ("block", "unblock")
            return [
                Contact(after_ms=after_ms(), user=self.writer, action=action) for _ in range(count) for action in both
            ]
        pairs: list[tuple[GroupChange, GroupChange]] = [("remove", "add"), ("mute", "unmute")]
        some = self.chance.choice((pairs, pairs[:1], pairs[1:]))
        return [
            Group(after_ms=after_ms(), group=self.group, action=change, user=self.writer)
            for _ in range(count)
            for change in self.chance.choice(some)
        ]

    def lag(self, node: str, at_ms: int, for_ms: int | None = None) -> None:
        self.troubles += lag(self.chance, node, at_ms, for_ms)


def draw_situation(chance: Random, plan: Plan, number: int) -> Plan:
    """A plan with the users and groups of this one. Numbers one after the other are of all kinds in turn."""
    scene = _Scene(chance, plan)
    _KINDS[number % len(_KINDS)](scene)
    return replace(
        plan,
        groups={**plan.groups, **scene.groups},
        clients=scene.clients(),
        troubles=sorted(scene.troubles, key=lambda trouble: trouble.at_ms),
        spares=[],
        window=scene.window,
        linger_ms=scene.linger_ms,
        idle_ms=scene.idle_ms,
        tell_ms=scene.tell_ms,
    )


# ---------------------------------------------------------------------------------------------- kinds


def _race_behind(scene: _Scene) -> None:
    """The writer's node lags behind the owner's, who changes what the writer may do: once while there is much on its
    way, and once while each message finds the room at rest."""
    chance, at_ms = scene.chance, scene.chance.randint(10, 100)
    scene.writes, scene.changes = [Look(room=scene.room)], [Look(room=scene.room)]
    if chance.random() < 0.3:
        gaps = [chance.choice((0, 2, 5, 10)) for _ in range(chance.randint(20, 60))]
        scene.changes += scene.take_and_give(chance.randint(3, 6), scene.soon)
    else:
        gaps = [scene.wait(110) for _ in range(20)]
        scene.changes += scene.take_and_give(11, partial(scene.wait, 90))
    scene.writes += [Send(after_ms=gap_ms, room=scene.room) for gap_ms in gaps]
    while at_ms < sum(gaps):
        for_ms = chance.randint(50, 300)
        scene.lag(scene.nodes[0], at_ms, for_ms)
        at_ms += for_ms + chance.randint(10, 150)


def _guesses(scene: _Scene) -> None:
    """The writer edits messages before they have a place, while others write too."""
    chance, room = scene.chance, scene.room
    for _ in range(chance.randint(10, 30)):
        scene.writes += [Send(room=room) for _ in range(chance.randint(0, 2))]
        scene.writes.append(Guess(room=room))
    scene.changes = [Send(after_ms=chance.choice((0, 1, 3)), room=room) for _ in range(60)]
    if chance.random() < 0.3:
        scene.lag(scene.nodes[0], chance.randint(10, 200))


def _storm(scene: _Scene) -> None:
    """Faults of the server, one soon after the other, while everybody writes and reads, and soon after nodes began to
    lag behind."""
    chance, at_ms = scene.chance, scene.chance.randint(50, 300)
    for _ in range(chance.randint(1, 4)):
        for node in chance.sample(scene.nodes, chance.choice((0, 1, 1, 2, 2))):
            scene.lag(node, at_ms, chance.randint(100, 500))
        at_ms += chance.choice((0, scene.wait(60)))
        scene.troubles += in_turn(chance, at_ms, chance.choice(EPISODES)(chance, scene.nodes))
        at_ms += chance.randint(100, 600)
    scene.writes = scene.write(chance.randint(20, 50))
    scene.changes = scene.write(chance.randint(20, 50))
    if chance.random() < 0.3:
        scene.changes += [React(after_ms=scene.soon(), room=scene.room, seq=99, on=True)]


def _fall_behind(scene: _Scene) -> None:
    """The end of the log is lost while nodes lag behind it, and once more when all is well again; or all of it, while
    nobody lags."""
    chance, at_ms = scene.chance, scene.chance.randint(100, 150)
    scene.rooms = sorted({*scene.rooms})
    scene.readers *= 2
    for _ in range(2):
        lost = lost_streams(chance, PARTITIONS) if chance.random() < 0.35 else [fall(chance)]
        for node in chance.sample(scene.nodes, chance.choice((1, 2, 2)) if len(lost) == 1 else 0):
            scene.lag(node, at_ms, chance.randint(200, 600))
        at_ms += chance.randint(20, 150)
        scene.troubles += [Server(at_ms=at_ms, what=each) for each in lost]
        if len(lost) > 1:
            break
        if chance.random() < 0.3:
            scene.troubles.append(Server(at_ms=at_ms + scene.wait(50), what=moved(chance, chance.choice(scene.nodes))))
        at_ms += 2_000
    scene.linger_ms = 1_000
    for steps in (scene.writes, scene.changes):
        steps += scene.write(25, 30)
        steps.append(Send(after_ms=max(0, 2_150 - sum(step.after_ms for step in steps)), room=scene.room))
        steps += scene.write(20, 30)


def _lost_calls(scene: _Scene) -> None:
    """Single calls of the nodes are lost, and nothing else happens."""
    chance = scene.chance
    for _ in range(chance.randint(5, 12)):
        fault = lost_call(chance, chance.choice(scene.nodes[:2]), chance.choice((1, 1, 1, 2)))
        scene.troubles.append(Server(at_ms=chance.randint(20, 2000), what=fault))
    scene.writes, scene.changes = scene.write(40), scene.write(40)


def _host_loss(scene: _Scene) -> None:
    """A machine is lost, or goes in order, while the others lag behind it, and the end of the log soon before or
    after."""
    chance, lost = scene.chance, scene.nodes[0]
    at_ms, back_ms = chance.randint(200, 500), scene.wait(1000)
    kinds: Sequence[AnyTrouble] = (
        Loss(at_ms=at_ms, node=lost, back_ms=back_ms, empty=False),
        Forget(at_ms=at_ms, node=lost, cut_off=chance.random() < 0.3, back_ms=back_ms),
        Rollback(at_ms=at_ms, node=lost, down_ms=back_ms),
        Kill(at_ms=at_ms, node=lost, down_ms=back_ms, keep=False, silent=chance.random() < 0.5),
        Stop(at_ms=at_ms, node=lost, down_ms=back_ms),
        *[Leave(at_ms=at_ms, node=lost, back_ms=chance.choice((None, back_ms)))] * 3,
    )
    how = chance.choice(kinds)
    takes_time = isinstance(how, (Stop, Leave))
    for node in scene.nodes[1:]:
        since_ms = at_ms - chance.randint(20, 150)
        if takes_time:
            scene.troubles.append(Stall(at_ms=since_ms, node=node, for_ms=chance.randint(800, 2000)))
        else:
            scene.lag(node, since_ms)
    scene.troubles.append(how)
    at_ms = max(0, at_ms + chance.choice((300, 500, 800) if takes_time else (-5, 0, 5, 50, 300)))
    end = faults.TailLost(entries=chance.choice((10, 40))) if takes_time else fall(chance)
    scene.troubles.append(Server(at_ms=at_ms, what=end))
    scene.linger_ms = 1_000
    scene.writes, scene.changes = scene.write(40, 90), scene.write(20)


def _newcomer(scene: _Scene) -> None:
    """A machine is back while the others lag, takes what the writer sends at once, and is lost with the end of the
    log."""
    chance, back = scene.chance, scene.nodes[0]
    at_ms = chance.randint(50, 200)
    scene.troubles.append(Stop(at_ms=at_ms, node=back, down_ms=600))
    for node in scene.nodes[1:]:
        since_ms, for_ms = at_ms + chance.randint(550, 650), chance.randint(1500, 2500)
        scene.troubles.append(Stall(at_ms=since_ms, node=node, for_ms=for_ms))
    at_ms += chance.randint(1100, 1900)
    scene.troubles.append(Kill(at_ms=at_ms, node=back, down_ms=2500, keep=False, silent=False))
    scene.troubles.append(Server(at_ms=at_ms + chance.choice((0, 0, 5, 20)), what=fall(chance)))
    for _ in range(12):
        scene.writes += [Reconnect(after_ms=scene.wait(40), node=back) for _ in range(3)]
        scene.writes += [Send(room=scene.room)]
    scene.changes = scene.write(30, 120)


def _left_behind(scene: _Scene) -> None:
    """A node misses so much that the log does not keep it any more."""
    chance, node, at_ms = scene.chance, scene.nodes[2], scene.chance.randint(50, 300)
    scene.window, for_ms = 2, chance.randint(1500, 3000)
    if chance.random() < 0.5:
        scene.troubles.append(Kill(at_ms=at_ms, node=node, down_ms=for_ms, keep=False, silent=False))
    else:
        scene.troubles += cut_off(node, at_ms, for_ms)
    for steps in (scene.writes, scene.changes):
        steps += [Send(after_ms=scene.wait(40), room=scene.room) for _ in range(70)]


def _two_servers(scene: _Scene) -> None:
    """A node answers a new primary, and is sent back to the old one, while the others have seen that one alone; they
    come to the new one soon after."""
    chance, (first, *others) = scene.chance, scene.nodes
    at_ms = chance.randint(50, 200)
    named: AnyFault = faults.TwoPrimaries(entries=chance.choice((0, 0, 1, 2)))
    for node_groups in ([first], [first], others, chance.choice(([], [first]))):
        scene.troubles.append(Server(at_ms=at_ms, what=named))
        for node in node_groups:
            calls = chance.choice((faults.ReplyLost, faults.RequestLost))(node=node, calls=chance.randint(1, 4))
            scene.troubles.append(Server(at_ms=at_ms + scene.wait(10), what=calls))
        at_ms += chance.randint(700, 1600)
        named = faults.Flipped()
    scene.linger_ms = 1_500
    for steps in (scene.writes, scene.changes):
        steps += [Send(after_ms=scene.wait(80), room=scene.room) for _ in range(60)]


def _split(scene: _Scene) -> None:
    """Two servers take each other's place, and most of the nodes go with it."""
    chance, at_ms = scene.chance, scene.chance.randint(50, 200)
    named: AnyFault = faults.TwoPrimaries(entries=chance.choice((0, 0, 2, 5)))
    for _ in range(chance.choice((2, 2, 3, 4))):
        scene.troubles.append(Server(at_ms=at_ms, what=named))
        for node in scene.nodes:
            if chance.random() < 0.9:
                scene.troubles.append(Server(at_ms=at_ms + scene.wait(30), what=moved(chance, node)))
        at_ms += chance.choice((300, 900, 1500))
        named = faults.Flipped()
    scene.linger_ms = 1_000
    scene.writes, scene.changes = scene.write(40, 120), scene.write(40, 120)


def _coming_and_going(scene: _Scene) -> None:
    """Readers have rooms told again, or come again themselves, at a node that soon drops rooms from memory, while there
    is something new now and then; its disk takes its time to tell what it has recorded, or fails to tell it."""
    chance, node = scene.chance, scene.nodes[2]
    for steps in (scene.writes, scene.changes):
        steps += [Send(after_ms=scene.wait(100), room=chance.choice(scene.rooms)) for _ in range(30)]
    scene.readers = [(user, node) for user in (scene.owner, scene.writer)] * 4
    scene.resumes, scene.read_ms = True, 50.0
    scene.idle_ms, scene.tell_ms = 10, 10.0
    scene.troubles += [Failing(at_ms=at_ms, node=node, how=["kept"]) for at_ms in range(100, 3000, 500)]


def _seen_late(scene: _Scene) -> None:
    """A new primary lacks the end of the log. A node that lagged behind sees it at once, and all others a moment
    later; everybody writes and reads meanwhile."""
    chance, at_ms = scene.chance, 0
    scene.readers = [(user, node) for node in scene.nodes for user in (scene.owner, scene.writer)]
    for _ in range(2):
        at_ms += chance.randint(300, 500)
        first = chance.choice(scene.nodes)
        since_ms = chance.randint(30, 120)
        scene.lag(first, at_ms - since_ms, since_ms + chance.randint(0, 50))
        scene.troubles.append(Server(at_ms=at_ms, what=fall(chance, (1, 1, 2, 3, 5))))
        for node in scene.nodes:
            if node != first:
                scene.troubles += cut_off(node, at_ms + chance.choice((0, 0, 10)), chance.randint(50, 500))
        for steps in (scene.writes, scene.changes):
            gone_ms = sum(step.after_ms for step in steps)
            steps.append(Send(after_ms=max(0, at_ms - 150 - gone_ms), room=scene.room))
            steps += [Send(after_ms=scene.wait(20), room=scene.room) for _ in range(20)]
        at_ms += 1_500
    scene.linger_ms = 1_000


def _kinds_with(other: Callable[[_Scene], None]) -> tuple[Callable[[_Scene], None], ...]:
    return (
        _race_behind,
        _guesses,
        _storm,
        _lost_calls,
        _host_loss,
        _newcomer,
        _fall_behind,
        _left_behind,
        other,
        _two_servers,
        _split,
        _coming_and_going,
    )


_KINDS: Final[Sequence[Callable[[_Scene], None]]] = (*_kinds_with(_race_behind), *_kinds_with(_seen_late))
